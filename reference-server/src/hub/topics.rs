//! The topics of a hub: what is kept of each, and when it is forgotten.
//!
//! Everything is bounded in bytes: a topic's history, all histories together, and the topics themselves. Whoever published
//! most gives first: where all together are too much, the largest histories are cut to one size. A topic that nobody
//! follows, publishes to or polls is forgotten after a while, or at once if its place is needed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::fan_out::Pass;
use super::{Event, Hub, Limits, Seat, State};

/// What a topic takes beside its events, in bytes.
const TOPIC_BYTES: usize = 512;

/// What an event takes beside its payload and the forms it is sent in, in bytes.
const EVENT_BYTES: usize = 256;

/// Places that are looked at for a topic to forget when room for one is needed.
const PLACES_AT_ONCE: usize = 64;

/// Topics looked at for having been idle before everybody else gets a turn.
const LOOKED_AT_ONCE: usize = 256;

/// How often in its idle time a topic is looked at.
const LOOKS: u32 = 4;

/// Topics by name and by index.
#[derive(Default)]
pub(super) struct Topics {
    indices: HashMap<Arc<str>, usize>,
    pub(super) topics: Vec<Topic>,
    free: Vec<usize>,
    /// Bytes of all histories.
    pub(super) bytes: usize,
    /// Id of the newest event of a topic that was forgotten.
    pub(super) forgotten_id: u64,
    /// Looks at what is idle so far.
    pub(super) look: u32,
    /// Where the search for a topic to forget goes on.
    hand: usize,
}

/// One topic.
#[derive(Default)]
pub(super) struct Topic {
    /// `None` for a place that is free.
    name: Option<Arc<str>>,
    pub(super) ring: VecDeque<Arc<Event>>,
    /// Bytes of the ring.
    bytes: usize,
    /// Events ever published here; the ordinal of the next one.
    pub(super) published: u64,
    /// Id of the newest event that fell out of the ring.
    pub(super) evicted_id: u64,
    pub(super) subscribers: Vec<Arc<Seat>>,
    pub(super) pass: Option<Pass>,
    /// The look before which it was used last.
    pub(super) used: u32,
}

/// Bytes that an event may take: the payload as it came, as WebSocket sends it, and as SSE sends it, in base64 at worst.
fn event_bytes(event: &Event) -> usize {
    event.payload.len() / 3 * 10 + EVENT_BYTES
}

impl Topic {
    /// Ordinal of the oldest event in the ring.
    pub(super) fn oldest(&self) -> u64 {
        self.published - self.ring.len() as u64
    }

    /// How far `seat` lies behind the newest event.
    pub(super) fn depth(&self, seat: &Seat) -> u64 {
        self.published.saturating_sub(seat.next.load(Relaxed))
    }

    /// How many events `seat` has lost: those that its queue may not hold and those that the ring does not.
    pub(super) fn excess(&self, seat: &Seat, limits: &Limits) -> u64 {
        self.depth(seat).saturating_sub(limits.queue_events.min(self.ring.len()) as u64)
    }

    /// Index in the ring of the next event that `seat` wants.
    pub(super) fn index_of(&self, seat: &Seat) -> usize {
        (seat.next.load(Relaxed) - self.oldest()) as usize
    }

    /// Index in the ring of the first event behind `after`.
    pub(super) fn index_after(&self, after: u64) -> usize {
        match self.ring.back() {
            Some(newest) if newest.id > after => self.ring.partition_point(|event| event.id <= after),
            // Mostly, as everybody keeps up.
            _ => self.ring.len(),
        }
    }

    /// Ordinal of the first event behind `after`.
    pub(super) fn ordinal_after(&self, after: u64) -> u64 {
        self.oldest() + self.index_after(after) as u64
    }

    /// Forgets the oldest event; gives its bytes.
    fn evict(&mut self) -> usize {
        let Some(event) = self.ring.pop_front() else { return 0 };
        self.evicted_id = event.id;
        let bytes = event_bytes(&event);
        self.bytes -= bytes;
        bytes
    }
}

impl Topics {
    /// A topic that exists, and is used now.
    pub(super) fn get(&mut self, name: &str) -> Option<&mut Topic> {
        let &index = self.indices.get(name)?;
        let topic = &mut self.topics[index];
        topic.used = self.look;
        Some(topic)
    }

    /// The index of a topic that exists.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }

    /// Number of topics.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The index of a topic that comes to be if it did not exist.
    pub(super) fn index(&mut self, name: &str) -> usize {
        if let Some(&index) = self.indices.get(name) {
            self.topics[index].used = self.look;
            return index;
        }
        let name: Arc<str> = name.into();
        // What one of this name that was forgotten has had is not known any more.
        let (evicted_id, used) = (self.forgotten_id, self.look);
        let topic = Topic { name: Some(name.clone()), evicted_id, used, ..Topic::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.topics[index] = topic;
                index
            }
            None => {
                self.topics.push(topic);
                self.topics.len() - 1
            }
        };
        self.bytes += TOPIC_BYTES;
        self.indices.insert(name, index);
        index
    }

    fn forget(&mut self, index: usize) {
        let topic = std::mem::take(&mut self.topics[index]);
        let Some(name) = &topic.name else { return };
        self.indices.remove(name);
        let newest = topic.ring.back().map_or(0, |event| event.id);
        self.forgotten_id = self.forgotten_id.max(newest).max(topic.evicted_id);
        self.bytes -= topic.bytes + TOPIC_BYTES;
        self.free.push(index);
    }

    fn is_followed(&self, index: usize) -> bool {
        let topic = &self.topics[index];
        topic.name.is_none() || !topic.subscribers.is_empty()
    }
}

impl Hub {
    /// Whether `more` topics may come to be. Those that nobody follows make room; half of all bytes is for events.
    pub(super) fn has_room(&self, topics: &mut Topics, more: usize) -> bool {
        let most = self.limits.history_bytes / 2 / TOPIC_BYTES;
        let mut looks = PLACES_AT_ONCE;
        while topics.len() + more > most && looks > 0 && !topics.topics.is_empty() {
            looks -= 1;
            topics.hand = (topics.hand + 1) % topics.topics.len();
            if !topics.is_followed(topics.hand) {
                topics.forget(topics.hand);
                self.stats.forgotten_topics.add(1);
            }
        }
        let has_room = topics.len() + more <= most;
        self.stats.refused_topics.add(u64::from(!has_room));
        has_room
    }

    /// Appends an event to a topic, and forgets what is too much.
    pub(super) fn append(&self, state: &mut State, index: usize, event: Event) {
        let topics = &mut state.topics;
        let topic = &mut topics.topics[index];
        topic.used = topics.look;
        let bytes = event_bytes(&event);
        topic.ring.push_back(Arc::new(event));
        topic.published += 1;
        topic.bytes += bytes;
        topics.bytes += bytes;
        while topic.ring.len() > self.limits.history_events.max(1) {
            topics.bytes -= topic.evict();
        }
        while topic.bytes > self.limits.topic_bytes && topic.ring.len() > 1 {
            topics.bytes -= topic.evict();
            self.stats.evicted.add(1);
        }
        if topics.bytes > self.limits.history_bytes {
            self.level(topics, index);
        }
    }

    /// Cuts the largest histories to one size, such that all together are somewhat below the limit. Of the topic that was
    /// just published to the newest event stays.
    #[cold]
    fn level(&self, topics: &mut Topics, newest: usize) {
        let overhead = topics.len() * TOPIC_BYTES;
        let limit = self.limits.history_bytes;
        // Somewhat, because this looks at all topics.
        let mut left = (limit - limit / 32).saturating_sub(overhead);
        let mut sizes: Vec<_> = topics.topics.iter().map(|topic| topic.bytes).collect();
        sizes.sort_unstable();
        let count = sizes.len();
        let mut most = usize::MAX;
        for (smaller, size) in sizes.into_iter().enumerate() {
            let share = left / (count - smaller);
            if size > share {
                most = share;
                break;
            }
            left -= size;
        }
        for (index, topic) in topics.topics.iter_mut().enumerate() {
            let kept = usize::from(index == newest);
            while topic.bytes > most && topic.ring.len() > kept {
                topics.bytes -= topic.evict();
                self.stats.evicted.add(1);
            }
        }
    }

    /// Forgets topics that nobody has used for a while.
    pub(crate) async fn forget_idle(self: Arc<Self>) {
        let period = (self.limits.topic_idle / LOOKS).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(period).await;
            let mut from = 0;
            while self.forget_some(&mut from) {
                tokio::task::yield_now().await;
            }
            let mut state = self.lock();
            let topics = &mut state.topics;
            topics.look = topics.look.wrapping_add(1);
            if topics.indices.capacity() > 4 * topics.indices.len() + 1024 {
                topics.indices.shrink_to_fit();
            }
        }
    }

    /// Looks at some topics; false if those were the last.
    fn forget_some(&self, from: &mut usize) -> bool {
        let topics = &mut self.lock().topics;
        let end = topics.topics.len().min(*from + LOOKED_AT_ONCE);
        for index in *from..end {
            let idle = topics.look.wrapping_sub(topics.topics[index].used);
            if idle >= LOOKS && !topics.is_followed(index) {
                topics.forget(index);
                self.stats.forgotten_topics.add(1);
            }
        }
        *from = end;
        end < topics.topics.len()
    }
}
