#![allow(clippy::unwrap_used)]

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use super::*;
use crate::measure::cell::FailureCount;
use crate::measure::sample;
use crate::random::unit;
use crate::stats::proportion;

fn cell(lost: u64) -> Cell {
    let lose = |cell: &mut Cell| {
        cell.counts.lost = lost;
        cell.counts.delivered = cell.counts.expected - lost;
    };
    sample::cell("workload/websocket").stream(2.0, 6.0).with(lose).build()
}

/// What replicates say of which the two sides lost so many.
fn of_losses(base: &[u64], new: &[u64]) -> Findings {
    let [base, new] = [base, new].map(|side| side.iter().map(|&lost| cell(lost)).collect::<Vec<_>>());
    of_cells(&base, &new)
}

fn of_cells(base: &[Cell], new: &[Cell]) -> Findings {
    compare(&base.iter().collect::<Vec<_>>(), &new.iter().collect::<Vec<_>>())
}

fn standing(findings: &Findings, metric: &str) -> Standing {
    findings.unsteady.iter().find(|unsteady| unsteady.metric == metric).unwrap().standing
}

fn is_worse(findings: &Findings) -> bool {
    findings.differences.iter().any(|difference| difference.worse)
}

#[test]
fn any_difference_is_a_difference_in_its_direction() {
    let same = of_losses(&[0, 0], &[0, 0]);
    assert!(same.differences.is_empty() && same.unsteady.is_empty() && same.agree > 5, "{same:?}");
    let findings = of_losses(&[0, 0], &[0, 1]);
    let find = |metric: &str| findings.differences.iter().find(|difference| difference.metric == metric);
    assert!(
        find("lost").is_some_and(|lost| lost.worse && (lost.base, lost.new) == (0.0, 1.0)),
        "{findings:?}"
    );
    let delivered = find("delivered").unwrap();
    assert!(delivered.worse && (delivered.base, delivered.new) == (27_000.0, 26_999.0), "{delivered:?}");
    let mended = of_losses(&[1, 1], &[0, 0]);
    assert!(!is_worse(&mended) && !mended.differences.is_empty(), "{mended:?}");
}

#[test]
fn a_byte_of_framing_is_seen() {
    let longer = || sample::cell("workload/websocket").stream(3.0, 6.0).build();
    let findings = of_cells(&[cell(0), cell(0)], &[longer(), longer()]);
    let framing = |difference: &&Difference| difference.metric == "framing_in_bytes_per_delivery";
    assert!(findings.differences.iter().find(framing).is_some_and(|d| d.worse), "{findings:?}");
}

/// One lost message in one base replicate must not let a side pass that loses half in every one.
#[test]
fn a_side_that_is_worse_in_every_replicate_is_worse_whatever_the_base_does_now_and_then() {
    let half = [13_500; 8];
    for (count, expected) in [(2, None), (4, None), (5, Some(1.0 / 252.0)), (8, Some(1.0 / 252.0))] {
        let mut base = vec![0; count];
        base[1] = 1;
        let findings = of_losses(&base, &half[..count]);
        let expected = expected.map_or(Standing::TooFew, |chance| Standing::Worse { chance });
        assert!(!is_worse(&findings), "of nothing here the base agrees with itself: {findings:?}");
        for metric in ["lost", "lost_percent", "lost_silently", "delivered"] {
            assert_eq!(standing(&findings, metric), expected, "{metric} of {count} replicates");
        }
        let lost = findings.unsteady.iter().find(|unsteady| unsteady.metric == "lost").unwrap();
        assert_eq!((lost.base, lost.new), ([0.0, 1.0], [13_500.0, 13_500.0]));
    }
}

#[test]
fn what_the_base_does_now_and_then_the_new_side_may_do_too() {
    assert_eq!(standing(&of_losses(&[0, 0, 1, 0, 0], &[0, 0, 0, 0, 1]), "lost"), Standing::Alike);
    assert_eq!(standing(&of_losses(&[3, 2, 7, 4, 4], &[5, 2, 8, 1, 4]), "lost"), Standing::Alike);
    // Two replicates tell nothing of it.
    assert_eq!(standing(&of_losses(&[0, 1], &[1, 0]), "lost"), Standing::TooFew);
}

#[test]
fn what_looks_worse_and_cannot_be_proven_is_no_pass() {
    // By how much: the base lost one message once.
    assert_eq!(standing(&of_losses(&[0, 0, 1, 0, 0], &[0, 500, 0, 500, 0]), "lost"), Standing::Suspect);
    // How often: P(a rank sum this large) = 6/252.
    let often = of_losses(&[0, 1, 0, 0, 1], &[2, 2, 1, 2, 2]);
    assert_eq!(standing(&often, "lost"), Standing::Suspect);
}

/// What a look has said stands, whatever comes later, and nothing is said between looks.
#[test]
fn only_looks_decide() {
    let (base, new) = ([0, 1, 0, 0, 0, 0, 0, 0], [9, 9, 9, 9, 9, 0, 0, 0]);
    let of = |count: usize| standing(&of_losses(&base[..count], &new[..count]), "lost");
    assert_eq!(of(4), Standing::TooFew);
    for count in 5..=8 {
        assert_eq!(of(count), Standing::Worse { chance: 1.0 / 252.0 }, "{count}");
    }
}

/// A second metric with two halves of its own doubles the chance of an alarm: that takes the next look.
#[test]
fn more_unsteady_metrics_take_more_replicates() {
    let cells = |count: usize, lost: u64| -> Vec<Cell> {
        let noisy = |index: usize| {
            let mut cell = cell(lost + index as u64 % 2);
            // Half of the cells of either side reorder something.
            cell.counts.reordered = 5 + index as u64;
            cell
        };
        (0..count).map(noisy).collect()
    };
    let of = |count| standing(&of_cells(&cells(count, 0), &cells(count, 9_000)), "lost");
    assert_eq!(of(5), Standing::Worse { chance: 1.0 / 252.0 }, "ties at the middle make no halves");
    let shifted = |count: usize| {
        let mut new = cells(count, 9_000);
        new.iter_mut().for_each(|cell| cell.counts.reordered = 2 * cell.counts.reordered - 3);
        standing(&of_cells(&cells(count, 0), &new), "lost")
    };
    assert_eq!((shifted(5), shifted(7)), (Standing::TooFew, Standing::TooFew));
    assert_eq!(shifted(8), Standing::Worse { chance: 2.0 / 12_870.0 });
}

#[test]
fn how_much_was_delivered_is_no_exact_figure_where_speed_or_the_generator_decides_it() {
    let slower = |cell: &mut Cell| {
        cell.counts.expected -= 1_000;
        cell.counts.delivered -= 1_000;
    };
    let names = |findings: &Findings| findings.differences.iter().map(|d| d.metric).collect::<Vec<_>>();
    let [mut base, mut new] = [[cell(0), cell(0)], [cell(0), cell(0)]];
    new.iter_mut().for_each(slower);
    assert_eq!(names(&of_cells(&base, &new)), ["delivered"]);
    base.iter_mut().chain(&mut new).for_each(|cell| cell.spec.pace = Pace::Closed);
    assert_eq!(of_cells(&base, &new).differences, []);
    base.iter_mut().chain(&mut new).for_each(|cell| cell.spec.pace = Pace::Constant);
    new[1].counts.shed = 1_000;
    assert_eq!(names(&of_cells(&base, &new)), ["delivered"], "the other replicate tells it");
    new[0].counts.shed = 1_000;
    let untold = of_cells(&base, &new);
    assert_eq!((untold.differences.len(), untold.unknown), (0, vec!["delivered"]));
}

/// The noise that cells of a gate have where nothing was changed.
type Noise = fn(&mut Cell, &mut Pcg64Mcg);

fn up_to(rng: &mut Pcg64Mcg, most: f64) -> u64 {
    (unit(rng) * most) as u64
}

fn failures(count: u64) -> Vec<FailureCount> {
    vec![FailureCount { phase: "receive".into(), kind: "reset".into(), count, example: String::new() }]
}

/// Gates without a change: alarms in metrics of which the base does not agree with itself are no more than was fixed
/// beforehand. Each noise is one that could raise it.
#[test]
fn neither_many_metrics_nor_many_looks_raise_the_rate_of_false_alarms() {
    const GATES: u32 = 2_000;
    let noises: [(&str, Noise); 4] = [
        ("one metric", |cell, rng| cell.counts.reordered = up_to(rng, 1e6)),
        ("many that have nothing to do with each other", |cell, rng| {
            let counts = &mut cell.counts;
            (counts.reordered, counts.duplicates) = (up_to(rng, 1e6), up_to(rng, 1e6));
            (counts.declared_missed, counts.excused) = (up_to(rng, 1e6), up_to(rng, 1e6));
            (counts.cut_short, counts.connected) = (up_to(rng, 1e6), up_to(rng, 1e6));
            cell.reordered_by = up_to(rng, 1e6) as u32;
            cell.failures = failures(up_to(rng, 1e6));
        }),
        ("many that say the same", |cell, rng| {
            let lost = up_to(rng, 27e3);
            (cell.counts.lost, cell.counts.delivered) = (lost, 27_000 - lost);
            cell.failures = failures(lost);
        }),
        ("few values", |cell, rng| {
            (cell.counts.duplicates, cell.counts.excused) = (up_to(rng, 2.0), up_to(rng, 3.0));
        }),
    ];
    for (about, noise) in noises {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        let [mut base, mut new] = [(); 2].map(|()| vec![cell(0); MOST]);
        let mut alarm = || {
            base.iter_mut().chain(&mut new).for_each(|cell| noise(cell, &mut rng));
            // Between the looks a verdict is that of the last one.
            LOOKS.iter().any(|&(count, _)| {
                let findings = of_cells(&base[..count], &new[..count]);
                findings.unsteady.iter().any(|metric| matches!(metric.standing, Standing::Worse { .. }))
            })
        };
        let alarms = (0..GATES).filter(|_| alarm()).count() as u64;
        let bounds = proportion::clopper_pearson(alarms, GATES.into()).unwrap();
        println!("{about}: {alarms} of {GATES}, {:.2}% to {:.2}%", bounds.low * 100.0, bounds.high * 100.0);
        assert!(bounds.low <= ALPHA, "{about}: {alarms} of {GATES} gates raise an alarm");
    }
}
