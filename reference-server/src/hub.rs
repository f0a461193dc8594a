//! The hub: topics, their bounded history, and who waits for them.
//!
//! There is one way for an event to reach anybody. `publish` appends it to its topic's history and wakes the
//! topic's subscribers; a subscriber reads what lies behind its own position. Short polls, held polls, streams
//! and resumed streams are all that one read, so none of them can lose what another would have seen. The
//! distance between a subscriber and the head of the topic *is* its queue: it costs no memory, it is bounded
//! by `queue_events`, and what falls off its end is counted. What is kept is bounded in bytes, too; see `topics`.
//!
//! Events are numbered across all topics of the hub, so that one number is a cursor over any set of topics.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;

use crate::stats::Stats;

mod fan_out;
mod subscription;
#[cfg(test)]
mod tests;
mod topics;

pub(crate) use subscription::{Reserved, Watch};
pub use subscription::{Subscription, TooManyTopics, TooSlow};
use topics::{LOOKED_AT_ONCE, Topic, Topics};

/// How much the hub remembers, and what it does with those who cannot keep up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events kept per topic, for cursors and for slow subscribers.
    pub history_events: usize,
    /// How far a live subscriber may fall behind the head of a topic, in events; at most `history_events`.
    pub queue_events: usize,
    /// What happens to a subscriber that falls further behind.
    pub slow: SlowPolicy,
    /// Most that the events of one topic may take, in bytes, with the forms they are sent in (3.4 times their payload, and
    /// 256 for each); the newest is always kept.
    pub topic_bytes: usize,
    /// Most that all topics may take together, in bytes; half of it for events at least, and 512 for each topic.
    pub history_bytes: usize,
    /// Topics that one client may follow.
    pub client_topics: usize,
    /// A topic that nobody follows, publishes to or polls for so long is forgotten.
    pub topic_idle: Duration,
    /// Most that may wait for one client of what is its own (echoes and answers), in bytes; one message always may.
    pub client_bytes: usize,
    /// Most that all connections together may buffer of their own, in bytes. Beyond it the one that buffers most is broken.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            history_events: 1024,
            queue_events: 1024,
            slow: SlowPolicy::DropOldest,
            topic_bytes: 64 << 20,
            history_bytes: 256 << 20,
            client_topics: 1024,
            topic_idle: Duration::from_secs(60),
            client_bytes: 4 << 20,
            buffer_bytes: 256 << 20,
        }
    }
}

/// What happens to a live subscriber that falls behind by more than its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It loses the oldest events, which are counted, and goes on.
    #[default]
    DropOldest,
    /// It is disconnected, which is counted.
    Disconnect,
}

/// One published message, encoded once and shared by all who receive it.
#[derive(Debug)]
pub struct Event {
    /// Position among all events of this hub, from 1.
    pub id: u64,
    /// Whether it was published as binary; the protocols that can tell hand it on as such.
    pub binary: bool,
    /// What was published, unchanged.
    pub payload: Bytes,
    /// The event as SSE sends it, made by the first subscriber that needs it.
    pub(crate) sse: OnceLock<Bytes>,
    /// The same for WebSocket.
    pub(crate) websocket: OnceLock<Bytes>,
}

/// A position in the stream of a hub's events, over any set of topics. Opaque to clients.
///
/// It names the hub that issued it: another hub, or the same one restarted, starts a client with such a
/// cursor at the oldest event it has, which may repeat events but loses none that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    hub: u32,
    after: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.hub, self.after)
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (hub, after) = text.split_once('-').ok_or(BadCursor)?;
        Ok(Cursor {
            hub: u32::from_str_radix(hub, 16).map_err(|_| BadCursor)?,
            after: after.parse().map_err(|_| BadCursor)?,
        })
    }
}

/// The text is not a cursor that this server issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this server")]
pub struct BadCursor;

/// The events of one process. Cheap to share; every method may be called from any task.
pub struct Hub {
    id: u32,
    limits: Limits,
    stats: Arc<Stats>,
    state: Mutex<State>,
    /// Wakes the task that fans out.
    fan_out: AtomicWaker,
}

#[derive(Default)]
struct State {
    last_id: u64,
    topics: Topics,
    /// Whether there is a task that fans out; else whoever publishes wakes everybody.
    fans_out: bool,
    /// Topics with a pass under way, in turn.
    passes: VecDeque<usize>,
    /// Seats of many topics whose subscribers are gone.
    leaving: Vec<Arc<Seat>>,
}

/// Wakes one subscriber, and tells it why.
#[derive(Default)]
pub(crate) struct Signal {
    waker: AtomicWaker,
    published: AtomicBool,
    too_slow: AtomicBool,
}

impl Signal {
    /// Ready once there was a publication since the last time.
    fn poll_published(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Registered before looking, so that an event between the two is not slept through.
        self.waker.register(cx.waker());
        if self.published.swap(false, Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready once the policy disconnects this subscriber. For tasks that cannot take because they cannot write.
    pub(crate) fn poll_too_slow(&self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        self.waker.register(cx.waker());
        if self.too_slow.load(Relaxed) { Poll::Ready(TooSlow) } else { Poll::Pending }
    }
}

/// Position of the seat of one who watches and does not take: never behind.
const WATCHER: u64 = u64::MAX;

/// A live subscriber's place at one topic.
struct Seat {
    /// Index of the topic.
    topic: usize,
    signal: Arc<Signal>,
    /// Ordinal of the next event it wants.
    next: AtomicU64,
    /// Its index among the topic's subscribers, so that thousands may leave without a search for each.
    at: AtomicUsize,
}

/// What a read gave.
#[derive(Debug, Default)]
pub struct Batch {
    /// New events in the order of their ids.
    pub events: Vec<Arc<Event>>,
    /// Events lost before these, because they fell out of the queue or the history. For a cursor that lies before
    /// the history the true number is unknown, and this is 1.
    pub missed: u64,
    /// There are more behind these.
    pub more: bool,
}

/// How much a read may give.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Events of each topic.
    pub events: usize,
    /// Payload bytes in all, after which nothing more is added.
    pub bytes: usize,
}

impl Most {
    /// Everything.
    pub const ALL: Most = Most { events: usize::MAX, bytes: usize::MAX };
}

impl Batch {
    /// Nothing.
    pub(crate) const EMPTY: Batch = Batch { events: Vec::new(), missed: 0, more: false };

    /// Adds events of several topics, in the order of their ids and not more than is asked for; gives the id up to which
    /// all are in it. `from` are the topics, and where in each to begin.
    fn gather<'a>(
        &mut self,
        last_id: u64,
        most: Most,
        from: impl Iterator<Item = (&'a Topic, usize)>,
    ) -> u64 {
        let (mut cut, mut topics) = (last_id, 0);
        for (topic, start) in from {
            topics += 1;
            let end = topic.ring.len().min(start.saturating_add(most.events));
            if end < topic.ring.len() {
                cut = cut.min(topic.ring[end - 1].id);
            }
            self.events.extend(topic.ring.range(start..end).cloned());
        }
        if topics > 1 {
            self.events.sort_unstable_by_key(|event| event.id);
        }
        let mut bytes = 0;
        let end = self.events.iter().position(|event| {
            let is_too_much = event.id > cut || bytes >= most.bytes;
            bytes += event.payload.len();
            is_too_much
        });
        if let Some(end) = end {
            self.events.truncate(end);
            cut = cut.min(self.events.last().map_or(cut, |event| event.id));
        }
        self.more = cut < last_id;
        cut
    }
}

impl Hub {
    /// An empty hub. `id` tells its cursors from those of other hubs; draw it at random.
    pub fn new(id: u32, limits: Limits, stats: Arc<Stats>) -> Arc<Hub> {
        let limits = Limits { queue_events: limits.queue_events.min(limits.history_events), ..limits };
        Arc::new(Hub { id, limits, stats, state: Mutex::default(), fan_out: AtomicWaker::new() })
    }

    /// The counters this hub keeps up to date.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event to `topic` and wakes its subscribers. The topic comes to be if it did not exist.
    ///
    /// # Errors
    /// There is no room for one more topic.
    pub fn publish(&self, topic: &str, payload: Bytes, binary: bool) -> Result<Cursor, TooManyTopics> {
        let payload_bytes = payload.len() as u64;
        let mut state = self.lock();
        let state = &mut *state;
        let index = match state.topics.find(topic) {
            Some(index) => index,
            None if self.has_room(&mut state.topics, 1) => state.topics.index(topic),
            None => return Err(TooManyTopics::InAll),
        };
        state.last_id += 1;
        let id = state.last_id;
        let (sse, websocket) = Default::default();
        self.append(&mut state.topics, index, Event { id, binary, payload, sse, websocket });
        self.tell(state, index);
        self.stats.published.add(1);
        self.stats.published_bytes.add(payload_bytes);
        Ok(Cursor { hub: self.id, after: id })
    }

    /// The cursor behind every event so far: who starts here receives only what comes next.
    pub fn now(&self) -> Cursor {
        Cursor { hub: self.id, after: self.lock().last_id }
    }

    /// A cursor that this hub issued, or the one before all history if another hub did.
    fn own(&self, cursor: Cursor) -> u64 {
        if cursor.hub == self.id { cursor.after } else { 0 }
    }

    /// One look-up into the store: events of `topics` behind `cursor`, the oldest first, and the cursor behind those.
    pub fn read(&self, topics: &[impl AsRef<str>], cursor: Cursor, most: Most) -> (Batch, Cursor) {
        self.stats.lookups.add(1);
        let after = self.own(cursor);
        let state = self.lock();
        let all = &state.topics;
        let (mut batch, mut missed) = (Batch::default(), 0);
        let found = topics.iter().filter_map(|name| {
            let topic = all.get(name.as_ref());
            let evicted_id = topic.map_or(all.forgotten_id, |topic| topic.evicted_id);
            // A foreign cursor (0) claims nothing about what its owner has seen, so nothing is missed.
            missed += u64::from(after > 0 && evicted_id > after);
            topic.map(|topic| (topic, topic.index_after(after)))
        });
        let cut = batch.gather(state.last_id, most, found);
        batch.missed = missed;
        (batch, Cursor { hub: self.id, after: cut })
    }

    /// The cursor behind `event`, for subscribers who got every earlier one of their topics.
    pub(crate) fn behind(&self, event: &Event) -> Cursor {
        Cursor { hub: self.id, after: event.id }
    }

    /// How far live subscribers lie behind, in events: the sum over all and the largest. Looks at some of them at a time, and
    /// lets everybody else have a turn in between.
    pub async fn queue_depths(&self) -> (u64, u64) {
        let (mut sum, mut max, mut topic, mut seat) = (0, 0, 0, 0);
        loop {
            let mut left = LOOKED_AT_ONCE;
            while left > 0 {
                let state = self.lock();
                let Some(here) = state.topics.topics.get(topic) else { return (sum, max) };
                let seats = here.subscribers.get(seat..).unwrap_or_default();
                let looked_at = seats.len().min(left - 1);
                for seat in &seats[..looked_at] {
                    sum += here.depth(seat);
                    max = max.max(here.depth(seat));
                }
                left -= looked_at + 1;
                (topic, seat) =
                    if looked_at < seats.len() { (topic, seat + looked_at) } else { (topic + 1, 0) };
            }
            tokio::task::yield_now().await;
        }
    }

    /// Number of topics, and what they take in bytes.
    pub fn topics(&self) -> (usize, usize) {
        let state = self.lock();
        (state.topics.len(), state.topics.bytes)
    }
}
