//! Those who follow topics as they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use super::{Batch, Cursor, Hub, Limits, Seat, Signal, Topic, WATCHER};

impl Hub {
    /// Starts a live subscription to `topics` behind `cursor`, or from now on.
    pub fn subscribe(self: &Arc<Self>, topics: &[impl AsRef<str>], cursor: Option<Cursor>) -> Subscription {
        let after = cursor.unwrap_or_else(|| self.now());
        let mut subscription = Subscription {
            hub: self.clone(),
            signal: Arc::default(),
            seats: Vec::with_capacity(topics.len()),
            after: self.own(after),
            missed: 0,
        };
        for topic in topics {
            subscription.add(topic.as_ref(), cursor);
        }
        subscription
    }

    /// Watches `topics` without taking from them; for held polls, which read.
    pub(crate) fn watch(self: &Arc<Self>, topics: &[impl AsRef<str>]) -> Watch {
        let subscription = self.subscribe(topics, None);
        for seat in &subscription.seats {
            seat.next.store(WATCHER, Relaxed);
        }
        Watch(subscription)
    }
}

/// A live subscriber: a position in each of its topics, and the task to wake. Ends when dropped.
pub struct Subscription {
    hub: Arc<Hub>,
    signal: Arc<Signal>,
    seats: Vec<Arc<Seat>>,
    after: u64,
    missed: u64,
}

/// The subscriber fell behind by more than its queue, and the policy is to disconnect such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fell behind by more than the queue holds")]
pub struct TooSlow;

/// One who wants to know when there is something to read. Ends when dropped.
pub(crate) struct Watch(Subscription);

impl Watch {
    /// Ready once something was published since this was made, or since it was last ready.
    pub(crate) fn poll_published(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.signal.poll_published(cx)
    }
}

impl Subscription {
    /// What wakes this subscriber.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Follows one more topic, behind `cursor` or from now on.
    pub fn add(&mut self, name: &str, cursor: Option<Cursor>) {
        let mut state = self.hub.lock();
        let last_id = state.last_id;
        let index = state.topics.index(name);
        if self.seats.iter().any(|own| own.topic == index) {
            return;
        }
        let topic = &mut state.topics.topics[index];
        let start = cursor.map(|cursor| self.hub.own(cursor));
        if self.seats.is_empty() {
            self.after = start.unwrap_or(last_id);
        }
        let next = match start {
            None => topic.published,
            Some(after) => {
                self.missed += u64::from(after > 0 && topic.evicted_id > after);
                topic.oldest() + topic.index_after(after) as u64
            }
        };
        let seat = Arc::new(Seat {
            topic: index,
            signal: self.signal.clone(),
            next: AtomicU64::new(next),
            at: topic.subscribers.len().into(),
        });
        topic.subscribers.push(seat.clone());
        drop(state);
        self.seats.push(seat);
    }

    /// The cursor behind everything this subscriber has taken.
    pub fn cursor(&self) -> Cursor {
        Cursor { hub: self.hub.id, after: self.after }
    }

    /// Takes what is there, at most `max_events` per topic; does not wait.
    ///
    /// # Errors
    /// `TooSlow` if the policy ends this subscriber.
    pub fn take(&mut self, max_events: usize) -> Result<Batch, TooSlow> {
        let mut batch = Batch::default();
        self.take_into(&mut batch, max_events)?;
        Ok(batch)
    }

    /// The same into a batch that was used before, whose memory is used again.
    fn take_into(&mut self, batch: &mut Batch, max_events: usize) -> Result<(), TooSlow> {
        batch.events.clear();
        batch.missed = std::mem::take(&mut self.missed);
        if self.signal.too_slow.load(Relaxed) {
            return Err(TooSlow);
        }
        let state = self.hub.lock();
        // All topics are cut at one id, so that the ids of a batch rise and its last one is a cursor over all of them.
        let mut cut = state.last_id;
        for seat in &self.seats {
            let topic = &state.topics.topics[seat.topic];
            let missed = skip_excess(topic, seat, &self.hub.limits);
            batch.missed += missed;
            self.hub.stats.dropped.add(missed);
            let last = topic.index_of(seat).saturating_add(max_events - 1);
            cut = topic.ring.get(last).map_or(cut, |event| cut.min(event.id));
        }
        for seat in &self.seats {
            let topic = &state.topics.topics[seat.topic];
            let before = batch.events.len();
            let wanted = topic.ring.range(topic.index_of(seat)..);
            batch.events.extend(wanted.take_while(|event| event.id <= cut).cloned());
            seat.next.fetch_add((batch.events.len() - before) as u64, Relaxed);
        }
        if self.seats.len() > 1 {
            batch.events.sort_unstable_by_key(|event| event.id);
        }
        self.after = cut;
        Ok(())
    }

    /// Waits until there is something to take, then takes it, into a batch whose memory is used again.
    ///
    /// # Errors
    /// `TooSlow` if the policy ends this subscriber.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch,
        max_events: usize,
    ) -> Poll<Result<(), TooSlow>> {
        // Registered before looking, so that an event between the two is not slept through.
        self.signal.waker.register(cx.waker());
        match self.take_into(batch, max_events) {
            Ok(()) if batch.events.is_empty() && batch.missed == 0 => Poll::Pending,
            taken => Poll::Ready(taken),
        }
    }
}

/// Moves a seat that lies too far behind to the oldest event its queue may hold; returns how many it lost.
fn skip_excess(topic: &Topic, seat: &Seat, limits: &Limits) -> u64 {
    let excess = topic.depth(seat).saturating_sub(limits.queue_events as u64);
    seat.next.fetch_add(excess, Relaxed);
    excess
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        for seat in &self.seats {
            let topic = &mut state.topics.topics[seat.topic];
            let at = seat.at.load(Relaxed);
            topic.subscribers.swap_remove(at);
            if let Some(moved) = topic.subscribers.get(at) {
                moved.at.store(at, Relaxed);
            }
        }
    }
}
