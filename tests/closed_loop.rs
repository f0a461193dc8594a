//! A closed loop sends each event when the last one is back. It must go on to the end of the run on every protocol, whatever
//! comes first: the event, or the answer to its publishing.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use program::{assert_exit, cells, run, run_dir};
use rtbench::measure::cell::{Cell, TrustLevel};

/// The scenario over all protocols; `load` adds to its load.
fn measure(load: &str, args: &[&str], code: i32) -> Vec<Cell> {
    let out = tempfile::tempdir().unwrap();
    let scenario = out.path().join("loop.toml");
    let text = format!(
        "about = \"A closed loop\"\n[load]\npattern = \"echo\"\nclients = 20\nwarmup = \"300ms\"\nduration = \"3s\"\n\
         drain = \"3s\"\n{load}\n[http]\nheaders = \"minimal\"\n[short_poll]\ninterval = \"20ms\"\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let results = out.path().join("results");
    let fixed = ["run", scenario.to_str().unwrap(), "--quiet", "--out", results.to_str().unwrap()];
    assert_exit(&run(&[&fixed[..], args].concat()), code);
    let rows = cells(&run_dir(&results).unwrap());
    rows.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect()
}

#[test]
fn events_flow_in_every_second_on_every_protocol() {
    let cells = measure("pace = \"closed\"\nrate = \"1/s\"", &[], 0);
    assert_eq!(cells.len(), rtbench::protocol::ALL.len());
    for cell in cells {
        let (name, counts) = (&cell.spec.id.protocol.name, &cell.counts);
        assert_eq!(cell.intervals.len(), 3, "{name}");
        for second in &cell.intervals {
            assert!(second.published >= 20 && second.delivered >= 20, "{name}: {second:?}");
        }
        assert_eq!((counts.lost, counts.duplicates, counts.shed, counts.held_back), (0, 0, 0, 0), "{name}");
        assert_ne!(cell.trust.level, TrustLevel::Invalid, "{name}: {:?}", cell.trust.reasons);
        let received: u64 = cell.intervals.iter().map(|second| second.delivered).sum();
        assert_eq!(received, counts.received_in_window, "{name}: the seconds add up to the window");
        assert_eq!(cell.intervals.iter().map(|second| second.failures).sum::<u64>(), 0, "{name}");
    }
}

/// One in flight at a moderate rate: nothing has to be left out, and waiting for an answer is nobody's delay.
#[test]
fn one_in_flight_keeps_a_rate_that_the_server_can_follow() {
    for cell in measure("in_flight = 1\nrate = \"5/s\"", &[], 0) {
        let (name, counts) = (&cell.spec.id.protocol.name, &cell.counts);
        assert_eq!((counts.published, counts.delivered), (300, 300), "{name}: {counts:?}");
        assert_eq!((counts.shed, counts.held_back, counts.unanswered), (0, 0, 0), "{name}: {counts:?}");
    }
}
