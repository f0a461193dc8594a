//! What many users would cost with each protocol: which cells of a matrix the projection rests on.

use super::kind;
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::projection::curve::{self, Drift};
use crate::projection::{self, Projection, Question, point, servers};
use crate::protocol;

/// Users that the table is about, unless others were asked for.
pub const USERS: u64 = 10_000;

/// The projection for each protocol whose workload was measured, and how cells drift.
pub fn of(run: &Run) -> (Vec<Projection>, Drift) {
    let drift = drift(&run.cells);
    let users = run.file.users.unwrap_or(USERS) as f64;
    let one = |protocol| project(&run.cells, protocol, users, drift);
    (protocol::ALL.iter().filter_map(|protocol| one(protocol.name)).collect(), drift)
}

/// Cells of a protocol whose load is the workload, or a part of what many users make of it.
fn loads<'a>(cells: &'a [Cell], protocol: &str) -> Vec<&'a Cell> {
    let is = |cell: &&Cell| {
        let id = &cell.spec.id;
        let alone = [kind::WORKLOAD, kind::DIRECT].iter().any(|kind| id.is(kind::cell(kind, protocol)));
        alone || id.is_like(kind::COST, protocol)
    };
    cells.iter().filter(is).collect()
}

/// How cells of one kind drift, by all protocols of a run: it is the machine that drifts.
pub(super) fn drift(cells: &[Cell]) -> Drift {
    let points = |protocol| loads(cells, protocol).into_iter().filter_map(point).collect();
    let all: Vec<_> = protocol::ALL.iter().map(|protocol| points(protocol.name)).collect();
    curve::drift(&all)
}

fn project(cells: &[Cell], protocol: &'static str, users: f64, drift: Drift) -> Option<Projection> {
    let workload = kind::cell(kind::WORKLOAD, protocol);
    let like = &cells.iter().find(|cell| cell.spec.id.is(workload))?.spec;
    // A direct measurement stands beside the projection, and so is not in it.
    let (direct, loads): (Vec<&Cell>, Vec<&Cell>) =
        loads(cells, protocol).into_iter().partition(|cell| cell.spec.id.is_of(kind::DIRECT));
    let idle = cells.iter().filter(|cell| cell.spec.id.is_like(kind::MEMORY, protocol));
    let cells: Vec<&Cell> = loads.into_iter().chain(idle).collect();
    let keeps = Some(projection::reference_limits());
    let question = Question { cells: &cells, like, drift, keeps };
    let measured = direct.first().filter(|cell| f64::from(cell.spec.clients) == users);
    let projection = match measured {
        Some(cell) => question.on(users, servers(cell)),
        None => question.on_enough_servers(users),
    };
    Some(measured.map_or(projection.clone(), |cell| projection.beside(cell)))
}

#[cfg(test)]
#[path = "cost_tests.rs"]
mod tests;
