//! Whether a cell is evidence of anything.

use super::cell::{Cell, Status, TrustLevel};
use super::shortfall;
use crate::scenario::kinds::Pace;

/// Whether anything may lean on a cell, and why not: it was measured to its end, can be believed, and put on the load that was
/// asked for. The one rule of the matrix, of projections and of `rtbench claims`.
///
/// # Errors
/// Why not, in words.
pub fn usable(cell: &Cell) -> Result<(), String> {
    measured(cell)?;
    shortfall::of(cell).map_or(Ok(()), |short| Err(format!("it came short ({short})")))
}

/// The same where it is in question how many clients are borne: that fewer came than were asked for is an answer.
///
/// # Errors
/// Why not, in words.
pub fn measured(cell: &Cell) -> Result<(), String> {
    let Cell { counts, spec, .. } = cell;
    // A cell without a schedule of events is about its clients alone.
    let silent = spec.rate_per_s == 0.0 && spec.pace != Pace::Closed;
    match (&cell.status, cell.trust.level) {
        (Status::Failed(reason), _) => Err(format!("it failed ({reason})")),
        (Status::Interrupted, _) => Err("it was interrupted".to_owned()),
        (_, TrustLevel::Invalid) => Err(format!("it is invalid ({})", cell.trust.reasons.join("; "))),
        _ if !cell.put_load_on() => Ok(()),
        _ if counts.connected == 0 => Err("no client connected".to_owned()),
        _ if !silent && counts.delivered == 0 => Err("nothing was delivered".to_owned()),
        _ => Ok(()),
    }
}
