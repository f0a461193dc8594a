//! A real browser runs all five protocols against the reference server.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;

use rtbench::fleet::server::ServerChoice;
use rtbench::guide::plan::{Effort, Workload, plan};
use rtbench::guide::probe;
use rtbench::measure::cell::{Cell, Status};

/// The reference server with the faults of `args`.
fn server(args: &[&str]) -> ServerChoice {
    let args = ["serve", "--stdin-guard"].iter().chain(args).map(|&arg| arg.to_owned()).collect();
    ServerChoice::Start { program: env!("CARGO_BIN_EXE_rtbench").into(), args }
}

/// The cells of a full matrix that ask a browser.
async fn measured(protocols: &[&str], server: &ServerChoice) -> Vec<Cell> {
    let protocols = protocols.iter().map(|&name| name.to_owned()).collect();
    let plan = plan(Effort::Full, &Workload { protocols, ..Workload::default() }, 1).unwrap();
    let mut cells = Vec::new();
    for spec in plan.probes.iter().filter(|spec| spec.id.is_of("browser")) {
        let cell = probe::run(spec, server).await;
        for probe in &cell.probes {
            println!("{} in {:.1} s: {}: {}", spec.id, cell.measured_s, probe.found, probe.detail);
        }
        cells.push(cell);
    }
    cells
}

/// Says so, or fails, if nothing was found because no browser is there.
fn skipped(cells: &[Cell]) -> bool {
    let found = cells.iter().any(|cell| !cell.probes.is_empty() || cell.status != Status::Finished);
    missing::lacks(!found, "a browser", "apt-get install chromium")
}

#[tokio::test]
async fn a_browser_runs_all_five_protocols_and_holds_six_streams() {
    let cells = measured(&[], &server(&[])).await;
    if skipped(&cells) {
        return;
    }
    assert_eq!(cells.len(), 5);
    for cell in cells {
        assert_eq!(cell.status, Status::Finished, "{}", cell.spec.id);
        let word = if cell.spec.id.protocol.name.ends_with("poll") { "all" } else { "modern" };
        let ran = &cell.probes[0];
        assert_eq!((ran.name.as_str(), ran.found.as_str()), ("browser", word), "{}", ran.detail);
        assert_eq!((ran.evidence["sent"], ran.evidence["unchanged"]), (5.0, 5.0), "{}", ran.detail);
        let six = cell.probes.iter().find(|probe| probe.name == "six");
        assert_eq!(six.is_some(), cell.spec.id.protocol.name == "sse");
        if let Some(six) = six {
            assert_eq!((six.found.as_str(), six.evidence["connections"]), ("6", 6.0), "{}", six.detail);
            assert_eq!(six.evidence["opened_later"], 4.0, "{}", six.detail);
        }
    }
}

#[tokio::test]
async fn what_does_not_come_back_as_it_was_sent_has_not_run() {
    let cells = measured(&["websocket"], &server(&["--fault", "duplicate=2"])).await;
    if skipped(&cells) {
        return;
    }
    let ran = &cells[0].probes[0];
    assert_eq!(ran.found, "no");
    assert!(ran.detail.contains("of 5 messages back"), "{}", ran.detail);
}

/// A server that delivers nothing, or lets in no more than six, is not a browser that cannot, or that holds no more.
#[tokio::test]
async fn no_browser_is_blamed_for_a_broken_server() {
    let mute = measured(&["sse", "long-poll"], &server(&["--fault", "drop=1"])).await;
    // One of our own before and one after, the page's, one for each of two reports; and six.
    let full = measured(&["sse"], &server(&["--fault", "refuse=11"])).await;
    if skipped(&mute) {
        return;
    }
    for cell in mute.iter().chain(&full) {
        assert!(matches!(cell.status, Status::Failed(_)), "{}: {:?}", cell.spec.id, cell.status);
        assert!(cell.probes.iter().all(|probe| probe.name != "six"), "{:?}", cell.probes);
    }
}
