//! What a search or a gate was asked, as `run.json` keeps it.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::facts::HostFacts;
use crate::scenario::spec::CellSpec;

/// What a search varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Vary {
    /// The number of clients.
    Clients,
    /// The events per second of each publisher.
    Rate,
}

/// What is searched, and how closely. Loads are clients, or events per second of each publisher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SearchPlan {
    /// What varies.
    pub vary: Vary,
    /// The load to begin with.
    pub from: f64,
    /// The smallest load that counts; it is tried if `from` does not hold.
    pub least: f64,
    /// The largest load to try.
    pub max: f64,
    /// The search ends when the smallest load that broke lies within this share above the largest that held.
    pub resolution: f64,
    /// Loads between are multiples of this: the clients of a group. 0 for any.
    pub quantum: f64,
    /// Protocols to search, in this order.
    pub protocols: Vec<String>,
    /// Longest time for everything, in seconds.
    pub budget_s: f64,
}

/// What a gate was asked; kept in `run.json`, so that one that was killed can go on, and any report can judge again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct GateFile {
    /// What is compared, in words: the base and the new.
    pub sides: [String; 2],
    /// What may fail it.
    pub tiers: Tiers,
    /// The noisy metric that decides, declared beforehand.
    pub metric: String,
    /// Smallest change of it that counts, as a share.
    pub min_effect: f64,
    /// The workload of either side.
    pub cells: Vec<CellSpec>,
    /// The cells are gates of their own, whose changes are known.
    #[serde(default)]
    pub selftest: bool,
    /// The host on which the base was measured, if that was earlier.
    #[serde(default)]
    pub baseline: Option<HostFacts>,
}

/// Which metrics may fail a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Tiers {
    /// What two healthy runs of one seed agree on, to the last byte; two replicates tell, or eight where the base does not
    /// agree with itself.
    Exact,
    /// That, and the one noisy metric that decides.
    All,
}

impl Tiers {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Tiers::Exact => "exact",
            Tiers::All => "all",
        }
    }
}
