//! What the instrument itself costs on a machine: times against a server that does nothing. A result near them says more
//! about the instrument than about the server.

use std::collections::BTreeMap;
use std::path::Path;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::metric;
use crate::host::facts::HostFacts;

/// Name of the file that `rtbench doctor` writes beside the runs.
pub const DOCTOR_FILE: &str = "doctor.json";

/// Results up to so many times the floor are the generator's as much as the server's.
const BOUND_FACTOR: f64 = 2.0;

/// What a floor consists of.
const METRICS: [&str; 5] =
    ["response_p50_ms", "response_p99_ms", "service_p50_ms", "service_p99_ms", "exchange_p50_ms"];

/// The floor of each protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Floor {
    /// Metric by protocol and name.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
}

/// What runs read from `doctor.json`; the rest of it is for people.
#[derive(Deserialize)]
struct DoctorFile {
    host: HostFacts,
    floor: Floor,
}

impl Floor {
    /// The floor that cells against null servers show: the smallest of several cells of a protocol. A short poll waits
    /// for its interval and a held one for an event: only the exchange of the one and the response of the other have a
    /// floor.
    pub fn of(cells: &[Cell]) -> Floor {
        let mut floor = Floor::default();
        for cell in cells {
            let of_protocol = floor.metrics.entry(cell.spec.id.protocol.name.to_owned()).or_default();
            let exchanges = cell.spec.id.protocol.traits.polls;
            for name in METRICS.into_iter().filter(|name| name.starts_with("exchange") == exchanges) {
                let Some(value) = metric::find(name).and_then(|metric| metric.value(cell)) else { continue };
                let smallest = of_protocol.entry(name.to_owned()).or_insert(value);
                *smallest = smallest.min(value);
            }
        }
        floor
    }

    /// The floor of a machine, if `rtbench doctor` has written one beside the runs: on the same machine, with its
    /// processors kept awake or not as they are now.
    pub fn load(results: &Path, host: &HostFacts) -> Option<Floor> {
        let text = std::fs::read_to_string(results.join(DOCTOR_FILE)).ok()?;
        let file: DoctorFile = serde_json::from_str(&text).ok()?;
        host.differs_from(&file.host).is_none().then_some(file.floor)
    }

    /// The metrics of a cell that lie within twice the floor: flags on these metrics, no doubt about the cell.
    pub fn generator_bound(&self, cell: &Cell) -> Vec<&'static str> {
        let Some(floor) = self.metrics.get(cell.spec.id.protocol.name) else { return Vec::new() };
        let bound = METRICS.iter().filter(|name| {
            let value = metric::find(name).and_then(|metric| metric.value(cell));
            value.zip(floor.get(**name)).is_some_and(|(value, floor)| value <= BOUND_FACTOR * floor)
        });
        bound.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::measure::sample;

    fn cell(protocol: &str, ms: f64) -> Cell {
        sample::cell(&format!("workload/{protocol}")).latency_ms(&vec![ms; 2_000], 2_000).build()
    }

    #[test]
    fn within_twice_the_floor_a_metric_is_the_generators() {
        let floor = Floor::of(&[cell("websocket", 0.2)]);
        assert_eq!(floor.generator_bound(&cell("websocket", 0.39)), ["response_p50_ms", "response_p99_ms"]);
        assert!(floor.generator_bound(&cell("websocket", 0.45)).is_empty());
        assert!(floor.generator_bound(&cell("sse", 0.1)).is_empty(), "nothing is known of its floor");
    }

    #[test]
    fn a_short_polls_interval_is_no_floor() {
        let floor = Floor::of(&[cell("short-poll", 25.0)]);
        assert!(floor.generator_bound(&cell("short-poll", 30.0)).is_empty());
    }

    #[test]
    fn what_the_doctor_wrote_is_found_beside_the_runs_of_a_machine_in_the_same_state() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostFacts { cores: Some(2), ..HostFacts::default() };
        assert_eq!(Floor::load(dir.path(), &host), None);
        let floor = Floor::of(&[cell("sse", 0.2)]);
        let file = serde_json::json!({ "host": host, "floor": floor, "findings": [] });
        std::fs::write(dir.path().join(DOCTOR_FILE), file.to_string()).unwrap();
        assert_eq!(Floor::load(dir.path(), &HostFacts { wake_limit_us: Some(0), ..host.clone() }), None);
        assert_eq!(Floor::load(dir.path(), &HostFacts { cores: Some(4), ..host.clone() }), None);
        assert_eq!(Floor::load(dir.path(), &host), Some(floor));
    }
}
