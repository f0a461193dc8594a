//! The rules of judging, on hand-made rows; figures against scipy are in `tests/compare.rs`.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::metric::find;

fn row(metric: &str, base: &[f64], new: &[f64]) -> Row {
    let mut rows = [judge::row(find(metric).unwrap(), base.to_vec(), new.to_vec())];
    judge::together(&mut rows);
    let [row] = rows;
    row
}

#[test]
fn exact_metrics_differ_or_do_not() {
    let same = row("framing_in_bytes_per_delivery", &[2.0; 3], &[2.0; 2]);
    assert_eq!((same.verdict, same.p, same.needed), (Verdict::Equal, None, None));
    let other = row("framing_in_bytes_per_delivery", &[2.0], &[2.5]);
    assert_eq!((other.verdict, other.p), (Verdict::Changed, None));
    assert_eq!(other.difference, Some(Estimate { value: 0.5, low: None, high: None }));
    let unsteady = row("framing_in_bytes_per_delivery", &[2.0, 2.0, 3.0, 2.0], &[4.0, 5.0, 4.0, 4.0]);
    assert_eq!((unsteady.tier.as_str(), unsteady.verdict), ("noisy", Verdict::Worse));
}

#[test]
fn what_describes_the_workload_is_never_judged() {
    let row = row("server_connections", &[1.0, 2.0, 3.0, 4.0], &[11.0, 12.0, 13.0, 14.0]);
    assert_eq!((row.verdict, row.p_adjusted, row.needed), (Verdict::Undirected, None, None));
    assert!(row.p.unwrap() < 0.05);
}

#[test]
fn what_one_side_lacks_is_told() {
    let row = row("response_p99_ms", &[1.0, 2.0], &[]);
    assert_eq!((row.verdict, row.difference, row.new.median), (Verdict::OneSided, None, None));
}

#[test]
fn growth_that_may_be_negative_has_no_percent() {
    let row = row("kernel_memory_idle_bytes", &[-4_096.0, 0.0, 8_192.0], &[4_096.0, 8_192.0, 0.0]);
    assert!(row.difference.is_some() && row.difference_percent.is_none());
}

#[test]
fn more_metrics_together_need_more() {
    // Four a side, clearly apart, are proven alone (2/70) and not beside a second metric that varies.
    let rows = |others: usize| {
        let apart =
            judge::row(find("connect_s").unwrap(), vec![1.0, 1.1, 1.2, 1.3], vec![2.0, 2.1, 2.2, 2.3]);
        let other = judge::row(find("connects_per_s").unwrap(), vec![1.0, 4.0], vec![2.0, 3.0]);
        let mut rows = vec![apart];
        rows.extend(std::iter::repeat_n(other, others));
        let together = judge::together(&mut rows);
        (rows[0].verdict, rows[0].needed, together.fewest_repeats)
    };
    assert_eq!(rows(0), (Verdict::Worse, None, 4));
    let anything = Some(Needed { repeats: Some(5), purpose: Purpose::Anything });
    assert_eq!(rows(1), (Verdict::Unproven, anything, 5));
    // What never varies takes no share.
    let mut rows = [
        judge::row(find("connect_s").unwrap(), vec![1.0, 1.1, 1.2, 1.3], vec![2.0, 2.1, 2.2, 2.3]),
        judge::row(find("shed").unwrap(), vec![0.0; 4], vec![0.0; 4]),
    ];
    assert_eq!(judge::together(&mut rows).metrics, 1);
    assert_eq!([rows[0].verdict, rows[1].verdict], [Verdict::Worse, Verdict::Equal]);
}
