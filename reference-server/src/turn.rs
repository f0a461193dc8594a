//! Turns: no connection may make the others wait for its own work.
//!
//! What is done for a connection is paid for, in units of about a nanosecond and a half: so much for each byte, each call of
//! the system, each message. A connection that has used up its turn is put in line, and of those in line one is called up
//! each time the event loop has looked for news. So everybody who asks for little is served at once, whatever the others ask
//! for; and nothing is idle while there is anything to do.
//!
//! Units come back with time, and faster the fewer are in line: who asks for less than those in line get is never put there.
//! The clock is read only when a turn is over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::connection::Connection;

/// Units of one turn: some 0.2 ms of work.
const TURN: i64 = 128 * 1024;

/// Those of a connection that comes: enough for what an ordinary one asks for first. With a whole turn each, many that come and
/// go would never stand in line.
const FIRST: i64 = TURN / 8;

/// Less than this is not worth going on for.
const LEAST: i64 = TURN / 4;

/// Units that come back in a second, to all together: about half of what one core can do.
const UNITS_PER_S: u64 = 256 << 20;

/// Price of a read beside its bytes.
pub(crate) const READ: usize = 1024;

/// Price of a piece of what was read that is handed on, beside its bytes: there may be very many frames in it.
pub(crate) const PIECE: usize = 768;

/// Price of a write beside its bytes.
pub(crate) const WRITE: usize = 2048;

/// Price of a message beside its bytes.
pub(crate) const MESSAGE: usize = 512;

/// Price of a request that the front answers.
pub(crate) const REQUEST: usize = 2048;

/// Price of each byte of its query; following a topic takes eight of them at least.
pub(crate) const QUERY_BYTE: usize = 96;

/// Price of each byte of a command to the server, beside what it makes it do.
pub(crate) const COMMAND_BYTE: usize = 16;

/// What costs more than this is paid for before it is done, so that of many such things one is done at a time.
pub(crate) const DEAR: usize = FIRST as usize;

/// Price of a request that hyper answers.
pub(crate) const LONG_REQUEST: usize = 16 * 1024;

/// Price of following one more topic, and of leaving it.
pub(crate) const FOLLOW: usize = 768;

/// Price of looking whether a topic that is followed has anything new.
pub(crate) const LOOK: usize = 16;

/// Price of a step of a TLS handshake, of which there are three.
pub(crate) const HANDSHAKE: usize = 64 * 1024;

/// What one connection has left of its turn.
pub(crate) struct Turn {
    left: AtomicI64,
    /// Put in line, and not called up yet.
    waits: AtomicBool,
    /// When units last came back, in ns from the server's start.
    filled_ns: AtomicU64,
    /// Units came back since its task last ran.
    filled: AtomicBool,
}

impl Turn {
    /// Units for work that was done. A plain store: only the connection's own task works for it.
    pub(crate) fn spend(&self, units: usize) {
        self.left.store(self.left.load(Relaxed) - units as i64, Relaxed);
    }

    /// Whether there is anything left.
    pub(crate) fn is_on(&self) -> bool {
        self.left.load(Relaxed) > 0 && !self.waits()
    }

    /// Whether it was put in line and not called up yet.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Relaxed)
    }

    /// Its task runs.
    pub(crate) fn runs(&self) {
        self.filled.store(false, Relaxed);
    }

    /// A new turn begins.
    pub(crate) fn begin(&self) {
        self.left.store(TURN, Relaxed);
        self.waits.store(false, Relaxed);
    }
}

/// Those who have used up their turns.
pub(crate) struct Turns {
    started: Instant,
    line: Mutex<VecDeque<Arc<Connection>>>,
    /// Wakes the task that calls up.
    waker: AtomicWaker,
}

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns { started: Instant::now(), line: Mutex::default(), waker: AtomicWaker::new() }
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a connection that comes: its first turn.
    pub(crate) fn first(&self) -> Turn {
        let (waits, filled) = Default::default();
        Turn { left: FIRST.into(), waits, filled_ns: self.now_ns().into(), filled }
    }

    /// The turn of `connection` is over. Gives it what has come back since; false if that is too little and it was put in line,
    /// to be woken when it is called up.
    #[cold]
    pub(crate) fn over(&self, connection: &Arc<Connection>) -> bool {
        let turn = connection.turn();
        if turn.waits() {
            return false;
        }
        let now_ns = self.now_ns();
        let passed_ns = now_ns.saturating_sub(turn.filled_ns.swap(now_ns, Relaxed));
        let mut line = self.line();
        // With itself and one more, as nobody may go on for ever because nobody else is in line yet.
        let share = UNITS_PER_S / (line.len() as u64 + 2);
        // Once: what takes longer than its price must not be paid for by the time that it takes.
        let passed_ns = if turn.filled.swap(true, Relaxed) { 0 } else { passed_ns };
        let back = u128::from(passed_ns) * u128::from(share) / 1_000_000_000;
        let left = turn.left.load(Relaxed).saturating_add(back.min(2 * TURN as u128) as i64).min(TURN);
        turn.left.store(left, Relaxed);
        if left >= LEAST {
            return true;
        }
        turn.waits.store(true, Relaxed);
        connection.stats().turns_over.add(1);
        line.push_back(connection.clone());
        self.waker.wake();
        false
    }

    /// Calls up those in line, one each time the event loop comes round.
    pub(crate) async fn call_up(&self) {
        loop {
            let connection = std::future::poll_fn(|cx| self.poll_first(cx)).await;
            // One that was told to end did not wait for this.
            if connection.turn().waits() {
                connection.turn().begin();
                connection.turn().filled_ns.store(self.now_ns(), Relaxed);
                connection.wake();
            }
            drop(connection);
            // Behind what the sockets have brought meanwhile.
            tokio::task::yield_now().await;
        }
    }

    fn poll_first(&self, cx: &mut Context<'_>) -> Poll<Arc<Connection>> {
        // Registered before looking, so that one who comes between the two is not forgotten.
        self.waker.register(cx.waker());
        let Some(first) = self.line().pop_front() else { return Poll::Pending };
        // Who comes from now on must not end the pause that follows.
        self.waker.take();
        Poll::Ready(first)
    }
}
