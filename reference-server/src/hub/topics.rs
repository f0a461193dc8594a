//! The topics of a hub: what is kept of each, and when it is forgotten.
//!
//! Everything is bounded in bytes: a topic's history, all histories together, and the topics themselves. Where all together
//! are too much, one of the largest histories gives (within a factor of two, so that none has to be looked for). A topic
//! that nobody follows, publishes to or polls is forgotten after a while, or at once if its place is needed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::fan_out::Pass;
use super::{Event, Hub, Limits, Seat};

/// What a topic takes beside its events, in bytes.
const TOPIC_BYTES: usize = 512;

/// What an event takes beside its payload and the forms it is sent in, in bytes.
const EVENT_BYTES: usize = 256;

/// Places that are looked at for a topic to forget when room for one is needed.
const PLACES_AT_ONCE: usize = 64;

/// Topics, or their subscribers, looked at before everybody else gets a turn.
pub(super) const LOOKED_AT_ONCE: usize = 256;

/// How often in its idle time a topic is looked at.
const LOOKS: u32 = 4;

/// Topics by name and by index.
pub(super) struct Topics {
    indices: HashMap<Arc<str>, usize>,
    pub(super) topics: Vec<Topic>,
    free: Vec<usize>,
    /// Topics that keep events, by the size of their histories: a list for each power of two.
    by_size: [Vec<usize>; usize::BITS as usize + 1],
    /// Bytes of all histories.
    pub(super) bytes: usize,
    /// Id of the newest event of a topic that was forgotten.
    pub(super) forgotten_id: u64,
    /// Room kept for topics that do not exist yet.
    pub(super) reserved: usize,
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
    /// Its list among those by size, and its place there. The first list is always empty.
    listed: (usize, usize),
    /// Events ever published here; the ordinal of the next one.
    pub(super) published: u64,
    /// Id of the newest event that fell out of the ring.
    pub(super) evicted_id: u64,
    pub(super) subscribers: Vec<Arc<Seat>>,
    pub(super) pass: Option<Pass>,
    /// The look before which it was used last.
    pub(super) used: AtomicU32,
}

/// Bytes that an event may take: the payload as it came, as WebSocket sends it, and as SSE sends it, in base64 at worst.
fn event_bytes(payload_bytes: usize) -> usize {
    payload_bytes / 3 * 10 + EVENT_BYTES
}

impl Limits {
    /// Events that are kept of each of so many topics, all of them busy with payloads of this size.
    pub fn kept_events(&self, topics: usize, payload_bytes: usize) -> usize {
        let topics = topics.max(1);
        let of_one = self.history_bytes.saturating_sub(topics * TOPIC_BYTES) / topics;
        let bytes = of_one.min(self.topic_bytes);
        self.history_events.min(bytes / event_bytes(payload_bytes)).max(1)
    }
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
}

impl Default for Topics {
    fn default() -> Topics {
        let by_size = std::array::from_fn(|_| Vec::new());
        let (indices, topics, free, bytes, forgotten_id, reserved, look, hand) = Default::default();
        Topics { indices, topics, free, by_size, bytes, forgotten_id, reserved, look, hand }
    }
}

impl Topics {
    /// A topic that exists, and is used now.
    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        let &index = self.indices.get(name)?;
        let topic = &self.topics[index];
        topic.used.store(self.look, Relaxed);
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
            self.topics[index].used.store(self.look, Relaxed);
            return index;
        }
        let name: Arc<str> = name.into();
        // What one of this name that was forgotten has had is not known any more.
        let (evicted_id, used) = (self.forgotten_id, self.look.into());
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

    /// Puts a topic into the list of its size.
    fn list(&mut self, index: usize) {
        let size = (usize::BITS - self.topics[index].bytes.leading_zeros()) as usize;
        let (before, place) = self.topics[index].listed;
        if size == before {
            return;
        }
        if before > 0 {
            self.by_size[before].swap_remove(place);
            if let Some(&moved) = self.by_size[before].get(place) {
                self.topics[moved].listed.1 = place;
            }
        }
        self.topics[index].listed = (size, self.by_size[size].len());
        if size > 0 {
            self.by_size[size].push(index);
        }
    }

    /// Adds an event to a topic.
    fn push(&mut self, index: usize, event: Event) {
        let bytes = event_bytes(event.payload.len());
        let topic = &mut self.topics[index];
        topic.ring.push_back(Arc::new(event));
        topic.published += 1;
        topic.bytes += bytes;
        self.bytes += bytes;
    }

    /// Forgets the oldest event of a topic.
    fn evict(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(event) = topic.ring.pop_front() else { return };
        topic.evicted_id = event.id;
        let bytes = event_bytes(event.payload.len());
        topic.bytes -= bytes;
        self.bytes -= bytes;
    }

    /// One of the largest topics; not `newest` for its only event, which nobody has got yet.
    fn largest(&self, newest: usize) -> Option<usize> {
        let mut from_largest = self.by_size.iter().rev().flat_map(|list| list.iter().rev().copied());
        from_largest.find(|&index| index != newest || self.topics[index].ring.len() > 1)
    }

    pub(super) fn forget(&mut self, index: usize) {
        while !self.topics[index].ring.is_empty() {
            self.evict(index);
        }
        self.list(index);
        let topic = std::mem::take(&mut self.topics[index]);
        let Some(name) = &topic.name else { return };
        self.indices.remove(name);
        self.forgotten_id = self.forgotten_id.max(topic.evicted_id);
        self.bytes -= TOPIC_BYTES;
        self.free.push(index);
    }

    /// Panics if what is counted of histories is not so.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let bytes_of =
            |topic: &Topic| topic.ring.iter().map(|event| event_bytes(event.payload.len())).sum::<usize>();
        for topic in &self.topics {
            assert_eq!(topic.bytes, bytes_of(topic));
        }
        let bytes: usize = self.topics.iter().map(bytes_of).sum();
        assert_eq!(self.bytes, bytes + self.len() * TOPIC_BYTES);
        for (size, list) in self.by_size.iter().enumerate() {
            for (place, &index) in list.iter().enumerate() {
                assert_eq!(self.topics[index].listed, (size, place));
                assert!(self.topics[index].bytes.checked_ilog2() == Some(size as u32 - 1));
            }
        }
        let listed: usize = self.by_size.iter().map(Vec::len).sum();
        assert_eq!(listed, self.topics.iter().filter(|topic| topic.bytes > 0).count());
    }

    /// Takes a seat away.
    pub(super) fn leave(&mut self, seat: &Seat) {
        let topic = &mut self.topics[seat.topic];
        topic.used.store(self.look, Relaxed);
        let at = seat.at.load(Relaxed);
        topic.subscribers.swap_remove(at);
        if let Some(moved) = topic.subscribers.get(at) {
            moved.at.store(at, Relaxed);
        }
    }

    fn is_followed(&self, index: usize) -> bool {
        let topic = &self.topics[index];
        topic.name.is_none() || !topic.subscribers.is_empty()
    }
}

impl Hub {
    /// Whether `more` topics may come to be without any look at those there are.
    pub(super) fn has_plenty(&self, topics: &Topics, more: usize) -> bool {
        topics.len() + topics.reserved + more <= self.most_topics()
    }

    /// Topics that there may be: half of all bytes is for events.
    fn most_topics(&self) -> usize {
        self.limits.history_bytes / 2 / TOPIC_BYTES
    }

    /// Whether `more` topics may come to be. Those that nobody follows make room.
    pub(super) fn has_room(&self, topics: &mut Topics, more: usize) -> bool {
        let mut looks = PLACES_AT_ONCE;
        while !self.has_plenty(topics, more) && looks > 0 && !topics.topics.is_empty() {
            looks -= 1;
            topics.hand = (topics.hand + 1) % topics.topics.len();
            if !topics.is_followed(topics.hand) {
                topics.forget(topics.hand);
                self.stats.forgotten_topics.add(1);
            }
        }
        let has_room = self.has_plenty(topics, more);
        self.stats.refused_topics.add(u64::from(!has_room));
        has_room
    }

    /// Appends an event to a topic, and forgets what is too much.
    pub(super) fn append(&self, topics: &mut Topics, index: usize, event: Event) {
        topics.topics[index].used.store(topics.look, Relaxed);
        topics.push(index, event);
        while topics.topics[index].ring.len() > self.limits.history_events.max(1) {
            topics.evict(index);
        }
        while topics.topics[index].bytes > self.limits.topic_bytes && topics.topics[index].ring.len() > 1 {
            topics.evict(index);
            self.stats.evicted.add(1);
        }
        topics.list(index);
        while topics.bytes > self.limits.history_bytes
            && let Some(largest) = topics.largest(index)
        {
            topics.evict(largest);
            topics.list(largest);
            self.stats.evicted.add(1);
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
            let idle = topics.look.wrapping_sub(topics.topics[index].used.load(Relaxed));
            if idle >= LOOKS && !topics.is_followed(index) {
                topics.forget(index);
                self.stats.forgotten_topics.add(1);
            }
        }
        *from = end;
        end < topics.topics.len()
    }
}
