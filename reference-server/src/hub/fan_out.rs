//! Waking a topic's subscribers, all at once or, if they are many, in turn with everything else there is to do.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::{Hub, SlowPolicy, State, Topic};

/// Subscribers woken in one go. What else there is to do, an echo say, waits for no more than these.
pub(super) const SLICE: usize = 64;

/// Topics left in one go by those who are gone. More than are followed in one, so that those who come and go do not pile up.
pub(super) const LEFT_AT_ONCE: usize = 256;

/// Payload bytes sent in one go, likewise.
const SLICE_BYTES: usize = 256 * 1024;

/// How many of a topic's subscribers are woken in one go.
fn slice(topic: &Topic) -> usize {
    let bytes = topic.ring.back().map_or(0, |newest| newest.payload.len());
    (SLICE_BYTES / bytes.max(1)).clamp(1, SLICE)
}

/// A walk over a topic's subscribers that wakes each. From the last to the first: who leaves gives its place to the
/// last, which was woken already, and who comes is at the end and needs no waking.
pub(super) struct Pass {
    /// Those before this index are still to be woken.
    left: usize,
    /// Something was published meanwhile, so that another pass must follow.
    again: bool,
}

impl Hub {
    /// Tells the subscribers of a topic that something was published.
    pub(super) fn tell(&self, state: &mut State, index: usize) {
        let topic = &mut state.topics.topics[index];
        let everybody = 0..topic.subscribers.len();
        if let Some(pass) = &mut topic.pass {
            pass.again = true;
        } else if state.fans_out && everybody.len() > slice(topic) {
            topic.pass = Some(Pass { left: everybody.len(), again: false });
            state.passes.push_back(index);
            self.fan_out.wake();
        } else {
            self.wake(topic, everybody);
        }
    }

    /// Wakes some of a topic's subscribers.
    fn wake(&self, topic: &Topic, which: Range<usize>) {
        for seat in &topic.subscribers[which] {
            if self.limits.slow == SlowPolicy::Disconnect && topic.excess(seat, &self.limits) > 0 {
                self.stats.slow_disconnects.add(u64::from(!seat.signal.too_slow.swap(true, Relaxed)));
            }
            seat.signal.published.store(true, Relaxed);
            seat.signal.waker.wake();
        }
    }

    /// Wakes the subscribers of large topics, a slice at a time, and lets everybody else have a turn in between.
    /// Without a task that runs this, a publication wakes all at once.
    pub(crate) fn fan_out(self: Arc<Self>) -> impl Future<Output = ()> {
        self.lock().fans_out = true;
        async move {
            loop {
                std::future::poll_fn(|cx| self.poll_slice(cx)).await;
                // Behind what the sockets have brought meanwhile.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes the next slice, once there is one.
    fn poll_slice(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Registered before looking, so that a publication between the two is not slept through.
        self.fan_out.register(cx.waker());
        let mut state = self.lock();
        let state = &mut *state;
        let leave = state.leave_some();
        let Some(index) = state.passes.pop_front() else {
            return if leave { Poll::Ready(()) } else { Poll::Pending };
        };
        // What is published from now on must not end the pause that follows.
        self.fan_out.take();
        let topic = &mut state.topics.topics[index];
        let Some(Pass { left, again }) = topic.pass.take() else { return Poll::Ready(()) };
        let end = left.min(topic.subscribers.len());
        let start = end.saturating_sub(slice(topic));
        self.wake(topic, start..end);
        let left = if start == 0 && again { topic.subscribers.len() } else { start };
        if left > 0 {
            topic.pass = Some(Pass { left, again: again && start > 0 });
            state.passes.push_back(index);
        }
        Poll::Ready(())
    }
}
