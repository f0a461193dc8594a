//! The points of the curves over load that the cost of many users is projected from.

use super::{Sizes, Workload};
use crate::guide::{cost, kind};
use crate::projection::{ENOUGH_TURNS, work};
use crate::scenario::cell_id::{Axis, CellId};
use crate::scenario::spec::{CellSpec, ShortPollSpec};
use crate::unit::Count;

/// Largest load of the cost curve, as a share of what all users make.
const TOP_SHARE: f64 = 0.7;

/// How far the smallest load lies below the largest, where a window is long enough to see it.
const SPAN: f64 = 36.0;

/// Most turns per second that a cell puts on a server: what one thread bears beside the generator on a small machine.
const MOST_PER_S: f64 = 50_400.0;
/// Short polls are measured beside other cells, and are not to disturb them; so few take long windows, for which only a full
/// matrix has the time.
const MOST_SHORT_POLLED_PER_S: f64 = 400.0;
const SHORT_POLL_WINDOWS: f64 = 2.5;

/// Most clients of a cell of the curve, but of the direct measurement.
const MOST_COST_CLIENTS: f64 = 5_000.0;

/// Events come at random, so that a window sees somewhat fewer now and then.
const LEAST_SEEN: f64 = 1.2;

/// Steps towards a rate that makes a load.
const STEPS: u32 = 20;

/// Loads that lie closer to each other than this factor are one.
const APART: f64 = 1.5;

/// The points of the cost curve of one protocol: three loads, or two and that of the workload's own cell. Fewer users that hear
/// more make the load of many, so that a short window sees enough. Between peers no message costs the server anything.
pub(super) fn cells(user: &Workload, own: &CellSpec, sizes: &Sizes) -> Vec<CellSpec> {
    if sizes.cost_s == 0.0 || own.webrtc.peer_to_peer || own.rate_per_s <= 0.0 {
        return Vec::new();
    }
    if own.id.protocol.traits.polls && !sizes.everything {
        return Vec::new();
    }
    let users = f64::from(user.users.unwrap_or(Count(cost::USERS as u32)).0);
    let of_one = work::of(own).turns_per_s;
    let has = f64::from(own.clients) * of_one;
    let tells = has * own.duration_s >= ENOUGH_TURNS as f64;
    let (most, window_s) = match own.id.protocol.traits.polls {
        true => (MOST_SHORT_POLLED_PER_S, SHORT_POLL_WINDOWS * sizes.cost_s),
        false => (MOST_PER_S, sizes.cost_s),
    };
    let least = LEAST_SEEN * ENOUGH_TURNS as f64 / window_s;
    let top = (users * of_one * TOP_SHARE).max(10.0 * least).min(most);
    let low = (top / SPAN).max(least).min(top);
    let further = [low, (low * top).sqrt(), top].into_iter();
    let further = further.filter(|&load| !tells || load * APART < has || load > has * APART);
    let mut cells: Vec<CellSpec> = further.map(|load| at_load(own, load, of_one, window_s)).collect();
    if sizes.everything && own.id.protocol.name == "websocket" {
        let direct = CellSpec {
            id: CellId::of(own.id.protocol).with_kind(kind::DIRECT),
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
    let faster = if own.id.protocol.traits.polls { own.short_poll.interval_s } else { 1.0 };
    let wanted = (per_s / of_one / faster).clamp(10.0 * group, MOST_COST_CLIENTS);
    let clients = (wanted / group).round().max(1.0) * group;
    let mut cell = CellSpec {
        id: CellId::of(own.id.protocol).with_kind(kind::COST).with(Axis::Count(per_s.round() as u32)),
        clients: clients as u32,
        rate_per_s: own.rate_per_s * faster,
        short_poll: ShortPollSpec { interval_s: own.short_poll.interval_s / faster, ..own.short_poll },
        ramp_per_s: 5_000.0,
        duration_s: window_s,
        ..own.clone()
    };
    if !own.id.protocol.traits.polls {
        // Keep-alives and polls held for nothing are fewer the more events there are, so that this is no single step.
        for _ in 0..STEPS {
            cell.rate_per_s *= per_s / (clients * work::of(&cell).turns_per_s);
        }
    }
    cell
}
