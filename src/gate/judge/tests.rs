#![allow(clippy::unwrap_used)]

use super::*;
use crate::gate::{PRIMARY, sides_of};
use crate::measure::cell::{FailureCount, Slice, Trust, TrustLevel};
use crate::measure::sample;
use crate::measure::trust;
use crate::protocol::Kind;
use crate::scenario::plan::CellSpec;

pub(crate) fn file(change: impl FnOnce(&mut GateFile)) -> GateFile {
    let mut file = GateFile {
        sides: ["old", "new"].map(str::to_owned),
        tiers: Tiers::All,
        metric: PRIMARY.to_owned(),
        min_effect: 0.02,
        cells: Vec::new(),
        selftest: false,
        baseline: None,
    };
    change(&mut file);
    file
}

/// Replicates whose new side costs `ratio` times the base, give or take what the machine does meanwhile.
pub(crate) fn replicates(count: u32, ratio: impl Fn(u32) -> f64) -> Vec<Cell> {
    (0..count).flat_map(|number| replicate(number, ratio(number))).collect()
}

pub(super) fn replicate(number: u32, ratio: f64) -> [Cell; 2] {
    let specs = sides_of(&CellSpec { name: "echo".into(), ..CellSpec::example() }, number);
    let mut factor = 1.0;
    specs.map(|spec| {
        // Every third pair of slices saw a slow machine; one that both saw.
        let slice = |index: u32| Slice {
            delivered: 1_000,
            server_cpu_ns: Some((9e6 * factor * if index.is_multiple_of(3) { 1.3 } else { 1.0 }) as u64),
            generator_cpu_ns: None,
        };
        let cell = sample::cell("echo").stream(2.0, 6.0).cpu_us(9).with(|cell| {
            cell.spec = spec;
            cell.slices = (0..6).map(slice).collect();
        });
        factor = ratio;
        cell.build()
    })
}

pub(super) fn judged(file: &GateFile, cells: &[Cell]) -> Judgement {
    judge(file, "echo", cells, &HostFacts::default())
}

/// A little more and a little less, evenly.
pub(crate) fn about(ratio: f64) -> impl Fn(u32) -> f64 {
    move |number| ratio * (1.0 + 0.002 * (f64::from(number % 4) - 1.5))
}

#[test]
fn what_costs_more_is_a_regression_and_what_costs_the_same_passes() {
    let slower = judged(&file(|_| {}), &replicates(8, about(1.03)));
    assert_eq!(slower.finding.outcome, Outcome::Regression, "{}", slower.finding.why);
    let row = &slower.noisy[0];
    assert!(row.decides && (row.ratio - 1.03).abs() < 0.001 && row.limits.low > 1.02, "{row:?}");
    assert!(slower.finding.why.contains("+3.0% worse"), "{}", slower.finding.why);
    for ratio in [1.0, 0.9, 1.005] {
        let same = judged(&file(|_| {}), &replicates(8, about(ratio)));
        assert_eq!(same.finding.outcome, Outcome::Pass, "{ratio}: {}", same.finding.why);
    }
}

#[test]
fn before_the_first_look_nothing_is_proven() {
    let early = judged(&file(|_| {}), &replicates(7, about(1.5)));
    assert_eq!((early.finding.outcome, early.finding.settled), (Outcome::Inconclusive, false));
}

#[test]
fn a_metric_of_which_more_is_better_is_worse_when_it_falls() {
    let file = file(|file| file.metric = "delivered_per_s".to_owned());
    let mut cells = replicates(8, about(1.0));
    for cell in cells.iter_mut().filter(|cell| cell.spec.name.starts_with("new/")) {
        cell.measured_s *= 1.1 + 0.001 * f64::from(cell.spec.repeat);
    }
    let fewer = judged(&file, &cells);
    assert_eq!(fewer.finding.outcome, Outcome::Regression, "{}", fewer.finding.why);
    let row = &fewer.noisy[0];
    assert!(row.ratio < 0.92 && row.limits.high < 1.0, "{row:?}");
}

#[test]
fn half_a_replicate_and_one_that_cannot_be_believed_do_not_count() {
    let mut cells = replicates(9, about(1.0));
    cells.pop();
    assert_eq!(judged(&file(|_| {}), &cells).replicates, 8);
    let reasons = vec!["the hypervisor took 40% of the processor time".to_owned()];
    cells[3].trust = Trust { level: TrustLevel::Invalid, reasons };
    let judgement = judged(&file(|_| {}), &cells);
    assert_eq!(judgement.replicates, 7);
    assert_eq!(
        judgement.untrusted,
        ["replicate 2, new: invalid: the hypervisor took 40% of the processor time"]
    );
}

#[test]
fn a_byte_more_is_proven_by_two_replicates_whatever_the_cost() {
    for tiers in [Tiers::Exact, Tiers::All] {
        let mut cells = replicates(2, about(0.5));
        for cell in cells.iter_mut().filter(|cell| cell.spec.name.starts_with("new/")) {
            cell.subscriber_wire.in_bytes += cell.counts.delivered_all;
        }
        let judgement = judged(&file(|file| file.tiers = tiers), &cells);
        assert_eq!(judgement.finding.outcome, Outcome::Regression);
        assert_eq!(judgement.finding.why, "framing_in_bytes_per_delivery is 3 B, was 2 B");
    }
    let same = judged(&file(|file| file.tiers = Tiers::Exact), &replicates(2, about(9.0)));
    assert_eq!((same.finding.outcome, same.noisy.len()), (Outcome::Pass, 0));
}

#[test]
fn without_a_known_process_nothing_is_said_of_cost() {
    let mut cells = replicates(8, about(1.0));
    for cell in &mut cells {
        cell.server = None;
        cell.slices.iter_mut().for_each(|slice| slice.server_cpu_ns = None);
    }
    let judgement = judged(&file(|_| {}), &cells);
    assert_eq!(judgement.finding.outcome, Outcome::Inconclusive);
    assert!(judgement.finding.why.contains("--base-pid"), "{}", judgement.finding.why);
}

#[test]
fn a_baseline_of_another_machine_says_nothing_of_cost() {
    let elsewhere = HostFacts { kernel: Some("5.4".into()), ..HostFacts::default() };
    let file = file(|file| file.baseline = Some(elsewhere));
    let judgement = judged(&file, &replicates(8, about(1.0)));
    assert_eq!((judgement.finding.outcome, judgement.finding.settled), (Outcome::Inconclusive, true));
    assert!(
        judgement.finding.why.contains("the kernel is unknown, and was 5.4"),
        "{}",
        judgement.finding.why
    );
}

/// Changes the cells of a side, of the replicates that are chosen.
fn change(cells: &mut [Cell], side: &str, of: impl Fn(u32) -> bool, change: impl Fn(&mut Cell)) {
    for cell in cells.iter_mut().filter(|cell| cell.spec.name.starts_with(side) && of(cell.spec.repeat)) {
        change(cell);
        cell.trust = trust::judge(cell);
    }
}

fn every(_: u32) -> bool {
    true
}

fn corrupt(cell: &mut Cell) {
    cell.counts.corrupt = 12;
}

fn lose(count: u64) -> impl Fn(&mut Cell) {
    move |cell| {
        cell.counts.lost = count;
        cell.counts.delivered = cell.counts.expected - count;
    }
}

fn fail(failure: ServerFailure, reason: &str) -> impl Fn(&mut Cell) {
    move |cell| (cell.status, cell.server_failure) = (Status::Failed(reason.to_owned()), Some(failure))
}

/// A verdict on so many replicates of equal cost, some of which were changed.
fn verdict(count: u32, tiers: Tiers, change: impl FnOnce(&mut Vec<Cell>)) -> Judgement {
    let mut cells = replicates(count, about(1.0));
    change(&mut cells);
    judged(&file(|file| file.tiers = tiers), &cells)
}

/// What the new side does wrong is its result, and not a replicate to be dropped.
#[test]
fn payloads_that_the_new_side_corrupts_are_its_regression() {
    let once = |repeat| repeat == 3;
    for tiers in [Tiers::Exact, Tiers::All] {
        let judgement = verdict(8, tiers, |cells| change(cells, "new/", once, corrupt));
        assert_eq!(judgement.finding.outcome, Outcome::Regression);
        assert_eq!(
            judgement.finding.why,
            "new: corrupted 12 payloads, in 1 of 8 replicates; the base did nothing like it"
        );
        assert_eq!(
            (judgement.wrong, judgement.untrusted.len()),
            (vec!["replicate 4, new: corrupted 12 payloads".to_owned()], 0)
        );
    }
    let foreign = |cell: &mut Cell| cell.counts.foreign = 2;
    let judgement = verdict(8, Tiers::All, |cells| change(cells, "new/", once, foreign));
    assert!(
        judgement.finding.why.contains("new: delivered 2 payloads that nobody had published"),
        "{judgement:?}"
    );
    // Before the base has been seen to be sound twice, that is open.
    let early = verdict(1, Tiers::All, |cells| change(cells, "new/", every, corrupt));
    assert_eq!((early.finding.outcome, early.finding.settled), (Outcome::Inconclusive, false));
}

#[test]
fn nobody_calls_it_green_where_both_are_broken_or_the_base_is() {
    let both = verdict(8, Tiers::All, |cells| {
        change(cells, "base/", every, corrupt);
        change(cells, "new/", every, corrupt);
    });
    assert_eq!((both.finding.outcome, both.finding.wrong), (Outcome::Inconclusive, true));
    assert_eq!(
        both.finding.why,
        "base: corrupted 12 payloads, in 8 of 8 replicates; new: corrupted 12 payloads, in 8 of 8 replicates: both sides \
         are broken"
    );
    let base = verdict(8, Tiers::Exact, |cells| change(cells, "base/", |repeat| repeat == 0, corrupt));
    assert_eq!((base.finding.outcome, base.finding.wrong), (Outcome::Inconclusive, false));
    assert!(base.finding.why.starts_with("base: corrupted 12 payloads, in 1 of 8"), "{}", base.finding.why);
    // What is proven all the same is proven.
    let worse = verdict(8, Tiers::Exact, |cells| {
        change(cells, "base/", |repeat| repeat == 0, corrupt);
        change(cells, "new/", every, |cell| cell.counts.corrupt = 900);
    });
    assert_eq!(worse.finding.outcome, Outcome::Regression, "{}", worse.finding.why);
    assert!(worse.finding.why.contains("corrupt is 900, was 0 to 12"), "{}", worse.finding.why);
}

#[test]
fn clients_that_the_new_side_turns_away_are_its_regression_and_the_generators_own_are_dropped() {
    let cut = |cell: &mut Cell| cell.counts.cut_short = 3;
    let judgement = verdict(8, Tiers::All, |cells| change(cells, "new/", |repeat| repeat > 5, cut));
    assert_eq!(judgement.finding.outcome, Outcome::Regression);
    assert!(
        judgement.finding.why.contains("new: 3 of 20 clients were cut short, in 2 of 8"),
        "{}",
        judgement.finding.why
    );
    let no_ports = |cell: &mut Cell| {
        cell.counts.connected = 15;
        let kind = Kind::NoPorts.to_string();
        cell.failures.push(FailureCount { phase: "connect".into(), kind, count: 5, example: String::new() });
    };
    let judgement = verdict(9, Tiers::All, |cells| change(cells, "new/", |repeat| repeat == 2, no_ports));
    assert_eq!(
        (judgement.finding.outcome, judgement.replicates),
        (Outcome::Pass, 8),
        "{}",
        judgement.finding.why
    );
    assert!(judgement.wrong.is_empty() && judgement.untrusted[0].contains("no local port"), "{judgement:?}");
}

/// A checksum does not hang on how busy the machine is: that the replicate's figures do not count hides no corruption.
#[test]
fn what_was_corrupted_in_a_replicate_that_does_not_count_was_corrupted() {
    let judgement = verdict(9, Tiers::All, |cells| {
        change(cells, "new/", |repeat| repeat == 2, corrupt);
        change(cells, "base/", |repeat| repeat == 2, |cell| cell.host.steal_share = Some(0.4));
    });
    assert_eq!((judgement.finding.outcome, judgement.replicates), (Outcome::Regression, 8), "{judgement:?}");
}

#[test]
fn a_server_that_dies_under_load_where_the_base_lives_is_a_regression() {
    let ended =
        |signal| fail(ServerFailure::Ended { signal }, "the server ended with exit code 1 in mid-run");
    let first = |repeat| repeat == 0;
    let died = verdict(2, Tiers::All, |cells| change(cells, "new/", first, ended(None)));
    assert_eq!((died.finding.outcome, died.finding.settled, died.broken), (Outcome::Regression, true, None));
    assert_eq!(
        died.finding.why,
        "new: the server ended with exit code 1 in mid-run, in 1 of 2 replicates; the base did nothing like it"
    );
    // One that was killed may have been in the way of the kernel or of somebody; twice is no chance.
    let killed = verdict(2, Tiers::All, |cells| change(cells, "new/", first, ended(Some(libc::SIGKILL))));
    assert_eq!((killed.finding.outcome, killed.finding.wrong), (Outcome::Inconclusive, false));
    let twice = verdict(4, Tiers::All, |cells| {
        change(cells, "new/", |repeat| repeat < 2, ended(Some(libc::SIGKILL)))
    });
    assert_eq!(twice.finding.outcome, Outcome::Regression, "{}", twice.finding.why);
    let crashed = verdict(2, Tiers::All, |cells| change(cells, "new/", first, ended(Some(libc::SIGSEGV))));
    assert_eq!(crashed.finding.outcome, Outcome::Regression, "{}", crashed.finding.why);
    // The base's own end proves nothing of the new side, and is no pass.
    let base = verdict(9, Tiers::All, |cells| change(cells, "base/", first, ended(None)));
    assert_eq!((base.finding.outcome, base.finding.settled), (Outcome::Inconclusive, true));
    assert!(base.finding.why.starts_with("base: the server ended"), "{}", base.finding.why);
}

#[test]
fn a_server_that_was_never_ready_is_the_surroundings_trouble_and_one_that_was_is_its_own() {
    let never = || fail(ServerFailure::NotReady, "the server ended with exit code 9");
    let at_once = verdict(1, Tiers::All, |cells| change(cells, "new/", every, never()));
    assert_eq!(
        at_once.broken.as_deref(),
        Some("replicate 1, new: failed: the server ended with exit code 9")
    );
    assert_eq!((at_once.finding.outcome, at_once.wrong.len()), (Outcome::Inconclusive, 0));
    let later = |count: u32| {
        verdict(4, Tiers::All, |cells| change(cells, "new/", move |repeat| repeat >= 4 - count, never()))
    };
    let [once, twice] = [1, 2].map(later);
    assert_eq!((once.broken, once.finding.outcome), (None, Outcome::Inconclusive));
    assert_eq!(twice.finding.outcome, Outcome::Regression, "{}", twice.finding.why);
}

/// One lost message of the base, once, is no licence to lose half in every replicate.
#[test]
fn a_side_that_loses_half_does_not_pass_because_the_base_lost_one_once() {
    let judgement = |count: u32, tiers| {
        verdict(count, tiers, |cells| {
            change(cells, "base/", |repeat| repeat == 1, lose(1));
            change(cells, "new/", every, lose(13_500));
        })
    };
    for tiers in [Tiers::Exact, Tiers::All] {
        let early = judgement(4, tiers).finding;
        assert_eq!((early.outcome, early.settled), (Outcome::Inconclusive, false), "{}", early.why);
        assert!(early.why.contains("lost"), "{}", early.why);
        let proven = judgement(5, tiers).finding;
        assert_eq!((proven.outcome, proven.settled), (Outcome::Regression, true), "{}", proven.why);
    }
    let why = judgement(4, Tiers::Exact).finding.why;
    assert!(why.ends_with("the base does not agree with itself, and it takes 5 replicates to tell"), "{why}");
    let why = judgement(5, Tiers::Exact).finding.why;
    assert!(
        why.starts_with("delivered is 13,500, was 27,000 to 26,999; lost is 13,500, was 0 to 1;"),
        "{why}"
    );
    assert!(why.ends_with(": worse in every replicate (p = 0.4%)"), "{why}");
}

#[test]
fn what_the_base_does_now_and_then_is_named_where_it_passes() {
    let now_and_then = |cells: &mut Vec<Cell>| {
        change(cells, "base/", |repeat| repeat == 2, lose(1));
        change(cells, "new/", |repeat| repeat == 4, lose(1));
    };
    for (count, tiers) in [(5, Tiers::Exact), (8, Tiers::All)] {
        let same = verdict(count, tiers, now_and_then);
        assert_eq!(same.finding.outcome, Outcome::Pass, "{}", same.finding.why);
        assert!(same.finding.why.contains("lost is 0 to 1, was 0 to 1"), "{}", same.finding.why);
    }
    let few = verdict(3, Tiers::Exact, now_and_then);
    assert_eq!((few.finding.outcome, few.finding.settled), (Outcome::Inconclusive, false));
    let worse = verdict(8, Tiers::All, |cells| {
        now_and_then(cells);
        change(cells, "new/", |repeat| repeat % 2 == 0, lose(500));
    });
    assert_eq!((worse.finding.outcome, worse.finding.settled), (Outcome::Inconclusive, false));
    assert!(worse.finding.why.contains("it looks worse"), "{}", worse.finding.why);
}

/// Four replicates that count tell nothing of costs, and from another host none do; bytes they tell all the same.
#[test]
fn a_baseline_says_of_costs_only_what_it_can_know() {
    let against = |count: u32, tiers, ratio: f64, longer: bool| {
        let mut cells = replicates(count, about(ratio));
        let [of_base, of_new] =
            ["base/", "new/"].map(|side| move |cell: &&mut Cell| cell.spec.name.starts_with(side));
        for (index, cell) in cells.iter_mut().filter(of_base).enumerate() {
            // No two runs of one program cost quite the same.
            cell.server.as_mut().unwrap().cpu_ns = Some(240_000_000 + index as u64 * 1_000_000);
        }
        for (index, cell) in cells.iter_mut().filter(of_new).enumerate() {
            cell.server.as_mut().unwrap().cpu_ns =
                Some(((240_500_000 + index as u64 * 1_000_000) as f64 * ratio) as u64);
            cell.subscriber_wire.in_bytes += if longer { cell.counts.delivered_all } else { 0 };
        }
        let file = file(|file| (file.baseline, file.tiers) = (Some(HostFacts::default()), tiers));
        judged(&file, &cells).finding
    };
    for count in [2, 4] {
        let few = against(count, Tiers::All, 1.0, false);
        assert_eq!((few.outcome, few.settled), (Outcome::Inconclusive, true), "{}", few.why);
        assert!(
            few.why.contains(&format!("{count} replicates that count tell nothing of costs")),
            "{}",
            few.why
        );
        assert_eq!(against(count, Tiers::Exact, 1.0, false).outcome, Outcome::Pass);
        assert_eq!(against(count, Tiers::All, 1.0, true).outcome, Outcome::Regression, "bytes are bytes");
    }
    let enough = against(8, Tiers::All, 1.0, false);
    assert_eq!(enough.outcome, Outcome::Pass, "{}", enough.why);
    assert!(enough.why.contains("+35.0% is excluded"), "{}", enough.why);
    assert_eq!(against(8, Tiers::All, 2.0, false).outcome, Outcome::Regression);
    assert_eq!(against(8, Tiers::All, 1.2, false).outcome, Outcome::Inconclusive);
}
