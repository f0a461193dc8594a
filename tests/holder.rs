//! The instrument against a server that shares no code with the reference server and holds each message for a known time.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use program::{assert_exit, cells, rtbench, run, run_dir};
use rtbench::measure::cell::Cell;

/// Runs a protocol against a holder of its own; the cell, and the holds that the server stamped, in ns.
fn held(protocol: &str, dir: &Path) -> (Cell, Vec<u64>) {
    let (stamps, scenario, results) = (dir.join("stamps"), dir.join("held.toml"), dir.join(protocol));
    let mut holder = rtbench()
        .args(["holder", "--hold", "20ms", "--stamps", stamps.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let target = format!("http://{}", ready["ready"]["http"].as_str().unwrap());
    let text = format!(
        "about = \"Held\"\n[load]\nprotocols = \"{protocol}\"\npattern = \"echo\"\nclients = 10\nrate = \"10/s\"\n\
         payload = \"100B\"\nwarmup = \"200ms\"\nduration = \"1s\"\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let args = ["run", scenario.to_str().unwrap(), "--target", &target, "--quiet"];
    assert_exit(&run(&[&args[..], &["--out", results.to_str().unwrap()]].concat()), 0);
    // The end of its input ends it.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let row = cells(&run_dir(&results).unwrap()).remove(0);
    let holds = std::fs::read_to_string(&stamps).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    (serde_json::from_value(row).unwrap(), holds)
}

#[test]
fn no_latency_is_below_the_hold_and_every_message_is_stamped() {
    let dir = tempfile::tempdir().unwrap();
    for protocol in ["websocket", "sse", "long-poll"] {
        let (cell, holds) = held(protocol, dir.path());
        let counts = &cell.counts;
        assert!(counts.published > 0 && counts.delivered == counts.published, "{protocol}: {counts:?}");
        assert_eq!(holds.len() as u64, counts.delivered_all, "{protocol}");
        let shortest_ns = holds.iter().copied().min().unwrap();
        assert!(shortest_ns >= 20_000_000, "{protocol}: {shortest_ns} ns");
        assert!(cell.service.min_ns >= shortest_ns, "{protocol}: {} ns", cell.service.min_ns);
    }
}
