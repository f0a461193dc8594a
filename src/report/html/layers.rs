//! What the bytes of a delivered message are made of, layer by layer.

use super::bars::{Bar, Bars};
use super::family::{Family, Shown, each};
use super::markup::{Content, details, paragraph, section, table};
use crate::claim::verdict::short;
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::scenario::plan::Pattern;

const LAYERS: &[&str] = &["payload", "framing and headers", "TLS", "TCP/IP or UDP/IP"];

const FIGURES: [(&str, &str); 8] = [
    ("framing in", "framing_in_bytes_per_delivery"),
    ("beyond payload", "overhead_bytes_per_delivery"),
    ("per poll", "overhead_bytes_per_exchange"),
    ("per event published", "publish_overhead_bytes_per_event"),
    ("IP packets", "ip_bytes_per_delivery"),
    ("MTU 1500: network in", "network_mtu1500_in_bytes_per_delivery"),
    ("MTU 1500: network out", "network_mtu1500_out_bytes_per_delivery"),
    ("segments", "segments_per_delivery"),
];

fn value(cell: &Cell, name: &str) -> Option<f64> {
    metric::find(name).and_then(|metric| metric.value(cell))
}

/// The section.
pub(super) fn layers(families: &[Family<'_>]) -> String {
    let body = each(families, |family| {
        let bars: Vec<Bar> = family.shown().into_iter().filter_map(bar).collect();
        let bars = Bars {
            title: "Bytes of a delivered message".to_owned(),
            note: family.left_out(),
            axis: "bytes per delivered message, both ways (B)".to_owned(),
            parts: LAYERS,
            bars,
        };
        let chart = bars.render();
        if chart.is_empty() { chart } else { chart + &figures(family) }
    });
    if body.is_empty() {
        return body;
    }
    let what = "Of a subscriber, both directions, with what wasted polls cost. A data channel's encryption lies within \
                its framing. What lies below is as the loopback device carried it, whose packets are large.";
    section("bytes", "Bytes per message", &(paragraph("faint", what) + &body))
}

fn bar(shown: Shown<'_>) -> Option<Bar> {
    let cell = shown.cell;
    let framing = value(cell, "overhead_bytes_per_delivery")?;
    let both = |layer: &str| {
        let ways = ["in", "out"].map(|way| value(cell, &format!("{layer}_{way}_bytes_per_delivery")));
        ways.into_iter().flatten().reduce(|a, b| a + b)
    };
    Some(Bar { name: shown.name, parts: vec![payload(cell), Some(framing), both("tls"), both("network")] })
}

/// Payload that a subscriber's connections carried per delivery: in an echo in band, there and back.
fn payload(cell: &Cell) -> Option<f64> {
    let counts = &cell.counts;
    let sent = cell.spec.pattern == Pattern::Echo && cell.publisher_wire.out_bytes == 0;
    let bytes = counts.delivered_all_bytes + if sent { counts.published_all_bytes } else { 0 };
    (counts.delivered_all > 0).then(|| bytes as f64 / counts.delivered_all as f64)
}

fn figures(family: &Family<'_>) -> String {
    let heads: Vec<&str> = ["cell, bytes"].into_iter().chain(FIGURES.iter().map(|(head, _)| *head)).collect();
    let row = |cell: &&Cell| -> Vec<String> {
        let figures = FIGURES.iter().map(|(_, name)| value(cell, name).map_or(String::new(), short));
        [cell.spec.name.clone()].into_iter().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = family.cells.iter().map(row).collect();
    details("Bytes of each cell", &table(Content::Figures, &heads, &rows), false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::measure::sample;

    #[test]
    fn the_layers_of_a_bar_are_those_that_were_measured() {
        let cell = sample::cell("workload/websocket").stream(2.0, 6.0).build();
        let bar = bar(Shown { cell: &cell, name: "WebSocket".into(), style: 2 }).unwrap();
        assert_eq!(bar.parts, [Some(100.0), Some(2.0), None, None]);
        let silent = sample::cell("hold/sse").idle(10, 0).build();
        assert!(super::bar(Shown { cell: &silent, name: String::new(), style: 0 }).is_none());
    }
}
