//! What coordinator and worker say to each other: one JSON object a line. Neither side knows that it runs over a pipe.
//!
//! `Start` -> `Ready`, then `Go` to all, a `Tick` each second, `Published`, `Announce`, `Done`. `Stop` may come at any time.
//! The end of input ends a worker.
//!
//! The two may be of different versions, where a gate compares builds of rtbench. So what a message did not have before has a
//! default, and a worker says the version of its messages when it is ready.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::measure::cell::Wire;
use crate::measure::recorder::{Recorded, Second};
use crate::scenario::spec::CellSpec;
use crate::transport::reception::Received;
use crate::transport::tls::Trust;

/// Version of the messages: raised when an older coordinator would misunderstand a worker.
pub const VERSION: u32 = 1;

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
        /// Version of the messages; those before there were versions are 0.
        #[serde(default)]
        version: u32,
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

impl FromWorker {
    /// A line of a worker; one that cannot be read is the end of it.
    pub fn read(line: &str) -> FromWorker {
        serde_json::from_str(line).unwrap_or_else(|error| FromWorker::Failed {
            reason: format!("said something strange; is it of another version of rtbench? ({error})"),
        })
    }
}

/// A worker of a newer version counts in another way than this one understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the worker's messages are of version {0}, and this rtbench knows those up to {VERSION}: let the newer of the two compare"
)]
pub struct TooNew(u32);

/// Whether a worker with messages of this version can be understood.
///
/// # Errors
/// It cannot.
pub fn understood(version: u32) -> Result<(), TooNew> {
    if version > VERSION { Err(TooNew(version)) } else { Ok(()) }
}

/// What one worker measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::protocol;

    /// What a worker said that knew no versions: five clients of an echo over WebSocket.
    const OLDER: &str = include_str!("older_worker.jsonl");

    #[test]
    fn older_workers_are_understood() {
        let messages: Vec<FromWorker> = OLDER.lines().map(FromWorker::read).collect();
        let [
            FromWorker::Ready { connected: 5, version: 0, .. },
            ticks @ ..,
            FromWorker::Published { .. },
            done,
        ] = &messages[..]
        else {
            panic!("{messages:?}")
        };
        assert!(ticks.iter().all(|tick| matches!(tick, FromWorker::Tick(_))), "{ticks:?}");
        let FromWorker::Done(share) = done else { panic!("{done:?}") };
        let counts = &share.recorded.counts;
        assert_eq!((counts.published, counts.delivered, counts.published_all), (17, 17, 22));
        assert!(share.recorded.response.count == 17 && share.subscriber_wire.in_bytes > 0);
    }

    #[test]
    fn what_a_worker_does_not_say_yet_has_a_default() {
        let words = serde_json::to_value(Share::default()).unwrap();
        for name in words.as_object().unwrap().keys() {
            let mut older = words.clone();
            older.as_object_mut().unwrap().remove(name);
            assert!(serde_json::from_value::<Share>(older).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_newer_worker_is_refused_in_words() {
        assert_eq!(understood(VERSION), Ok(()));
        let refused = understood(VERSION + 1).unwrap_err().to_string();
        assert!(refused.contains("of version 2") && refused.contains("up to 1"), "{refused}");
        let FromWorker::Failed { reason } = FromWorker::read("{\"Song\":1}") else {
            panic!("it was understood")
        };
        assert!(reason.contains("another version"), "{reason}");
    }

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
