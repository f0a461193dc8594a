//! Turns: no connection may make the others wait for its own work.
//!
//! What is done for a connection is paid for, in units of about a nanosecond and a half: so much for each byte, each call of
//! the system, each message. A connection that has used up its turn is put in line, and of those in line one is called up
//! each time the event loop has looked for news. So everybody who asks for little is served at once, whatever the others ask
//! for; and nothing is idle while there is anything to do.
//!
//! The clock is read only when a turn is over: units come back with time, each connection's share of them. Who sends a
//! message now and then is therefore never put in line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::connection::Connection;

/// Units of one turn: some 0.2 ms of work.
const TURN: i64 = 128 * 1024;

/// Less than this is not worth going on for.
const LEAST: i64 = TURN / 4;

/// Units that come back in a second, to all connections together: about half of what one core can do, so that who uses less than
/// half of an equal share is never put in line.
const UNITS_PER_S: u64 = 256 << 20;

/// Price of a read beside its bytes.
pub(crate) const READ: usize = 1024;

/// Price of a write beside its bytes.
pub(crate) const WRITE: usize = 2048;

/// Price of a message beside its bytes.
pub(crate) const MESSAGE: usize = 512;

/// Price of a request that the front answers.
pub(crate) const REQUEST: usize = 2048;

/// Price of a request that hyper answers.
pub(crate) const LONG_REQUEST: usize = 16 * 1024;

/// What one connection has left of its turn.
pub(crate) struct Turn {
    left: AtomicI64,
    /// Put in line, and not called up yet.
    waits: AtomicBool,
    /// When units last came back, in ns from the server's start.
    filled_ns: AtomicU64,
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

    /// A new turn begins.
    pub(crate) fn begin(&self) {
        self.left.store(TURN, Relaxed);
        self.waits.store(false, Relaxed);
    }
}

/// Those who have used up their turns.
pub(crate) struct Turns {
    started: Instant,
    line: Mutex<VecDeque<(Waker, Arc<Connection>)>>,
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

    /// For a connection that comes: its first turn.
    pub(crate) fn first(&self) -> Turn {
        Turn { left: TURN.into(), waits: false.into(), filled_ns: self.now_ns().into() }
    }

    /// The turn of `connection`, one of so many, is over. Gives it what has come back since; false if that is too little and
    /// it was put in line, to be woken when it is called up.
    #[cold]
    pub(crate) fn over(&self, cx: &Context<'_>, connection: &Arc<Connection>, among: u64) -> bool {
        let turn = connection.turn();
        if turn.waits() {
            return false;
        }
        let now_ns = self.now_ns();
        let passed_ns = now_ns - turn.filled_ns.swap(now_ns, Relaxed).min(now_ns);
        let share = UNITS_PER_S / among.max(1);
        let back = (u128::from(passed_ns) * u128::from(share) / 1_000_000_000).min(TURN as u128) as i64;
        let left = (turn.left.load(Relaxed) + back).min(TURN);
        turn.left.store(left, Relaxed);
        if left >= LEAST {
            return true;
        }
        turn.waits.store(true, Relaxed);
        connection.stats().turns_over.add(1);
        self.line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((cx.waker().clone(), connection.clone()));
        self.waker.wake();
        false
    }

    /// Calls up those in line, one each time the event loop comes round.
    pub(crate) async fn call_up(&self) {
        loop {
            let (waker, connection) = std::future::poll_fn(|cx| self.poll_first(cx)).await;
            if connection.turn().waits() {
                connection.turn().begin();
                connection.turn().filled_ns.store(self.now_ns(), Relaxed);
            }
            waker.wake();
            drop(connection);
            // Behind what the sockets have brought meanwhile.
            tokio::task::yield_now().await;
        }
    }

    fn poll_first(&self, cx: &mut Context<'_>) -> Poll<(Waker, Arc<Connection>)> {
        // Registered before looking, so that one who comes between the two is not forgotten.
        self.waker.register(cx.waker());
        let first = self.line.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(first) = first else { return Poll::Pending };
        // Who comes from now on must not end the pause that follows.
        self.waker.take();
        Poll::Ready(first)
    }
}
