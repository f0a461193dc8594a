//! Beyond what a server can do, what arrives in a second is what the server does, and not what was offered. The server burns a
//! known time for each delivery and writes down when it made each.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;
#[path = "support/python.rs"]
mod python;

use program::{cells, run, run_dir};
use rtbench::measure::cell::{Cell, TrustLevel};
use rtbench::measure::metric;

const WINDOW_S: f64 = 4.0;

#[test]
fn what_is_delivered_in_a_second_at_overload_is_what_the_server_logged() {
    let Some(python) = python::python() else { return };
    for protocol in ["websocket", "sse", "long-poll"] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("deliveries");
        let mut server = python::Server::start(python, "known_capacity.py", &["400", log.to_str().unwrap()]);
        let scenario = dir.path().join("overload.toml");
        // 40 publishers and 360 subscribers: 7,200 deliveries a second are offered, and at most 2,500 can be made.
        let text = format!(
            "about = \"More than it can do\"\n[load]\nprotocols = [\"{protocol}\"]\nclients = 400\ngroup = 10\nrate = \"20/s\"\n\
             warmup = \"1s\"\nduration = \"{WINDOW_S}s\"\ndrain = \"1s\"\n[http]\nheaders = \"minimal\"\n"
        );
        std::fs::write(&scenario, text).unwrap();
        let results = dir.path().join("results");
        let url = format!("http://{}", server.address());
        let output = run(&[
            "run",
            scenario.to_str().unwrap(),
            "--target",
            &url,
            "--quiet",
            "--out",
            results.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(1), "{}", program::text(&output));
        let cell: Cell = serde_json::from_value(cells(&run_dir(&results).unwrap()).remove(0)).unwrap();
        server.end();
        let opened_s = cell.started_unix_s + cell.connect_s + 0.05 + 1.0;
        let logged = std::fs::read_to_string(&log).unwrap();
        let logged = logged.lines().map(|line| line.parse::<f64>().unwrap());
        let logged =
            logged.filter(|at| (opened_s..opened_s + WINDOW_S).contains(at)).count() as f64 / WINDOW_S;
        let measured = metric::find("delivered_per_s").unwrap().value(&cell).unwrap();
        assert!(
            (measured / logged - 1.0).abs() < 0.01,
            "{protocol}: {measured}/s, the server made {logged}/s"
        );
        let seconds: u64 = cell.intervals.iter().map(|second| second.delivered).sum();
        assert_eq!(seconds, cell.counts.received_in_window, "{protocol}");
        assert!(cell.counts.lost > 0, "{protocol}: what was owed and never came is lost: {:?}", cell.counts);
        assert_eq!(cell.counts.shed, 0, "{protocol}: the server was slow, and not the generator");
        assert_ne!(cell.trust.level, TrustLevel::Invalid, "{protocol}: {:?}", cell.trust.reasons);
    }
}
