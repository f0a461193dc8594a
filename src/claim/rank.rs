//! Claims that are an order: high above medium, easy below hard.
//!
//! Each criterion gives every contender a rank; the ranks are added up, and the sums are the measured order. Two
//! contenders whose intervals overlap tie in that criterion and share the rank between them.

use crate::stats::Bounds;

/// The places of a claimed order, from 1. A word outside of it has no place.
pub(super) fn level(word: &str) -> Option<u8> {
    match word {
        "easy" | "low" | "simple" => Some(1),
        "medium" => Some(2),
        "hard" | "high" | "complex" => Some(3),
        _ => None,
    }
}

/// Sum of the ranks over all criteria, for each contender; in every criterion the smallest value has rank 1.
pub(super) fn positions(criteria: &[Vec<Bounds>]) -> Vec<f64> {
    let contenders = criteria.first().map_or(0, Vec::len);
    (0..contenders).map(|i| criteria.iter().map(|values| rank(values, i)).sum()).collect()
}

/// One more than the number of those certainly smaller, and half a rank for each tie.
fn rank(values: &[Bounds], i: usize) -> f64 {
    let own = values[i];
    let others = values.iter().enumerate().filter(|(j, _)| *j != i);
    1.0 + others.fold(0.0, |rank, (_, other)| match other {
        other if other.overlaps(own) => rank + 0.5,
        other if other.high < own.low => rank + 1.0,
        _ => rank,
    })
}

/// Contenders whose measured order to `i` contradicts the claim. Equal levels may come in any order: the
/// claim's words are coarse. A measured tie contradicts a claimed difference.
pub(super) fn contradictions(levels: &[u8], positions: &[f64], i: usize) -> Vec<usize> {
    let contradicts = |j: &usize| {
        let claimed = levels[i].cmp(&levels[*j]);
        claimed.is_ne() && positions[i].partial_cmp(&positions[*j]) != Some(claimed)
    };
    (0..levels.len()).filter(contradicts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[f64]) -> Vec<Bounds> {
        values.iter().map(|&value| Bounds::exact(value)).collect()
    }

    #[test]
    fn ranks_add_up_and_ties_share() {
        let cpu = points(&[30.0, 20.0, 10.0]);
        let memory = vec![
            Bounds { low: 1.0, high: 2.0 },
            Bounds { low: 1.5, high: 3.0 },
            Bounds { low: 5.0, high: 6.0 },
        ];
        assert_eq!(positions(&[cpu, memory]), [4.5, 3.5, 4.0]);
        assert_eq!(positions(&[]), Vec::<f64>::new());
    }

    #[test]
    fn only_certain_differences_agree_with_claimed_ones() {
        // high, medium, medium, low
        let levels = [3, 2, 2, 1];
        assert!((0..4).all(|i| contradictions(&levels, &[4.0, 3.0, 2.0, 1.0], i).is_empty()));
        assert!((0..4).all(|i| contradictions(&levels, &[4.0, 2.0, 3.0, 1.0], i).is_empty()));
        assert_eq!(contradictions(&levels, &[3.0, 3.0, 2.0, 1.0], 0), [1], "a tie is no difference");
        assert_eq!(contradictions(&levels, &[1.0, 2.0, 3.0, 4.0], 3), [0, 1, 2]);
    }

    proptest! {
        /// Ranks of one criterion always add up to those of a strict order, however many ties there are.
        #[test]
        fn ties_neither_create_nor_destroy_ranks(ends in prop::collection::vec((0.0..10.0f64, 0.0..5.0f64), 1..8)) {
            let values: Vec<Bounds> =
                ends.iter().map(|&(low, width)| Bounds { low, high: low + width }).collect();
            let n = values.len() as f64;
            prop_assert!((positions(&[values]).iter().sum::<f64>() - n * (n + 1.0) / 2.0).abs() < 1e-9);
        }

        /// Contradiction is mutual.
        #[test]
        fn who_contradicts_is_contradicted(levels in prop::collection::vec(1u8..4, 5), places in prop::collection::vec(0u8..6, 5)) {
            let places: Vec<f64> = places.into_iter().map(f64::from).collect();
            for i in 0..5 {
                for j in contradictions(&levels, &places, i) {
                    prop_assert!(contradictions(&levels, &places, j).contains(&i));
                }
            }
        }

        /// An order that is exactly the claimed one never contradicts it.
        #[test]
        fn the_claimed_order_agrees(levels in prop::collection::vec(1u8..4, 1..6)) {
            let places: Vec<f64> = levels.iter().copied().map(f64::from).collect();
            for i in 0..levels.len() {
                prop_assert!(contradictions(&levels, &places, i).is_empty());
            }
        }
    }
}
