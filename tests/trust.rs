//! Whether the instrument says of itself that it was the bottleneck.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use program::{assert_exit, cells, run, run_dir};
use rtbench::measure::cell::{Cell, TrustLevel};

#[test]
fn a_load_beyond_the_generators_core_is_invalid_and_says_why_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let results = out.path().to_str().unwrap();
    // A million events a second are several times what one core can send and receive.
    let args = ["run", "echo", "-p", "websocket", "-c", "20", "-q", "50000/s", "-z", "1s", "--quiet"];
    let output = run(&[&args[..], &["--workers", "1", "--out", results]].concat());
    assert_exit(&output, 3);
    let row = cells(&run_dir(out.path()).unwrap()).remove(0);
    let cell: Cell = serde_json::from_value(row).unwrap();
    assert_eq!(cell.trust.level, TrustLevel::Invalid, "{:?}", cell.trust.reasons);
    let why = &cell.trust.reasons[0];
    assert!(why.contains("bottleneck") || why.contains("of the offered load"), "{why}");
    assert!(!why.contains('\n'), "{why}");
    assert!(cell.generator.loop_lag.count > 0 && cell.generator.demand_share.is_some());
}
