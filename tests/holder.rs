//! The instrument against a server that shares no code with the reference server and holds each message for a known time.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use program::{assert_exit, cells, rtbench, run, run_dir};
use rtbench::measure::cell::Cell;

#[test]
fn no_latency_is_below_the_hold_and_every_message_is_stamped() {
    let out = tempfile::tempdir().unwrap();
    let stamps = out.path().join("stamps");
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
    let results = out.path().join("results");
    let args =
        ["run", "echo", "-p", "websocket,sse,long-poll", "-c", "10", "-q", "10/s", "-z", "1s", "--quiet"];
    let output = run(&[&args[..], &["--target", &target, "--out", results.to_str().unwrap()]].concat());
    assert_exit(&output, 0);
    // The end of its input ends it.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let rows = cells(&run_dir(&results).unwrap());
    let mut delivered = 0;
    for row in rows {
        let cell: Cell = serde_json::from_value(row).unwrap();
        let (counts, name) = (&cell.counts, &cell.spec.protocol);
        assert!(counts.published > 0 && counts.delivered == counts.published, "{name}: {counts:?}");
        assert!(cell.service.min_ns >= 20_000_000, "{name}: {} ns", cell.service.min_ns);
        delivered += counts.delivered_all;
    }
    let held: Vec<u64> =
        std::fs::read_to_string(&stamps).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(held.len() as u64, delivered);
    assert!(held.iter().all(|&ns| ns >= 20_000_000));
}
