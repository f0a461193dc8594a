#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::sample;

fn value(cell: &Cell, name: &str) -> Option<f64> {
    find(name).unwrap_or_else(|| panic!("no metric {name}")).value(cell)
}

#[test]
fn names_are_unique_and_say_their_unit() {
    for (i, metric) in ALL.iter().enumerate() {
        assert!(ALL[i + 1..].iter().all(|other| other.name != metric.name), "{} twice", metric.name);
        assert!(metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        let suffix = match metric.unit {
            "" => continue,
            "ms" => "_ms",
            "s" => "_s",
            "1/s" => "_per_s",
            "%" => "_percent",
            "B" | "B/s" => "_bytes",
            "us" => "_us",
            unit => panic!("{}: unknown unit {unit}", metric.name),
        };
        let says = metric.name.ends_with(suffix) || metric.name.contains(&format!("{suffix}_per_"));
        assert!(says, "{} is in {}", metric.name, metric.unit);
    }
}

#[test]
fn websocket_framing_is_what_is_not_payload() {
    let cell = sample::cell("workload/websocket").stream(2.0, 6.0).build();
    assert_eq!(value(&cell, "framing_in_bytes_per_delivery"), Some(2.0));
    assert_eq!(value(&cell, "framing_out_bytes_per_delivery"), Some(0.0));
    assert_eq!(value(&cell, "publish_framing_out_bytes_per_event"), Some(6.0));
    assert_eq!(value(&cell, "overhead_bytes_per_delivery"), Some(2.0));
    assert_eq!(value(&cell, "exchanges_per_s"), None);
}

#[test]
fn an_echo_in_band_carries_payload_both_ways() {
    let mut cell = sample::cell("echo/websocket").stream(2.0, 6.0).build();
    cell.spec.pattern = crate::scenario::kinds::Pattern::Echo;
    cell.publisher_wire = Wire::default();
    cell.counts.published_all = 100;
    cell.counts.delivered_all = 100;
    cell.counts.published_all_bytes = 10_000;
    cell.counts.delivered_all_bytes = 10_000;
    cell.subscriber_wire = Wire { in_bytes: 10_200, out_bytes: 10_600, ..Wire::default() };
    assert_eq!(value(&cell, "framing_in_bytes_per_delivery"), Some(2.0));
    assert_eq!(value(&cell, "framing_out_bytes_per_delivery"), Some(6.0));
    assert_eq!(value(&cell, "overhead_bytes_per_delivery"), Some(8.0));
}

#[test]
fn wasted_polls_are_paid_for_by_what_arrived() {
    // Ten polls, one of which brought a message: 600 B of headers each.
    let cell = sample::cell("workload/short-poll").polls(10, 9, 600).delivering(1).build();
    assert_eq!(value(&cell, "overhead_bytes_per_exchange"), Some(600.0));
    assert_eq!(value(&cell, "overhead_bytes_per_delivery"), Some(6_000.0));
    assert_eq!(value(&cell, "wasted_percent"), Some(90.0));
    assert_eq!(value(&cell, "framing_in_bytes_per_delivery"), None);
}

#[test]
fn a_mesh_publishes_one_copy_for_each_subscriber() {
    let mut cell = sample::cell("workload/webrtc").datagrams(100, 50).build();
    cell.spec.webrtc.peer_to_peer = true;
    let counts = &cell.counts;
    let copies = counts.expected / counts.published;
    cell.publisher_wire.in_bytes = 0;
    cell.publisher_wire.out_bytes = counts.published_all_bytes * copies + 70 * counts.published_all;
    assert_eq!(value(&cell, "publish_overhead_bytes_per_event"), Some(70.0));
    let plain = value(&cell, "overhead_bytes_per_delivery").unwrap();
    assert_eq!(value(&cell, "framing_in_bytes_per_delivery"), None, "datagrams carry acknowledgements, too");
    let per_delivery = 150.0 / cell.counts.delivered_all as f64;
    assert!(
        (value(&cell, "ip_overhead_bytes_per_delivery").unwrap() - plain - 28.0 * per_delivery).abs() < 1e-9
    );
}

#[test]
fn what_was_not_measured_is_absent() {
    let mut cell = sample::cell("workload/sse").stream(40.0, 0.0).build();
    cell.server = None;
    cell.response = Distribution::default();
    for name in ["server_cpu_us_per_delivery", "lookups_per_s", "response_mean_ms", "response_p50_ms"] {
        assert_eq!(value(&cell, name), None, "{name}");
    }
    cell.status = Status::Failed("the server died".into());
    assert!(ALL.iter().all(|metric| metric.value(&cell).is_none()));
}

#[test]
fn percentiles_wait_for_enough_events() {
    let cell = sample::cell("workload/sse").latency_ms(&[1.0; 900], 100).build();
    assert_eq!(value(&cell, "response_p90_ms").map(f64::round), Some(1.0));
    assert_eq!(value(&cell, "response_p99_ms"), None);
}

use crate::measure::cell::Wire;
