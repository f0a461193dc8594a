#![allow(clippy::unwrap_used)]

use super::*;
use crate::gate::{PRIMARY, sides_of};
use crate::measure::cell::{Slice, Trust, TrustLevel};
use crate::measure::sample;
use crate::measure::trust;
use crate::scenario::spec::CellSpec;

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
    let specs = sides_of(&CellSpec::example(), number);
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
    judge(file, &CellSpec::example().id, cells, &HostFacts::default())
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
    for cell in cells.iter_mut().filter(|cell| cell.spec.id.side == Some(Side::New)) {
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
        judgement.untrusted[0].to_string(),
        "replicate 2, new: invalid: the hypervisor took 40% of the processor time"
    );
}

#[test]
fn a_byte_more_is_proven_by_two_replicates_whatever_the_cost() {
    for tiers in [Tiers::Exact, Tiers::All] {
        let mut cells = replicates(2, about(0.5));
        for cell in cells.iter_mut().filter(|cell| cell.spec.id.side == Some(Side::New)) {
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
pub(crate) fn change(cells: &mut [Cell], side: Side, of: impl Fn(u32) -> bool, change: impl Fn(&mut Cell)) {
    for cell in cells.iter_mut().filter(|cell| cell.spec.id.side == Some(side) && of(cell.spec.repeat)) {
        change(cell);
        cell.trust = trust::judge(cell);
    }
}

pub(super) fn every(_: u32) -> bool {
    true
}

fn lose(count: u64) -> impl Fn(&mut Cell) {
    move |cell| {
        cell.counts.lost = count;
        cell.counts.delivered = cell.counts.expected - count;
    }
}

/// A verdict on so many replicates of equal cost, some of which were changed.
pub(super) fn verdict(count: u32, tiers: Tiers, change: impl FnOnce(&mut Vec<Cell>)) -> Judgement {
    let mut cells = replicates(count, about(1.0));
    change(&mut cells);
    judged(&file(|file| file.tiers = tiers), &cells)
}

/// One lost message of the base, once, is no licence to lose half in every replicate.
#[test]
fn a_side_that_loses_half_does_not_pass_because_the_base_lost_one_once() {
    let judgement = |count: u32, tiers| {
        verdict(count, tiers, |cells| {
            change(cells, Side::Base, |repeat| repeat == 1, lose(1));
            change(cells, Side::New, every, lose(13_500));
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
        change(cells, Side::Base, |repeat| repeat == 2, lose(1));
        change(cells, Side::New, |repeat| repeat == 4, lose(1));
    };
    for (count, tiers) in [(5, Tiers::Exact), (8, Tiers::All)] {
        let same = verdict(count, tiers, now_and_then);
        assert_eq!(same.finding.outcome, Outcome::Pass, "{}", same.finding.why);
        assert!(same.finding.why.contains("agree with itself on delivered, lost, "), "{}", same.finding.why);
    }
    let few = verdict(3, Tiers::Exact, now_and_then);
    assert_eq!((few.finding.outcome, few.finding.settled), (Outcome::Inconclusive, false));
    let worse = verdict(8, Tiers::All, |cells| {
        now_and_then(cells);
        change(cells, Side::New, |repeat| repeat % 2 == 0, lose(500));
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
            Side::BOTH.map(|side| move |cell: &&mut Cell| cell.spec.id.side == Some(side));
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
