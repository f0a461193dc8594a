//! Claims that are an order: high above medium, easy below hard.
//!
//! Each criterion gives every contender a rank; the ranks are added up, and the sums are the measured order. Two contenders whose
//! intervals overlap in a criterion may come in any order there, so that a sum is a range; sums whose ranges overlap are not ordered.

use std::cmp::Ordering;

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

/// The places that each contender may have: the sum of its ranks over all criteria, at least and at most; in every criterion the smallest
/// value has rank 1. What is exactly equal shares its ranks; of what merely cannot be told apart each may come first.
pub(super) fn positions(criteria: &[Vec<Bounds>]) -> Vec<Bounds> {
    let contenders = criteria.first().map_or(0, Vec::len);
    let sum = |i: usize| {
        let ranks = criteria.iter().map(|values| rank(values, i));
        ranks.fold(Bounds::exact(0.0), |sum, rank| Bounds {
            low: sum.low + rank.low,
            high: sum.high + rank.high,
        })
    };
    (0..contenders).map(sum).collect()
}

/// One more than the number of those certainly smaller, half a rank for each that is equal, and anything up to one for each that overlaps.
fn rank(values: &[Bounds], i: usize) -> Bounds {
    let own = values[i];
    let others = values.iter().enumerate().filter(|(j, _)| *j != i);
    others.fold(Bounds::exact(1.0), |Bounds { low, high }, (_, other)| match other {
        other if own.low == own.high && *other == own => Bounds { low: low + 0.5, high: high + 0.5 },
        other if other.overlaps(own) => Bounds { low, high: high + 1.0 },
        other if other.high < own.low => Bounds { low: low + 1.0, high: high + 1.0 },
        _ => Bounds { low, high },
    })
}

/// How two contenders stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As claimed. Equal levels may come in any order: the claim's words are coarse.
    Agrees,
    /// Otherwise than claimed. A tie of what is exactly known contradicts a claimed difference.
    Contradicts,
    /// Their intervals overlap, and the claim says that they differ.
    Untold,
}

/// The measured order of `i` and `j` beside the claimed one.
pub(super) fn order(levels: &[u8], positions: &[Bounds], i: usize, j: usize) -> Order {
    let claimed = levels[i].cmp(&levels[j]);
    let (own, other) = (positions[i], positions[j]);
    let exact = own.low == own.high && own == other;
    let measured = match () {
        () if own.high < other.low => Some(Ordering::Less),
        () if own.low > other.high => Some(Ordering::Greater),
        () if exact => Some(Ordering::Equal),
        () => None,
    };
    match measured {
        _ if claimed.is_eq() => Order::Agrees,
        None => Order::Untold,
        Some(measured) if measured == claimed => Order::Agrees,
        Some(_) => Order::Contradicts,
    }
}

#[cfg(test)]
#[path = "rank_tests.rs"]
mod tests;
