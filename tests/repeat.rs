//! Cells measured more than once, values swept over, and several runs side by side, as a user meets them.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::path::PathBuf;

use program::{assert_exit, cells, run, run_dir, text};
use serde_json::Value;

/// A run of a few tenths of a second for each cell.
const TINY: &str = r#"
about = "A tiny one"
[load]
protocols = ["websocket", "sse"]
clients = 10
rate = "20/s"
warmup = "100ms"
duration = "300ms"
drain = "1s"
[thresholds]
lost = ["count==0"]
"#;

/// What a tiny run was and left.
struct Ran {
    output: std::process::Output,
    out: tempfile::TempDir,
}

impl Ran {
    fn dir(&self) -> PathBuf {
        run_dir(self.out.path()).unwrap()
    }

    fn cells(&self) -> Vec<Value> {
        cells(&self.dir())
    }

    /// Names of the cells with which repetition they are.
    fn names(&self) -> Vec<(String, u64)> {
        let name = |cell: &Value| {
            (cell["spec"]["name"].as_str().unwrap().to_owned(), cell["spec"]["repeat"].as_u64().unwrap())
        };
        self.cells().iter().map(name).collect()
    }
}

/// Runs a scenario with these arguments, into a directory of its own.
fn tiny(scenario: &str, args: &[&str]) -> Ran {
    let out = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("tiny.toml");
    std::fs::write(&path, scenario).unwrap();
    let (path, place) = (path.to_string_lossy(), out.path().to_string_lossy());
    let output = run(&[&["run", &path, "--out", &place, "--seed", "7"], args].concat());
    Ran { output, out }
}

#[test]
fn repetitions_are_interleaved_and_all_of_them_are_kept() {
    let ran = tiny(TINY, &["--repeat", "2"]);
    assert_exit(&ran.output, 0);
    let cell = |name: &str, repeat| (name.to_owned(), repeat);
    assert_eq!(ran.names(), [cell("websocket", 0), cell("sse", 0), cell("websocket", 1), cell("sse", 1)]);
    let cells = ran.cells();
    assert_eq!(cells[0]["spec"]["seed"], cells[2]["spec"]["seed"]);
    assert_eq!(cells[0]["schedule_digest"], cells[2]["schedule_digest"], "the same events at the same times");
    let said = text(&ran.output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("2 repeats: ") && said.contains("medians over repeats"), "{said}");
    assert!(said.contains("lost count==0 in websocket: "), "{said}");
    for name in ["websocket.hgrm", "websocket-r1.hgrm", "sse-r1.hgrm"] {
        assert!(ran.dir().join(name).exists(), "{name}");
    }
    let csv = std::fs::read_to_string(ran.dir().join("cells.csv")).unwrap();
    let begin = |line: &str| line.split(',').skip(1).take(2).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = csv.lines().map(begin).collect();
    assert_eq!(rows, ["cell,repeat", "websocket,0", "sse,0", "websocket,1", "sse,1"]);
}

#[test]
fn a_threshold_must_hold_in_every_repetition() {
    let ran = tiny(&TINY.replace("count==0", "count<0"), &["-p", "sse", "--repeat", "2"]);
    assert_exit(&ran.output, 1);
    let said = text(&ran.output);
    assert!(said.contains("in sse: ") && said.contains("in sse r1: "), "{said}");
}

#[test]
fn nothing_is_measured_no_times() {
    for args in [["run", "echo", "--repeat", "0"], ["matrix", "--quick", "--repeat", "0"]] {
        let output = run(&args);
        assert_exit(&output, 2);
        assert!(text(&output).contains("--repeat"), "{}", text(&output));
    }
}

#[test]
fn a_sweep_is_one_run_whose_cells_say_what_was_chosen() {
    let args = [
        "--sweep",
        "poll=100ms,200ms",
        "--sweep",
        "headers=minimal,browser",
        "--sweep",
        "protocol=short-poll,sse",
    ];
    let ran = tiny(TINY, &args);
    assert_exit(&ran.output, 0);
    let names: Vec<String> = ran.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "short-poll/poll=100ms/headers=minimal",
            "short-poll/poll=100ms/headers=browser",
            "short-poll/poll=200ms/headers=minimal",
            "short-poll/poll=200ms/headers=browser",
            "sse/headers=minimal",
            "sse/headers=browser",
        ]
    );
    let cells = ran.cells();
    assert_eq!(cells[2]["spec"]["poll_interval_s"], 0.2);
    assert_eq!(cells[3]["spec"]["headers"], "browser");
    // What each cell really sent is its own headers.
    let sent = |cell: &Value| cell["subscriber_wire"]["exchange_out_bytes"].as_u64().unwrap() as f64;
    let polls = |cell: &Value| cell["subscriber_wire"]["exchanges"].as_u64().unwrap() as f64;
    let per_poll = |cell: &Value| sent(cell) / polls(cell);
    assert!(
        per_poll(&cells[1]) > per_poll(&cells[0]) + 500.0,
        "{} {}",
        per_poll(&cells[1]),
        per_poll(&cells[0])
    );
    let file = std::fs::read_to_string(ran.dir().join("run.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["swept"][0]["key"], "short_poll.interval");
    assert_eq!(file["swept"][0]["values"], serde_json::json!(["100ms", "200ms"]));
    assert!(ran.dir().join("short-poll-poll-100ms-headers-minimal.hgrm").exists());
}

#[test]
fn encryption_can_be_swept_over() {
    let ran = tiny(TINY, &["-p", "websocket", "--sweep", "tls=plain,tls"]);
    assert_exit(&ran.output, 0);
    let encrypted = |cell: &Value| {
        let wire = &cell["subscriber_wire"];
        wire["socket_in_bytes"].as_u64().unwrap() > wire["in_bytes"].as_u64().unwrap()
    };
    assert_eq!(ran.cells().iter().map(encrypted).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_sweep_that_cannot_be_is_told_before_anything_is_measured() {
    for (args, messages) in [
        (vec!["--sweep", "pol=1s"], vec!["there is no key 'pol'", "poll"]),
        (vec!["--sweep", "poll=1s,soon"], vec!["short_poll.interval=soon", "a time such as 250ms"]),
        (vec!["--sweep", "short_poll.intervall=1s"], vec!["unknown field `intervall`", "`interval`"]),
        (vec!["--sweep", "payload=10B"], vec!["cannot hold the envelope"]),
        (vec!["--sweep", "poll=1s,2s", "-p", "sse"], vec!["only short-poll heeds it"]),
        (vec!["--sweep", "clients=10,20", "-c", "30"], vec!["load.clients is set twice"]),
        (
            vec!["--sweep", "tls=plain,tls", "--target", "https://127.0.0.1:1"],
            vec!["connect.tls is set twice"],
        ),
        (vec!["--sweep", "tls=plain,tls", "--target", "http://127.0.0.1:1"], vec!["is not https://"]),
    ] {
        let ran = tiny(TINY, &args);
        assert_exit(&ran.output, 2);
        let said = text(&ran.output);
        assert!(messages.iter().all(|message| said.contains(message)), "{args:?}: {said}");
        assert!(run_dir(ran.out.path()).is_none(), "{args:?} left a directory");
    }
}

#[test]
fn runs_are_shown_side_by_side() {
    let [first, second] =
        [TINY, &TINY.replace("\"sse\"", "\"long-poll\"")].map(|scenario| tiny(scenario, &[]));
    assert_exit(&first.output, 0);
    assert_exit(&second.output, 0);
    let dirs = [first.dir(), second.dir()].map(|dir| dir.to_string_lossy().into_owned());
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("both").to_string_lossy().into_owned();
    let report = |args: &[&str]| run(&[&["report", &dirs[0], &dirs[1]], args].concat());

    let shown = report(&[]);
    assert_exit(&shown, 0);
    for word in ["websocket", "sse", "long-poll", "latency mean, ms", "Not the same in all runs: scenario"] {
        assert!(text(&shown).contains(word), "{word}: {}", text(&shown));
    }

    let table = report(&["--format", "cells.csv", "--out", "-"]);
    assert_exit(&table, 0);
    let printed = String::from_utf8(table.stdout).unwrap();
    let rows: Vec<&str> = printed.lines().skip(1).map(|row| row.split(',').nth(1).unwrap()).collect();
    assert_eq!(rows, ["websocket", "sse", "websocket", "long-poll"]);
    let runs: std::collections::BTreeSet<&str> =
        printed.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(runs.len(), 2, "{runs:?}");

    assert_exit(&report(&["--out", &place]), 0);
    for name in ["cells.csv", "intervals.csv", "report.html"] {
        assert!(out.path().join("both").join(name).exists(), "{name}");
    }
    for (args, message) in [
        (
            vec!["--format", "json", "--out", "-"],
            "shows one run; several are shown by cells.csv, intervals.csv, html",
        ),
        (vec!["--format", "html"], "say --out DIR"),
        (vec!["--out", &dirs[0]], "is the directory of a run"),
    ] {
        let output = report(&args);
        assert_exit(&output, 2);
        assert!(text(&output).contains(message), "{args:?}: {}", text(&output));
    }
    let twice = run(&["report", &dirs[0], &dirs[0]]);
    assert_exit(&twice, 2);
    assert!(text(&twice).contains("stands there twice"), "{}", text(&twice));
    assert_exit(&run(&["report"]), 2);
}
