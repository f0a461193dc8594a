//! What the cells of a matrix are for. Claims ask for evidence by these; what each is measured like says [`super::plan`].

use crate::capacity::search;
use crate::scenario::cell_id::Which;

/// The workload that all protocols share; with a link among its axes, behind that.
pub const WORKLOAD: &str = "workload";
/// The workload with minimal headers.
pub const MINIMAL: &str = "minimal";
/// The workload over TLS.
pub const TLS: &str = "tls";
/// Short polling as the guide describes it.
pub const POLL_LATENCY: &str = "poll-latency";
/// Silence: how long polls are held.
pub const HOLD: &str = "hold";
/// Each client's own message and back.
pub const ECHO: &str = "echo";
/// One connection, thousands of messages a second.
pub const RATE: &str = "rate";
/// One stream in a mesh of peers.
pub const MESH: &str = "mesh";
/// Idle clients, whose memory is read.
pub const MEMORY: &str = "memory";
/// The same over TLS.
pub const MEMORY_TLS: &str = "memory-tls";
/// A point of a curve of cost over load.
pub const COST: &str = "cost";
/// As many users as were asked for.
pub const DIRECT: &str = "direct";
/// The most idle clients that the guide says a server holds.
pub const IDLE: &str = "idle";
/// What a protocol can do, by doing it.
pub const PROBE: &str = "probe";
/// The same of a real browser.
pub const BROWSER: &str = "browser";
/// The same through middleboxes.
pub const FIREWALL: &str = "firewall";
/// Steps of a search.
pub const CAPACITY: &str = search::KIND;
/// The scenario of this name, under which a claim looks for its cells.
pub const CROWD: &str = "crowd";
/// Likewise.
pub const MILLION: &str = "million";

/// The cell of a kind and protocol.
pub const fn cell<'a>(kind: &'a str, protocol: &'a str) -> Which<'a> {
    Which { kind, protocol, axes: &[] }
}
