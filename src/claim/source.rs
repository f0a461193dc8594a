//! How much code each protocol takes here, counted when the program was built.

/// The size of one protocol's modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCount {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Lines at the client, without blank lines, comments and tests.
    pub client_lines: u32,
    /// Lines at the server.
    pub server_lines: u32,
    /// Crates that the modules name.
    pub dependencies: &'static [&'static str],
}

impl SourceCount {
    /// Lines at both ends; `None` if one end has none, and so was not there to be counted.
    pub fn lines(&self) -> Option<u32> {
        (self.client_lines > 0 && self.server_lines > 0).then_some(self.client_lines + self.server_lines)
    }
}

/// One row for each protocol of the guide. Made by `build.rs`.
pub static COUNTS: &[SourceCount] = include!(concat!(env!("OUT_DIR"), "/source_counts.rs"));
