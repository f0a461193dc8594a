//! What coordinator and worker say to each other: one JSON object a line. Neither side knows that it runs over a pipe.
//!
//! `Start` -> `Ready`, then `Go` to all, a `Tick` each second, `Published`, `Announce`, `Done`. `Stop` may come at any time.
//! The end of input ends a worker.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::measure::cell::Wire;
use crate::measure::recorder::{Recorded, Second};
use crate::scenario::plan::CellSpec;
use crate::transport::reception::Received;
use crate::transport::tls::Trust;

/// From the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Connect the clients of this share of the cell.
    Start(Box<Start>),
    /// Everybody is ready: the load begins at this time of the monotonic clock.
    Go {
        /// In ns.
        start_ns: u64,
    },
    /// How many events each stream that matters here had in the window, as its publisher counted them.
    Announce {
        /// Stream and count.
        streams: Vec<(u32, u32)>,
    },
    /// End now and report what there is.
    Stop,
}

/// A worker's share of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The cell.
    pub spec: CellSpec,
    /// Number of the run, in every envelope.
    pub run: u32,
    /// Which of `workers` shares this is.
    pub worker: u32,
    /// Number of shares.
    pub workers: u32,
    /// Servers; group `g` belongs to the one at `g` modulo their number.
    pub servers: Vec<Endpoint>,
    /// `Host` header, if it is not the address.
    pub host: Option<String>,
    /// Addresses that the clients connect from; 1 leaves the choice to the system.
    pub sources: u32,
    /// Header lines of every HTTP request, each ending in CRLF.
    pub headers: String,
    /// What the servers speak, by its name in the table of dialects.
    #[serde(default = "contract")]
    pub dialect: String,
}

/// What all spoke before there was a choice.
pub(super) fn contract() -> String {
    "contract".to_owned()
}

/// One server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose certificate it has; `None` speaks without TLS.
    pub trust: Option<Trust>,
}

/// From a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// How far connecting has come.
    Connecting {
        /// Clients ready.
        connected: u64,
        /// Failures so far.
        failures: u64,
        /// How the server has met those who came.
        received: Received,
    },
    /// Every client is ready or has given up.
    Ready {
        /// Clients ready.
        connected: u64,
        /// Subscribers that never became ready, by group.
        absent: Vec<(u32, u32)>,
        /// Time from the first connect to the last client being ready, in ns.
        connect_ns: u64,
    },
    /// A second of the window is over.
    Tick(Box<Second>),
    /// All publishers of this share are done: events of the window, by stream.
    Published {
        /// Stream and count.
        streams: Vec<(u32, u32)>,
    },
    /// The share is measured.
    Done(Box<Share>),
    /// The worker cannot go on; the last thing it says.
    Failed {
        /// For people.
        reason: String,
    },
}

/// What one worker measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Share {
    /// Which share this is.
    pub worker: u32,
    /// Events of the window by stream, as publishers (of any share, if announced) counted them.
    pub streams: Vec<(u32, u32)>,
    /// Counts and times.
    pub recorded: Recorded,
    /// Sockets of the receivers.
    pub subscriber_wire: Wire,
    /// Sockets of publishing.
    pub publisher_wire: Wire,
    /// CPU of the worker in the window, in ns; empty where it cannot be read.
    pub cpu_ns: Option<u64>,
    /// Time it was runnable without a core in the window, in ns.
    pub run_queue_delay_ns: Option<u64>,
    /// Private memory with its clients ready, in bytes.
    pub memory_bytes: Option<u64>,
    /// Length of the window that was measured, in ns; of a cell that takes turns, its own half.
    pub window_ns: u64,
    /// It was told to stop before the end.
    pub interrupted: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol;

    #[test]
    fn a_start_of_before_there_were_dialects_means_the_contract() {
        let start = Start {
            spec: CellSpec::example(),
            run: 1,
            worker: 0,
            workers: 1,
            servers: Vec::new(),
            host: None,
            sources: 1,
            headers: String::new(),
            dialect: "another".to_owned(),
        };
        let mut line = serde_json::to_value(ToWorker::Start(Box::new(start))).unwrap();
        line["Start"].as_object_mut().unwrap().remove("dialect").unwrap();
        let ToWorker::Start(start) = serde_json::from_value(line).unwrap() else { panic!("no start") };
        assert!(protocol::dialect(&start.dialect).is_some(), "{}", start.dialect);
    }
}
