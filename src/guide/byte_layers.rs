//! Claims whose answer depends on the layers that are counted: framing alone, or everything down to IP packets.

use super::Claim;
use super::evidence::{Evidence, unmeasured};
use super::finding::{Finding, measured};
use super::kind;
use super::other_claims::Answer;
use super::verdict::{ABOUT, Estimate, Verdict, judge};
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::number::short;
use crate::scenario::cell_id::Which;

/// Everything of a message on the network but its payload.
const ALL_LAYERS: &str = "ip_overhead_bytes_per_delivery";

/// WebSocket's bytes against a poll's, on the layer of the protocol, with TCP/IP, and with TLS where that was measured.
pub(super) fn saving(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let percent = |message: f64, poll: f64| 100.0 * (1.0 - message / poll);
    let layer = |websocket: (Which<'_>, &str), poll: (Which<'_>, &str)| {
        Ok::<f64, Verdict>(percent(
            evidence.metric(websocket.0, websocket.1)?,
            evidence.metric(poll.0, poll.1)?,
        ))
    };
    let framing = (kind::cell(kind::WORKLOAD, "websocket"), "framing_in_bytes_per_delivery");
    let headers = (kind::cell(kind::WORKLOAD, "short-poll"), "overhead_bytes_per_exchange");
    let framing = match layer(framing, headers) {
        Ok(percent) => percent,
        Err(verdict) => return Answer::not_measured(claim, verdict),
    };
    let packets = |cells: &str| {
        let (websocket, poll) = (kind::cell(cells, "websocket"), kind::cell(cells, "short-poll"));
        layer((websocket, ALL_LAYERS), (poll, "ip_overhead_bytes_per_exchange"))
    };
    // Without what lies below, half of the answer is missing; TLS is in full matrices only.
    let below = match packets(kind::WORKLOAD) {
        Ok(percent) => percent,
        Err(verdict) => return Answer::not_measured(claim, verdict),
    };
    let mut views = vec![
        ("framing against a poll's headers", framing),
        ("the same with TCP/IP and acknowledgements", below),
    ];
    views.extend(packets(kind::TLS).ok().map(|percent| ("with TLS below both as well", percent)));
    let texts: Vec<String> =
        views.iter().map(|(what, percent)| format!("{}% {what}", short(*percent))).collect();
    let word = |percent: f64| judge(claim, Estimate::exact(percent)).map(|verdict| verdict.word());
    let agree = views.iter().all(|(_, percent)| word(*percent) == word(framing));
    let source = "framing_in_bytes_per_delivery and overhead_bytes_per_exchange of workload/*, ip_overhead_* of workload/* and tls/*";
    if agree {
        return Answer::judged(claim, Estimate::exact(framing), source.into(), texts.join(", "));
    }
    let verdict = Verdict::Depends { on: "the layers that are counted".into(), flips_at: texts.join(", ") };
    Answer::with(claim, verdict, Estimate::exact(framing), source.into(), String::new())
}

/// `minimal` is a comparison: bytes per message above the payload, acknowledgements counted, against WebSocket over TLS.
pub(super) fn peer_overhead(evidence: &Evidence<'_>, workload: Which<'_>) -> Finding {
    const OTHER: Which<'_> = kind::cell(kind::TLS, "websocket");
    let bytes = measured!(evidence.metric(workload, ALL_LAYERS));
    let finding = |verdict| Finding {
        measured: format!("{} B", short(bytes)),
        value: Some(bytes),
        unit: "B",
        verdict,
        note: String::new(),
        shared: String::new(),
        evidence: format!("{ALL_LAYERS} of {workload} and {OTHER}"),
    };
    let other = match evidence.metric(OTHER, ALL_LAYERS) {
        Ok(other) => other,
        Err(_) => {
            return finding(unmeasured(format!(
                "WebSocket over TLS with TCP/IP (the cell {OTHER}), to compare with"
            )));
        }
    };
    let stun = evidence.metric(workload, "stun_bytes_per_delivery").unwrap_or(0.0);
    let parts = format!(
        "DTLS, SCTP and its acknowledgements, UDP and IP: {} B, ICE keep-alives: {} B; WebSocket over TLS with TCP/IP and acknowledgements: {} B",
        short(bytes - stun),
        short(stun),
        short(other)
    );
    let verdict = match (bytes <= other, bytes - stun <= other) {
        (true, _) => Verdict::Reproduced,
        // Keep-alives come with time: the more messages, the less of them each.
        (false, true) => {
            Verdict::Depends { on: "how many messages share the keep-alives".into(), flips_at: parts.clone() }
        }
        (false, false) => {
            Verdict::NotReproduced { by: format!("{} B more than WebSocket over TLS", short(bytes - other)) }
        }
    };
    let note = if matches!(verdict, Verdict::Depends { .. }) { String::new() } else { parts };
    Finding { note, ..finding(verdict) }
}

/// A mesh of one size.
struct MeshSize {
    participants: u32,
    /// What each of them sends, in Mbit/s.
    upload_mbit: f64,
    /// What its stream is without anything around it, in Mbit/s.
    stream_mbit: f64,
    /// Of a core, for each participant.
    cpu_percent: f64,
}

impl MeshSize {
    fn of(cell: &Cell) -> Option<MeshSize> {
        let upload = metric::find("mesh_upload_bytes_per_s")?.value(cell)?;
        Some(MeshSize {
            participants: cell.spec.clients,
            upload_mbit: upload * 8.0 / 1e6,
            stream_mbit: cell.spec.rate_per_s * f64::from(cell.spec.payload_bytes) * 8.0 / 1e6,
            cpu_percent: cell.generator.cpu_ns? as f64 / cell.measured_s / 1e7,
        })
    }

    fn copies(&self) -> f64 {
        f64::from(self.participants.saturating_sub(1).max(1))
    }

    fn per_copy_mbit(&self) -> f64 {
        self.upload_mbit / self.copies()
    }
}

/// The largest mesh that fits an uplink, and what a participant costs in each: if each peer more is one more copy of the
/// stream, the uplink decides.
pub(super) fn mesh(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const UPLINK_MBIT: f64 = 10.0;
    const FEWEST_SIZES: usize = 3;
    let cells = evidence.cells_like(kind::MESH, "webrtc", "mesh_upload_bytes_per_s");
    let mut sizes: Vec<MeshSize> = cells.filter_map(MeshSize::of).collect();
    sizes.sort_by_key(|size| size.participants);
    if sizes.len() < FEWEST_SIZES {
        return Answer::not_measured(
            claim,
            unmeasured("meshes of three sizes or more, from 2 to 12 participants"),
        );
    }
    let mut copies: Vec<f64> = sizes.iter().map(MeshSize::per_copy_mbit).collect();
    copies.sort_by(f64::total_cmp);
    let (per_copy, stream) = (copies[copies.len() / 2], sizes[0].stream_mbit);
    let fits = (UPLINK_MBIT / per_copy).floor() + 1.0;
    let figures: Vec<String> = sizes
        .iter()
        .map(|size| {
            let (upload, cpu) = (short(size.upload_mbit), short(size.cpu_percent));
            format!("{}: {upload} Mbit/s up, {cpu}% of a core", size.participants)
        })
        .collect();
    let odd = sizes.iter().find(|size| {
        let expected = per_copy.max(size.stream_mbit);
        (size.per_copy_mbit() / expected - 1.0).abs() > ABOUT
    });
    let verdict = match odd {
        Some(size) => Verdict::NotReproduced {
            by: format!(
                "each of {} participants sends {} Mbit/s, where {} copies of the stream are {} Mbit/s: the uplink does not decide",
                size.participants,
                short(size.upload_mbit),
                short(size.copies()),
                short(size.copies() * per_copy.max(size.stream_mbit))
            ),
        },
        None => Verdict::Depends {
            on: "the uplink and the stream".into(),
            flips_at: format!(
                "each peer more costs {} Mbit/s at {} Mbit/s of payload, so {} participants fit an uplink of {} Mbit/s, and {} need {} Mbit/s",
                short(per_copy),
                short(stream),
                short(fits),
                short(UPLINK_MBIT),
                short(claim.high.unwrap_or(0.0)),
                short(per_copy * (claim.high.unwrap_or(1.0) - 1.0))
            ),
        },
    };
    let source = "mesh_upload_bytes_per_s and generator CPU of mesh/webrtc/*";
    Answer::with(claim, verdict, Estimate::exact(fits), source.into(), figures.join("; "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::find;
    use super::*;
    use crate::measure::cell::Wire;
    use crate::measure::sample;

    /// A cell whose subscribers had so many bytes of IP packets per delivery, payload included.
    fn on_the_network(name: &str, ip_bytes: u64, datagrams: bool, stun_bytes: u64) -> Cell {
        let build = |cell: &mut Cell| {
            let all = cell.counts.delivered_all;
            let datagrams = if datagrams { all } else { 0 };
            cell.subscriber_wire = Wire {
                in_bytes: cell.counts.delivered_all_bytes + 2 * all,
                ip_in_bytes: ip_bytes * all,
                datagrams_in: datagrams,
                stun_ip_bytes: stun_bytes * all,
                ..Wire::default()
            };
        };
        sample::cell(name).with(build).build()
    }

    #[test]
    fn data_channels_are_minimal_if_they_cost_no_more_than_websocket_over_tls() {
        let websocket = on_the_network("tls/websocket", 100 + 160, false, 0);
        let verdict = |bytes: u64, stun| {
            let cells = [websocket.clone(), on_the_network("workload/webrtc", 100 + bytes, true, stun)];
            peer_overhead(&Evidence::new(&cells, &[]), kind::cell(kind::WORKLOAD, "webrtc")).verdict.word()
        };
        assert_eq!(verdict(160, 30), "reproduced");
        assert_eq!(verdict(180, 30), "depends");
        assert_eq!(verdict(200, 30), "not reproduced");
        let alone = [on_the_network("workload/webrtc", 200, true, 0)];
        let finding = peer_overhead(&Evidence::new(&alone, &[]), kind::cell(kind::WORKLOAD, "webrtc"));
        assert_eq!((finding.verdict.word(), finding.value), ("not measured", Some(100.0)));
    }

    #[test]
    fn a_saving_in_framing_that_packets_eat_up_depends_on_the_layers() {
        let poll = |ip_bytes: u64| {
            let polls = sample::cell("workload/short-poll").polls(31_500, 0, 1000);
            polls.with(|cell| cell.subscriber_wire.ip_in_bytes = ip_bytes * 31_500).build()
        };
        let answer = |websocket_ip_bytes: u64| {
            let cells =
                [poll(100 + 1500), on_the_network("workload/websocket", 100 + websocket_ip_bytes, false, 0)];
            saving(find("ws-saving").unwrap(), &Evidence::new(&cells, &[]))
        };
        // 2 B against 1000 B; of packets 150 B against 1500 B.
        let eaten = answer(150);
        assert_eq!((eaten.verdict.word(), eaten.value), ("depends", Some(99.8)));
        assert!(eaten.condition.contains("90% the same with TCP/IP"), "{}", eaten.condition);
        assert_eq!(answer(10).verdict.word(), "reproduced");
    }

    #[test]
    fn the_largest_mesh_follows_from_what_one_copy_more_costs() {
        let mesh = |size: u32| {
            let change = |cell: &mut Cell| {
                (cell.spec.clients, cell.spec.group, cell.spec.webrtc.peer_to_peer) = (size, size, true);
                // 1.2 Mbit/s a copy at one event a second.
                cell.publisher_wire.ip_out_bytes = 150_000 * u64::from(size - 1) * cell.counts.published_all;
            };
            sample::cell(&format!("mesh/webrtc/{size}")).with(change).build()
        };
        let answer = layered_mesh(&[mesh(2), mesh(6), mesh(12)]);
        assert_eq!((answer.value, answer.verdict.word()), (Some(9.0), "depends"));
        assert!(answer.condition.contains("10 need 10.8 Mbit/s"), "{}", answer.condition);
        let none = layered_mesh(&[mesh(2), mesh(12)]);
        assert_eq!(none.verdict.word(), "not measured", "any two points lie on a line");
        // An upload that does not grow with the mesh is not what makes it too large.
        let mut relayed = [mesh(2), mesh(6), mesh(12)];
        relayed[2].publisher_wire.ip_out_bytes /= 11;
        let relayed = layered_mesh(&relayed);
        assert_eq!(relayed.verdict.word(), "not reproduced");
        let says = "each of 12 participants sends 1.2 Mbit/s, where 11 copies of the stream are 13.2 Mbit/s";
        assert!(relayed.condition.starts_with(says), "{}", relayed.condition);
    }

    fn layered_mesh(cells: &[Cell]) -> Answer {
        mesh(find("rtc-mesh").unwrap(), &Evidence::new(cells, &[]))
    }
}
