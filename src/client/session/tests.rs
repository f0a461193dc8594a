#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::client::executor::Executor;
use crate::host::timer::Timer;
use crate::protocol::{Inbox, Message};
use crate::scenario::plan::{CellSpec, Pattern};

/// What a scripted client answers to `poll_recv`, one after the other; then nothing any more.
type Script = Rc<RefCell<VecDeque<Result<Step, Failure>>>>;

/// A client that does as told, and whose network takes nothing that is sent.
struct Scripted(Script);

impl Client for Scripted {
    fn poll_recv(&mut self, cx: &mut Context<'_>, _inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        match self.0.borrow_mut().pop_front() {
            Some(step) => Poll::Ready(step),
            None => {
                // Looks again: the script may have gone on.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, _message: Message<'_>) -> Poll<Result<(), Failure>> {
        Poll::Pending
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

/// One session of the cell `spec`, ready and under load, and `test` beside it.
fn live(spec: CellSpec, test: impl AsyncFn(&Run, &Script)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let protocol = protocol::find(&spec.protocol).unwrap();
        let run = Rc::new(Run::new(spec, 1, Timer::new().unwrap(), 16));
        let script = Script::default();
        let session = Session::new(run.clone(), 0, protocol, Box::new(Scripted(script.clone())));
        let executor = Rc::new(Executor::new(&run, 1));
        executor.add(session);
        tokio::task::spawn_local(async move { executor.run().await });
        script.borrow_mut().push_back(Ok(Step::Ready));
        until(|| run.settled.get() == 1).await;
        run.start(monotonic_ns());
        test(&run, &script).await;
        run.advance(Phase::End);
        until(|| run.alive.get() == 0).await;
        assert_eq!(run.connected.get(), 0);
    });
}

async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("never came");
}

fn spec(duration_s: f64) -> CellSpec {
    CellSpec {
        pattern: Pattern::Echo,
        clients: 1,
        group: 1,
        rate_per_s: 1000.0,
        warmup_s: 0.0,
        duration_s,
        ..CellSpec::example()
    }
}

#[test]
fn a_cell_that_is_stopped_early_owes_nothing_behind_its_stop() {
    live(spec(1000.0), async |run, _| {
        until(|| run.now_ns() > 20_000_000).await;
        run.advance(Phase::Drain);
        until(|| run.publishing.get() == 0).await;
        let (shed, due) = (run.recorder.borrow().counts.shed, run.now_ns() / 1_000_000);
        assert!((18..=due + 1).contains(&shed), "{shed} shed of {due} due");
    });
}

#[test]
fn a_client_that_is_cut_off_for_good_sheds_the_rest_of_its_schedule() {
    live(spec(5.0), async |run, script| {
        script.borrow_mut().push_back(Err(Failure::new(protocol::Phase::Receive, Kind::Eof, "gone")));
        until(|| run.alive.get() == 0).await;
        assert_eq!(run.recorder.borrow().counts.shed, 5000);
        assert_eq!(run.published.borrow().get(&0), Some(&0));
    });
}

#[test]
fn who_is_cut_off_is_not_counted_as_connected_until_it_is_back() {
    live(spec(1000.0), async |run, script| {
        assert_eq!(run.connected.get(), 1);
        let cut = Pause::Reconnect(Duration::from_millis(1), Kind::Eof);
        script.borrow_mut().push_back(Ok(Step::Pause(cut)));
        until(|| run.connected.get() == 0).await;
        script.borrow_mut().push_back(Ok(Step::Ready));
        until(|| run.connected.get() == 1).await;
        assert_eq!(run.recorder.borrow().failure_count(), 1);
    });
}

#[test]
fn what_falls_due_without_a_subscription_is_owed_to_nobody() {
    for (protocol, resumes) in [("websocket", false), ("sse", true)] {
        live(CellSpec { protocol: protocol.into(), ..spec(1000.0) }, async |run, script| {
            let cut = Pause::Reconnect(Duration::from_millis(1), Kind::Eof);
            script.borrow_mut().push_back(Ok(Step::Pause(cut)));
            until(|| run.connected.get() == 0).await;
            until(|| run.now_ns() > 5_000_000).await;
            script.borrow_mut().push_back(Ok(Step::Ready));
            until(|| run.connected.get() == 1).await;
            let back_ns = run.now_ns();
            run.advance(Phase::End);
            until(|| run.alive.get() == 0).await;
            // A thousand events a second: those until it was back, and a thousand more, none of which came.
            let owed_to_nobody = back_ns / 1_000_000;
            run.published.borrow_mut().insert(0, owed_to_nobody as u32 + 1000);
            run.settle();
            let counts = &run.recorder.borrow().counts;
            let expected = if resumes { 0 } else { owed_to_nobody };
            assert!(counts.excused.abs_diff(expected) <= 3, "{protocol}: {counts:?}");
            assert_eq!(counts.lost + counts.excused, owed_to_nobody + 1000, "{protocol}");
        });
    }
}

#[test]
fn phases_only_go_forward() {
    live(spec(1000.0), async |run, _| {
        run.advance(Phase::Late);
        run.advance(Phase::Drain);
        assert_eq!(run.phase(), Phase::Late);
    });
}

/// Polls that are answered after 300 or, the second, after 1,700 ms, at an interval of 1 s.
fn polls(mode: PollMode) -> Vec<u64> {
    let mut polls = vec![0];
    for took in [300, 1_700, 300, 300] {
        let polled = polls[polls.len() - 1];
        polls.push(next_poll_ns(mode, 1_000, polled, polled + took));
    }
    polls
}

#[test]
fn a_fixed_rate_keeps_its_rate_and_makes_up_for_nothing() {
    assert_eq!(polls(PollMode::FixedRate), [0, 1_000, 2_700, 3_700, 4_700]);
}

#[test]
fn after_the_response_the_answer_time_adds_to_the_interval() {
    assert_eq!(polls(PollMode::AfterResponse), [0, 1_300, 4_000, 5_300, 6_600]);
}
