use super::*;
use proptest::prelude::*;

fn points(values: &[f64]) -> Vec<Bounds> {
    values.iter().map(|&value| Bounds::exact(value)).collect()
}

fn range(low: f64, high: f64) -> Bounds {
    Bounds { low, high }
}

#[test]
fn ranks_add_up_and_what_overlaps_may_come_in_any_order() {
    let cpu = points(&[30.0, 20.0, 10.0]);
    let memory = vec![range(1.0, 2.0), range(1.5, 3.0), range(5.0, 6.0)];
    assert_eq!(positions(&[cpu, memory]), [range(4.0, 5.0), range(3.0, 4.0), range(4.0, 4.0)]);
    assert_eq!(
        positions(&[points(&[0.0, 0.0, 1.0])]),
        points(&[1.5, 1.5, 3.0]),
        "equal is no matter of doubt"
    );
    assert_eq!(positions(&[]), []);
}

#[test]
fn only_certain_differences_agree_with_claimed_ones() {
    // high, medium, medium, low
    let levels = [3, 2, 2, 1];
    let all = |places: &[Bounds], i: usize| [0, 1, 2, 3].map(|j| order(&levels, places, i, j));
    assert!((0..4).all(|i| all(&points(&[4.0, 2.0, 3.0, 1.0]), i) == [Order::Agrees; 4]));
    let tie = points(&[3.0, 3.0, 2.0, 1.0]);
    assert_eq!(order(&levels, &tie, 0, 1), Order::Contradicts, "a tie is no difference");
    assert_eq!(order(&levels, &points(&[1.0, 2.0, 3.0, 4.0]), 3, 0), Order::Contradicts);
    let doubtful = [range(3.0, 5.0), range(2.0, 4.0), range(2.0, 2.0), range(1.0, 1.0)];
    assert_eq!(all(&doubtful, 0), [Order::Agrees, Order::Untold, Order::Agrees, Order::Agrees]);
}

proptest! {
    /// Any order of values that the intervals allow gives ranks within the ranges.
    #[test]
    fn every_possible_order_lies_within_the_ranges(
        all in prop::collection::vec((0.0..10.0f64, 0.0..5.0f64, 0.0..=1.0f64), 1..8)
    ) {
        let values: Vec<Bounds> = all.iter().map(|&(low, width, _)| range(low, low + width)).collect();
        let truth: Vec<f64> = all.iter().map(|&(low, width, at)| low + width * at).collect();
        let places = positions(&[values]);
        for (place, own) in places.iter().zip(&truth) {
            let rank = 1.0 + truth.iter().filter(|other| *other < own).count() as f64;
            prop_assert!(place.low <= rank && rank <= place.high, "{place:?} {rank}");
        }
    }

    /// Order is mutual, and an order that is exactly the claimed one agrees.
    #[test]
    fn who_contradicts_is_contradicted(
        levels in prop::collection::vec(1u8..4, 5),
        places in prop::collection::vec((0u8..6, 0u8..3), 5),
    ) {
        let places: Vec<Bounds> = places.into_iter().map(|(low, width)| range(low.into(), (low + width).into())).collect();
        let claimed: Vec<Bounds> = levels.iter().map(|&level| Bounds::exact(level.into())).collect();
        for i in 0..5 {
            for j in 0..5 {
                prop_assert_eq!(order(&levels, &places, i, j), order(&levels, &places, j, i));
                prop_assert_eq!(order(&levels, &claimed, i, j), Order::Agrees);
            }
        }
    }
}
