//! The choices of a workload that have names: what scenarios are written in, and what cells are specified by.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Publishers -> topic -> subscribers.
    Broadcast,
    /// Each client's own round trip; on protocols that cannot send in band: publish, then receive.
    Echo,
}

/// How due times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Evenly, each publisher with a phase of its own.
    Constant,
    /// At random, independently of everything else.
    Poisson,
    /// Each as soon as an own one came back (echo): as fast as both ends manage, so that a cost can be measured at
    /// full load. Latency says little then, as nobody waits for a slow answer but its own client.
    Closed,
}

/// What a poll interval is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PollMode {
    /// From the last poll's scheduled start.
    FixedRate,
    /// From the last poll's answer.
    AfterResponse,
}

/// What a client does after its connection was cut in mid-run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reconnect {
    /// What the protocol itself specifies, and nothing else.
    Protocol,
    /// What applications add: again after 1, 2, 4 ... 30 s, give or take a quarter.
    Backoff,
}

/// A set of request headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Headers {
    /// What the protocol needs and nothing else.
    Minimal,
    /// What a current Chrome sends with such a request, a session cookie included.
    #[default]
    Browser,
    /// The lines under `custom`.
    Custom,
}

impl Headers {
    /// The name that results carry.
    pub fn name(self) -> &'static str {
        match self {
            Headers::Minimal => "minimal",
            Headers::Browser => "browser",
            Headers::Custom => "custom",
        }
    }
}

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// They are not.
    #[default]
    Plain,
    /// With TLS 1.3, or 1.2 where the server wants it.
    Tls,
}

impl Encryption {
    /// The name that results carry.
    pub fn name(self) -> &'static str {
        match self {
            Encryption::Plain => "plain",
            Encryption::Tls => "tls",
        }
    }
}
