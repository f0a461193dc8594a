#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::run::{RunFile, RunKind, ScenarioText};
use crate::measure::sample;

fn run(cells: Vec<Cell>) -> Run {
    let text = ScenarioText { name: "matrix".into(), text: String::new() };
    Run {
        name: "run".into(),
        file: RunFile::begin(RunKind::Matrix, Vec::new(), 1, text),
        cells,
        warnings: Vec::new(),
    }
}

fn load(name: &str, clients: u64) -> Cell {
    let cell = sample::cell(name).with(|cell| {
        cell.spec.clients = clients as u32;
        cell.counts.connected = clients;
        (cell.counts.received_in_window, cell.counts.delivered_all) = (clients * 27, clients * 27);
        cell.subscriber_wire.ip_in_bytes = clients * 27 * 200;
    });
    cell.cpu_us(20).build()
}

#[test]
fn it_rests_on_all_loads_of_the_workload_and_says_for_how_many_users() {
    let names = ["workload/websocket", "cost/websocket/5000", "cost/websocket/20000", "tls/websocket"];
    let cells = names.into_iter().zip([1_000, 5_000, 20_000, 3]).map(|(name, n)| load(name, n)).collect();
    let mut run = run(cells);
    let (costs, _) = of(&run);
    assert_eq!((costs.len(), costs[0].users), (1, 10_000.0), "only what was measured");
    assert_eq!(costs[0].measured_per_s, Some([900.0, 18_000.0]));
    let cores = costs[0].cores.value().unwrap();
    assert!((cores.value - 0.18).abs() < 0.02, "{cores:?}");
    run.file.users = Some(20_000);
    assert_eq!(of(&run).0[0].users, 20_000.0);
    run.cells.push(load("direct/websocket", 20_000));
    assert!(of(&run).0[0].arithmetic.last().unwrap().ends_with("0.36 cores, within the range"));
}

#[test]
fn one_load_is_no_curve() {
    let run = run(vec![load("workload/sse", 1_000)]);
    let (costs, _) = of(&run);
    assert_eq!((costs[0].cores.value(), costs[0].memory_bytes.value()), (None, None));
    assert!(costs[0].arithmetic[0].ends_with("and there are 1"), "{:?}", costs[0].arithmetic);
}
