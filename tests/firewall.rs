//! Every protocol through real middleboxes, by the entry that the matrix uses.

#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;

use rtbench::fleet::server::ServerChoice;
use rtbench::guide::plan::{self, Effort, Workload};
use rtbench::guide::probe;
use rtbench::measure::cell::{Cell, Probe, Status};
use rtbench::protocol;

/// Times are compared by one test, while another has many servers run.
static QUIET: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The cell `firewall/PROTOCOL` of a full matrix, of a server with these faults.
async fn measured(protocol: &str, faults: &[&str]) -> Cell {
    let plan = plan::plan(Effort::Full, &Workload::default(), 1).unwrap();
    let name = format!("firewall/{protocol}");
    let spec = plan.probes.iter().find(|spec| spec.id.is_named(&name)).unwrap();
    let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
    let args = ["serve", "--stdin-guard", "--retry", "200ms"].into_iter().chain(faults);
    let choice = ServerChoice::Start {
        program: env!("CARGO_BIN_EXE_rtbench").into(),
        args: args.map(str::to_owned).collect(),
    };
    probe::run(spec, &choice).await
}

/// What it finds of a server without any.
async fn found(protocol: &str) -> Vec<Probe> {
    let cell = measured(protocol, &[]).await;
    assert_eq!(cell.status, Status::Finished);
    eprintln!("{protocol}: {:#?}", cell.probes);
    cell.probes
}

/// The firewall probe of a protocol, after a check of its word and of how each box's result begins.
async fn firewall(protocol: &str, word: &str, boxes: &[(&str, &str)]) -> Option<Vec<Probe>> {
    if missing::program("nginx", "nginx") {
        return None;
    }
    let probes = found(protocol).await;
    let probe = &probes[0];
    assert_eq!(probe.name, "firewall");
    assert_eq!(probe.found, word, "{}", probe.detail);
    for (name, result) in boxes {
        let told = probe.detail.split("; ").find(|part| part.starts_with(name)).unwrap();
        assert!(told.contains(&format!(": {result}")), "{told}");
    }
    Some(probes)
}

#[tokio::test]
async fn short_polls_pass_everything() {
    let works = [("plain-proxy", "works"), ("buffering-proxy", "works"), ("idle-timeout", "works")];
    firewall("short-poll", "no", &works).await;
}

#[tokio::test]
async fn long_polls_pass_everything_if_they_are_held_shorter_than_the_box_waits() {
    let works = [("plain-proxy", "works"), ("buffering-proxy", "works"), ("idle-timeout", "works")];
    let Some(probes) = firewall("long-poll", "no", &works).await else { return };
    assert!(
        probes[0].detail.contains("polls held for longer than the silence it bears: fails (HTTP status 504")
    );
}

#[tokio::test]
async fn websockets_need_a_proxy_that_upgrades_and_do_not_come_back_after_silence() {
    let boxes = [("plain-proxy", "fails"), ("buffering-proxy", "works"), ("idle-timeout", "fails")];
    firewall("websocket", "some", &boxes).await;
}

#[tokio::test]
async fn event_streams_are_held_back_by_buffers_and_come_back_after_silence() {
    let boxes = [("plain-proxy", "works"), ("buffering-proxy", "fails"), ("idle-timeout", "degrades")];
    let Some(probes) = firewall("sse", "some", &boxes).await else { return };
    let figure = |name: &str| probes[0].evidence[name];
    assert!((1024.0..=32768.0).contains(&figure("buffering_proxy_held_back_bytes")));
    assert_eq!(figure("idle_timeout_arrived"), figure("idle_timeout_sent"));
}

#[tokio::test]
async fn data_channels_need_nothing_of_a_proxy_but_udp_or_a_relay() {
    let boxes = [
        ("plain-proxy", "works"),
        ("buffering-proxy", "works"),
        ("idle-timeout", "works"),
        ("udp-blocked", "fails"),
    ];
    let relay = !missing::program("turnserver", "coturn");
    let _quiet = QUIET.lock().await;
    let Some(probes) = firewall("webrtc", "yes", &boxes).await.filter(|_| relay) else { return };
    let turn = probes.iter().find(|probe| probe.name == "turn").unwrap();
    assert_eq!(turn.found, "yes", "{}", turn.detail);
    let figure = |name: &str| turn.evidence[name];
    // 100 messages of 100 bytes, up to the server and down from it, and what SCTP and DTLS add.
    assert!((20_000.0..200_000.0).contains(&figure("relay_bytes")), "{}", turn.detail);
    // What the end of the connections costs is in one count only.
    assert!((figure("coturn_bytes") / figure("relay_bytes") - 1.0).abs() < 0.05, "{}", turn.detail);
    assert_eq!((figure("stun_ok"), figure("blocked_without")), (1.0, 1.0));
    // Which of the two is faster hangs on what else the machine does; that it was the relay say the bytes above.
    assert!(figure("relayed_ms") > 0.0 && figure("direct_ms") > 0.0, "{}", turn.detail);
}

/// What a server loses, or refuses, is no box's doing.
#[tokio::test]
async fn no_box_is_blamed_for_a_broken_server() {
    if missing::program("nginx", "nginx") {
        return;
    }
    let _quiet = QUIET.lock().await;
    for fault in ["drop=1", "drop=13", "refuse=5"] {
        let cells =
            protocol::ALL.iter().map(|protocol| measured(protocol.name, std::slice::from_ref(&fault)));
        for cell in futures_util::future::join_all(cells).await {
            eprintln!("{fault} {}: {:?} {:#?}", cell.spec.id, cell.status, cell.probes);
            assert!(matches!(cell.status, Status::Failed(_)), "{fault} {}", cell.spec.id);
        }
    }
}
