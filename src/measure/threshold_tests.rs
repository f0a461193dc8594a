//! Thresholds on hand-made cells.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::cell::TrustLevel;
use crate::measure::sample;
use proptest::prelude::*;

fn outcome(subject: &str, expression: &str, cell: &Cell) -> Outcome {
    Threshold::parse(subject, expression).unwrap().evaluate(cell)
}

fn thousand() -> Cell {
    let samples: Vec<f64> = (1..=1_000).map(f64::from).collect();
    sample::cell("workload/sse").stream(40.0, 0.0).latency_ms(&samples, 1_000).cpu_us(20).build()
}

#[test]
fn times_are_compared_in_any_unit() {
    let cell = thousand();
    for (expression, passed) in [
        ("p(95)<1s", true),
        ("p(95) < 949ms", false),
        ("avg<=500.5ms", true),
        ("avg<500", false),
        ("med>499ms", true),
        ("max<1.001s", true),
        ("max == 1000 ms", true),
        ("p(99)<0.1min", true),
    ] {
        assert_eq!(outcome("latency", expression, &cell).passed, Some(passed), "{expression}");
    }
    let p95 = outcome("latency", "p(95)<1s", &cell);
    assert!((p95.measured.unwrap() - 950.0).abs() < 1.0, "{p95:?}");
    assert_eq!((p95.unit, p95.why), ("ms", None));
}

#[test]
fn counts_are_rates_or_counts() {
    let mut cell = thousand();
    cell.counts.lost = 27; // of 27,000: 0.1%
    for (expression, passed) in [
        ("rate<0.2%", true),
        ("rate<0.1%", false),
        ("rate<=0.001", true),
        ("count<28", true),
        ("value!=27", false),
    ] {
        assert_eq!(outcome("lost", expression, &cell).passed, Some(passed), "{expression}");
    }
}

#[test]
fn any_metric_has_a_value() {
    let cell = thousand();
    assert_eq!(outcome("server_cpu_us_per_delivery", "value<20.1", &cell).passed, Some(true));
    assert_eq!(outcome("server_cpu_us_per_delivery", "value<0.02ms", &cell).passed, Some(false));
    assert_eq!(outcome("server_memory_idle_bytes", "value<=14MB", &cell).passed, Some(true));
    assert_eq!(outcome("delivered_per_s", "value>=900/s", &cell).passed, Some(true));
}

#[test]
fn what_cannot_be_measured_does_not_pass_and_says_why() {
    let mut cell = sample::cell("workload/sse").latency_ms(&[1.0; 900], 100).build();
    let few = outcome("latency", "p(99)<1s", &cell);
    assert_eq!((few.measured, few.passed), (None, None));
    assert_eq!(few.why.unwrap(), "it needs 1000 distinct events, and there were 100");
    assert_eq!(outcome("wasted_percent", "value<5%", &cell).passed, None);
    cell.trust.level = TrustLevel::Invalid;
    cell.trust.reasons.push("two counts disagree".into());
    let invalid = outcome("latency", "avg<1s", &cell);
    assert_eq!((invalid.measured.is_some(), invalid.passed), (true, None));
    assert_eq!(invalid.why.unwrap(), "the cell is invalid: two counts disagree");
    cell.status = Status::Failed("no server".into());
    assert_eq!(outcome("lost", "count<1", &cell).why.unwrap(), "the cell failed: no server");
}

#[test]
fn a_channel_that_was_asked_to_lose_may_and_a_stream_beside_it_may_not() {
    let mut lost = Threshold::parse("lost", "count==0").unwrap();
    let cell = |protocol: &str| {
        sample::cell(protocol).with(|cell| cell.spec.webrtc.max_retransmits = Some(0)).build()
    };
    assert!(lost.applies_to(&cell("webrtc")), "somebody asked for it");
    lost.by_default = true;
    assert!(!lost.applies_to(&cell("webrtc")) && lost.applies_to(&cell("websocket")));
    let probe = Cell::empty(cell("websocket").spec, 0.0);
    assert!(!lost.applies_to(&probe), "a probe puts no load on");
}

#[test]
fn who_connected_and_what_was_lost_is_told_even_where_nothing_arrived() {
    let mut cell = thousand();
    (cell.counts.connected, cell.counts.delivered, cell.counts.expected) = (3, 0, 0);
    cell.counts.received_in_window = 0;
    cell.response = Default::default();
    cell.trust = trust::judge(&cell);
    assert_eq!(cell.trust.level, TrustLevel::Invalid);
    assert_eq!(outcome("connected", "rate==100%", &cell).passed, Some(false));
    assert_eq!(outcome("latency", "avg<1s", &cell).passed, None);
    // What the generator did wrong voids that, too.
    cell.generator.busiest_share = Some(1.0);
    cell.trust = trust::judge(&cell);
    assert_eq!(outcome("connected", "rate==100%", &cell).passed, None);
}

#[test]
fn a_threshold_says_what_it_needs_and_what_is_close() {
    let needed = |subject: &str, text: &str| Threshold::parse(subject, text).unwrap().events_needed();
    assert_eq!((needed("latency", "p(99)<1s"), needed("latency", "med<1s")), (1_000, 20));
    assert_eq!((needed("latency", "max<1s"), needed("lost", "count==0")), (0, 0));
    let threshold = Threshold::parse("latency", "p(99)<200ms").unwrap();
    assert!(threshold.is_close(209.0, 0.05) && threshold.is_close(191.0, 0.05));
    assert!(!threshold.is_close(211.0, 0.05));
}

#[test]
fn errors_point_at_the_place() {
    for (subject, expression, place, wrong) in [
        ("latncy", "p(95)<1s", Place::Subject, "latncy"),
        ("latency", "p(95) 200ms", Place::Expression, "p(95) 200ms"),
        ("latency", "p(95) =200ms", Place::Expression, "="),
        ("latency", " p(195) < 200ms", Place::Expression, "p(195)"),
        ("latency", "p95<200ms", Place::Expression, "p95"),
        ("latency", "avg< 200MB ", Place::Expression, "200MB"),
        ("latency", "avg< fast", Place::Expression, "fast"),
        ("latency", "avg<", Place::Expression, ""),
        ("lost", "avg<1", Place::Expression, "avg"),
        ("lost", "count<1%", Place::Expression, "1%"),
        ("connect_s", "p(50)<1s", Place::Expression, "p(50)"),
    ] {
        let error = Threshold::parse(subject, expression).unwrap_err();
        let text = if place == Place::Subject { subject } else { expression };
        assert_eq!((error.place, &text[error.span.clone()]), (place, wrong), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(subject in "[a-z_]{0,12}|latency|lost", expression in ".{0,24}") {
        if let Err(error) = Threshold::parse(&subject, &expression) {
            let text = if error.place == Place::Subject { &subject } else { &expression };
            prop_assert!(text.get(error.span).is_some());
        }
    }
}
