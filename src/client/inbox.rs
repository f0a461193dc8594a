//! Where a client's receipts go: decoded, told apart, stamped and recorded.

use reference_server::envelope::{DecodeError, Envelope};

use super::run::{Phase, Run};
use crate::measure::delivery::{Arrival, Trackers};
use crate::protocol::Inbox;
use crate::scenario::plan::Role;

/// The inbox of one read: one time for all that it brings.
pub(super) struct Receipts<'a> {
    run: &'a Run,
    role: Role,
    trackers: &'a mut Trackers,
    /// Time of the first receipt, in ns from the start of the load.
    pub(super) now_ns: Option<u64>,
    /// Events of this run among them.
    pub(super) events: u32,
}

impl<'a> Receipts<'a> {
    /// For one read of a client with this role and these trackers.
    #[inline]
    pub(super) fn new(run: &'a Run, role: Role, trackers: &'a mut Trackers) -> Receipts<'a> {
        Receipts { run, role, trackers, now_ns: None, events: 0 }
    }
}

impl Inbox for Receipts<'_> {
    fn push(&mut self, payload: &[u8]) {
        let Receipts { run, role, trackers, .. } = self;
        let now_ns = *self.now_ns.get_or_insert_with(|| run.now_ns());
        let mut recorder = run.recorder.borrow_mut();
        let envelope = match Envelope::decode(payload) {
            Ok(envelope)
                if recorder.owns(&envelope) && run.spec.role(envelope.stream).group == role.group =>
            {
                envelope
            }
            Err(DecodeError::Checksum) => {
                recorder.counts.corrupt += 1;
                return;
            }
            _ => {
                recorder.counts.foreign += 1;
                return;
            }
        };
        self.events += 1;
        if run.phase() >= Phase::Late && recorder.measures(envelope.due_ns) {
            recorder.counts.late += 1;
            return;
        }
        let arrival =
            recorder.measures(envelope.due_ns).then(|| trackers.see(envelope.stream, envelope.sequence));
        recorder.hit(&envelope, now_ns, payload.len(), arrival);
        if matches!(arrival, Some(Arrival::First | Arrival::Reordered { .. })) {
            recorder.reached(&envelope, now_ns, run.audience(envelope.stream));
        }
    }

    fn missed(&mut self, count: u64) {
        self.run.recorder.borrow_mut().counts.declared_missed += count;
    }
}
