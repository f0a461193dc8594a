//! An instrument that is given a defect of known size must show exactly it: the whole matrix is measured on servers
//! with one fault each, and the cells that move, and by how much, are held against a matrix without any.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;

use program::{run, run_dir, text};
use rtbench::measure::cell::Cell;
use rtbench::measure::metric;

const PROTOCOLS: [&str; 3] = ["long-poll", "websocket", "sse"];

/// Rows that are counted or found, and must not move at all unless they are meant to.
const EXACT: [&str; 5] = ["Connection", "Direction", "Overhead/Msg", "Binary Data", "Auto-Reconnect"];

/// What one `rtbench matrix` printed and saved.
struct Measured {
    /// By row and protocol: what was measured.
    exact: BTreeMap<(String, String), String>,
    cells: BTreeMap<String, Cell>,
}

impl Measured {
    fn with(args: &[&str]) -> Measured {
        let out = tempfile::tempdir().unwrap();
        let results = out.path().to_str().unwrap();
        let protocols = PROTOCOLS.join(",");
        let fixed =
            ["matrix", "--quick", "--seed", "3", "--quiet", "--out", results, "--protocol", &protocols];
        // The exit code is the business of thresholds, and of other tests.
        let output = run(&fixed.iter().chain(args).copied().collect::<Vec<_>>());
        let dir = run_dir(out.path()).unwrap_or_else(|| panic!("{}", text(&output)));
        let mut rows = csv::Reader::from_path(dir.join("matrix.csv")).unwrap();
        let rows = rows.deserialize().map(|row| row.unwrap());
        let exact = rows.filter_map(|row: BTreeMap<String, String>| {
            let (feature, protocol) = (row["feature"].clone(), row["protocol"].clone());
            let counted = EXACT.contains(&feature.as_str()) && PROTOCOLS.contains(&protocol.as_str());
            counted.then(|| ((feature, protocol), row["measured"].clone() + &row["found"]))
        });
        let cells = program::cells(&dir).into_iter().map(|row| {
            let cell: Cell = serde_json::from_value(row).unwrap();
            (cell.spec.id.to_string(), cell)
        });
        Measured { exact: exact.collect(), cells: cells.collect() }
    }

    fn workload(&self, protocol: &str) -> &Cell {
        &self.cells[&format!("workload/{protocol}")]
    }

    fn value(&self, protocol: &str, name: &str) -> f64 {
        metric::find(name).unwrap().value(self.workload(protocol)).unwrap()
    }

    /// Two of them at once: most of a matrix is waiting.
    fn pair(one: &[&str], other: &[&str]) -> [Measured; 2] {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| Measured::with(other));
            [Measured::with(one), other.join().unwrap()]
        })
    }

    /// Memory of the server per client, in bytes.
    fn memory_bytes(&self, protocol: &str) -> f64 {
        let points = self.cells.iter().filter(|(name, _)| name.starts_with(&format!("memory/{protocol}/")));
        let mut points: Vec<(f64, f64)> = points
            .map(|(_, cell)| {
                let memory = metric::find("server_memory_idle_bytes").unwrap().value(cell).unwrap();
                (f64::from(cell.spec.clients), memory)
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (few, many) = (points[0], points[points.len() - 1]);
        (many.1 - few.1) / (many.0 - few.0)
    }

    /// The rows that are not what they were.
    fn moved(&self, clean: &Measured) -> Vec<(&str, &str)> {
        let differs = |key, text: &String| match (text.parse::<f64>(), clean.exact[key].parse::<f64>()) {
            // Cursors gain a digit now and then, and two events may come in one answer of a long poll: a byte more there is
            // below this, and is asked for by itself.
            (Ok(now), Ok(before)) => (now - before).abs() > 0.01 * before,
            _ => *text != clean.exact[key],
        };
        let moved = self.exact.iter().filter(|(key, text)| differs(key, text));
        moved.map(|((feature, protocol), _)| (feature.as_str(), protocol.as_str())).collect()
    }

    /// What every matrix must show, whatever it moved: unless `delay_ms` or `ballast_bytes` say so, time and memory
    /// stand as they were.
    fn stands(&self, clean: &Measured, delay_ms: f64, ballast_bytes: f64) {
        for protocol in PROTOCOLS {
            let counts = &self.workload(protocol).counts;
            assert_eq!((counts.lost, counts.duplicates, counts.reordered), (0, 0, 0), "{protocol}");
            let latency = |of: &Measured| of.value(protocol, "response_p50_ms");
            let moved_ms = latency(self) - latency(clean);
            assert!((moved_ms - delay_ms).abs() < 4.0, "{protocol} latency moved by {moved_ms} ms");
            let moved_bytes = self.memory_bytes(protocol) - clean.memory_bytes(protocol);
            assert!(
                (moved_bytes - ballast_bytes).abs() < 1500.0,
                "{protocol} memory moved by {moved_bytes} B"
            );
        }
    }
}

#[test]
fn each_fault_moves_the_cells_it_touches_by_its_size_and_no_other() {
    // More events where one in a thousand is lost, so that there are thousands.
    let [clean, dropped] = Measured::pair(&[], &["--rate", "40/s", "--server-fault", "drop=1000"]);
    let [framing, delay] =
        Measured::pair(&["--server-fault", "framing=1"], &["--server-fault", "delay=10ms"]);
    let [ballast, refused] =
        Measured::pair(&["--server-fault", "ballast=4KiB"], &["--server-fault", "refuse-binary=1"]);
    clean.stands(&clean, 0.0, 0.0);

    framing.stands(&clean, 0.0, 0.0);
    assert_eq!(framing.moved(&clean), [("Overhead/Msg", "sse"), ("Overhead/Msg", "websocket")]);
    // A long poll that brings two events pays once for both, and how many do hangs on the moment: it is asked by the poll.
    let overhead = |of: &Measured, protocol: &str| match protocol {
        "long-poll" => of.value(protocol, "overhead_bytes_per_exchange"),
        _ => of.exact[&("Overhead/Msg".to_owned(), protocol.to_owned())].parse::<f64>().unwrap(),
    };
    for protocol in PROTOCOLS {
        let moved = overhead(&framing, protocol) - overhead(&clean, protocol);
        // WebSocket grows by 2 B before every other message, which leaves up to one message's share to each subscriber.
        let counts = &clean.workload(protocol).counts;
        let slack = if protocol == "websocket" { 180.0 / counts.delivered as f64 } else { 0.05 };
        // Cursors and lengths grow a digit now and then.
        let slack = if protocol == "long-poll" { 0.3 } else { slack };
        assert!((moved - 1.0).abs() <= slack, "{protocol} moved by {moved} B");
    }

    delay.stands(&clean, 10.0, 0.0);
    assert_eq!(delay.moved(&clean), []);

    // Nine of ten clients subscribe, and hold it.
    ballast.stands(&clean, 0.0, 0.9 * 4096.0);
    assert_eq!(ballast.moved(&clean), []);

    refused.stands(&clean, 0.0, 0.0);
    // Polls and streams know no binary message; that they do is not said by a server which takes none.
    let binary =
        |of: &Measured| PROTOCOLS.map(|name| of.exact[&("Binary Data".to_owned(), name.to_owned())].clone());
    assert_eq!(binary(&clean), ["no", "yes", "no"]);
    assert_eq!(binary(&refused), ["", "no", ""]);
    let row = ["long-poll", "sse", "websocket"].map(|protocol| ("Binary Data", protocol));
    assert_eq!(refused.moved(&clean), row);

    // At five times the rate, ids are a digit longer.
    let moved = dropped.moved(&clean);
    assert!(moved.iter().all(|(row, _)| *row == "Overhead/Msg"), "{moved:?}");
    for protocol in PROTOCOLS {
        let moved = overhead(&dropped, protocol) - overhead(&clean, protocol);
        assert!(moved.abs() < 6.0, "{protocol} moved by {moved} B");
    }
    for protocol in PROTOCOLS {
        let counts = &dropped.workload(protocol).counts;
        assert!(counts.published_all >= 2000, "{counts:?}");
        let lost = (counts.published_all * 9 - counts.delivered_all, counts.delivered + counts.lost);
        assert_eq!(lost, (counts.published_all / 1000 * 9, counts.expected), "{protocol}");
        assert!(counts.lost > 0 && counts.duplicates == 0, "{protocol}");
        // Events that are published by POST may overtake each other where an answer takes longer than 25 ms.
        assert!(counts.reordered == 0 || protocol != "websocket", "{protocol}");
    }
}
