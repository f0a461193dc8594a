//! Runs the sessions of a worker, as one task of its event loop.
//!
//! Those that are ready together have their turn together: first each takes what has come, then each does what follows from
//! it, which mostly is to write. So the code of the kernel for the one and for the other stays in the cache, the server is
//! woken for many messages at once, and the memory of the next session can be sent for in time. A receipt has its own time,
//! and so has what is written, some others' turns later: one look at the clock for each.

use std::cell::RefCell;
use std::convert::Infallible;
use std::task::{Context, Waker};

use super::ready::ReadyQueue;
use super::run::Run;
use super::session::Session;
use crate::host::{memory, runtime};
use crate::transport::budget;

/// Sessions that have a turn together, before the system is asked what else has come and other tasks have theirs: all that
/// it told of at once, and few enough that what reading has brought into the second cache is there to write.
const AT_ONCE: usize = runtime::EVENTS_AT_ONCE;

/// How many turns ahead a session's own memory is sent for, and then that to which it leads.
const AHEAD: [usize; 2] = [6, 3];

/// The sessions of one worker.
pub struct Executor {
    ready: &'static ReadyQueue,
    members: RefCell<Vec<Member>>,
}

/// What a message needs of it fills three cache lines.
#[repr(C, align(64))]
struct Member {
    waker: Waker,
    /// `None` when it is over.
    session: Option<Session>,
}

impl Executor {
    /// One for the sessions of `run`, of which there will be about so many.
    pub fn new(run: &Run, sessions: usize) -> Executor {
        Executor { ready: run.ready, members: RefCell::new(Vec::with_capacity(sessions)) }
    }

    /// Adds a session, whose life begins.
    pub fn add(&self, session: Session) {
        let waker = self.ready.add();
        self.members.borrow_mut().push(Member { waker, session: Some(session) });
    }

    /// Runs them for as long as it is polled. Tokio's budget for a task is meant for one connection; here each turn has its
    /// own.
    pub async fn run(&self) -> Infallible {
        tokio::task::unconstrained(async {
            let mut turns = Vec::with_capacity(AT_ONCE);
            loop {
                std::future::poll_fn(|cx| self.ready.poll_woken(cx)).await;
                self.ready.take(AT_ONCE, &mut turns);
                take_turns(&mut self.members.borrow_mut(), &turns);
                budget::lift();
                self.ready.serve(turns.len());
                turns.clear();
                if !self.ready.is_empty() {
                    tokio::task::yield_now().await;
                }
            }
        })
        .await
    }
}

fn take_turns(members: &mut [Member], turns: &[u32]) {
    for (turn, &at) in turns.iter().enumerate() {
        fetch_ahead(members, &turns[turn..]);
        let Member { session, waker } = &mut members[at as usize];
        if let Some(session) = session {
            budget::renew();
            session.listen(&mut Context::from_waker(waker));
        }
    }
    for &at in turns {
        let Member { session, waker } = &mut members[at as usize];
        let Some(running) = session else { continue };
        budget::renew();
        if running.poll(&mut Context::from_waker(waker)).is_ready() {
            *session = None;
        }
    }
}

/// Among thousands of clients, one's memory is not in the cache when its turn comes.
#[inline]
fn fetch_ahead(members: &[Member], next: &[u32]) {
    let [own, further] = AHEAD.map(|turns| next.get(turns).map(|&at| &members[at as usize]));
    if let Some(member) = own {
        memory::prefetch(member);
    }
    if let Some(Member { session: Some(session), .. }) = further {
        session.prefetch();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task::Poll;

    use super::*;
    use crate::client::run::Phase;
    use crate::host::clock::monotonic_ns;
    use crate::host::timer::Timer;
    use crate::protocol::{Client, Failure, Inbox, Message, Sent, Step};
    use crate::scenario::kinds::{Pace, Pattern};
    use crate::scenario::spec::CellSpec;

    type Log = Rc<RefCell<Vec<(&'static str, u32)>>>;

    /// Is ready at once, hears nothing, sends everything, and writes down what it was asked for.
    struct Logging {
        id: u32,
        ready: bool,
        log: Log,
    }

    impl Client for Logging {
        fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
            self.log.borrow_mut().push(("recv", self.id));
            match std::mem::replace(&mut self.ready, true) {
                true => Poll::Pending,
                false => Poll::Ready(Ok(Step::Ready)),
            }
        }

        fn poll_send(&mut self, _: &mut Context<'_>, _: Message<'_>) -> Poll<Result<Sent, Failure>> {
            self.log.borrow_mut().push(("send", self.id));
            Poll::Ready(Ok(Sent::Unanswered))
        }

        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            Poll::Ready(Ok(()))
        }
    }

    /// So many clients that echo one event after the other, of which none is there yet.
    fn echoing(clients: u32) -> (Rc<Run>, Rc<Executor>) {
        let spec = CellSpec {
            pattern: Pattern::Echo,
            pace: Pace::Closed,
            in_flight: Some(1),
            clients,
            group: 1,
            warmup_s: 0.0,
            duration_s: 1000.0,
            ..CellSpec::example()
        };
        let run = Rc::new(Run::new(spec, 1, Timer::new().unwrap(), clients));
        let executor = Rc::new(Executor::new(&run, 0));
        (run, executor)
    }

    fn add(executor: &Executor, run: &Rc<Run>, id: u32, client: Box<dyn Client>) {
        let protocol = run.spec.id.protocol;
        executor.add(Session::new(run.clone(), id, protocol, client));
    }

    fn on_local_set(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    /// So many sessions, and `test` beside them; then their end.
    fn with_sessions(clients: u32, test: impl AsyncFn(&Run, &Log)) {
        on_local_set(async {
            let ((run, executor), log) = (echoing(clients), Log::default());
            for id in 0..clients {
                add(&executor, &run, id, Box::new(Logging { id, ready: false, log: log.clone() }));
            }
            tokio::task::spawn_local(async move { executor.run().await });
            test(&run, &log).await;
            run.advance(Phase::End);
            until(|| run.alive.get() == 0).await;
        });
    }

    async fn until(done: impl Fn() -> bool) {
        while !done() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn all_that_are_ready_listen_before_one_of_them_sends() {
        with_sessions(3, async |run, log| {
            until(|| run.settled.get() == 3).await;
            run.start(monotonic_ns());
            until(|| log.borrow().iter().filter(|(what, _)| *what == "send").count() == 3).await;
            let log = log.borrow();
            let first = log.iter().position(|(what, _)| *what == "send").unwrap();
            // The last one is by the first session, which looks again because its alarm has rung.
            let before = [("recv", 0), ("recv", 1), ("recv", 2), ("recv", 0)];
            assert_eq!(log[first - before.len()..first], before);
        });
    }

    #[test]
    fn others_have_their_turn_between_those_of_many_sessions() {
        let clients = 3 * AT_ONCE as u32;
        with_sessions(clients, async |run, _| {
            let mut seen = vec![run.settled.get()];
            while run.settled.get() < u64::from(clients) {
                tokio::task::yield_now().await;
                seen.push(run.settled.get());
            }
            seen.dedup();
            assert_eq!(seen, [0, 1, 2, 3].map(|batches| batches * AT_ONCE as u64));
        });
    }

    struct Panicking;

    impl Client for Panicking {
        fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
            panic!("nobody foresaw this")
        }

        fn poll_send(&mut self, _: &mut Context<'_>, _: Message<'_>) -> Poll<Result<Sent, Failure>> {
            unreachable!()
        }

        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            unreachable!()
        }
    }

    #[test]
    fn a_client_that_panics_ends_the_executor() {
        on_local_set(async {
            let (run, executor) = echoing(1);
            add(&executor, &run, 0, Box::new(Panicking));
            let ended = tokio::task::spawn_local(async move { executor.run().await }).await;
            assert!(ended.is_err_and(|error| error.is_panic()));
        });
    }
}
