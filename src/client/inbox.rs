//! Where a client's receipts go: decoded, told apart, stamped and recorded.

use reference_server::envelope::{DecodeError, Envelope};

use super::run::{Phase, Run};
use super::session::sending::Sender;
use crate::measure::delivery::{Arrival, Trackers};
use crate::protocol::Inbox;
use crate::scenario::spec::Role;

/// The inbox of one read: one time for all that it brings.
pub(super) struct Receipts<'a> {
    run: &'a Run,
    role: Role,
    trackers: &'a mut Trackers,
    /// Who waits for own events to come back.
    own: Option<&'a mut Sender>,
    /// Time of the first receipt, in ns from the start of the load.
    pub(super) now_ns: Option<u64>,
    /// An own event came back that another waited for.
    pub(super) made_room: bool,
}

impl<'a> Receipts<'a> {
    /// For one read of a client with this role and these trackers, which tells `own` what came back.
    #[inline]
    pub(super) fn new(
        run: &'a Run,
        role: Role,
        trackers: &'a mut Trackers,
        own: Option<&'a mut Sender>,
    ) -> Receipts<'a> {
        Receipts { run, role, trackers, own, now_ns: None, made_room: false }
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
        let measured = recorder.measures(envelope.due_ns);
        if let Some(sender) = &mut self.own {
            self.made_room |= sender.came_back(envelope.sequence, measured);
        }
        if run.phase() >= Phase::Late && measured {
            recorder.counts.late += 1;
            return;
        }
        let arrival = measured.then(|| trackers.see(envelope.stream, envelope.sequence));
        recorder.hit(&envelope, now_ns, payload.len(), arrival);
        if matches!(arrival, Some(Arrival::First | Arrival::Reordered { .. })) {
            recorder.reached(&envelope, now_ns, run.audience(envelope.stream));
        }
    }

    fn missed(&mut self, count: u64) {
        self.run.recorder.borrow_mut().counts.declared_missed += count;
    }
}
