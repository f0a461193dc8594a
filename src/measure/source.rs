//! How much code each protocol takes here. The counts are committed, and a test says what they should be. A run keeps
//! the counts of the program that measured it.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of one protocol's modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SourceCount {
    /// Name of the protocol.
    pub protocol: String,
    /// Lines at the client, without blank lines, comments and tests.
    pub client_lines: u32,
    /// Lines at the server.
    pub server_lines: u32,
    /// Crates that the modules name.
    pub dependencies: Vec<String>,
}

impl SourceCount {
    /// Lines at both ends; `None` if one end has none, and so was not there to be counted.
    pub fn lines(&self) -> Option<u32> {
        (self.client_lines > 0 && self.server_lines > 0).then_some(self.client_lines + self.server_lines)
    }
}

const COUNTS: &str = include_str!("source_counts.json");

/// The counts of this program, one for each protocol of the guide.
pub fn counts() -> Vec<SourceCount> {
    serde_json::from_str(COUNTS).unwrap_or_default()
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
