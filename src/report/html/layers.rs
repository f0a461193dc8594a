//! What the bytes of a delivered message are made of, layer by layer.

use super::bars::{Bar, Bars};
use super::cell_groups::{Family, Shown, each, grid};
use super::markup::{details, paragraph, section};
use super::tables::{Column, column, figures, value};
use crate::measure::cell::Cell;

const LAYERS: &[&str] = &["payload", "framing and headers", "TLS", "TCP/IP or UDP/IP"];

/// In the order of [`LAYERS`]; absent is what was not measured or is not there.
type Parts = [Option<f64>; 4];

pub(super) const FIGURES: &[Column] = &[
    column("framing in", "framing_in_bytes_per_delivery"),
    column("beyond payload", "overhead_bytes_per_delivery"),
    column("per poll", "overhead_bytes_per_exchange"),
    column("per event published", "publish_overhead_bytes_per_event"),
    column("IP packets", "ip_bytes_per_delivery"),
    column("MTU 1500: network in", "network_mtu1500_in_bytes_per_delivery"),
    column("MTU 1500: network out", "network_mtu1500_out_bytes_per_delivery"),
    column("segments", "segments_per_delivery"),
];

/// The section.
pub(super) fn layers(families: &[Family<'_>]) -> String {
    let body = each(families, |family| {
        let charts = [
            bars(
                family,
                "Bytes of a delivered message",
                "bytes per delivered message, both ways (B)",
                delivery,
            ),
            bars(
                family,
                "Bytes of a published event",
                "bytes per published event, both ways (B)",
                publishing,
            ),
        ];
        let charts = grid(&charts);
        if charts.is_empty() { charts } else { charts + &cells(family) }
    });
    if body.is_empty() {
        return body;
    }
    let what = "Both directions. A delivered message is what a subscriber's connections carried for it, wasted polls \
                included; a published event is what publishing it took, where it has connections or requests of its \
                own. A data channel's encryption lies within its framing; what lies below is as the loopback device \
                carried it, whose packets are large.";
    section("bytes", "Bytes per message", &(paragraph("faint", what) + &body))
}

fn bars(family: &Family<'_>, title: &str, axis: &str, parts: fn(&Cell) -> Option<Parts>) -> String {
    let bar = |shown: Shown<'_>| Some(Bar { parts: parts(shown.cell)?.to_vec(), name: shown.name });
    let bars = family.shown().into_iter().filter_map(bar).collect();
    Bars { title: title.to_owned(), note: family.left_out(), axis: axis.to_owned(), parts: LAYERS, bars }
        .render()
}

/// What a subscriber's connections carried per delivered message.
fn delivery(cell: &Cell) -> Option<Parts> {
    let framing = value(cell, "overhead_bytes_per_delivery")?;
    let both = |layer: &str| {
        let ways = ["in", "out"].map(|way| value(cell, &format!("{layer}_{way}_bytes_per_delivery")));
        ways.into_iter().flatten().reduce(|a, b| a + b)
    };
    let counts = &cell.counts;
    // An echo in band carries its payload there and back.
    let sent = cell.spec.returns_to_sender() && cell.publisher_wire.out_bytes == 0;
    let payload = counts.delivered_all_bytes + if sent { counts.published_all_bytes } else { 0 };
    let payload = (counts.delivered_all > 0).then(|| payload as f64 / counts.delivered_all as f64);
    Some([payload, Some(framing), both("tls"), both("network")])
}

/// What publishing carried per event, in a mesh a copy for each subscriber.
fn publishing(cell: &Cell) -> Option<Parts> {
    let framing = value(cell, "publish_overhead_bytes_per_event")?;
    let counts = &cell.counts;
    let mesh = cell.spec.webrtc.peer_to_peer && counts.published > 0;
    let copies = if mesh { counts.expected as f64 / counts.published as f64 } else { 1.0 };
    let payload = (counts.published_all > 0)
        .then(|| counts.published_all_bytes as f64 * copies / counts.published_all as f64);
    let below =
        ["publish_tls_bytes_per_event", "publish_network_bytes_per_event"].map(|name| value(cell, name));
    Some([payload, Some(framing), below[0], below[1]])
}

fn cells(family: &Family<'_>) -> String {
    details("Bytes of each cell", &figures("cell, bytes", FIGURES, &family.cells), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn the_layers_of_a_bar_are_those_that_were_measured() {
        let cell = sample::cell("workload/websocket").stream(2.0, 6.0).build();
        assert_eq!(delivery(&cell), Some([Some(100.0), Some(2.0), None, None]));
        assert_eq!(publishing(&cell), Some([Some(100.0), Some(6.0), None, None]));
        let silent = sample::cell("hold/sse").idle(10, 0).build();
        assert_eq!((delivery(&silent), publishing(&silent)), (None, None));
    }
}
