//! Cells that are looked at together: those of one kind over one link. A chart shows a family, not a cell.

use super::chart::STYLES;
use super::markup::details;
use crate::measure::cell::{Cell, Status};
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::number::short;
use crate::protocol;
use crate::report::join;
use crate::scenario::cell_id::{Axis, Side};
use crate::scenario::kinds::Encryption;

/// Cells up to which a table of a family is open.
pub(super) const FEW: usize = 5;

/// By which metric a repetition is in the middle.
const MIDDLE_BY: [&str; 3] = ["response_p99_ms", "response_p50_ms", "server_cpu_us_per_delivery"];

/// Cells of one kind, e.g. `workload` over `lan`, by protocol and clients.
pub(super) struct Family<'a> {
    /// What their names begin with, and the link.
    pub(super) name: String,
    /// All that did not fail, repetitions of one cell side by side.
    pub(super) cells: Vec<&'a Cell>,
}

/// A cell in a chart: its name there, and its look.
pub(super) struct Shown<'a> {
    /// The cell.
    pub(super) cell: &'a Cell,
    /// Its name among the others.
    pub(super) name: String,
    /// Its look, from 0.
    pub(super) style: usize,
}

/// The families of a run, in the order in which they were measured.
pub(super) fn families(run: &Run) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for repeats in Repeats::of(run.cells.iter().filter(|cell| !matches!(cell.status, Status::Failed(_)))) {
        let name = family_name(repeats.first(), &run.file.scenario.name);
        match families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.cells.extend(repeats.cells()),
            None => families.push(Family { name, cells: repeats.cells().to_vec() }),
        }
    }
    for family in &mut families {
        family.cells.sort_by_key(|cell| (look(cell.spec.id.protocol.name), cell.spec.clients));
    }
    families
}

/// What cells have in common, whatever their protocol and how many clients they have: `workload/sse@lan` is one of `workload on lan`,
/// `memory/sse/1000` one of `memory`, and `sse` or `sse/hold=5s` one of the scenario's. A step of a search that was measured again stays
/// with the first.
fn family_name(cell: &Cell, scenario: &str) -> String {
    let id = &cell.spec.id;
    let kind = [id.side.map(Side::word), id.kind.as_ref().map(|kind| &*kind.0)];
    let sized = id.axes.iter().filter(|axis| matches!(axis, Axis::RatePerS(_) | Axis::PayloadBytes(_)));
    let sized: Vec<String> = sized.map(Axis::to_string).collect();
    let kind = join(kind.into_iter().flatten().chain(sized.iter().map(String::as_str)), " ");
    let kind = if kind.is_empty() { scenario } else { &kind };
    id.link().map_or_else(|| kind.to_owned(), |link| format!("{kind} on {}", link.label()))
}

/// Where a protocol stands among the others, and so its look; unknown ones last.
pub(super) fn look(protocol: &str) -> usize {
    protocol::ALL.iter().position(|known| known.name == protocol).unwrap_or(protocol::ALL.len())
}

/// A protocol's name for people.
pub(super) fn title(protocol: &str) -> &str {
    protocol::find(protocol).map_or(protocol, |known| known.short_title)
}

impl<'a> Family<'a> {
    /// What a chart of the family shows: every cell, or where those are too many, the largest of each protocol; of several
    /// repetitions the one in the middle.
    pub(super) fn shown(&self) -> Vec<Shown<'a>> {
        let middles = self.middles();
        let all = middles.len() <= STYLES.min(protocol::ALL.len());
        let largest = |cell: &Cell| {
            let same =
                self.cells.iter().filter(|other| other.spec.id.protocol.name == cell.spec.id.protocol.name);
            same.map(|other| other.spec.clients).max() == Some(cell.spec.clients)
        };
        let mut cells: Vec<&Cell> =
            middles.into_iter().filter(|cell| all || self.is_one_protocol() || largest(cell)).collect();
        if cells.len() > STYLES {
            // The largest loads say most.
            cells.sort_by_key(|cell| cell.spec.clients);
            cells.drain(..cells.len() - STYLES);
        }
        looks(&cells)
    }

    /// Each cell once: the repetition in the middle by the first of [`MIDDLE_BY`] that it has.
    fn middles(&self) -> Vec<&'a Cell> {
        let one = |repeats: &Repeats<'a>| {
            let by = MIDDLE_BY.iter().find(|name| repeats.median_range(name).is_some());
            repeats.middle(by.unwrap_or(&MIDDLE_BY[0]))
        };
        Repeats::of(self.cells.iter().copied()).iter().filter_map(one).collect()
    }

    /// How many cells there are, repetitions not counted.
    fn count(&self) -> usize {
        Repeats::of(self.cells.iter().copied()).len()
    }

    /// Smaller is more to the point: many protocols side by side, and nothing between them and the server.
    fn rank(&self) -> (std::cmp::Reverse<usize>, bool) {
        let protocols =
            self.cells.chunk_by(|a, b| a.spec.id.protocol.name == b.spec.id.protocol.name).count();
        let plain =
            self.cells.iter().all(|cell| cell.spec.link.is_loopback() && cell.spec.tls == Encryption::Plain);
        (std::cmp::Reverse(protocols), !plain)
    }

    fn is_one_protocol(&self) -> bool {
        self.cells.windows(2).all(|pair| pair[0].spec.id.protocol.name == pair[1].spec.id.protocol.name)
    }

    /// What a chart of the family leaves out, in words; empty if it shows all.
    pub(super) fn left_out(&self) -> String {
        let (shown, all) = (self.shown().len(), self.count());
        let largest =
            if shown == all { String::new() } else { format!("the largest {shown} of {all} cells") };
        let middle = if all == self.cells.len() { "" } else { "of repeats the one in the middle" };
        join([largest.as_str(), middle], "; ")
    }
}

/// Names and looks for cells of one chart: those of their protocols, if no two have the same.
fn looks<'a>(cells: &[&'a Cell]) -> Vec<Shown<'a>> {
    let twice =
        |protocol: &str| cells.iter().filter(|cell| cell.spec.id.protocol.name == protocol).count() > 1;
    let by_protocol = !cells.iter().any(|cell| twice(cell.spec.id.protocol.name));
    let same_size = cells.windows(2).all(|pair| pair[0].spec.clients == pair[1].spec.clients);
    let look = |(i, cell): (usize, &&'a Cell)| {
        let clients = format!("{} clients", short(cell.spec.clients.into()));
        let name = match (by_protocol, same_size) {
            (true, true) => title(cell.spec.id.protocol.name).to_owned(),
            (true, false) => format!("{}, {clients}", title(cell.spec.id.protocol.name)),
            (false, _) => cell.spec.id.to_string(),
        };
        let style = if by_protocol { look(cell.spec.id.protocol.name) } else { i };
        Shown { cell, name, style }
    };
    cells.iter().enumerate().map(look).collect()
}

/// What a section says of each family that it has something to say of: one is open, the others open on demand.
pub(super) fn each(families: &[Family<'_>], body: impl Fn(&Family<'_>) -> String) -> String {
    let with_body = families.iter().map(|family| (family, body(family)));
    let mut bodies: Vec<(&Family<'_>, String)> = with_body.filter(|(_, body)| !body.is_empty()).collect();
    if bodies.len() <= 1 {
        return bodies.pop().map_or(String::new(), |(_, body)| body);
    }
    bodies.sort_by_key(|(family, _)| family.rank());
    let block = |(i, (family, body)): (usize, &(&Family<'_>, String))| {
        let cells = family.count();
        let summary = format!("{} · {cells} cell{}", family.name, if cells == 1 { "" } else { "s" });
        details(&summary, body, i == 0)
    };
    let blocks: String = bodies.iter().enumerate().map(block).collect();
    format!("<div class=\"families\">\n{blocks}</div>\n")
}

/// Charts side by side, where there is room; nothing without any.
pub(super) fn grid(charts: &[String]) -> String {
    let charts = charts.concat();
    if charts.is_empty() { charts } else { format!("<div class=\"grid-of-charts\">\n{charts}</div>\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn cells_of_one_kind_and_link_belong_together() {
        for (name, protocol, family) in [
            ("workload/sse", "sse", "workload"),
            ("workload/sse@lan", "sse", "workload on lan"),
            ("memory/sse/1000", "sse", "memory"),
            ("sse", "sse", "chat"),
            ("sse/200@rtt=100ms", "sse", "chat on rtt=100ms"),
            ("sse/200/64B", "sse", "64B"),
            ("sse/hold=5s@lan", "sse", "chat on lan"),
            ("capacity/sse/200/again", "sse", "capacity"),
        ] {
            let mut cell = sample::cell(name).build();
            cell.spec.id.protocol = crate::protocol::find(protocol).expect("a protocol");
            assert_eq!(family_name(&cell, "chat"), family);
        }
    }

    #[test]
    fn where_cells_are_many_the_largest_of_each_protocol_speaks() {
        let cells: Vec<Cell> = ["sse", "websocket"]
            .iter()
            .flat_map(|protocol| [100, 200, 300].map(|n| (protocol, n)))
            .map(|(protocol, n)| sample::cell(&format!("memory/{protocol}/{n}")).idle(n, 10).build())
            .collect();
        let family = Family { name: "memory".into(), cells: cells.iter().collect() };
        let shown: Vec<(String, usize)> = family.shown().into_iter().map(|s| (s.name, s.style)).collect();
        assert_eq!(shown, [("SSE".to_owned(), 3), ("WebSocket".to_owned(), 2)]);
        assert_eq!(family.left_out(), "the largest 2 of 6 cells");
    }
}
