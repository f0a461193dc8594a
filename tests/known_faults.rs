//! An instrument that is given a defect of known size must show exactly it, in exactly the cells it touches.
//! Each fault is put into the reference server, over every protocol and in both patterns.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::sync::{Mutex, PoisonError};

use program::{assert_exit, cells, run, run_dir, text as text_of};
use rtbench::measure::cell::Cell;
use rtbench::measure::metric;
use rtbench::protocol::{self, Protocol};
use rtbench::scenario::kinds::Pattern;

/// Members of a group in the broadcast pattern: one publishes, and all others receive.
const GROUP: u64 = 10;

/// Clients of a run.
const CLIENTS: u64 = 20;

/// Which faults, on what.
struct Case {
    faults: &'static [&'static str],
    /// The protocols that feel them.
    felt_by: fn(&Protocol) -> bool,
    /// Further lines of the scenario's load.
    load: &'static str,
    drain: &'static str,
}

impl Case {
    fn of(faults: &'static [&'static str]) -> Case {
        Case { faults, felt_by: |_| true, load: "", drain: "1s" }
    }

    /// A cell for each pattern and protocol, measured side by side: most of it is waiting. One case at a time. The exit code is the business of
    /// thresholds, and of other tests.
    fn cells(&self) -> Vec<Cell> {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let felt = || protocol::ALL.iter().filter(|protocol| (self.felt_by)(protocol));
        let patterns = ["pattern = \"broadcast\"\ngroup = 10", "pattern = \"echo\""];
        std::thread::scope(|scope| {
            let runs =
                patterns.iter().flat_map(|pattern| felt().map(move |protocol| (pattern, protocol.name)));
            let runs: Vec<_> = runs
                .map(|(pattern, protocol)| scope.spawn(move || self.measure(pattern, protocol)))
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        })
    }

    fn measure(&self, pattern: &str, protocol: &str) -> Cell {
        let out = tempfile::tempdir().unwrap();
        let scenario = out.path().join("faults.toml");
        let Case { load, drain, .. } = self;
        let text = format!(
            "about = \"Known faults\"\n[load]\nprotocols = {protocol:?}\nclients = {CLIENTS}\n{pattern}\nrate = \"10/s\"\n\
             payload = \"100B\"\nwarmup = \"200ms\"\nduration = \"1s\"\ndrain = \"{drain}\"\n{load}\n\
             [http]\nheaders = \"minimal\"\n[short_poll]\ninterval = \"100ms\"\n[webrtc]\ntopology = \"server\"\n"
        );
        std::fs::write(&scenario, text).unwrap();
        let results = out.path().join("results");
        let args =
            ["run", scenario.to_str().unwrap(), "--seed", "3", "--quiet", "--out", results.to_str().unwrap()];
        let faults = self.faults.iter().flat_map(|fault| ["--server-fault", fault]);
        let output = run(&args.into_iter().chain(faults).collect::<Vec<_>>());
        let dir = run_dir(&results).unwrap_or_else(|| panic!("{}", text_of(&output)));
        let row = cells(&dir).pop().unwrap_or_else(|| panic!("{}", text_of(&output)));
        serde_json::from_value(row).unwrap()
    }
}

/// Who gets an event.
fn receivers(cell: &Cell) -> u64 {
    if cell.spec.pattern == Pattern::Echo { 1 } else { GROUP - 1 }
}

fn name(cell: &Cell) -> String {
    format!(
        "{} in {:?}: {:?} {:?}",
        cell.spec.id.protocol.name, cell.spec.pattern, cell.counts, cell.failures
    )
}

/// Deliveries that a server without a fault would have made.
fn owed(cell: &Cell) -> u64 {
    cell.counts.published_all * receivers(cell)
}

/// Failures of this kind.
fn failed(cell: &Cell, kind: &str) -> u64 {
    cell.failures.iter().filter(|failure| failure.kind.contains(kind)).map(|failure| failure.count).sum()
}

fn value(cell: &Cell, name: &str) -> f64 {
    metric::find(name)
        .unwrap()
        .value(cell)
        .unwrap_or_else(|| panic!("{} has no {name}", cell.spec.id.protocol.name))
}

/// Everything arrives once, in order and unchanged, but for what `expected` says of the deliveries in all.
#[track_caller]
fn assert_deliveries(cell: &Cell, expected: u64) {
    let counts = &cell.counts;
    assert_eq!(counts.connected, CLIENTS, "{}", name(cell));
    assert!(counts.published_all > 0, "{}", name(cell));
    assert_eq!(counts.delivered_all, expected, "{}", name(cell));
    assert_eq!(counts.delivered + counts.lost, counts.expected, "{}", name(cell));
    assert_eq!(counts.lost % receivers(cell), 0, "{}", name(cell));
}

#[test]
fn without_a_fault_everything_arrives() {
    for cell in Case::of(&[]).cells() {
        assert_deliveries(&cell, owed(&cell));
        let counts = &cell.counts;
        assert_eq!((counts.lost, counts.duplicates, counts.reordered, counts.corrupt), (0, 0, 0, 0));
    }
}

#[test]
fn lost_messages_are_counted_one_by_one() {
    for cell in Case::of(&["drop=5"]).cells() {
        let counts = &cell.counts;
        // The server counts over warm-up and window; each lost event is lost to all its receivers, and to nobody else.
        assert_deliveries(&cell, owed(&cell) - counts.published_all / 5 * receivers(&cell));
        assert!(counts.lost > 0 && counts.duplicates + counts.reordered == 0, "{}", name(&cell));
        // What never came is a response time of at least the drain of 1 s, so that percentiles do not flatter.
        assert_eq!(counts.censored, counts.lost);
        assert_eq!(value(&cell, "lost_silently"), counts.lost as f64);
        assert_eq!(cell.response.count, counts.delivered + counts.lost);
        assert_eq!(cell.service.count, counts.delivered);
        assert!(cell.response.max_ns >= 1_000_000_000, "{} ns", cell.response.max_ns);
    }
}

#[test]
fn doubled_messages_are_counted_one_by_one() {
    for cell in Case::of(&["duplicate=5"]).cells() {
        let counts = &cell.counts;
        assert_deliveries(&cell, owed(&cell) + counts.published_all / 5 * receivers(&cell));
        assert!(counts.duplicates > 0 && counts.lost + counts.reordered == 0, "{}", name(&cell));
    }
}

#[test]
fn messages_that_change_places_are_counted_one_by_one() {
    for cell in Case::of(&["swap=5"]).cells() {
        let counts = &cell.counts;
        // Those that still wait for a next one at the end never come.
        let missing = owed(&cell) - counts.delivered_all;
        assert_deliveries(&cell, owed(&cell) - missing);
        assert!(missing <= CLIENTS / GROUP * receivers(&cell).max(GROUP), "{}", name(&cell));
        assert_eq!(counts.lost, missing, "{}", name(&cell));
        assert!(counts.reordered > 0 && counts.reordered % receivers(&cell) == 0, "{}", name(&cell));
        assert_eq!((cell.reordered_by, counts.duplicates), (1, 0), "it changed places with its neighbour");
    }
}

#[test]
fn changed_messages_are_counted_one_by_one() {
    for load in ["", "binary = true"] {
        for cell in (Case { load, ..Case::of(&["corrupt=5"]) }).cells() {
            let counts = &cell.counts;
            let changed = counts.published_all / 5 * receivers(&cell);
            assert_deliveries(&cell, owed(&cell) - changed);
            assert_eq!((counts.corrupt, counts.foreign), (changed, 0), "{}", name(&cell));
            assert!(counts.lost > 0 && counts.duplicates + counts.reordered == 0, "{}", name(&cell));
        }
    }
}

#[test]
fn refused_messages_are_failures_of_those_who_sent_them() {
    for cell in Case::of(&["reject=5"]).cells() {
        let counts = &cell.counts;
        let protocol = cell.spec.id.protocol;
        if protocol.traits.in_band {
            // The channel is closed.
            assert!(cell.failures.iter().any(|failure| failure.count > 0), "{}", name(&cell));
            continue;
        }
        let refused = failed(&cell, "503");
        assert_eq!(refused, counts.published_all / 5, "{}", name(&cell));
        assert_deliveries(&cell, owed(&cell) - refused * receivers(&cell));
        assert_eq!((counts.duplicates, counts.reordered), (0, 0), "{}", name(&cell));
    }
}

#[test]
fn refused_binary_messages_go_nowhere() {
    let case = Case { load: "binary = true", ..Case::of(&["refuse-binary=1"]) };
    for cell in case.cells() {
        // Where a protocol has no binary messages, text is sent.
        if !cell.spec.id.protocol.traits.binary {
            assert_deliveries(&cell, owed(&cell));
            continue;
        }
        assert_eq!((cell.counts.delivered_all, cell.counts.connected), (0, CLIENTS), "{}", name(&cell));
        assert!(cell.failures.iter().any(|failure| failure.count > 0), "{}", name(&cell));
    }
    for cell in Case::of(&["refuse-binary=1"]).cells() {
        assert_deliveries(&cell, owed(&cell));
    }
}

#[test]
fn a_delay_is_a_part_of_every_delivery() {
    for cell in Case::of(&["delay=30ms"]).cells() {
        assert_deliveries(&cell, owed(&cell));
        let (response, service) = (cell.response.min_ns, cell.service.min_ns);
        assert!(response >= 30_000_000 && service >= 30_000_000, "{response} {service} ns: {}", name(&cell));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn time_that_is_burnt_for_each_delivery_is_cpu_of_the_server() {
    for cell in Case::of(&["spin=100us"]).cells() {
        assert_deliveries(&cell, owed(&cell));
        let us = value(&cell, "server_cpu_us_per_delivery");
        // What is burnt at one end of the window may be received beyond it.
        assert!(us >= 90.0, "{us} us: {}", name(&cell));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_connections_hold_is_memory_of_the_server() {
    const BALLAST_BYTES: u64 = 256 << 10;
    // A short poll's connection is gone before the next.
    let felt_by = |protocol: &Protocol| protocol.name != "short-poll";
    for cell in (Case { felt_by, ..Case::of(&["ballast=256KiB"]) }).cells() {
        assert_deliveries(&cell, owed(&cell));
        let server = cell.server.as_ref().unwrap();
        let grown = server.memory_after_bytes.unwrap() - server.memory_empty_bytes.unwrap();
        let holders =
            if cell.spec.pattern == Pattern::Echo { CLIENTS } else { CLIENTS / GROUP * (GROUP - 1) };
        assert!(grown >= holders * BALLAST_BYTES, "{grown} B: {}", name(&cell));
    }
}

/// Those that come back by themselves get the rest, and the others have had what they had.
#[test]
fn a_connection_that_is_cut_has_delivered_so_many_messages() {
    const MESSAGES: u64 = 8;
    for cell in (Case { drain: "6s", ..Case::of(&["cut=8"]) }).cells() {
        let counts = &cell.counts;
        let traits = cell.spec.id.protocol.traits;
        if traits.resumes {
            assert_deliveries(&cell, owed(&cell));
            continue;
        }
        let receiving =
            if cell.spec.pattern == Pattern::Echo { CLIENTS } else { CLIENTS / GROUP * (GROUP - 1) };
        assert!(owed(&cell) + counts.held_back > MESSAGES * receiving, "too few to be cut: {}", name(&cell));
        assert_eq!(counts.delivered_all, MESSAGES * receiving, "{}", name(&cell));
    }
}

#[test]
fn who_comes_after_so_many_is_refused() {
    for cell in Case::of(&["refuse=12"]).cells() {
        let traits = cell.spec.id.protocol.traits;
        if traits.exchanges {
            // The first poll only asks where its topics stand, so that all come as far as that.
            assert!(failed(&cell, "503") > 0, "{}", name(&cell));
            continue;
        }
        // Publishers need a seat where they publish in band.
        let own = if traits.in_band || cell.spec.pattern == Pattern::Echo { 0 } else { CLIENTS / GROUP };
        assert_eq!(cell.counts.connected, 12 + own, "{}", name(&cell));
        assert!(failed(&cell, "503") >= CLIENTS - 12 - own, "{}", name(&cell));
    }
}

#[test]
fn a_publish_that_is_answered_late_has_been_delivered_long_before() {
    let felt_by = |protocol: &Protocol| !protocol.traits.in_band;
    for cell in (Case { felt_by, load: "", ..Case::of(&["answer-delay=15ms"]) }).cells() {
        assert_deliveries(&cell, owed(&cell));
        assert_eq!((cell.counts.lost, cell.counts.duplicates, cell.counts.reordered), (0, 0, 0));
    }
}

/// Bytes that a subscriber reads for each message besides the message.
fn framing_bytes(cell: &Cell) -> f64 {
    /// `204 No Content` with date and cursor, and the netstring around a 100 B event.
    const EMPTY_BYTES: u64 = 115;
    const NETSTRING_BYTES: u64 = 5;
    let (wire, counts) = (&cell.subscriber_wire, &cell.counts);
    if wire.exchanges == 0 {
        return value(cell, "framing_in_bytes_per_delivery");
    }
    // Head and cursor of each poll that brought something.
    let heads = wire.exchange_in_bytes
        - counts.delivered_all_bytes
        - counts.delivered_all * NETSTRING_BYTES
        - wire.empty_exchanges * EMPTY_BYTES;
    heads as f64 / (wire.exchanges - wire.empty_exchanges) as f64
}

#[test]
fn bytes_of_framing_are_seen_on_every_message() {
    let felt_by = |protocol: &Protocol| protocol.name != "webrtc";
    let clean = (Case { felt_by, ..Case::of(&[]) }).cells();
    let faulty = (Case { felt_by, ..Case::of(&["framing=2"]) }).cells();
    for (clean, faulty) in clean.iter().zip(&faulty) {
        assert_deliveries(faulty, owed(faulty));
        let moved = framing_bytes(faulty) - framing_bytes(clean);
        // Content lengths and cursors grow a digit now and then.
        assert!((moved - 2.0).abs() < 0.3, "moved by {moved} B: {}", name(faulty));
    }
}

#[test]
fn a_fault_that_a_cell_would_not_feel_is_refused_before_the_start() {
    let refused = |words: &[&str], why: &str| {
        let out = tempfile::tempdir().unwrap();
        let results = out.path().to_str().unwrap();
        let args = [words, &["--out", results]].concat();
        let output = run(&args);
        assert_exit(&output, 2);
        assert!(text_of(&output).contains(why), "{}", text_of(&output));
        assert_eq!(run_dir(out.path()), None, "nothing was measured");
    };
    let peers =
        "drop=5 does nothing to webrtc: its clients connect to each other, and no message passes the server";
    refused(&["run", "broadcast", "-p", "webrtc", "--server-fault", "drop=5"], peers);
    refused(&["run", "broadcast", "--server-fault", "drop=5"], peers);
    refused(&["capacity", "broadcast", "-p", "sse,webrtc", "--server-fault", "drop=5"], peers);
    let answers = "answer-delay=1s does nothing to websocket: what is published there is not answered";
    refused(&["run", "echo", "-p", "sse,websocket", "--server-fault", "answer-delay=1s"], answers);
    let framing = "framing=1 does nothing to webrtc: the framing of a data channel cannot grow";
    refused(&["run", "echo", "--server-fault", "framing=1"], framing);
}
