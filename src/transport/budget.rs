//! How much one client may read before others have their turn.
//!
//! Tokio gives each of its tasks a budget for that. All clients of a worker are one task, so each turn of a client has one
//! here, below all protocols: none of their loops can go on for ever, however fast the server talks.

use std::cell::Cell;
use std::task::{Context, Poll};

/// Reads of one turn, as many as tokio allows a task.
const READS: u32 = 128;

thread_local! {
    /// What is left of the turn; nobody counts outside of one.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A client's turn begins, or goes on.
#[inline]
pub(crate) fn renew() {
    // Not `set`, which costs every message a call.
    LEFT.with(|left| left.set(Some(READS)));
}

/// The last turn is over, for now.
pub(crate) fn lift() {
    LEFT.with(|left| left.set(None));
}

/// Takes one read, or puts the client off to its next turn, for which it is woken.
#[inline]
pub(super) fn spend(cx: &Context<'_>) -> Poll<()> {
    LEFT.with(|left| match left.get() {
        None => Poll::Ready(()),
        Some(0) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Some(reads) => {
            left.set(Some(reads - 1));
            Poll::Ready(())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_turn_has_its_reads_and_the_next_is_asked_for() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        for _ in 0..2 {
            renew();
            assert!((0..READS).all(|_| spend(&cx).is_ready()));
            assert_eq!(woken.0.swap(0, Ordering::Relaxed), 0);
            assert!(spend(&cx).is_pending());
            assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1);
        }
        lift();
        assert!((0..2 * READS).all(|_| spend(&cx).is_ready()), "outside of turns nobody counts");
    }
}
