//! What more clients than were measured would cost, by the steps of a search that held.

use super::curve::Curve;
use super::search::{Vary, Verdict};
use crate::measure::cell::Cell;
use crate::projection::curve::{self, Drift};
use crate::projection::{self, Projection, Question, point, servers};

/// The figures that the guide quotes: clients, and servers that share them.
pub const FIGURES: [(f64, f64); 3] = [(10_000.0, 1.0), (100_000.0, 1.0), (1_000_000.0, 100.0)];

/// The projections of a search over clients and how cells drift; `None` without two different numbers of clients that held.
pub fn of(curve: &Curve<'_>) -> Option<(Vec<Projection>, Drift)> {
    if curve.plan.vary != Vary::Clients {
        return None;
    }
    let held = curve.steps.iter().filter(|step| step.judgement.verdict == Verdict::Held);
    let cells: Vec<&Cell> = held.map(|step| step.cell).collect();
    // Of several servers, the groups are spread evenly: what follows is about one of them.
    let clients = cells.iter().map(|cell| cell.counts.connected as f64 / servers(cell));
    let (least, most) = (clients.clone().fold(f64::INFINITY, f64::min), clients.fold(0.0, f64::max));
    if least >= most {
        return None;
    }
    let drift = curve::drift(&[cells.iter().filter_map(|cell| point(cell)).collect()]);
    // What a server that rtbench did not start keeps of its topics nobody knows.
    let keeps = (!curve.foreign).then(projection::reference_limits);
    let question = Question { cells: &cells, like: &cells.first()?.spec, drift, keeps };
    Some((FIGURES.map(|(clients, servers)| question.on(clients, servers)).into(), drift))
}
