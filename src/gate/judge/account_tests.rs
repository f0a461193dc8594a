//! Servers that do wrong, and generators that do.

use super::super::tests::{change, every, verdict};
use super::super::{Outcome, Side, Tiers};
use crate::measure::cell::{Cell, Counts, FailureCount, ServerFailure, Status};
use crate::protocol::Kind;

fn corrupt(cell: &mut Cell) {
    cell.counts.corrupt = 12;
}

fn fail(failure: ServerFailure, reason: &str) -> impl Fn(&mut Cell) {
    move |cell| (cell.status, cell.server_failure) = (Status::Failed(reason.to_owned()), Some(failure))
}

/// What the new side does wrong is its result, and not a replicate to be dropped.
#[test]
fn payloads_that_the_new_side_corrupts_are_its_regression() {
    let once = |repeat| repeat == 3;
    for tiers in [Tiers::Exact, Tiers::All] {
        let judgement = verdict(8, tiers, |cells| change(cells, Side::New, once, corrupt));
        assert_eq!(judgement.finding.outcome, Outcome::Regression);
        assert_eq!(
            judgement.finding.why,
            "new: corrupted 12 payloads (in 1 of 8 replicates, the base in none)"
        );
        assert_eq!(
            (judgement.wrong[0].to_string(), judgement.untrusted.len()),
            ("replicate 4, new: corrupted 12 payloads".to_owned(), 0)
        );
    }
    let foreign = |cell: &mut Cell| cell.counts.foreign = 2;
    let judgement = verdict(8, Tiers::All, |cells| change(cells, Side::New, once, foreign));
    assert!(
        judgement.finding.why.contains("new: delivered 2 payloads that nobody had published"),
        "{judgement:?}"
    );
    // Before the base has been seen to be sound twice, that is open.
    let early = verdict(1, Tiers::All, |cells| change(cells, Side::New, every, corrupt));
    assert_eq!((early.finding.outcome, early.finding.settled), (Outcome::Inconclusive, false));
}

#[test]
fn nobody_calls_it_green_where_both_are_broken_or_the_base_is() {
    let both = verdict(8, Tiers::All, |cells| {
        change(cells, Side::Base, every, corrupt);
        change(cells, Side::New, every, corrupt);
    });
    assert_eq!((both.finding.outcome, both.finding.wrong), (Outcome::Inconclusive, true));
    assert_eq!(
        both.finding.why,
        "base: corrupted 12 payloads (in 8 of 8 replicates); new: corrupted 12 payloads (in 8 of 8 replicates): both sides \
         are broken"
    );
    let base = verdict(8, Tiers::Exact, |cells| change(cells, Side::Base, |repeat| repeat == 0, corrupt));
    assert_eq!((base.finding.outcome, base.finding.wrong), (Outcome::Inconclusive, false));
    assert!(base.finding.why.starts_with("base: corrupted 12 payloads (in 1 of 8"), "{}", base.finding.why);
    // What is proven all the same is proven.
    let worse = verdict(8, Tiers::Exact, |cells| {
        change(cells, Side::Base, |repeat| repeat == 0, corrupt);
        change(cells, Side::New, every, |cell| cell.counts.corrupt = 900);
    });
    assert_eq!(worse.finding.outcome, Outcome::Regression, "{}", worse.finding.why);
    assert!(worse.finding.why.contains("corrupt is 900, was 0 to 12"), "{}", worse.finding.why);
}

#[test]
fn clients_that_the_new_side_turns_away_are_its_regression_and_the_generators_own_are_dropped() {
    let cut = |cell: &mut Cell| cell.counts.cut_short = 3;
    let judgement = verdict(8, Tiers::All, |cells| change(cells, Side::New, |repeat| repeat > 5, cut));
    assert_eq!(judgement.finding.outcome, Outcome::Regression);
    assert!(
        judgement.finding.why.contains("new: 3 of 20 clients were cut short (in 2 of 8"),
        "{}",
        judgement.finding.why
    );
    let no_ports = |cell: &mut Cell| {
        cell.counts.connected = 15;
        let kind = Kind::NoPorts.to_string();
        cell.failures.push(FailureCount { phase: "connect".into(), kind, count: 5, example: String::new() });
    };
    let judgement = verdict(9, Tiers::All, |cells| change(cells, Side::New, |repeat| repeat == 2, no_ports));
    assert_eq!(
        (judgement.finding.outcome, judgement.replicates),
        (Outcome::Pass, 8),
        "{}",
        judgement.finding.why
    );
    assert!(
        judgement.wrong.is_empty() && judgement.untrusted[0].what.contains("no local port"),
        "{judgement:?}"
    );
}

/// Nothing lost, nothing cut, nothing owed: two servers that refuse every publish agree on everything.
#[test]
fn a_side_that_delivers_nothing_is_no_side_that_agrees() {
    let mute = |cell: &mut Cell| {
        let connected = cell.counts.connected;
        cell.counts = Counts { connected, ..Counts::default() };
        let kind = "HTTP status 415".to_owned();
        cell.failures.push(FailureCount { phase: "publish".into(), kind, count: 5, example: String::new() });
    };
    let both = verdict(2, Tiers::Exact, |cells| {
        change(cells, Side::Base, every, mute);
        change(cells, Side::New, every, mute);
    });
    assert_eq!(both.finding.outcome, Outcome::Inconclusive, "{}", both.finding.why);
    assert!(both.finding.why.contains("new: delivered nothing (in 2 of 2"), "{}", both.finding.why);
    let new = verdict(2, Tiers::Exact, |cells| change(cells, Side::New, every, mute));
    assert_eq!(new.finding.outcome, Outcome::Regression);
}

/// A checksum does not hang on how busy the machine is: that the replicate's figures do not count hides no corruption.
#[test]
fn what_was_corrupted_in_a_replicate_that_does_not_count_was_corrupted() {
    let judgement = verdict(9, Tiers::All, |cells| {
        change(cells, Side::New, |repeat| repeat == 2, corrupt);
        change(cells, Side::Base, |repeat| repeat == 2, |cell| cell.host.steal_share = Some(0.4));
    });
    assert_eq!((judgement.finding.outcome, judgement.replicates), (Outcome::Regression, 8), "{judgement:?}");
}

#[test]
fn a_server_that_dies_under_load_where_the_base_lives_is_a_regression() {
    let ended =
        |signal| fail(ServerFailure::Ended { signal }, "the server ended with exit code 1 in mid-run");
    let first = |repeat| repeat == 0;
    let died = verdict(2, Tiers::All, |cells| change(cells, Side::New, first, ended(None)));
    assert_eq!((died.finding.outcome, died.finding.settled, died.broken), (Outcome::Regression, true, None));
    assert_eq!(
        died.finding.why,
        "new: the server ended with exit code 1 in mid-run (in 1 of 2 replicates, the base in none)"
    );
    // One that was killed may have been in the way of the kernel or of somebody; twice is no chance.
    let killed = verdict(2, Tiers::All, |cells| change(cells, Side::New, first, ended(Some(libc::SIGKILL))));
    assert_eq!((killed.finding.outcome, killed.finding.wrong), (Outcome::Inconclusive, false));
    let twice = verdict(4, Tiers::All, |cells| {
        change(cells, Side::New, |repeat| repeat < 2, ended(Some(libc::SIGKILL)))
    });
    assert_eq!(twice.finding.outcome, Outcome::Regression, "{}", twice.finding.why);
    let crashed = verdict(2, Tiers::All, |cells| change(cells, Side::New, first, ended(Some(libc::SIGSEGV))));
    assert_eq!(crashed.finding.outcome, Outcome::Regression, "{}", crashed.finding.why);
    // The base's own end proves nothing of the new side, and is no pass.
    let base = verdict(9, Tiers::All, |cells| change(cells, Side::Base, first, ended(None)));
    assert_eq!((base.finding.outcome, base.finding.settled), (Outcome::Inconclusive, true));
    assert!(base.finding.why.starts_with("base: the server ended"), "{}", base.finding.why);
}

#[test]
fn a_server_that_was_never_ready_is_the_surroundings_trouble_and_one_that_was_is_its_own() {
    let never = || fail(ServerFailure::NotReady, "the server ended with exit code 9");
    let at_once = verdict(1, Tiers::All, |cells| change(cells, Side::New, every, never()));
    assert_eq!(
        at_once.broken.map(|remark| remark.to_string()).as_deref(),
        Some("replicate 1, new: failed: the server ended with exit code 9")
    );
    assert_eq!((at_once.finding.outcome, at_once.wrong.len()), (Outcome::Inconclusive, 0));
    let later = |count: u32| {
        verdict(4, Tiers::All, |cells| change(cells, Side::New, move |repeat| repeat >= 4 - count, never()))
    };
    let [once, twice] = [1, 2].map(later);
    assert_eq!((once.broken, once.finding.outcome), (None, Outcome::Inconclusive));
    assert_eq!(twice.finding.outcome, Outcome::Regression, "{}", twice.finding.why);
}
