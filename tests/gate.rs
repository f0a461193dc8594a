//! The gate through the binary: what it lets pass, what it fails, and how it ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::path::Path;
use std::process::{Command, Output};

use program::{assert_exit, run, run_dir};

const RTBENCH: &str = env!("CARGO_BIN_EXE_rtbench");

/// Small and short: two replicates decide the exact tier.
const EXACT: [&str; 8] = ["gate", "-c", "4", "-z", "50ms", "--tier", "exact", "--quiet"];

fn serve(faults: &str) -> String {
    format!("{RTBENCH} serve {faults}")
}

/// A gate between the reference server and one with these faults.
fn gate(out: &Path, faults: &str, args: &[&str]) -> Output {
    let (base, new) = (serve(""), serve(faults));
    let sides = ["--base-server", &base, "--new-server", &new, "--out", out.to_str().unwrap()];
    run(&[&EXACT[..], &sides, args].concat())
}

fn read(out: &Path, file: &str) -> String {
    std::fs::read_to_string(run_dir(out).unwrap().join(file)).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_twice_passes() {
    let out = tempfile::tempdir().unwrap();
    assert_exit(&gate(out.path(), "", &[]), 0);
    assert!(read(out.path(), "gate.md").contains("websocket: pass"));
    let slices = read(out.path(), "slices.csv");
    // Two replicates, two sides, four slices of 24 ms for 50 ms of load; every slice delivered something.
    assert_eq!(slices.lines().count(), 1 + 2 * 2 * 4, "{slices}");
    assert!(slices.lines().skip(1).all(|line| line.split(',').nth(4) != Some("0")), "{slices}");
}

#[test]
fn one_byte_of_framing_is_a_regression() {
    let out = tempfile::tempdir().unwrap();
    let output = gate(out.path(), "--fault framing=1B", &[]);
    assert_exit(&output, 1);
    assert!(said(&output).contains("framing_in_bytes_per_delivery is 3 B, was 2 B"), "{}", said(&output));
    let junit = read(out.path(), "junit.xml");
    assert!(junit.contains("<failure") && junit.contains("framing_in_bytes_per_delivery"), "{junit}");
}

#[test]
fn a_byte_less_is_none() {
    let out = tempfile::tempdir().unwrap();
    let (base, new) = (serve("--fault framing=2B"), serve(""));
    let sides = ["--base-server", &base, "--new-server", &new, "--out", out.path().to_str().unwrap()];
    assert_exit(&run(&[&EXACT[..], &sides].concat()), 0);
    assert!(read(out.path(), "gate.csv").contains("framing_in_bytes_per_delivery,B,exact"));
}

/// Too little time for a look: nothing is proven, and that is said.
#[test]
fn what_cannot_be_told_is_inconclusive_or_a_warning() {
    for (option, code) in [("fail", 3), ("warn", 0)] {
        let out = tempfile::tempdir().unwrap();
        let args = ["--tier", "all", "--budget", "4s", "--inconclusive", option];
        let base = serve("");
        let sides = ["--base-server", &base, "--new-server", &base, "--out", out.path().to_str().unwrap()];
        let output = run(&[&["gate", "-c", "4", "-z", "50ms", "--quiet"][..], &args, &sides].concat());
        assert_exit(&output, code);
        assert!(said(&output).contains("the first look takes 8"), "{}", said(&output));
    }
}

#[test]
fn a_server_that_says_ready_by_a_url_is_loaded_at_its_port() {
    let out = tempfile::tempdir().unwrap();
    let line = serve("--bind 127.0.0.1:{port}");
    let ready = "http://127.0.0.1:{port}/healthz";
    let place = out.path().to_str().unwrap();
    let sides = ["--base-server", &line, "--new-server", &line, "--ready", ready, "--out", place];
    assert_exit(&run(&[&EXACT[..], &sides].concat()), 0);
}

#[test]
fn two_programs_are_compared_with_workers_of_their_own() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let sides = ["--base-rtbench", RTBENCH, "--new-rtbench", RTBENCH, "--out", place];
    assert_exit(&run(&[&EXACT[..], &sides].concat()), 0);
}

#[test]
fn a_server_that_does_not_start_is_named_and_leaves_nobody() {
    let out = tempfile::tempdir().unwrap();
    let base = serve("");
    let sides = ["--base-server", &base, "--new-server", "sh -c 'echo no such table >&2; exit 9'"];
    let output = run(&[&EXACT[..], &sides, &["--out", out.path().to_str().unwrap()]].concat());
    assert_exit(&output, 4);
    assert!(read(out.path(), "cells.jsonl").contains("no such table"));
}

#[test]
fn what_is_asked_wrongly_is_a_usage_error() {
    let base = serve("");
    for (args, words) in [
        (&["--base-server", base.as_str()][..], "--new-server"),
        (&["--base-server", &base, "--new-server", &base, "--metric", "speed"], "rtbench list metrics"),
        (&["--base-server", &base, "--new-server", &base, "--metric", "clients"], "no better direction"),
        (&["--new-server", &base, "--baseline", "never-saved"], "never-saved"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let output = run(&[&EXACT[..], args, &["--out", out.path().to_str().unwrap()]].concat());
        assert_exit(&output, 2);
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn a_plan_says_what_fits_and_measures_nothing() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let plan = |budget: &str| run(&["gate", "--plan", "--budget", budget, "--out", place]);
    let enough = plan("6m");
    assert_exit(&enough, 0);
    let text = String::from_utf8_lossy(&enough.stdout).into_owned();
    assert!(text.contains("websocket: 40 replicates") && text.contains("is found with 90%"), "{text}");
    assert_exit(&plan("10s"), 3);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

/// Killed when its first replicate lies on the disk; what it then needs is one more.
#[test]
fn a_gate_that_was_killed_goes_on_from_its_replicates() {
    let out = tempfile::tempdir().unwrap();
    let (base, place) = (serve(""), out.path().to_str().unwrap().to_owned());
    let sides = ["--base-server", &base, "--new-server", &base];
    let mut gate = Command::new(RTBENCH).args(EXACT).args(sides).args(["--out", &place]).spawn().unwrap();
    let cells = loop {
        let cells = run_dir(out.path()).and_then(|dir| std::fs::read_to_string(dir.join("cells.jsonl")).ok());
        match cells {
            Some(cells) if cells.lines().count() >= 2 => break cells,
            _ if gate.try_wait().unwrap().is_some() => panic!("it ended before it could be killed"),
            _ => std::thread::yield_now(),
        }
    };
    gate.kill().unwrap();
    gate.wait().unwrap();
    let dir = run_dir(out.path()).unwrap();
    let dir = dir.to_str().unwrap();
    let loud: Vec<&str> = EXACT.iter().copied().filter(|&word| word != "--quiet").collect();
    let resumed = run(&[&loud[..], &sides, &["--resume", dir]].concat());
    assert_exit(&resumed, 0);
    let told = String::from_utf8_lossy(&resumed.stderr);
    assert!(told.contains(&format!("results: {dir}")), "{told}");
    let now = read(out.path(), "cells.jsonl");
    let first = cells.lines().next().unwrap();
    assert_eq!(now.lines().next(), Some(first), "what was measured before the kill still counts");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1, "no other run was begun");
    // Other sides cannot be slipped into it.
    let other = serve("--history 7");
    let output =
        run(&[&EXACT[..], &["--base-server", &base, "--new-server", &other, "--resume", dir]].concat());
    assert_exit(&output, 2);
}

#[test]
fn a_baseline_is_as_strict_with_bytes_and_modest_with_costs() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let small = ["gate", "-c", "4", "-z", "50ms", "--quiet", "--out", place];
    let base = serve("");
    assert_exit(&run(&[&small[..], &["--save-baseline", "main", "--base-server", &base]].concat()), 0);
    assert!(out.path().join("baselines/main/cells.jsonl").is_file());
    let longer = serve("--fault framing=1B");
    let against = |server: &str| run(&[&small[..], &["--baseline", "main", "--new-server", server]].concat());
    let output = against(&longer);
    assert_exit(&output, 1);
    assert!(said(&output).contains("is 3 B, was 2 B"), "{}", said(&output));
    let output = against(&serve("--fault spin=2ms"));
    assert_exit(&output, 1);
    assert!(said(&output).contains("server_cpu_us_per_delivery is"), "{}", said(&output));
    // Another workload has no baseline here.
    let other =
        run(&[&small[..], &["--payload", "200B", "--baseline", "main", "--new-server", &base]].concat());
    assert_exit(&other, 2);
    // Nor has a machine whose processors wake otherwise: its costs would not be compared, which looks like a pass.
    let file = out.path().join("baselines/main/run.json");
    let mut saved: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    saved["host"]["wake_limit_us"] = 0.into();
    std::fs::write(&file, saved.to_string()).unwrap();
    let output = against(&base);
    assert_exit(&output, 2);
    assert!(said(&output).contains("--keep-awake"), "{}", said(&output));
}
