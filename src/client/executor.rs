//! Runs the sessions of a worker, as one task of its event loop.
//!
//! Those that are ready together have their turn together: first each reads, then each does what follows, which mostly is
//! to write. So the code of the kernel for the one and for the other stays in the cache, the server is woken up for many
//! messages at once, and the memory of the next session can be sent for in time. A receipt is stamped when it is read, and
//! what is due at a receipt goes by that stamp: that it is written some others' reads later is part of its latency.

use std::cell::RefCell;
use std::task::{Context, Waker};

use super::ready::ReadyQueue;
use super::session::Session;
use crate::host::memory;

/// Sessions that have a turn together: few enough that what reading has brought into the cache is there to write.
const SIDE_BY_SIDE: usize = 64;

/// Turns before the system is asked what else has come, and other tasks have theirs.
const AT_ONCE: usize = 2 * SIDE_BY_SIDE;

/// How many turns ahead a session's own memory is sent for, and then that to which it leads.
const AHEAD: [usize; 2] = [4, 2];

/// The sessions of one worker.
pub struct Executor {
    ready: &'static ReadyQueue,
    seats: RefCell<Vec<Seat>>,
}

struct Seat {
    /// `None` when it is over.
    session: Option<Session>,
    waker: Waker,
}

impl Executor {
    /// One without sessions yet. They must be those of the run to which `ready` belongs.
    pub fn new(ready: &'static ReadyQueue) -> Executor {
        Executor { ready, seats: RefCell::default() }
    }

    /// Adds a session, whose life begins.
    pub fn add(&self, session: Session) {
        let waker = self.ready.add();
        self.seats.borrow_mut().push(Seat { session: Some(session), waker });
    }

    /// Runs them for as long as it is polled. What a task may do before it must yield is meant for one connection, and
    /// would stop most of the sessions: this one yields by its own count.
    pub async fn run(&self) {
        tokio::task::unconstrained(async {
            let mut turns = Vec::with_capacity(AT_ONCE);
            loop {
                std::future::poll_fn(|cx| self.ready.poll_woken(cx)).await;
                self.ready.take(AT_ONCE, &mut turns);
                for group in turns.chunks(SIDE_BY_SIDE) {
                    take_turns(&mut self.seats.borrow_mut(), group);
                }
                turns.clear();
                if !self.ready.is_empty() {
                    tokio::task::yield_now().await;
                }
            }
        })
        .await
    }
}

fn take_turns(seats: &mut [Seat], group: &[u32]) {
    for (turn, &at) in group.iter().enumerate() {
        fetch_ahead(seats, &group[turn..]);
        let Seat { session, waker } = &mut seats[at as usize];
        if let Some(session) = session {
            session.listen(&mut Context::from_waker(waker));
        }
    }
    for &at in group {
        let Seat { session, waker } = &mut seats[at as usize];
        if let Some(running) = session
            && running.poll(&mut Context::from_waker(waker)).is_ready()
        {
            *session = None;
        }
    }
}

/// Among thousands of clients, one's memory is not in the cache when its turn comes.
#[inline]
fn fetch_ahead(seats: &[Seat], group: &[u32]) {
    let [own, further] = AHEAD.map(|turns| group.get(turns).map(|&at| &seats[at as usize]));
    if let Some(seat) = own {
        memory::prefetch(seat);
    }
    if let Some(Seat { session: Some(session), .. }) = further {
        session.prefetch();
    }
}
