//! The rank-sum test against scipy and published tables.
//!
//! Vectors without ties are from scipy 1.17.1, `mannwhitneyu(second, first, method="exact")` with each alternative; those
//! with ties from the same with `method=PermutationMethod(n_resamples=10**7)`, which for samples this small goes through
//! every permutation; large ones from `method="asymptotic"`. Shifts are `numpy.median` of all differences.

#![allow(clippy::unwrap_used)]

use super::*;

const AIR: [f64; 9] = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
const WATER: [f64; 9] = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06001, 3.24, 1.29001];
const FEW: ([f64; 6], [f64; 4]) = ([5.1, 4.8, 5.6, 5.0, 4.9, 5.3], [5.5, 6.1, 5.2, 5.8]);

/// Compares u, both tails and the two-sided p value.
fn agrees(first: &[f64], second: &[f64], u: f64, smaller: f64, larger: f64, p: f64) {
    let found = test(first, second).unwrap();
    assert_eq!(found.u, u);
    for (found, expected) in [(found.p_smaller, smaller), (found.p_larger, larger), (found.p(), p)] {
        assert!((found - expected).abs() < 1e-9, "{found} for {expected} of {first:?} and {second:?}");
    }
}

#[test]
fn without_ties_the_tails_agree_with_scipy() {
    agrees(&AIR, &WATER, 23.0, 0.06795557383792677, 0.943253805018511, 0.13591114767585355);
    agrees(&FEW.0, &FEW.1, 21.0, 0.9809523809523809, 0.03333333333333333, 0.06666666666666667);
    agrees(&[10.1, 10.4, 10.2], &[11.9, 12.0, 12.3], 9.0, 1.0, 0.05, 0.1);
}

#[test]
fn with_ties_the_tails_agree_with_every_permutation() {
    let (first, second) = ([1.0, 2.0, 2.0, 3.0, 5.0, 5.0], [2.0, 3.0, 5.0, 5.0, 6.0, 7.0, 7.0]);
    agrees(&first, &second, 33.5, 0.9766899766899767, 0.046620046620046623, 0.09324009324009325);
    let (first, second) = ([0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0]);
    agrees(&first, &second, 15.5, 0.9920634920634921, 0.16666666666666666, 0.3333333333333333);
    agrees(&[3.0; 3], &[3.0; 3], 4.5, 1.0, 1.0, 1.0);
}

/// Two samples of 40, of which 64 values differ; rounded, nearly all of them are equal to others.
fn large(round: bool) -> (Vec<f64>, Vec<f64>) {
    // numpy.round goes to the even neighbour, as this does.
    let value = |x: f64| if round { x.round_ties_even() } else { x };
    let first = (0..40).map(|i| value(f64::from(i * 37 % 101) / 10.0)).collect();
    (first, (0..40).map(|i| value(f64::from((i * 53 + 11) % 97) / 10.0 + 1.5)).collect())
}

#[test]
fn large_samples_agree_with_the_approximation_of_scipy() {
    let (first, second) = large(false);
    agrees(&first, &second, 994.0, 0.9693795830667276, 0.031292438518736795, 0.06258487703747359);
    assert!((shift(&first, &second, 0.95).unwrap().estimate - 1.3).abs() < 1e-12);
    let (first, second) = large(true);
    agrees(&first, &second, 1000.0, 0.9737021969439812, 0.02689278893185917, 0.05378557786371834);
    let equal = [1.0; 40];
    assert_eq!(test(&equal, &equal).unwrap().p(), 1.0);
}

#[test]
fn counting_out_and_the_approximation_meet() {
    let first: Vec<f64> = (0..32).map(|i| f64::from(i * 37 % 101)).collect();
    let second: Vec<f64> = (0..32).map(|i| f64::from((i * 53 + 11) % 97) + 12.5).collect();
    let exact = test(&first, &second).unwrap();
    let (smaller, larger) = approximate(exact.u, 32.0, 32.0, Ranks::of(&first, &second).ties());
    assert!((exact.p_smaller - smaller).abs() < 1e-3 && (exact.p_larger - larger).abs() < 1e-3);
    let exact = rejected(32, 32, 0.025) as f64;
    let approximate = 32.0 * 16.0 - 1.959_963_984_540_054 * (32.0 * 32.0 * 65.0 / 12.0f64).sqrt() + 0.5;
    assert!((exact - approximate).abs() <= 1.0, "{exact} and {approximate}");
}

#[test]
fn critical_values_are_those_of_the_published_table() {
    // Table of the Mann-Whitney U, 5% two-sided: the largest U that is significant (Milton 1964, as every textbook has
    // it). `rejected` counts from U = 0, so it is one more.
    for (m, n, critical) in
        [(4, 4, 0), (4, 10, 5), (5, 5, 2), (6, 6, 5), (7, 9, 12), (8, 8, 13), (10, 10, 23), (20, 20, 127)]
    {
        assert_eq!(rejected(m, n, 0.025), critical + 1, "{m} and {n}");
        assert_eq!(rejected(n, m, 0.025), critical + 1, "{n} and {m}");
    }
    for (m, n) in [(3, 3), (3, 4), (2, 7)] {
        assert_eq!(rejected(m, n, 0.025), 0, "{m} and {n} cannot be told apart");
    }
}

#[test]
fn the_shift_and_its_interval_agree_with_numpy() {
    // The ends are the differences at the rank that the distribution of U gives: here 18 and 3 from each end.
    for (first, second, estimate, low, high) in
        [(&AIR[..], &WATER[..], -0.56, -1.183, 0.37), (&FEW.0[..], &FEW.1[..], 0.5, -0.1, 1.1)]
    {
        let found = shift(first, second, 0.95).unwrap();
        let bounds = found.bounds.unwrap();
        for (found, expected) in [(found.estimate, estimate), (bounds.low, low), (bounds.high, high)] {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }
}

#[test]
fn too_few_have_a_shift_and_no_interval() {
    let found = shift(&[10.1, 10.4, 10.2], &[11.9, 12.0, 12.3], 0.95).unwrap();
    assert!((found.estimate - 1.8).abs() < 1e-12);
    assert_eq!(found.bounds, None);
    assert!(found.bounds.is_none() && shift(&[], &[1.0], 0.95).is_none() && test(&[1.0], &[]).is_none());
}

#[test]
fn the_interval_leaves_zero_out_exactly_when_the_test_rejects() {
    // Every third of the ways to deal the ranks 1 to 10 to two sides of five, by their bits.
    for choice in (0u32..1 << 10).filter(|bits| bits.count_ones() == 5).step_by(3) {
        let side = |bit| (0..10).filter(move |i| choice >> i & 1 == bit).map(f64::from).collect::<Vec<_>>();
        let (first, second) = (side(0), side(1));
        let bounds = shift(&first, &second, 0.95).unwrap().bounds.unwrap();
        let rejects = test(&first, &second).unwrap().p() <= 0.05;
        assert_eq!(bounds.low > 0.0 || bounds.high < 0.0, rejects, "{first:?} and {second:?}");
    }
}
