#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::client::executor::Executor;
use crate::host::timer::Timer;
use crate::protocol::{self, Answer, Inbox, Message, Sent};
use crate::scenario::cell_id::CellId;
use crate::scenario::kinds::{Pace, Pattern};
use crate::scenario::spec::CellSpec;

/// What a scripted client does, and what it was given to send.
#[derive(Default)]
struct Play {
    /// What it answers to `poll_recv`, one after the other; then nothing any more.
    steps: VecDeque<Result<Step, Failure>>,
    /// Payloads that arrive with the next `poll_recv`.
    arriving: Vec<Vec<u8>>,
    /// What it makes of messages.
    sends: Sends,
    /// What was taken and is not answered yet, by ticket.
    taken: Vec<(u8, Vec<u8>)>,
    /// What the server says to what was taken.
    answers: VecDeque<Answer>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sends {
    /// Its network takes nothing.
    #[default]
    Nothing,
    /// It takes everything, and nothing is answered.
    Everything,
    /// It takes everything, and each is answered.
    WithTickets,
}

type Script = Rc<RefCell<Play>>;

/// A client that does as told.
struct Scripted(Script);

impl Client for Scripted {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let mut play = self.0.borrow_mut();
        // Looks again: the script may have gone on.
        cx.waker().wake_by_ref();
        if let Some(step) = play.steps.pop_front() {
            return Poll::Ready(step);
        }
        let arrived = !play.arriving.is_empty();
        play.arriving.drain(..).for_each(|payload| inbox.push(&payload));
        if arrived { Poll::Ready(Ok(Step::Received)) } else { Poll::Pending }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let mut play = self.0.borrow_mut();
        let ticket = play.taken.len() as u8;
        match play.sends {
            Sends::Nothing => return Poll::Pending,
            Sends::Everything | Sends::WithTickets => play.taken.push((ticket, message.payload.to_vec())),
        }
        let answered = play.sends == Sends::WithTickets;
        Poll::Ready(Ok(if answered { Sent::Ticket(ticket) } else { Sent::Unanswered }))
    }

    fn poll_answer(&mut self, _: &mut Context<'_>) -> Poll<Answer> {
        self.0.borrow_mut().answers.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

impl Play {
    /// What was taken comes back to its sender.
    fn come_back(&mut self, ticket: u8) {
        let payload =
            self.taken.iter().find(|(taken, _)| *taken == ticket).map(|(_, payload)| payload.clone());
        self.arriving.extend(payload);
    }

    fn answer(&mut self, ticket: u8, result: Result<(), Failure>) {
        let written = result.is_ok();
        self.answers.extend([Answer::Answered { ticket, written, result }, Answer::Over(Ok(()))]);
    }
}

/// One session of the cell `spec`, ready and under load, and `test` beside it.
fn live(spec: CellSpec, test: impl AsyncFn(&Run, &Script)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let protocol = spec.id.protocol;
        let run = Rc::new(Run::new(spec, 1, Timer::new().unwrap(), 16));
        let script = Script::default();
        let session = Session::new(run.clone(), 0, protocol, Box::new(Scripted(script.clone())));
        let executor = Rc::new(Executor::new(&run, 1));
        executor.add(session);
        tokio::task::spawn_local(async move { executor.run().await });
        script.borrow_mut().steps.push_back(Ok(Step::Ready));
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

/// The same by another protocol.
fn of(protocol: &str, spec: CellSpec) -> CellSpec {
    CellSpec { id: CellId::of(protocol::find(protocol).unwrap()), ..spec }
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

/// A closed loop: one event after the other, each when the last is done with.
fn closed() -> CellSpec {
    CellSpec { pace: Pace::Closed, in_flight: Some(1), ..spec(1000.0) }
}

#[test]
fn a_cell_that_is_stopped_early_owes_nothing_behind_its_stop() {
    live(spec(1000.0), async |run, _| {
        until(|| run.now_ns() > 20_000_000).await;
        run.advance(Phase::Drain);
        until(|| run.publishing.get() == 0).await;
        let counts = &run.recorder.borrow().counts;
        let (held_back, due) = (counts.held_back, run.now_ns() / 1_000_000);
        assert!((18..=due + 1).contains(&held_back), "{held_back} held back of {due} due");
        assert_eq!(counts.shed, 0, "what the network does not take is not the generator's");
    });
}

#[test]
fn a_client_that_is_cut_off_for_good_is_cut_short_and_the_rest_of_its_schedule_held_back() {
    live(spec(5.0), async |run, script| {
        script.borrow_mut().steps.push_back(Err(Failure::new(protocol::Phase::Receive, Kind::Eof, "gone")));
        until(|| run.alive.get() == 0).await;
        let counts = &run.recorder.borrow().counts;
        assert_eq!((counts.held_back, counts.shed, counts.cut_short), (5000, 0, 1));
        assert_eq!(run.published.borrow().get(&0), Some(&0));
    });
}

fn cut() -> Box<Failure> {
    Box::new(Failure::new(protocol::Phase::Receive, Kind::Eof, "the event stream ended"))
}

#[test]
fn what_is_away_for_a_while_is_cut_short_only_where_its_protocol_does_not_resume() {
    for (protocol, cut_short) in [("websocket", 1), ("sse", 0)] {
        live(of(protocol, spec(1000.0)), async |run, script| {
            let cut = Pause::Reconnect(Duration::from_millis(1), cut());
            script.borrow_mut().steps.extend([Ok(Step::Pause(cut)), Ok(Step::Ready)]);
            until(|| run.connected.get() == 0).await;
            until(|| run.connected.get() == 1).await;
            run.advance(Phase::End);
            until(|| run.alive.get() == 0).await;
            assert_eq!(run.recorder.borrow().counts.cut_short, cut_short, "{protocol}");
        });
    }
}

#[test]
fn a_poll_that_fails_is_asked_again_and_an_answer_brings_it_back() {
    let spec = CellSpec { reconnect: Reconnect::Backoff, ..of("long-poll", spec(1000.0)) };
    live(spec, async |run, script| {
        let failed = Failure::new(protocol::Phase::Receive, Kind::Status(503), "deploying");
        script.borrow_mut().steps.extend([Err(failed), Ok(Step::Received)]);
        until(|| run.connected.get() == 0).await;
        until(|| run.connected.get() == 1).await;
        run.advance(Phase::End);
        until(|| run.alive.get() == 0).await;
        let recorder = run.recorder.borrow();
        assert_eq!(
            (recorder.counts.cut_short, recorder.failure_count()),
            (0, 1),
            "it resumes behind its cursor"
        );
    });
}

#[test]
fn who_is_not_back_when_the_window_ends_is_cut_short_whatever_its_protocol_does() {
    live(of("sse", spec(1000.0)), async |run, script| {
        let cut = Pause::Reconnect(Duration::from_secs(1000), cut());
        script.borrow_mut().steps.push_back(Ok(Step::Pause(cut)));
        until(|| run.connected.get() == 0).await;
        run.advance(Phase::End);
        until(|| run.alive.get() == 0).await;
        assert_eq!(run.recorder.borrow().counts.cut_short, 1);
    });
}

/// Whichever comes first, the event or the answer to its publishing, the loop goes on when both have come.
#[test]
fn a_closed_loop_goes_on_whatever_comes_first() {
    for event_first in [true, false] {
        live(of("sse", closed()), async |run, script| {
            script.borrow_mut().sends = Sends::WithTickets;
            for event in 0..20u8 {
                until(|| script.borrow().taken.len() == usize::from(event) + 1).await;
                let steps: [fn(&mut Play, u8); 2] =
                    [|play, event| play.come_back(event), |play, event| play.answer(event, Ok(()))];
                for step in if event_first { [0, 1] } else { [1, 0] } {
                    assert_eq!(script.borrow().taken.len(), usize::from(event) + 1, "one at a time");
                    steps[step](&mut script.borrow_mut(), event);
                    until(|| script.borrow().arriving.is_empty() && script.borrow().answers.is_empty()).await;
                }
            }
            let recorder = run.recorder.borrow();
            assert_eq!((recorder.counts.delivered, recorder.counts.shed), (20, 0), "{event_first}");
            assert_eq!(recorder.report().answer.count, 20);
        });
    }
}

#[test]
fn an_event_that_comes_back_twice_makes_room_for_one() {
    live(closed(), async |run, script| {
        script.borrow_mut().sends = Sends::Everything;
        until(|| script.borrow().taken.len() == 1).await;
        (0..3).for_each(|_| script.borrow_mut().come_back(0));
        until(|| script.borrow().arriving.is_empty()).await;
        until(|| script.borrow().taken.len() == 2).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(script.borrow().taken.len(), 2);
        assert_eq!(run.recorder.borrow().counts.duplicates, 2);
    });
}

#[test]
fn an_event_that_does_not_come_back_is_lost_with_its_time_and_does_not_stop_the_loop() {
    let spec = CellSpec { drain_s: 0.005, ..closed() };
    live(spec, async |run, script| {
        script.borrow_mut().sends = Sends::Everything;
        until(|| script.borrow().taken.len() == 1).await;
        until(|| run.now_ns() > 10_000_000).await;
        run.lose_patience();
        until(|| script.borrow().taken.len() == 2).await;
        script.borrow_mut().come_back(1);
        until(|| run.recorder.borrow().counts.delivered == 1).await;
        run.advance(Phase::Drain);
        until(|| run.publishing.get() == 0).await;
        run.advance(Phase::Late);
        run.advance(Phase::End);
        until(|| run.alive.get() == 0).await;
        run.settle();
        let recorder = run.recorder.borrow();
        assert_eq!((recorder.counts.delivered, recorder.counts.lost, recorder.counts.censored), (1, 2, 2));
        let report = recorder.report();
        assert!(
            report.response.max_ns > 10_000_000,
            "the first waited since it was due: {:?}",
            report.response.max_ns
        );
        assert_eq!((report.response.events, report.service.events), (3, 1));
    });
}

#[test]
fn waiting_for_an_answer_is_not_the_generators_delay() {
    let spec = CellSpec { in_flight: Some(1), rate_per_s: 200.0, ..of("sse", spec(1000.0)) };
    live(spec, async |run, script| {
        script.borrow_mut().sends = Sends::WithTickets;
        until(|| script.borrow().taken.len() == 1).await;
        script.borrow_mut().come_back(0);
        let answered_ns = run.now_ns() + 50_000_000;
        until(|| run.now_ns() > answered_ns).await;
        script.borrow_mut().answer(0, Ok(()));
        until(|| script.borrow().taken.len() == 2).await;
        let report = run.recorder.borrow().report();
        assert!(report.send_wait.max_ns > 40_000_000, "{:?}", report.send_wait);
        assert!(report.send_lag.max_ns < 40_000_000, "{:?}", report.send_lag);
        run.advance(Phase::Drain);
        until(|| run.publishing.get() == 0).await;
        run.advance(Phase::End);
        until(|| run.alive.get() == 0).await;
        let counts = &run.recorder.borrow().counts;
        assert_eq!((counts.published, counts.unanswered, counts.shed), (2, 1, 0));
        assert!(counts.held_back > 0);
    });
}

#[test]
fn a_publish_that_was_refused_or_never_went_out_is_lost_and_its_payload_crossed_no_wire() {
    live(CellSpec { rate_per_s: 50.0, ..of("sse", spec(1000.0)) }, async |run, script| {
        script.borrow_mut().sends = Sends::WithTickets;
        until(|| script.borrow().taken.len() == 1).await;
        assert_eq!(run.awaiting.get(), 1);
        let refused = Failure::new(protocol::Phase::Connect, Kind::Refused, "nobody there");
        script.borrow_mut().answer(0, Err(refused));
        until(|| run.awaiting.get() == 0).await;
        let recorder = run.recorder.borrow();
        assert_eq!((recorder.counts.published, recorder.counts.published_all_bytes), (1, 0));
        assert_eq!((recorder.counts.published_all, recorder.failure_count()), (0, 1));
    });
}

#[test]
fn who_is_cut_off_is_not_counted_as_connected_until_it_is_back() {
    live(spec(1000.0), async |run, script| {
        assert_eq!(run.connected.get(), 1);
        let cut = Pause::Reconnect(Duration::from_millis(1), cut());
        script.borrow_mut().steps.push_back(Ok(Step::Pause(cut)));
        until(|| run.connected.get() == 0).await;
        script.borrow_mut().steps.push_back(Ok(Step::Ready));
        until(|| run.connected.get() == 1).await;
        assert_eq!(run.recorder.borrow().failure_count(), 1);
    });
}

#[test]
fn what_falls_due_without_a_subscription_is_owed_to_nobody() {
    for (protocol, resumes) in [("websocket", false), ("sse", true)] {
        live(of(protocol, spec(1000.0)), async |run, script| {
            let cut = Pause::Reconnect(Duration::from_millis(1), cut());
            script.borrow_mut().steps.push_back(Ok(Step::Pause(cut)));
            until(|| run.connected.get() == 0).await;
            until(|| run.now_ns() > 5_000_000).await;
            script.borrow_mut().steps.push_back(Ok(Step::Ready));
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
