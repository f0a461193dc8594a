//! The record of one measured cell: a line of `cells.jsonl`, from which every other file is derived.
//!
//! It holds what was counted, not what follows from it: rates, ratios and percentiles are metrics (`metric.rs`).

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::interference::Interference;
use crate::scenario::spec::CellSpec;

mod cost;
mod counts;

pub use cost::{GeneratorCost, Listener, Place, ProcessName, ServerCost};
pub use counts::{Counts, Wire};

/// Version of this layout; raised whenever a reader of the old one would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// One measured combination of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Cell {
    /// Version of the layout.
    pub schema_version: u32,
    /// What was asked for.
    pub spec: CellSpec,
    /// Whether it was measured to the end.
    pub status: Status,
    /// What its server did that ended it, where that was the server's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_failure: Option<ServerFailure>,
    /// When it began, in seconds since 1970 (UTC).
    pub started_unix_s: f64,
    /// Length of the window that was really measured, in seconds; of a cell that took turns, its own half.
    pub measured_s: f64,
    /// Time from the first connect to the last client being ready, in seconds.
    pub connect_s: f64,
    /// Clients, messages, and what became of them.
    pub counts: Counts,
    /// How far behind, in events, the worst reordered delivery came.
    #[serde(default)]
    pub reordered_by: u32,
    /// Bytes and exchanges of the clients that receive (and of all clients in the echo pattern).
    pub subscriber_wire: Wire,
    /// Bytes and exchanges of publishing: the publishers' own connections, and HTTP publish of any client.
    pub publisher_wire: Wire,
    /// Receipt minus due time, of each delivery in the window; what timed out is in it at its time-out (`censored`).
    pub response: Distribution,
    /// Receipt minus write.
    pub service: Distribution,
    /// Write minus the time from which nothing but the generator kept it from being sent, of each event in the window.
    pub send_lag: Distribution,
    /// That time minus due time, of the events in the window that the server kept from being sent: it had not taken or
    /// answered what went before, or there was no connection.
    #[serde(default)]
    pub send_wait: Distribution,
    /// From write to the server's answer, of each event in the window whose publishing is answered.
    #[serde(default)]
    pub answer: Distribution,
    /// From asking to the answer, of each poll in the window that brought something, and of each held poll.
    #[serde(default)]
    pub exchange: Distribution,
    /// From the first subscriber of an event to the last, of each event of the window that all of several received.
    #[serde(default)]
    pub spread: Distribution,
    /// Cost of the server, where rtbench can read it.
    pub server: Option<ServerCost>,
    /// Cost of the generator: all workers together, and the busiest.
    pub generator: GeneratorCost,
    /// What the host did meanwhile, from the first connect to the end of the drain.
    #[serde(default)]
    pub host: Interference,
    /// What went wrong with clients, by phase and kind.
    pub failures: Vec<FailureCount>,
    /// A row for each second of the window.
    pub intervals: Vec<Interval>,
    /// What each slice of the window cost, where the cell took turns with another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// Whether to believe it.
    pub trust: Trust,
    /// Order-independent digest of the schedule of the window's events (stream, sequence, due time), hexadecimal.
    pub schedule_digest: String,
    /// Answers of probes (`binary`, `reconnect`, ...): what was found, in data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
}

impl Cell {
    /// A cell of which nothing has been measured yet.
    pub fn empty(spec: CellSpec, started_unix_s: f64) -> Cell {
        Cell {
            schema_version: SCHEMA_VERSION,
            spec,
            status: Status::Finished,
            server_failure: None,
            started_unix_s,
            measured_s: 0.0,
            connect_s: 0.0,
            counts: Counts::default(),
            reordered_by: 0,
            subscriber_wire: Wire::default(),
            publisher_wire: Wire::default(),
            response: Distribution::default(),
            service: Distribution::default(),
            send_lag: Distribution::default(),
            send_wait: Distribution::default(),
            answer: Distribution::default(),
            exchange: Distribution::default(),
            spread: Distribution::default(),
            server: None,
            generator: GeneratorCost::default(),
            host: Interference::default(),
            failures: Vec::new(),
            intervals: Vec::new(),
            slices: Vec::new(),
            trust: Trust { level: TrustLevel::Ok, reasons: Vec::new() },
            schedule_digest: String::new(),
            probes: Vec::new(),
        }
    }

    /// Whether clients were put on a server by a schedule, as in every cell but those of probes.
    pub fn put_load_on(&self) -> bool {
        !self.schedule_digest.is_empty()
    }
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Measured to the end.
    Finished,
    /// Stopped by the user; what had been measured is here.
    Interrupted,
    /// Not measured, and why.
    Failed(String),
}

/// What a server did that ended a cell; in words in [`Status::Failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ServerFailure {
    /// It was not ready to be loaded: it could not be started, ended at once, or did not answer.
    NotReady,
    /// It was ready, and let none of the clients in.
    NoClient,
    /// It was ready, and its process ended.
    Ended {
        /// The signal that killed it, if one did.
        signal: Option<i32>,
    },
}

/// A lossless record of a time, to 3 significant digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Distribution {
    /// Samples.
    pub count: u64,
    /// Distinct events among them: what percentiles and intervals may lean on.
    pub events: u64,
    /// Sum of the samples, in seconds, exact to the float.
    pub sum_s: f64,
    /// Sum of their squares, in seconds squared.
    pub sum_sq_s2: f64,
    /// Smallest sample, in ns.
    pub min_ns: u64,
    /// Largest sample, in ns.
    pub max_ns: u64,
    /// HdrHistogram of nanoseconds (V2, deflated, base64), empty if there are no samples.
    pub histogram: String,
}

/// How often one thing went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct FailureCount {
    /// What the client was doing, e.g. `connect`.
    pub phase: String,
    /// What happened, e.g. `HTTP status 503`.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// The first one, in words.
    pub example: String,
}

/// One second of a cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Interval {
    /// Seconds from the start of the window to the end of this interval.
    pub at_s: f64,
    /// Events of the window sent in it.
    pub published: u64,
    /// Deliveries received in it, whenever they were due: all of them add up to `received_in_window`.
    pub delivered: u64,
    /// Clients connected at its end.
    pub connected: u64,
    /// Failures in it.
    pub failures: u64,
    /// Failures of the cell up to its end, of the ramp and the warm-up, too.
    #[serde(default)]
    pub failures_so_far: u64,
    /// Median response time in ns; empty without samples.
    pub p50_ns: Option<u64>,
    /// 99th percentile in ns; empty without samples.
    pub p99_ns: Option<u64>,
    /// Largest response time in ns; empty without samples.
    pub max_ns: Option<u64>,
    /// CPU time of the servers in it, in ns.
    #[serde(default)]
    pub server_cpu_ns: Option<u64>,
    /// Resident memory of the servers at its end, in bytes; pages that several of their processes share count for each.
    #[serde(default)]
    pub server_resident_bytes: Option<u64>,
    /// Resident memory of the workers at its end, in bytes.
    #[serde(default)]
    pub generator_resident_bytes: Option<u64>,
}

/// One slice of a cell that took turns with another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Slice {
    /// Deliveries of the events that were due in it.
    pub delivered: u64,
    /// CPU time of the servers for it, in ns.
    pub server_cpu_ns: Option<u64>,
    /// CPU time of the workers for it, in ns.
    pub generator_cpu_ns: Option<u64>,
}

/// Whether to believe a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Trust {
    /// The verdict.
    pub level: TrustLevel,
    /// Why it is not `ok`: words and figures.
    pub reasons: Vec<String>,
}

/// The three degrees of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TrustLevel {
    /// Nothing speaks against it.
    Ok,
    /// Something disturbed it; the reasons say what.
    Degraded,
    /// It does not mean what it seems to mean. Never passes a gate.
    Invalid,
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Probe {
    /// What was probed, e.g. `binary`, `reconnect`, `direction`, `connection`.
    pub name: String,
    /// What was found, in the guide's own terms, e.g. `yes`; empty if it could not be told, and `detail` says what it would take.
    pub found: String,
    /// The figures it rests on, e.g. `{"sent_bytes": 256, "received_bytes": 256}`.
    pub evidence: std::collections::BTreeMap<String, f64>,
    /// In words, for people.
    pub detail: String,
}

impl Probe {
    /// Whether anything could be told.
    pub fn was_told(&self) -> bool {
        !self.found.is_empty()
    }
}
