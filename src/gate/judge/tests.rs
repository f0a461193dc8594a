#![allow(clippy::unwrap_used)]

use super::*;
use crate::gate::{PRIMARY, sides_of};
use crate::measure::cell::{Slice, Trust};
use crate::measure::sample;
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

fn replicate(number: u32, ratio: f64) -> [Cell; 2] {
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

fn judged(file: &GateFile, cells: &[Cell]) -> Judgement {
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
    let judgement = judged(&file, &replicates(8, about(3.0)));
    assert_eq!(judgement.finding.outcome, Outcome::Pass);
    assert!(
        judgement.finding.why.contains("the kernel is unknown, and was 5.4"),
        "{}",
        judgement.finding.why
    );
}
