//! An instrument that is given a defect of known size must show exactly it, in exactly the cells it touches.
//! Each fault is put into the reference server, and the figures of a run with it are held against one without.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use program::{assert_exit, cells, run, run_dir};
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
    assert_exit(&output, 0);
    let rows = cells(&run_dir(&results).unwrap());
    rows.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect()
}

fn value(cell: &Cell, name: &str) -> f64 {
    metric::find(name).unwrap().value(cell).unwrap_or_else(|| panic!("{} has no {name}", cell.spec.protocol))
}

/// Bytes beyond the payload of each delivered message (streams) or of each poll that brought something.
fn framing(cell: &Cell) -> f64 {
    match cell.spec.protocol.as_str() {
        "websocket" | "sse" => value(cell, "framing_in_bytes_per_delivery"),
        _ => {
            let wire = &cell.subscriber_wire;
            (wire.exchange_in_bytes - cell.counts.delivered_all_bytes) as f64
        }
    }
}

#[test]
fn bytes_of_framing_move_the_framing_by_that_much_and_nothing_else() {
    let (clean, faulty) = (measure(&[], 20, "50/s"), measure(&["framing=2"], 20, "50/s"));
    for (clean, faulty) in clean.iter().zip(&faulty) {
        let name = &clean.spec.protocol;
        assert_eq!(clean.counts.delivered, clean.counts.expected, "{name}");
        assert_eq!(
            faulty.counts,
            rtbench::measure::cell::Counts {
                received_in_window: faulty.counts.received_in_window,
                ..clean.counts.clone()
            },
            "{name}: nothing but bytes may change"
        );
        match name.as_str() {
            // Every message costs exactly two bytes more. (A comment of its own: `:\n`; an empty pong: 2 bytes.)
            "websocket" | "sse" => assert_eq!(framing(faulty) - framing(clean), 2.0, "{name}"),
            // How many polls bring something depends on timing, so each poll is held against the arithmetic of its bytes.
            _ => {
                let per_answer = |cell: &Cell| {
                    let wire = &cell.subscriber_wire;
                    let answers = (wire.exchanges - wire.empty_exchanges) as f64;
                    framing(cell) / answers
                };
                let moved = per_answer(faulty) - per_answer(clean);
                assert!((moved - 2.0).abs() < 16.0, "{name} moved by {moved}");
            }
        }
    }
    // Exactly 2 B of header in a 100 B frame to begin with.
    assert_eq!(framing(&clean[2]), 2.0);
}

#[test]
fn a_delay_moves_every_latency_by_that_much() {
    let (clean, faulty) = (measure(&[], 20, "50/s"), measure(&["delay=100ms"], 20, "50/s"));
    for (clean, faulty) in clean.iter().zip(&faulty) {
        let moved_ms = value(faulty, "response_p50_ms") - value(clean, "response_p50_ms");
        // The machine is shared: what it adds by itself is far below the 100 ms, and a poll quantises nothing at the median of many phases.
        let slack_ms = if clean.spec.protocol == "short-poll" { 40.0 } else { 20.0 };
        assert!((moved_ms - 100.0).abs() < slack_ms, "{}: {moved_ms} ms", clean.spec.protocol);
        assert_eq!(faulty.counts.delivered, clean.counts.delivered);
        if matches!(clean.spec.protocol.as_str(), "websocket" | "sse") {
            assert_eq!(framing(faulty), framing(clean));
        }
    }
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

#[test]
fn ballast_moves_the_memory_of_held_connections_by_that_much() {
    let slope = |faults: &[&str]| {
        let (few, many) = (measure(faults, 100, "0"), measure(faults, 500, "0"));
        few.iter()
            .zip(many)
            .map(|(few, many)| {
                (value(&many, "server_memory_idle_bytes") - value(few, "server_memory_idle_bytes")) / 400.0
            })
            .collect::<Vec<_>>()
    };
    let (clean, faulty) = (slope(&[]), slope(&["ballast=64KiB"]));
    for ((name, clean), faulty) in PROTOCOLS.iter().zip(clean).zip(faulty) {
        let moved = faulty - clean;
        match *name {
            // Between two polls there is no connection that could hold anything.
            "short-poll" => assert!(moved.abs() < 8192.0, "{name}: {moved} B"),
            // Publishers of the polling protocols and of SSE hold no connection: nine clients in ten do.
            "websocket" => assert!(
                (moved - 0.9 * 65_536.0).abs() < 8192.0 || (moved - 65_536.0).abs() < 8192.0,
                "{name}: {moved} B"
            ),
            _ => assert!((moved - 0.9 * 65_536.0).abs() < 8192.0, "{name}: {moved} B"),
        }
    }
}
