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
