//! What is computed, held against what is tried.

use super::*;
use crate::gate::plan::USUAL_DEVIATION;
use crate::gate::rule::{SHARP, STEPS};

const RULE: Rule = Rule { min_effect: 0.02 };

/// Printed with `--nocapture`: computed beside simulated, for the deviation that is usual and for others.
#[test]
fn what_is_computed_is_what_simulated_gates_find() {
    println!("deviation  change  computed  simulated");
    for (deviation, gates) in
        [(0.005, 2_000), (USUAL_DEVIATION, 10_000), (0.014, 2_000), (0.018, 2_000), (0.024, 2_000)]
    {
        for effect in [0.02f64, 0.025, 0.03, 0.05] {
            let computed = odds(RULE, effect.ln_1p(), deviation, &STEPS);
            let tried = simulate(RULE, effect.ln_1p(), deviation, &STEPS, gates);
            println!(
                "{:>8.1}%  {:>5.1}%  {:>7.1}%  {:>8.1}%",
                deviation * 100.0,
                effect * 100.0,
                computed.found * 100.0,
                tried.found * 100.0
            );
            // Two points, and what chance does to so many gates: two standard errors at a half.
            let chance = if gates < 10_000 { (1.0 / f64::from(gates)).sqrt() } else { 0.0 };
            for (computed, tried) in [(computed.found, tried.found), (computed.passed, tried.passed)] {
                assert!(
                    (computed - tried).abs() <= 0.02 + chance,
                    "{deviation} {effect}: {computed} {tried}"
                );
            }
        }
    }
}

/// The largest deviation at which a look is sharp is where a change of SHARP times the smallest is just found with 90%.
#[test]
fn a_look_is_sharp_up_to_where_it_finds_what_a_pass_denies() {
    for (index, step) in STEPS.iter().enumerate() {
        let finds = detectable(RULE, step.sharp * RULE.least(), &STEPS[..=index]) / RULE.least();
        assert!((finds - SHARP).abs() < 0.005, "{step:?}: {finds}");
    }
}

/// The distances from shift to limit that the steps carry are those of made-up samples.
#[test]
fn the_limits_lie_where_the_steps_say() {
    const SAMPLES: u32 = 2_000;
    let mut rng = Pcg64Mcg::seed_from_u64(2);
    for step in STEPS {
        let mut distance = || {
            let sample: Vec<f64> = (0..step.replicates).map(|_| a_normal(&mut rng)).collect();
            let look = RULE.look(&sample, step);
            look.shift - look.limits.low
        };
        let distances: Vec<f64> = (0..SAMPLES).map(|_| distance()).collect();
        let mean = distances.iter().sum::<f64>() / f64::from(SAMPLES);
        let square = |distance: &f64| (distance - mean).powi(2);
        let scatter = (distances.iter().map(square).sum::<f64>() / f64::from(SAMPLES)).sqrt();
        // Four standard errors of either.
        let chance = 4.0 * step.reach[1] / f64::from(SAMPLES).sqrt();
        assert!((mean - step.reach[0]).abs() < chance, "{step:?}: mean {mean}");
        assert!((scatter - step.reach[1]).abs() < chance, "{step:?}: deviation {scatter}");
    }
}

#[test]
fn what_is_detectable_lies_beyond_the_smallest_change_that_counts() {
    // Half of the gates find a change of just that size.
    let half = odds(RULE, RULE.least(), USUAL_DEVIATION, &STEPS).found;
    assert!((half - 0.5).abs() < 0.02, "{half}");
    let still = detectable(RULE, 0.0, &STEPS);
    assert!((still / RULE.least() - 1.0).abs() < 1e-6, "without noise nothing more is needed: {still}");
    let [one, all] = [1, 5].map(|looks| detectable(RULE, USUAL_DEVIATION, &STEPS[..looks]).exp_m1());
    assert!(0.0235 < all && all < one && one < 0.027, "{all} {one}");
}
