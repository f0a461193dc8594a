//! What the instrument itself costs: each protocol against a server that does nothing but answer.

use anyhow::Result;

use super::verify;
use crate::command::{delay_server, measuring};
use crate::fleet::server::ServerChoice;
use crate::measure::floor::Floor;
use crate::protocol::{self, Protocol};
use crate::scenario::spec::{CellSpec, ShortPollSpec};

/// Rounds, of which the least disturbed counts: what else runs on a host can only add.
const ROUNDS: usize = 2;

/// The `holder` that holds nothing; for protocols that it does not speak, the reference server's echo.
fn null_server(protocol: &Protocol) -> Result<ServerChoice> {
    if !delay_server::speaks(protocol) {
        return measuring::reference_server(&[], false, &[]);
    }
    let args = ["holder", "--hold", "0ms"].map(str::to_owned).into();
    Ok(ServerChoice::Start { program: measuring::own_image()?, args })
}

/// Measures the floor of every protocol, and says each.
pub(super) async fn floor(say: &mut dyn FnMut(&str)) -> Result<Floor> {
    let mut cells = Vec::new();
    for protocol in protocol::ALL {
        // Enough events for a 99th percentile.
        let spec = verify::spec(protocol, 20, 25.0, 2.5);
        let short_poll = ShortPollSpec { interval_s: 0.05, ..spec.short_poll };
        let spec = CellSpec { short_poll, ..spec };
        let first = cells.len();
        for _ in 0..ROUNDS {
            cells.push(verify::measure(null_server(protocol)?, &spec, &mut || {}).await?);
        }
        let floor = Floor::of(&cells[first..]);
        let times: Vec<String> = floor
            .metrics
            .values()
            .flatten()
            .map(|(name, ms)| format!("{} {ms:.3} ms", name.trim_end_matches("_ms")))
            .collect();
        let server = if delay_server::speaks(protocol) { "null server" } else { "reference server, echo" };
        say(&format!("  {} ({server}): {}\n", protocol.name, times.join(", ")));
        // What disturbed a single round, the other has made good.
        if cells[first..].iter().all(|cell| !cell.trust.reasons.is_empty()) {
            say(&format!("    ! {}\n", cells[first].trust.reasons.join("; ")));
        }
    }
    Ok(Floor::of(&cells))
}
