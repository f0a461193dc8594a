//! How the hub wakes one peer among thousands that share a task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Peers that were woken, and the task that looks after all of them.
#[derive(Default)]
pub(super) struct ReadyQueue {
    woken: Mutex<Vec<Arc<PeerWake>>>,
    task: AtomicWaker,
}

/// The identity of one peer behind its `Waker`.
pub(super) struct PeerWake {
    peer: u32,
    /// Already in the queue: a burst of events is one entry.
    queued: AtomicBool,
    queue: Arc<ReadyQueue>,
}

impl ReadyQueue {
    /// A waker for the peer with this number.
    pub(super) fn waker(self: &Arc<Self>, peer: u32) -> Waker {
        Arc::new(PeerWake { peer, queued: AtomicBool::new(false), queue: self.clone() }).into()
    }

    /// Names the task to wake.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Moves the numbers of the peers that were woken since the last call to the end of `peers`.
    pub(super) fn take(&self, peers: &mut Vec<u32>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        peers.extend(woken.drain(..).map(|wake| {
            // Before the peer is looked at, so that what comes meanwhile queues it again.
            wake.queued.store(false, Ordering::Release);
            wake.peer
        }));
    }
}

impl Wake for PeerWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        self.queue.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.clone());
        self.queue.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_entry_and_a_later_wake_another() {
        let queue = Arc::<ReadyQueue>::default();
        let (a, b) = (queue.waker(1), queue.waker(2));
        a.wake_by_ref();
        b.wake_by_ref();
        a.wake_by_ref();
        let mut peers = Vec::new();
        queue.take(&mut peers);
        assert_eq!(peers, [1, 2]);
        a.wake_by_ref();
        queue.take(&mut peers);
        assert_eq!(peers, [1, 2, 1]);
    }
}
