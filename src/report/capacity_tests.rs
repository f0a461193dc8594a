//! Reports of a hand-made search: what they look like, and that they end whatever the cells say.

use super::tests::{plain, run};
use super::*;
use crate::capacity::search::{SearchPlan, Vary};
use crate::measure::cell::{Cell, TrustLevel};
use crate::measure::run::ThresholdText;
use crate::measure::sample;

/// 3 MB and 7 KB a client, 2 KB of kernel; 180 us of CPU a second for each client, and latency that grows with them.
fn step(protocol: &str, clients: u32, again: bool) -> Cell {
    let n = u64::from(clients);
    let name = format!("capacity/{protocol}/{clients}{}", if again { "/again" } else { "" });
    let latency_ms = 0.3 + (f64::from(clients) / 1_000.0).powi(4);
    let cell = sample::cell(&name).stream(2.0, 6.0).latency_ms(&vec![latency_ms; 2_000], 2_000).cpu_us(40);
    let cell = cell.with(|cell| {
        cell.spec.clients = clients;
        let counts = &mut cell.counts;
        counts.connected = n;
        let owed = n * 9 / 10 * 30;
        (counts.expected, counts.delivered, counts.received_in_window) = (owed, owed, owed);
        if let Some(server) = &mut cell.server {
            server.cpu_ns = Some(30 * n * 180_000);
            server.memory_after_bytes = Some(3_000_000 + 7_000 * n);
            server.kernel_empty_bytes = Some(40_000_000);
            server.kernel_after_bytes = Some(40_000_000 + 2_000 * n);
        }
    });
    cell.build()
}

fn tired(mut cell: Cell) -> Cell {
    cell.trust.level = TrustLevel::Invalid;
    cell.trust.reasons =
        vec!["workers used 97% of a core (limit 90%): the generator was the bottleneck".into()];
    cell
}

pub(super) fn search() -> Run {
    let mut cells: Vec<Cell> = [1_000, 2_000, 4_000].map(|clients| step("websocket", clients, false)).into();
    cells.push(step("websocket", 4_000, true));
    cells.push(step("websocket", 2_830, false));
    cells.extend([1_000, 2_000].map(|clients| step("sse", clients, false)));
    cells.push(tired(step("sse", 4_000, false)));
    cells.push(tired(step("sse", 4_000, true)));
    let command = ["rtbench", "capacity", "broadcast", "--slo", "latency p(99)<200ms"];
    let mut run = run(RunKind::Capacity, &command, cells);
    run.file.scenario.name = "broadcast".into();
    run.file.thresholds = vec![ThresholdText::new("latency", "p(99)<200ms")];
    run.file.search = Some(SearchPlan {
        vary: Vary::Clients,
        from: 1_000.0,
        least: 10.0,
        max: 100_000.0,
        resolution: 0.5,
        quantum: 10.0,
        protocols: vec!["websocket".into(), "sse".into(), "long-poll".into()],
        budget_s: 600.0,
    });
    run
}

fn rendered(name: &str) -> String {
    let mut out = Vec::new();
    find(name).unwrap().render(&search(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_search_on_a_terminal() {
    for width in [80, 160] {
        let text = plain(&terminal::capacity(&search(), width));
        insta::assert_snapshot!(format!("capacity_at_{width}"), &text);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(width), "{longest:?}");
    }
}

#[test]
fn the_files_of_a_search() {
    insta::assert_snapshot!("capacity_csv", rendered("capacity.csv"));
    insta::assert_snapshot!("projection_csv", rendered("projection.csv"));
    insta::assert_snapshot!("capacity_junit_xml", rendered("junit"));
    insta::assert_snapshot!("capacity_md", rendered("markdown"));
}

#[test]
fn a_search_that_measured_nothing_is_shown_all_the_same() {
    let mut run = search();
    run.cells.clear();
    assert!(terminal::capacity(&run, 80).contains("nothing is known to hold"));
    run.file.search = None;
    for format in ["capacity.csv", "projection.csv", "markdown", "junit"] {
        find(format).unwrap().render(&run, &mut Vec::new()).unwrap();
    }
}
