//! An instrument that is given a defect of known size must show exactly it, in exactly the cells it touches.
//! Each fault is put into the reference server, and the figures of a run with it are held against one without.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use program::{cells, run, run_dir};
use rtbench::measure::cell::Cell;
use rtbench::measure::metric;

const PROTOCOLS: [&str; 4] = ["short-poll", "long-poll", "websocket", "sse"];

/// Measures the same small workload on every protocol, on servers with these faults.
fn measure(faults: &[&str], clients: u32, rate: &str) -> Vec<Cell> {
    let out = tempfile::tempdir().unwrap();
    let scenario = out.path().join("faults.toml");
    let text = format!(
        "about = \"Known faults\"\n[load]\nprotocols = {PROTOCOLS:?}\nclients = {clients}\ngroup = 10\nrate = \"{rate}\"\n\
         payload = \"100B\"\nwarmup = \"200ms\"\nduration = \"2s\"\ndrain = \"3s\"\n[http]\nheaders = \"minimal\"\n\
         [short_poll]\ninterval = \"200ms\"\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let results = out.path().join("results");
    let args =
        vec!["run", scenario.to_str().unwrap(), "--seed", "3", "--quiet", "--out", results.to_str().unwrap()];
    let faults = faults.iter().flat_map(|fault| ["--server-fault", fault]);
    let output = run(&args.into_iter().chain(faults).collect::<Vec<_>>());
    // What the faults do is a failure, and here it is what is looked for.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", program::text(&output));
    let rows = cells(&run_dir(&results).unwrap());
    rows.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect()
}

/// Bytes of head and cursor of each poll that brought something, by the arithmetic of its answer.
fn answer_head_bytes(cell: &Cell) -> f64 {
    /// `204 No Content` with date and cursor, and the netstring around a 100 B event.
    const EMPTY_BYTES: u64 = 115;
    const NETSTRING_BYTES: u64 = 5;
    let (wire, counts) = (&cell.subscriber_wire, &cell.counts);
    let heads = wire.exchange_in_bytes
        - counts.delivered_all_bytes
        - counts.delivered_all * NETSTRING_BYTES
        - wire.empty_exchanges * EMPTY_BYTES;
    heads as f64 / (wire.exchanges - wire.empty_exchanges) as f64
}

#[test]
fn one_byte_more_on_every_answered_poll_is_seen_on_every_answered_poll() {
    let (clean, faulty) = (measure(&[], 20, "50/s"), measure(&["framing=1"], 20, "50/s"));
    for (clean, faulty) in clean.iter().zip(&faulty).filter(|(cell, _)| cell.subscriber_wire.exchanges > 0) {
        let moved = answer_head_bytes(faulty) - answer_head_bytes(clean);
        // Content lengths and cursors grow a digit now and then.
        assert!((moved - 1.0).abs() < 0.3, "{} moved by {moved} B", clean.spec.protocol);
    }
}

fn value(cell: &Cell, name: &str) -> f64 {
    metric::find(name).unwrap().value(cell).unwrap_or_else(|| panic!("{} has no {name}", cell.spec.protocol))
}

#[test]
fn lost_doubled_and_swapped_messages_are_counted_one_by_one() {
    for cell in measure(&["drop=100"], 20, "50/s") {
        // The server counts over warm-up and window; each lost event is lost to nine subscribers, and to nobody else.
        let counts = &cell.counts;
        assert_eq!(counts.delivered + counts.lost, counts.expected);
        assert_eq!(counts.lost % 9, 0, "{}", cell.spec.protocol);
        let events_lost = (counts.published_all * 9 - counts.delivered_all) / 9;
        assert_eq!(events_lost, counts.published_all / 100, "{}", cell.spec.protocol);
        assert_eq!(counts.duplicates + counts.reordered, 0);
        // What never came is a response time of at least the drain of 3 s, so that percentiles do not flatter.
        assert_eq!(counts.censored, counts.lost);
        assert_eq!(value(&cell, "lost_silently"), counts.lost as f64);
        assert_eq!(cell.response.count, counts.delivered + counts.lost);
        assert_eq!(cell.service.count, counts.delivered);
        assert!(cell.response.max_ns >= 3_000_000_000, "{} ns", cell.response.max_ns);
    }
    for cell in measure(&["duplicate=100"], 20, "50/s") {
        let counts = &cell.counts;
        assert_eq!(
            counts.delivered_all,
            9 * (counts.published_all + counts.published_all / 100),
            "{}",
            cell.spec.protocol
        );
        assert_eq!((counts.lost, counts.reordered), (0, 0));
        assert!(counts.duplicates > 0);
    }
    for cell in measure(&["swap=50"], 20, "50/s") {
        let counts = &cell.counts;
        assert!(counts.reordered > 0 && counts.reordered % 9 == 0, "{}: {counts:?}", cell.spec.protocol);
        assert_eq!(cell.reordered_by, 1, "it changed places with its neighbour");
        assert_eq!(counts.duplicates, 0);
    }
}
