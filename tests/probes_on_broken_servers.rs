//! Probes of servers that misbehave: each says only what it saw, and a word that the server's defect would bring about as
//! well is not said.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rtbench::fleet::server::ServerChoice;
use rtbench::guide::plan::{self, Effort, Workload};
use rtbench::guide::probe;
use rtbench::measure::cell::{Cell, Probe, Status};
use rtbench::protocol::{self, Protocol};

/// What the cells `probe/PROTOCOL` of a matrix find on a server with this fault, for each protocol.
async fn probed(fault: &str) -> Vec<Cell> {
    let plan = plan::plan(Effort::Default, &Workload::default(), 1).unwrap();
    let mut args = ["serve", "--stdin-guard", "--retry", "200ms"].map(str::to_owned).to_vec();
    if !fault.is_empty() {
        args.extend(["--fault".to_owned(), fault.to_owned()]);
    }
    let choice = ServerChoice::Start { program: env!("CARGO_BIN_EXE_rtbench").into(), args };
    let cells = join_all(plan.probes.iter().map(|spec| probe::run(spec, &choice))).await;
    for cell in &cells {
        eprintln!("{fault} {}: {:?}", cell.spec.id, cell.status);
        for Probe { name, found, detail, .. } in &cell.probes {
            eprintln!("    {name}: {found:?} {detail}");
        }
    }
    assert!(cells.iter().map(|cell| cell.spec.id.protocol.name).eq(protocol::ALL.iter().map(|p| p.name)));
    cells
}

/// What verdicts may lean on: the words of a cell that was probed to its end.
fn words(cell: &Cell) -> BTreeMap<&str, &str> {
    let told = cell.probes.iter().filter(|probe| cell.status == Status::Finished && probe.was_told());
    told.map(|probe| (probe.name.as_str(), probe.found.as_str())).collect()
}

/// What is so of a protocol, on a server that does nothing wrong.
fn truth(protocol: &Protocol) -> BTreeMap<&'static str, &'static str> {
    let words: &[_] = match protocol.name {
        "short-poll" => {
            &[("connection", "new each"), ("direction", "request/response"), ("reconnect", "yes")]
        }
        "long-poll" => {
            &[("connection", "held open"), ("direction", "request/response"), ("reconnect", "yes")]
        }
        "sse" => &[
            ("connection", "held open"),
            ("direction", "server to client"),
            ("reconnect", "yes"),
            ("named-events", "yes"),
        ],
        "websocket" => {
            &[("connection", "persistent"), ("direction", "both"), ("reconnect", "no"), ("types", "yes")]
        }
        _ => &[("connection", "P2P"), ("direction", "both"), ("reconnect", "no"), ("modes", "yes")],
    };
    let binary = if protocol.traits.binary { "yes" } else { "no" };
    words.iter().copied().chain([("binary", binary)]).collect()
}

/// All words of a cell but that of `encrypted`, which takes the right to see packets.
fn unprivileged(cell: &Cell) -> BTreeMap<&str, &str> {
    let mut words = words(cell);
    words.remove("encrypted");
    words
}

#[tokio::test]
async fn what_delays_or_doubles_messages_changes_no_word() {
    for fault in ["", "delay=300ms", "answer-delay=300ms", "duplicate=1", "framing=5"] {
        for (cell, protocol) in probed(fault).await.iter().zip(protocol::ALL) {
            assert_eq!(unprivileged(cell), truth(protocol), "{fault} {}", protocol.name);
        }
    }
}

#[tokio::test]
async fn where_nothing_arrives_nothing_is_found() {
    for fault in ["drop=1", "reject=1", "corrupt=1", "refuse=0"] {
        for cell in probed(fault).await {
            assert_eq!(words(&cell), BTreeMap::new(), "{fault} {}", cell.spec.id);
        }
    }
}

/// Whether it carries binary messages is told by a protocol that has some, and is open where the server took none.
#[tokio::test]
async fn a_server_that_takes_no_binary_says_nothing_of_protocols_that_know_none() {
    for (cell, protocol) in probed("refuse-binary=1").await.iter().zip(protocol::ALL) {
        assert_eq!(cell.status, Status::Finished, "{}", cell.spec.id);
        let mut expected = truth(protocol);
        expected.remove("named-events");
        match protocol.traits.binary {
            true => expected.insert("binary", "no"),
            false => expected.remove("binary"),
        };
        expected.entry("types").and_modify(|types| *types = "no");
        assert_eq!(unprivileged(cell), expected, "{}", cell.spec.id);
        let binary = cell.probes.iter().find(|probe| probe.name == "binary").unwrap();
        assert!(binary.was_told() || binary.detail.starts_with("a server that takes binary"), "{binary:?}");
    }
}

/// Some messages in between go wrong: whatever is found is so.
#[tokio::test]
async fn what_is_found_in_spite_of_a_fault_is_so() {
    for fault in ["drop=7", "reject=7", "corrupt=7", "cut=4", "refuse=3"] {
        for (cell, protocol) in probed(fault).await.iter().zip(protocol::ALL) {
            let truth = truth(protocol);
            for (name, found) in unprivileged(cell) {
                // That something else than a cut ended a connection, or a message did not come back, may be told as a no.
                let denied = found == "no" && matches!(name, "binary" | "types" | "modes" | "named-events");
                assert!(
                    truth[name] == found || denied && truth[name] == "yes",
                    "{fault} {}: {name} {found}",
                    cell.spec.id
                );
            }
        }
    }
}
