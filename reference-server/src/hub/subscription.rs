//! Those who follow topics as they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use super::fan_out::{LEFT_AT_ONCE, SLICE};
use super::{Batch, Cursor, Hub, Most, Seat, Signal, State, WATCHER};

impl Hub {
    /// Starts a live subscription to `topics` behind `cursor`, or from now on.
    ///
    /// # Errors
    /// They are too many.
    pub fn subscribe(
        self: &Arc<Self>,
        topics: &[impl AsRef<str>],
        cursor: Option<Cursor>,
    ) -> Result<Subscription, TooManyTopics> {
        let after = cursor.unwrap_or_else(|| self.now());
        let mut subscription = Subscription {
            hub: self.clone(),
            signal: Arc::default(),
            seats: Vec::with_capacity(topics.len()),
            after: self.own(after),
            missed: 0,
        };
        subscription.has_room(topics)?;
        for topic in topics {
            subscription.add(topic.as_ref(), cursor)?;
        }
        Ok(subscription)
    }

    /// Watches `topics` without taking from them; for held polls, which read.
    ///
    /// # Errors
    /// They are too many.
    pub(crate) fn watch(self: &Arc<Self>, topics: &[impl AsRef<str>]) -> Result<Watch, TooManyTopics> {
        let subscription = self.subscribe(topics, None)?;
        for seat in &subscription.seats {
            seat.next.store(WATCHER, Relaxed);
        }
        Ok(Watch(subscription))
    }
}

/// A live subscriber: a position in each of its topics, and the task to wake. Ends when dropped.
pub struct Subscription {
    hub: Arc<Hub>,
    signal: Arc<Signal>,
    /// In the order of their topics' indices.
    seats: Vec<Arc<Seat>>,
    after: u64,
    missed: u64,
}

/// The subscriber fell behind by more than its queue, and the policy is to disconnect such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fell behind by more than the queue holds")]
pub struct TooSlow;

/// More topics than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyTopics {
    /// Than one client may follow.
    #[error("a client may follow {0} topics")]
    OfOne(usize),
    /// Than there is room for.
    #[error("there is no room for more topics")]
    InAll,
}

/// Room for topics that do not exist yet.
pub(crate) struct Reserved {
    hub: Arc<Hub>,
    topics: usize,
}

impl Reserved {
    /// For so many that are about to be; those that are there already need none, so that what is left can be less than theirs.
    pub(crate) fn give_back(&mut self, topics: usize) {
        let topics = topics.min(self.topics);
        self.hub.lock().topics.reserved -= topics;
        self.topics -= topics;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.hub.lock().topics.reserved -= self.topics;
    }
}

/// One who wants to know when there is something to read. Ends when dropped.
pub(crate) struct Watch(Subscription);

impl Watch {
    /// Ready once something was published since this was made, or since it was last ready.
    pub(crate) fn poll_published(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.signal.poll_published(cx)
    }
}

impl Subscription {
    /// Number of topics that it follows.
    pub(crate) fn topics(&self) -> usize {
        self.seats.len()
    }

    /// What wakes this subscriber.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Whether these topics may be followed, too.
    ///
    /// # Errors
    /// They are too many.
    pub fn has_room(&self, topics: &[impl AsRef<str>]) -> Result<(), TooManyTopics> {
        // Whether one alone can be added shows when it is.
        if topics.len() < 2 { self.may_follow(topics.len()) } else { self.reserve(topics).map(drop) }
    }

    /// The same, and keeps the room for those that do not exist yet.
    ///
    /// # Errors
    /// They are too many.
    pub(crate) fn reserve(&self, topics: &[impl AsRef<str>]) -> Result<Reserved, TooManyTopics> {
        self.may_follow(topics.len())?;
        let all = &mut self.hub.lock().topics;
        // Mostly there is room for all of them, whether they exist or not, and none has to be looked for.
        let mut new = topics.len();
        if !self.hub.has_plenty(all, new) {
            new = topics.iter().filter(|name| all.find(name.as_ref()).is_none()).count();
            if new > 0 && !self.hub.has_room(all, new) {
                return Err(TooManyTopics::InAll);
            }
        }
        all.reserved += new;
        Ok(Reserved { hub: self.hub.clone(), topics: new })
    }

    fn may_follow(&self, more: usize) -> Result<(), TooManyTopics> {
        let most = self.hub.limits.client_topics;
        if self.seats.len() + more > most { Err(TooManyTopics::OfOne(most)) } else { Ok(()) }
    }

    /// Follows one more topic, behind `cursor` or from now on. One that is followed already goes back to the cursor, if it
    /// is further.
    ///
    /// # Errors
    /// They are too many.
    pub fn add(&mut self, name: &str, cursor: Option<Cursor>) -> Result<(), TooManyTopics> {
        let mut state = self.hub.lock();
        let last_id = state.last_id;
        let start = cursor.map(|cursor| self.hub.own(cursor));
        let index = match state.topics.find(name) {
            Some(index) => index,
            None if self.hub.has_room(&mut state.topics, 1) => state.topics.index(name),
            None => return Err(TooManyTopics::InAll),
        };
        let topic = &mut state.topics.topics[index];
        let next = start.map_or(topic.published, |after| topic.ordinal_after(after));
        let missed = start.is_some_and(|after| after > 0 && topic.evicted_id > after);
        match self.seats.binary_search_by_key(&index, |own| own.topic) {
            Ok(own) => {
                if self.seats[own].next.fetch_min(next, Relaxed) <= next {
                    return Ok(());
                }
            }
            Err(place) => {
                if self.seats.is_empty() {
                    self.after = start.unwrap_or(last_id);
                }
                let (signal, at) = (self.signal.clone(), topic.subscribers.len().into());
                let seat = Arc::new(Seat { topic: index, signal, next: AtomicU64::new(next), at });
                topic.subscribers.push(seat.clone());
                self.seats.insert(place, seat);
            }
        }
        self.missed += u64::from(missed);
        // Whoever comes back with this subscription's cursor must not skip what lies behind the older one.
        self.after = self.after.min(start.unwrap_or(u64::MAX));
        Ok(())
    }

    /// The cursor behind everything this subscriber has taken.
    pub fn cursor(&self) -> Cursor {
        match self.seats.is_empty() {
            true => self.hub.now(),
            false => Cursor { hub: self.hub.id, after: self.after },
        }
    }

    /// Takes what is there, within limits; does not wait.
    ///
    /// # Errors
    /// `TooSlow` if the policy ends this subscriber.
    pub fn take(&mut self, most: Most) -> Result<Batch, TooSlow> {
        let mut batch = Batch::default();
        self.take_into(&mut batch, most)?;
        Ok(batch)
    }

    /// The same into a batch that was used before, whose memory is used again.
    fn take_into(&mut self, batch: &mut Batch, most: Most) -> Result<(), TooSlow> {
        batch.events.clear();
        batch.missed = std::mem::take(&mut self.missed);
        if self.signal.too_slow.load(Relaxed) {
            return Err(TooSlow);
        }
        if self.seats.is_empty() {
            return Ok(());
        }
        let state = self.hub.lock();
        let topic_of = |seat: &Seat| &state.topics.topics[seat.topic];
        for seat in &self.seats {
            let missed = topic_of(seat).excess(seat, &self.hub.limits);
            if missed > 0 {
                seat.next.fetch_add(missed, Relaxed);
                batch.missed += missed;
                self.hub.stats.dropped.add(missed);
            }
        }
        // All topics are cut at one id, so that the ids of a batch rise and its last one is a cursor over all of them.
        let from = self.seats.iter().map(|seat| (topic_of(seat), topic_of(seat).index_of(seat)));
        self.after = batch.gather(state.last_id, most, from);
        for seat in &self.seats {
            let next = topic_of(seat).ordinal_after(self.after);
            // Changed under the lock alone.
            seat.next.store(next.max(seat.next.load(Relaxed)), Relaxed);
        }
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
        most: Most,
    ) -> Poll<Result<(), TooSlow>> {
        // Registered before looking, so that an event between the two is not slept through.
        self.signal.waker.register(cx.waker());
        match self.take_into(batch, most) {
            Ok(()) if batch.events.is_empty() && batch.missed == 0 => Poll::Pending,
            taken => Poll::Ready(taken),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        let state = &mut *state;
        if self.seats.len() > SLICE && state.fans_out {
            state.leaving.append(&mut self.seats);
            self.hub.fan_out.wake();
        } else {
            self.seats.iter().for_each(|seat| state.topics.leave(seat));
        }
    }
}

impl State {
    /// Takes some of the seats away that nobody sits on any more; false if there was none.
    pub(super) fn leave_some(&mut self) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let from = self.leaving.len().saturating_sub(LEFT_AT_ONCE);
        for seat in self.leaving.drain(from..) {
            self.topics.leave(&seat);
        }
        if self.leaving.is_empty() {
            self.leaving = Vec::new();
        }
        true
    }
}
