//! Many tests at once: p values that keep the chance of even one false alarm among all of them below the level.

/// The p values adjusted by Holm's step-down method (1979), in the order in which they came: an adjusted value below
/// 5% is significant among all of them together. Nothing is assumed about how the tests depend on each other.
pub fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut at_least = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        // A value may not fall below one that was smaller before.
        at_least = at_least.max(p_values[index] * left).min(1.0);
        adjusted[index] = at_least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_method_done_by_hand() {
        // 0.005 x 5, 0.01 x 4, 0.03 x 3, then 0.04 x 2 raised to what came before it, then 0.5 x 1.
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        for (found, expected) in adjusted.iter().zip([0.04, 0.09, 0.09, 0.025, 0.5]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
    }

    #[test]
    fn one_test_alone_and_none_stay_what_they_are() {
        assert_eq!(adjust(&[0.03]), [0.03]);
        assert_eq!(adjust(&[]), [0.0; 0]);
        assert_eq!(adjust(&[0.9, 0.8]), [1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn lies_between_the_value_itself_and_bonferroni(ps in proptest::collection::vec(0.0..=1.0f64, 1..20)) {
            let n = ps.len() as f64;
            for (p, adjusted) in ps.iter().zip(adjust(&ps)) {
                prop_assert!(*p <= adjusted && adjusted <= (p * n).min(1.0) + 1e-12);
            }
        }
    }
}
