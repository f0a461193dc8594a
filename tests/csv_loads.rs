//! Every CSV file loads as it is in pandas and DuckDB, with the types that are documented.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{assert_exit, run, run_dir};
use rtbench::report::csv_files;
use serde_json::json;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// CSV files in a run's directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "csv")).collect()
}

/// A run of every kind: committed ones, and small ones of this very program.
fn everything(out: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(RESULTS).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("reference-") {
            found.extend(files(&path));
        }
    }
    let small = |name: &str, args: &[&str], code| {
        let place = out.join(name);
        let fixed = ["--quiet", "--seed", "3", "--out", place.to_str().unwrap()];
        assert_exit(&run(&[args, &fixed].concat()), code);
        files(&run_dir(&place).unwrap())
    };
    // Too few events for the percentile of the scenario's threshold.
    let echo = ["run", "echo", "-c", "4", "-z", "1s", "-q", "20/s", "-p", "websocket,short-poll"];
    for name in ["run", "again"] {
        found.extend(small(name, &echo, 3));
    }
    let slo = ["--from", "10", "--max", "20", "-z", "200ms", "--slo", "lost count==0"];
    found.extend(small("capacity", &[&["capacity", "echo", "-p", "websocket"][..], &slo].concat(), 0));
    let alike = ["gate", "--selftest", "1", "--tier", "exact", "-c", "4", "-z", "50ms"];
    found.extend(small("gate", &alike, 0));
    let runs = ["run", "again"].map(|name| run_dir(&out.join(name)).unwrap());
    let place = out.join("compared");
    let [first, second, into] = [&runs[0], &runs[1], &place].map(|path| path.to_str().unwrap());
    assert_exit(&run(&["compare", first, second, "--format", "comparison.csv", "-o", into]), 0);
    found.extend(files(&place));
    found
}

#[test]
fn pandas_and_duckdb_take_every_column_for_what_is_documented() {
    if missing::modules(&["pandas", "duckdb"]) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let paths = everything(out.path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let names: BTreeSet<String> = paths.iter().map(name).collect();
    let documented: BTreeSet<String> = csv_files::ALL.iter().map(|sheet| sheet.file.to_owned()).collect();
    assert_eq!(names, documented, "every file that is documented is looked at, and none else is written");
    let described = paths.iter().map(|path| {
        let sheet = csv_files::ALL.iter().find(|sheet| sheet.file == name(path)).unwrap();
        let column =
            |head: rtbench::report::csv_column::Head| json!({ "name": head.name, "type": head.kind.word() });
        json!({ "path": path, "columns": (sheet.heads)().into_iter().map(column).collect::<Vec<_>>() })
    });
    let described = serde_json::to_vec(&described.collect::<Vec<_>>()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/csv/loads.py");
    let mut python =
        Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(&described).unwrap();
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with(&format!("looked at {} files", paths.len())), "{said}");
}
