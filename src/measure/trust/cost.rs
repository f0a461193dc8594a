//! Doubts about what server and generator cost: whose it is, and whether they kept apart.

use super::{Doubt, degraded};
use crate::measure::cell::{Cell, Listener, Place, ServerCost};

/// Share of the server's CPU that may be unsure because processes of it ended.
const ERROR_SHARE: f64 = 0.02;

/// Processes that a doubt names.
const MOST_NAMED: usize = 3;

/// The cost of somebody else is no cost of the server's.
pub(super) fn whose(cell: &Cell) -> Option<Doubt> {
    let server = cell.server.as_ref()?;
    if let Some(why) = &server.unread {
        return degraded(format!("what the server costs is not known: {why}"));
    }
    let of = |place| server.listeners.iter().filter(move |listener| listener.place == place);
    if server.processes.is_empty() || server.listeners.is_empty() {
        return None;
    }
    if of(Place::Read).count() == 0 {
        return degraded(format!(
            "the target's port is held by {}, and what was read is the cost of {}: name the process that holds it",
            named(server.listeners.iter()),
            read(server)
        ));
    }
    (of(Place::Apart).count() > 0).then_some(())?;
    degraded(format!(
        "the target's port is also held by {}, whose cost was not read: name the process from which all descend",
        named(of(Place::Apart))
    ))
}

fn named<'a>(listeners: impl Iterator<Item = &'a Listener>) -> String {
    let name = |listener: &Listener| match (&listener.name, listener.pid) {
        (Some(name), Some(pid)) => format!("{name} ({pid})"),
        _ => "a process that cannot be seen".to_owned(),
    };
    list(listeners.map(name).collect())
}

fn read(server: &ServerCost) -> String {
    list(server.processes.iter().map(|process| format!("{} ({})", process.name, process.pid)).collect())
}

fn list(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    let text = names.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// Of processes that have ended the kernel tells CPU in ticks.
pub(super) fn ticks(cell: &Cell) -> Option<Doubt> {
    let server = cell.server.as_ref()?;
    let (error_ns, cpu_ns) = (server.cpu_error_ns?, server.cpu_ns?);
    let share = error_ns as f64 / cpu_ns.max(1) as f64;
    if error_ns == 0 || share <= ERROR_SHARE {
        return None;
    }
    degraded(format!(
        "the server's CPU of {:.0} ms is known to {:.0} ms (limit {:.0}%), as processes of it ended: measure for longer",
        cpu_ns as f64 / 1e6,
        error_ns as f64 / 1e6,
        ERROR_SHARE * 100.0
    ))
}

pub(super) fn unwaited(cell: &Cell) -> Option<Doubt> {
    let count = cell.server.as_ref()?.unwaited.filter(|&count| count > 0)?;
    degraded(format!(
        "{count} processes of the server ended and no parent waited for them: what they used at last is not in its CPU"
    ))
}

/// Ends that share a core wait for each other.
pub(super) fn untied(cell: &Cell) -> Option<Doubt> {
    let servers = cell.server.as_ref().map_or(0, |server| server.untied);
    let (workers, all) = (cell.generator.untied, cell.generator.workers);
    if servers + workers == 0 {
        return None;
    }
    degraded(format!(
        "{servers} servers and {workers} of {all} workers could not be tied to cores of their own, and may have shared one"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::cell::{ProcessName, TrustLevel};
    use crate::measure::sample;
    use crate::measure::trust::judge;

    fn listener(pid: u32, place: Place) -> Listener {
        Listener { pid: Some(pid), name: Some("python3".into()), place }
    }

    /// Doubts about a cell whose server was read as process 7.
    fn of(change: impl FnOnce(&mut ServerCost)) -> Vec<String> {
        let mut cell = sample::cell("workload/websocket").latency_ms(&[1.0; 1_000], 1_000).build();
        let server = cell.server.get_or_insert_default();
        server.processes = vec![ProcessName { pid: 7, name: "node".into() }];
        server.listeners = vec![listener(7, Place::Read), listener(1, Place::Above)];
        (server.cpu_ns, server.cpu_error_ns, server.unwaited) =
            (Some(1_000_000_000), Some(20_000_000), Some(0));
        change(server);
        let trust = judge(&cell);
        assert_eq!(trust.level == TrustLevel::Ok, trust.reasons.is_empty());
        trust.reasons
    }

    #[test]
    fn what_is_in_order_is_believed() {
        assert!(of(|_| {}).is_empty());
        assert!(of(|server| server.listeners.clear()).is_empty(), "a target on another host");
        let unread = of(|server| {
            server.processes.clear();
            server.listeners = vec![listener(4, Place::Apart)];
        });
        assert!(unread.is_empty(), "nobody asked for its cost");
    }

    #[test]
    fn each_doubt_has_its_figures() {
        type Change = fn(&mut ServerCost);
        let cases: &[(&str, Change)] = &[
            ("held by python3 (4), and what was read is the cost of node (7)", |server| {
                server.listeners = vec![listener(4, Place::Apart)];
            }),
            ("held by python3 (1), and what was read is the cost of node (7)", |server| {
                server.listeners = vec![listener(1, Place::Above)];
            }),
            ("held by a process that cannot be seen, and", |server| {
                server.listeners = vec![Listener { pid: None, name: None, place: Place::Apart }];
            }),
            ("also held by python3 (8), python3 (9), python3 (10) and 1 more", |server| {
                server.listeners.extend((8..12).map(|pid| listener(pid, Place::Apart)));
            }),
            ("not known: nobody holds it", |server| server.unread = Some("nobody holds it".into())),
            ("CPU of 900 ms is known to 20 ms (limit 2%)", |server| server.cpu_ns = Some(900_000_000)),
            ("3 processes of the server ended", |server| server.unwaited = Some(3)),
            ("2 servers and 0 of", |server| server.untied = 2),
        ];
        for (words, change) in cases {
            let reasons = of(change);
            assert!(reasons.len() == 1 && reasons[0].contains(words), "{words}: {reasons:?}");
        }
    }
}
