//! Latency over links, on hand-made cells.
#![allow(clippy::unwrap_used)]

use super::matrix::{Matrix, MatrixCell};
use crate::measure::cell::{Cell, TrustLevel};
use crate::measure::sample;

/// A cell behind `link` whose latencies lie around `ms`.
fn cell(protocol: &str, link: &str, ms: f64) -> Cell {
    let samples: Vec<f64> = (0..201).map(|i| ms * (0.9 + f64::from(i) / 1_000.0)).collect();
    let at = if link.is_empty() { String::new() } else { format!("@{link}") };
    let cell = sample::cell(&format!("workload/{protocol}{at}")).stream(2.0, 6.0).latency_ms(&samples, 201);
    cell.with(|cell| {
        cell.spec.link = if link.is_empty() { Default::default() } else { link.parse().unwrap() };
    })
    .build()
}

fn latency(cells: &[Cell], protocol: &str) -> MatrixCell {
    let matrix = Matrix::from_parts(cells, &[]);
    matrix.cells().find(|cell| cell.feature == "Latency" && cell.protocol == protocol).unwrap().clone()
}

fn on_links(protocol: &str, links: &[(&str, f64)]) -> MatrixCell {
    let cells: Vec<Cell> = links.iter().map(|&(link, ms)| cell(protocol, link, ms)).collect();
    latency(&cells, protocol)
}

#[test]
fn three_links_make_a_model_that_says_where_the_claim_ends() {
    let found =
        on_links("websocket", &[("", 0.4), ("rtt=1ms", 1.4), ("rtt=40ms", 40.4), ("rtt=100ms", 100.4)]);
    assert_eq!(found.verdict.word(), "depends");
    assert_eq!(found.measured, "1.0 RTT + 0.4 ms");
    let says = "depends on the network's round trip: 1.0 RTT + 0.4 ms: holds up to an RTT of 49 ms";
    assert!(found.condition.starts_with(says), "{}", found.condition);
    assert!(
        found.condition.contains("4 links (loopback, rtt=1ms, rtt=40ms, rtt=100ms)"),
        "{}",
        found.condition
    );
    assert!(found.condition.contains("emulated"), "{}", found.condition);
}

#[test]
fn half_a_round_trip_holds_twice_as_far() {
    let found = on_links("webrtc", &[("", 0.4), ("rtt=40ms", 20.4), ("rtt=100ms", 50.4)]);
    assert_eq!(found.measured, "0.5 RTT + 0.4 ms");
    assert!(found.condition.contains("holds up to an RTT of 59 ms"), "{}", found.condition);
}

#[test]
fn two_links_and_distrusted_ones_make_no_model() {
    let two = on_links("websocket", &[("", 0.4), ("rtt=40ms", 40.4)]);
    assert!(two.condition.contains("network adds less than"), "{}", two.condition);
    let mut cells =
        vec![cell("sse", "", 0.4), cell("sse", "rtt=40ms", 80.4), cell("sse", "rtt=100ms", 200.4)];
    assert!(latency(&cells, "sse").condition.contains("2.0 RTT"));
    cells[2].trust.level = TrustLevel::Invalid;
    assert!(!latency(&cells, "sse").condition.contains("RTT"));
}

#[test]
fn a_latency_that_does_not_follow_the_round_trip_does_not_depend_on_it() {
    let found = on_links("websocket", &[("", 0.4), ("rtt=40ms", 45.0), ("rtt=100ms", 3.0)]);
    assert_eq!(found.verdict.word(), "not measured");
    let says = "needs links again, further apart: over loopback, rtt=40ms, rtt=100ms latency does not follow";
    assert!(found.condition.starts_with(says), "{}", found.condition);
    let slow = on_links("websocket", &[("", 80.0), ("rtt=40ms", 120.0), ("rtt=100ms", 3.0)]);
    assert_eq!(slow.verdict.word(), "not reproduced", "too slow without any network");
}

#[test]
fn a_server_that_is_too_slow_by_itself_is_too_slow_everywhere() {
    let found = on_links("websocket", &[("", 80.0), ("rtt=40ms", 120.0), ("rtt=100ms", 180.0)]);
    assert_eq!(found.verdict.word(), "not reproduced");
    assert!(
        found.condition.starts_with("80 ms without any network, the limit is 50 ms"),
        "{}",
        found.condition
    );
}

#[test]
fn polls_are_fitted_behind_half_their_interval() {
    let cells: Vec<Cell> = [("loopback", 0.0), ("rtt=40ms", 40.0), ("rtt=100ms", 100.0)]
        .map(|(link, rtt_ms)| {
            let mut cell = cell("short-poll", link, 1.0);
            cell.spec.short_poll.interval_s = 0.5;
            let ms = 250.0 + 2.0 * rtt_ms + 1.0;
            cell.response = sample::distribution(&[ms - 200.0, ms, ms + 200.0], 3);
            cell
        })
        .into();
    let found = latency(&cells, "short-poll");
    assert_eq!(found.measured, "interval/2 + 2.0 RTT + 1 ms");
    // 2-10 s at an interval of 5 s: (10,000 - 2,500 - 1) / 2.
    assert!(found.condition.contains("holds up to an RTT of 3.74 s"), "{}", found.condition);
}
