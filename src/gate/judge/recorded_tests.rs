//! Gates without a change, put together from what was recorded: replicates of `results/gate-selftest`, in which the
//! reference server was compared with itself, drawn again and again. Their costs are real, with all that a shared machine
//! does; of the exact tier they have a counter that differs from cell to cell.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use super::tests::{file, judged, replicate};
use super::*;
use crate::gate::rule::{ALPHA, STEPS};
use crate::measure::cell::Slice;
use crate::random::unit;
use crate::stats::proportion;

/// The slices of both sides of a replicate.
type Recorded = [Vec<Slice>; 2];

/// Every replicate of the gates without a change.
fn recorded(of: &str) -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(of).join("slices.csv");
    let mut replicates: BTreeMap<(String, u32), Recorded> = BTreeMap::new();
    for row in csv::Reader::from_path(path).unwrap().deserialize() {
        let (cell, replicate, side, _slice, delivered, server_cpu_ns, generator_cpu_ns): (
            String,
            u32,
            String,
            u32,
            u64,
            Option<u64>,
            Option<u64>,
        ) = row.unwrap();
        if cell.starts_with("same-") {
            let side = usize::from(side == Side::New.word());
            let slice = Slice { delivered, server_cpu_ns, generator_cpu_ns };
            replicates.entry((cell, replicate)).or_default()[side].push(slice);
        }
    }
    replicates.into_values().collect()
}

/// A replicate drawn from those. Either of its programs may be called the new one, as they are the same.
fn draw(recorded: &[Recorded], number: u32, rng: &mut Pcg64Mcg) -> [Cell; 2] {
    let pick = (unit(rng) * recorded.len() as f64) as usize;
    let [base, new] = &recorded[pick];
    let sides = if unit(rng) < 0.5 { [base, new] } else { [new, base] };
    let mut cells = replicate(number, 1.0);
    for (cell, slices) in cells.iter_mut().zip(sides) {
        cell.slices.clone_from(slices);
        cell.counts.reordered = (unit(rng) * 1e4) as u64;
    }
    cells
}

#[test]
fn no_more_alarms_than_are_allowed_for_where_nothing_changed() {
    let file = file(|_| {});
    for (of, gates) in [("gate-selftest", 2_000), ("gate-selftest/disturbed", 500)] {
        let recorded = recorded(of);
        assert!(recorded.len() > 700, "{}", recorded.len());
        let mut rng = Pcg64Mcg::seed_from_u64(4);
        let mut outcomes = BTreeMap::new();
        for _ in 0..gates {
            let mut cells = Vec::new();
            // Where something is decided; between them nothing is.
            for count in [5].into_iter().chain(STEPS.map(|step| step.replicates)) {
                for number in cells.len() / 2..count {
                    cells.extend(draw(&recorded, number as u32, &mut rng));
                }
                let finding = judged(&file, &cells).finding;
                if finding.settled || count == 40 {
                    *outcomes.entry(finding.outcome).or_default() += 1;
                    break;
                }
            }
        }
        let alarms = outcomes.get(&Outcome::Regression).copied().unwrap_or(0);
        let bounds = proportion::clopper_pearson(alarms, gates).unwrap();
        println!("{of}: {outcomes:?}; alarms {:.2}% to {:.2}%", bounds.low * 100.0, bounds.high * 100.0);
        assert!(bounds.low <= ALPHA, "{of}: {alarms} alarms in {gates} gates without a change");
        let passed: u64 = outcomes.get(&Outcome::Pass).copied().unwrap_or(0);
        assert!(passed > gates * 9 / 10, "{of}: {outcomes:?}");
    }
}
