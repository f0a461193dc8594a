//! The end of a session: what it had seen is handed in, and its client says good-bye.

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Session, Stage};
use crate::client::run::Account;
use crate::host::clock::monotonic_ns;
use crate::protocol::{Failure, Kind, Phase};

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
        if !self.run.doors.enter(cx.waker()) {
            return false;
        }
        self.stage = Stage::Closing { deadline_ns: monotonic_ns() + CLOSE_PATIENCE.as_nanos() as u64 };
        true
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>, deadline_ns: u64) -> bool {
        match self.client.poll_close(cx) {
            Poll::Pending if self.alarm.poll_until(cx, deadline_ns).is_pending() => return false,
            Poll::Pending => {
                let failure = Failure::new(Phase::Close, Kind::TimedOut, "no good-bye within 1 s");
                self.run.recorder.borrow_mut().failure(&failure);
            }
            Poll::Ready(Err(failure)) => self.run.recorder.borrow_mut().failure(&failure),
            Poll::Ready(Ok(())) => {}
        }
        self.run.doors.left();
        self.stage = Stage::Over;
        true
    }

    /// Ends this client's life before that of the cell.
    pub(super) fn finish(&mut self) {
        self.hand_in();
        self.stage = Stage::Over;
    }

    /// What it is still owed is settled by `settle` when everything has been announced.
    fn hand_in(&mut self) {
        self.run.staying.set(self.run.staying.get() - 1);
        self.set_online(false);
        let trackers = std::mem::take(&mut self.trackers);
        if self.role.subscribes {
            let away = std::mem::take(&mut self.away);
            let account = Account { group: self.role.group, client: self.id, trackers, away };
            self.run.ledger.borrow_mut().push(account);
        }
    }
}
