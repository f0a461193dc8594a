//! The end of a session: what it had seen is handed in, and its client says good-bye.

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Session, Stage};
use crate::client::run::{Account, Phase};
use crate::host::clock::monotonic_ns;
use crate::protocol::{self, Failure, Kind};

/// How long a client may take to say good-bye.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// The end of the cell: nothing is owed any more, and nothing measured depends on how the good-bye goes.
    pub(super) fn leave(&mut self) -> bool {
        self.stop_sending();
        self.hand_in();
        self.stage = Stage::Leaving;
        true
    }

    pub(super) fn begin_close(&mut self, cx: &Context<'_>) -> bool {
        if !self.run.doors.enter(self.id, cx.waker()) {
            return false;
        }
        self.stage = Stage::Closing { deadline_ns: monotonic_ns() + CLOSE_PATIENCE.as_nanos() as u64 };
        true
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>, deadline_ns: u64) -> bool {
        match self.client.poll_close(cx) {
            Poll::Pending if self.alarm.poll_until(cx, deadline_ns).is_pending() => return false,
            Poll::Pending => {
                let failure = Failure::new(protocol::Phase::Close, Kind::TimedOut, "no good-bye within 1 s");
                self.run.recorder.borrow_mut().failure(&failure);
            }
            Poll::Ready(Err(failure)) => self.run.recorder.borrow_mut().failure(&failure),
            Poll::Ready(Ok(())) => {}
        }
        self.run.doors.left();
        self.stage = Stage::Over;
        true
    }

    /// Ends this client's life before that of the cell: it was cut off, and nothing brings it back.
    pub(super) fn finish(&mut self) {
        self.set_online(false);
        self.stop_sending();
        self.hand_in();
        self.stage = Stage::Over;
    }

    /// Whether it missed a part of what came before the window's end: cut off and not back, or cut off for a while by a
    /// protocol that does not make up for it. What was under way when it was cut off later is merely lost.
    fn was_cut_short(&self) -> bool {
        let end_ns = self.run.window_end_ns();
        let begun = self.run.phase() > Phase::Connect;
        (!self.online && (!begun || self.cut_ns < end_ns)) || self.away.iter().any(|away| away.start < end_ns)
    }

    /// What it is still owed is settled by `settle` when everything has been announced.
    fn hand_in(&mut self) {
        self.run.staying.set(self.run.staying.get() - 1);
        let mut overdue = Vec::new();
        let mut recorder = self.run.recorder.borrow_mut();
        recorder.counts.cut_short += u64::from(self.was_cut_short());
        if let Some(sender) = self.sender.take() {
            self.run.awaiting.set(self.run.awaiting.get() - u64::from(sender.open_sends()));
            let (unanswered, left) = sender.leftovers();
            recorder.counts.unanswered += unanswered;
            overdue = left;
        }
        drop(recorder);
        self.set_online(false);
        let trackers = std::mem::take(&mut self.trackers);
        if self.role.subscribes {
            let away = std::mem::take(&mut self.away);
            let account = Account { group: self.role.group, client: self.id, trackers, away, overdue };
            self.run.ledger.borrow_mut().push(account);
        }
    }
}
