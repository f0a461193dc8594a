//! The points of the curves over load that the cost of many users is projected from.

use super::{Sizes, Workload};
use crate::claim::cost;
use crate::projection::work;
use crate::scenario::plan::CellSpec;
use crate::scenario::unit::Count;

/// Loads of the cost curve, as shares of what all users make: the workload's own cell stands for the smallest where it has as much.
const COST_SHARES: [f64; 3] = [0.02, 0.1, 0.5];

/// Most turns per second that a cell puts on a server: what one thread bears beside the generator on a small machine.
const MOST_DELIVERED_PER_S: f64 = 36_000.0;
const MOST_POLLED_PER_S: f64 = 6_000.0;
/// Short polls are measured beside other cells, and are not to disturb them.
const MOST_SHORT_POLLED_PER_S: f64 = 400.0;

/// Least turns per second that a short window can tell a cost from.
const LEAST_PER_S: [f64; 3] = [200.0, 400.0, 800.0];

/// Most clients of a cell of the curve, but of the direct measurement.
const MOST_COST_CLIENTS: f64 = 5_000.0;

/// The points of the cost curve of one protocol. Fewer users that hear more make the load of many, so that a short window sees enough.
/// Between peers no message costs the server anything.
pub(super) fn cells(user: &Workload, own: &CellSpec, sizes: &Sizes) -> Vec<CellSpec> {
    if sizes.cost_s == 0.0 || own.peer_to_peer || own.rate_per_s <= 0.0 {
        return Vec::new();
    }
    let waits = own.protocol == "short-poll";
    let most = match own.protocol.as_str() {
        "short-poll" => MOST_SHORT_POLLED_PER_S,
        "long-poll" => MOST_POLLED_PER_S,
        _ => MOST_DELIVERED_PER_S,
    };
    let users = f64::from(user.users.unwrap_or(Count(cost::USERS as u32)).0);
    let of_one = work::of(own).turns_per_s;
    let top = (users * of_one * COST_SHARES[2]).min(most);
    let loads =
        (0..3).map(|i| (top * COST_SHARES[i] / COST_SHARES[2]).max(if waits { 0.0 } else { LEAST_PER_S[i] }));
    // The workload's cell is one of the points where it has enough to tell.
    let has = f64::from(own.clients) * of_one;
    let further = loads.filter(|&load| has < LEAST_PER_S[0].min(top / 4.0) || load > 2.0 * has);
    let mut cells: Vec<CellSpec> = further.map(|load| at_load(own, load, of_one, sizes.cost_s)).collect();
    if sizes.everything && own.protocol == "websocket" {
        let direct = CellSpec {
            name: format!("direct/{}", own.protocol),
            clients: users as u32,
            ramp_per_s: 5_000.0,
            ..own.clone()
        };
        cells.push(CellSpec { duration_s: sizes.cost_s, ..direct });
    }
    cells
}

/// A cell of so many turns a second.
fn at_load(own: &CellSpec, per_s: f64, of_one: f64, window_s: f64) -> CellSpec {
    let group = f64::from(own.group.max(1));
    // Polls of a fifth of the interval bring as much each if five times as much happens.
    let faster = if own.protocol == "short-poll" { own.poll_interval_s } else { 1.0 };
    let wanted = (per_s / of_one / faster).clamp(10.0 * group, MOST_COST_CLIENTS);
    let clients = (wanted / group).round().max(1.0) * group;
    let rate_per_s = match own.protocol.as_str() {
        "short-poll" => own.rate_per_s * faster,
        _ => own.rate_per_s * (per_s / (clients * of_one)),
    };
    CellSpec {
        name: format!("cost/{}/{clients}", own.protocol),
        clients: clients as u32,
        rate_per_s,
        poll_interval_s: own.poll_interval_s / faster,
        ramp_per_s: 5_000.0,
        duration_s: window_s,
        ..own.clone()
    }
}
