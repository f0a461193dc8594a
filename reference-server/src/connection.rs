//! The open connections of a server: who they are, and how they are told to end.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::app::{App, Refusal};
use crate::hub::{Batch, Signal};
use crate::protocol::Id;
use crate::stats::Stats;
use crate::turn::Turn;

/// What a connection's task is told to do. A later one overrules an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// End in the protocol's good order.
    Stop,
    /// Break off, with a TCP reset where there is one.
    Cut,
}

/// A connection that buffers less counts as none: nearly all do, for a moment.
const LEAST_HELD: usize = 4096;

/// Connections that differ by less buffer the same; who began first goes first.
const SAME_HELD: usize = 256 * 1024;

/// Connections that are broken at once for what they do not read.
const UNREAD_AT_ONCE: usize = 16;

/// One connection, of whatever transport. Everything that serves it holds it; it ends with the last of these.
pub(crate) struct Connection {
    app: Arc<App>,
    /// Its place among the connections.
    place: usize,
    order: AtomicU8,
    /// Messages delivered; counted where it is cut after so many.
    delivered: AtomicU32,
    waker: AtomicWaker,
    subscriber: OnceLock<Subscriber>,
    slow: OnceLock<Arc<Signal>>,
    turn: Turn,
    /// Bytes that it buffers, as counted.
    held: AtomicUsize,
    /// Which of those that buffer began first.
    held_since: AtomicU64,
    /// Bytes of events that it was given and does not take.
    unread: AtomicUsize,
}

struct Subscriber {
    protocol: Id,
    /// User memory held by fault.
    _ballast: Box<[u8]>,
}

impl Connection {
    /// A connection was accepted.
    pub(crate) fn open(app: &Arc<App>) -> Arc<Connection> {
        app.stats.connections.add(1);
        app.stats.connections_opened.add(1);
        app.connections.insert(|place| Connection {
            app: app.clone(),
            place,
            order: AtomicU8::new(Order::Serve as u8),
            delivered: AtomicU32::new(0),
            waker: AtomicWaker::new(),
            subscriber: OnceLock::new(),
            slow: OnceLock::new(),
            turn: app.turns.first(),
            held: AtomicUsize::new(0),
            held_since: AtomicU64::new(0),
            unread: AtomicUsize::new(0),
        })
    }

    /// Its server.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// What its server counts.
    pub(crate) fn stats(&self) -> &Stats {
        &self.app.stats
    }

    /// What it has left of its turn.
    pub(crate) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Whether more may be done for it now; else its task is woken when it is called up. That is the one that `order` was last
    /// asked by: not what happens to ask here, which can be a part of it that forgets who waits.
    pub(crate) fn may_go_on(self: &Arc<Self>) -> bool {
        self.turn.is_on() || self.app.turns.over(self)
    }

    /// Whether its task has nothing to do before it is called up. One that is told to end goes on.
    pub(crate) fn waits(&self) -> bool {
        if self.turn.waits() && self.current() != Order::Serve {
            self.turn.begin();
        }
        self.turn.waits()
    }

    /// It buffers so many bytes of its own, and so many of events, which are the hub's. If all together buffer too much of
    /// their own, who buffers most is broken.
    pub(crate) fn holds(&self, bytes: usize, event_bytes: usize) {
        self.unread.store(event_bytes, Relaxed);
        let bytes = if bytes < LEAST_HELD { 0 } else { bytes };
        let before = self.held.load(Relaxed);
        if bytes == before {
            return;
        }
        let stats = self.stats();
        if before == 0 {
            self.held_since.store(self.app.connections.began_to_hold.fetch_add(1, Relaxed), Relaxed);
        }
        self.held.store(bytes, Relaxed);
        stats.buffered_bytes.add(bytes as u64);
        stats.buffered_bytes.sub(before as u64);
        let most = self.app.config.limits.buffer_bytes;
        if bytes > before && stats.buffered_bytes.get() > most as u64 {
            self.app.connections.cut_down_to(most);
        }
    }

    /// It asks for a subscription, or is polled on. Counts once per connection.
    ///
    /// # Errors
    /// It is not let in.
    pub(crate) fn subscribe(&self, protocol: Id) -> Result<(), Refusal> {
        if self.subscriber.get().is_none() {
            self.app.let_in()?;
            self.subscribed(protocol);
        }
        Ok(())
    }

    /// From now on it holds a subscription, and was let in before.
    pub(crate) fn subscribed(&self, protocol: Id) {
        self.subscriber.get_or_init(|| {
            self.app.stats.subscribers.of(protocol).add(1);
            self.app.stats.subscribers_opened.of(protocol).add(1);
            // Not zeros: the system gives zero pages without memory behind them.
            Subscriber { protocol, _ballast: vec![1; self.app.config.faults.ballast_bytes].into() }
        });
    }

    /// Events are handed to this connection's transport. By fault it takes no more than are left of so many, and is cut
    /// behind the last; says whether any were taken out of the batch.
    pub(crate) fn delivering(&self, batch: &mut Batch) -> bool {
        let before = batch.events.len();
        if let Some(most) = self.app.config.faults.cut_after {
            let done = self.delivered.load(Relaxed);
            batch.events.truncate(most.saturating_sub(done) as usize);
            let all = done.saturating_add(batch.events.len() as u32);
            self.delivered.store(all, Relaxed);
            if done < most && all == most {
                self.app.stats.cut.add(1);
                self.tell(Order::Cut);
            }
        }
        self.app.delivering(batch);
        batch.events.len() < before
    }

    /// The subscription that this connection's task serves and may be too slow for.
    pub(crate) fn watch(&self, signal: &Arc<Signal>) {
        let _ = self.slow.set(signal.clone());
    }

    /// Whether the subscriber fell too far behind. Wakes the task when it does.
    pub(crate) fn is_too_slow(&self, cx: &mut Context<'_>) -> bool {
        self.slow.get().is_some_and(|signal| signal.poll_too_slow(cx).is_ready())
    }

    /// What this connection is told to do; the task of `cx` is woken when that changes.
    pub(crate) fn order(&self, cx: &mut Context<'_>) -> Order {
        self.waker.register(cx.waker());
        self.current()
    }

    /// What this connection is told to do.
    pub(crate) fn current(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Stop,
            _ => Order::Cut,
        }
    }

    fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.wake();
    }

    /// Wakes its task.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.app.stats.connections.sub(1);
        self.app.stats.buffered_bytes.sub(self.held.load(Relaxed) as u64);
        if let Some(subscriber) = self.subscriber.get() {
            self.app.stats.subscribers.of(subscriber.protocol).sub(1);
        }
        self.app.connections.remove(self.place);
    }
}

/// All connections of a server.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
    empty: Notify,
    /// How often a connection began to buffer.
    began_to_hold: AtomicU64,
}

#[derive(Default)]
struct Open {
    /// Places are used again. A million of them grow by a copy, not by hashing each anew.
    places: Vec<Weak<Connection>>,
    free: Vec<usize>,
    stopping: bool,
}

impl Open {
    fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, make: impl FnOnce(usize) -> Connection) -> Arc<Connection> {
        let mut open = self.lock();
        let place = open.free.pop().unwrap_or(open.places.len());
        let connection = Arc::new(make(place));
        if open.stopping {
            connection.tell(Order::Stop);
        }
        let weak = Arc::downgrade(&connection);
        match open.places.get_mut(place) {
            Some(free) => *free = weak,
            None => open.places.push(weak),
        }
        connection
    }

    fn remove(&self, place: usize) {
        let mut open = self.lock();
        open.places[place] = Weak::new();
        open.free.push(place);
        if open.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// Those open now. A copy, because the last owner of a connection takes the lock when it drops it.
    fn all(&self) -> Vec<Arc<Connection>> {
        self.lock().places.iter().filter_map(Weak::upgrade).collect()
    }

    /// Breaks every connection that holds a subscription.
    pub(crate) fn cut_subscribers(&self) {
        for connection in self.all().iter().filter(|connection| connection.subscriber.get().is_some()) {
            connection.app.stats.cut.add(1);
            connection.tell(Order::Cut);
        }
    }

    /// Breaks those that buffer most until what all buffer is somewhat less than so many bytes; somewhat, because this looks at
    /// all connections.
    #[cold]
    fn cut_down_to(&self, most_bytes: usize) {
        let mut open = self.all();
        open.retain(|connection| connection.held.load(Relaxed) > 0 && connection.current() != Order::Cut);
        let mut bytes: usize = open.iter().map(|connection| connection.held.load(Relaxed)).sum();
        if bytes <= most_bytes {
            // Those that were broken have not gone yet.
            return;
        }
        let most_bytes = most_bytes - most_bytes / 32;
        open.sort_unstable_by_key(|connection| {
            let size = connection.held.load(Relaxed).div_ceil(SAME_HELD);
            (Reverse(size), connection.held_since.load(Relaxed))
        });
        for connection in open.iter().take_while(|connection| {
            let is_too_much = bytes > most_bytes;
            bytes = bytes.saturating_sub(connection.held.load(Relaxed));
            is_too_much
        }) {
            connection.stats().buffers_cut.add(1);
            connection.tell(Order::Cut);
        }
    }

    /// Breaks those for whom most events wait. Which of these nobody else has is not known, so it is some of them at a time,
    /// until it was enough.
    #[cold]
    pub(crate) fn cut_unread(&self) {
        let mut open = self.all();
        open.retain(|connection| connection.unread.load(Relaxed) > 0 && connection.current() != Order::Cut);
        open.sort_unstable_by_key(|connection| Reverse(connection.unread.load(Relaxed)));
        for connection in open.iter().take(UNREAD_AT_ONCE) {
            connection.stats().buffers_cut.add(1);
            connection.tell(Order::Cut);
        }
    }

    /// Tells every connection to end, those to come too.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.all().iter().for_each(|connection| connection.tell(Order::Stop));
    }

    /// Breaks what is left.
    pub(crate) fn cut_all(&self) {
        self.all().iter().for_each(|connection| connection.tell(Order::Cut));
    }

    /// Waits until none is open.
    pub(crate) async fn closed(&self) {
        let mut empty = std::pin::pin!(self.empty.notified());
        loop {
            // Registered before looking.
            empty.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            empty.as_mut().await;
            empty.set(self.empty.notified());
        }
    }
}
