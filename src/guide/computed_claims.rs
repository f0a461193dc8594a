//! Claims that need an arithmetic of their own. Each says what it reckoned with.

use super::command::MATRIX;
use super::evidence::{Evidence, probe_cell, unmeasured};
use super::finding::Question;
use super::other_claims::Answer;
use super::protocol_rows;
use super::verdict::{ABOUT, Estimate, Verdict};
use super::waste::Waste;
use super::{Claim, kind};
use crate::measure::cell::Cell;
use crate::measure::{metric, shortfall};
use crate::number::short;
use crate::scenario::cell_id::{Axis, Which};
use crate::stats::Bounds;

/// Takes the value, or returns the answer `not measured` that stands in its place.
macro_rules! known {
    ($claim:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(verdict) => return Answer::not_measured($claim, verdict),
        }
    };
}

/// The interval, "plus one request time": the longest poll is taken off the longest latency.
pub(super) fn poll_latency_max(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const CELL: Which<'_> = kind::cell(kind::POLL_LATENCY, "short-poll");
    let cell = known!(claim, evidence.cell_by(CELL, "response_max_ms"));
    let largest_s = known!(claim, evidence.metric(CELL, "response_max_ms")) / 1e3;
    let exchange_s = known!(claim, evidence.metric(CELL, "exchange_max_ms")) / 1e3;
    if cell.spec.short_poll.interval_s != 5.0 {
        return Answer::not_measured(claim, unmeasured("a poll interval of 5 s"));
    }
    let note = format!(
        "largest latency {} s less the longest poll of {} ms, of {} events",
        short(largest_s),
        short(exchange_s * 1e3),
        short(cell.response.events as f64)
    );
    let estimate = Estimate::exact(largest_s - exchange_s);
    Answer::judged(claim, estimate, format!("response_max_ms and exchange_max_ms of {CELL}"), note)
}

/// A held poll is wasted when nothing happens while it is held.
pub(super) fn held_polls_wasted(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const CELL: Which<'_> = kind::cell(kind::WORKLOAD, "long-poll");
    let cell = known!(claim, evidence.cell_by(CELL, "wasted_percent"));
    let percent = known!(claim, evidence.metric(CELL, "wasted_percent"));
    let Some(waste) = Waste::of_hold(cell) else {
        return Answer::not_measured(claim, unmeasured(format!("polls in the window of {CELL}")));
    };
    let bounds = metric::find("wasted_percent").and_then(|metric| metric.bounds(cell));
    let estimate = Estimate { value: percent, bounds: bounds.unwrap_or(Bounds::exact(percent)) };
    Answer::with(claim, waste.verdict(claim), estimate, format!("wasted_percent of {CELL}"), String::new())
}

/// Connections that the server holds for waiting users, for 1,000 of them. Those who publish wait for nothing.
pub(super) fn held(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const CELL: Which<'_> = Which { kind: kind::MEMORY, protocol: "long-poll", axes: &[Axis::Count(1000)] };
    let cell = known!(claim, evidence.cell_by(CELL, "server_connections"));
    let connections = known!(claim, evidence.metric(CELL, "server_connections"));
    let publishers = f64::from(cell.spec.only_senders());
    let waiting = cell.counts.connected as f64 - publishers;
    if waiting <= 0.0 {
        return Answer::not_measured(claim, unmeasured(format!("users who wait in {CELL}")));
    }
    let note = format!("{} connections held for {} users who wait", short(connections), short(waiting));
    let estimate = Estimate::exact(connections / waiting * 1000.0);
    Answer::judged(claim, estimate, format!("server_connections of {CELL}"), note)
}

/// How long a poll is held when nothing happens. A shorter hold than the claim's shows that the server keeps what it is
/// told, and no more.
pub(super) fn hold(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const CELL: Which<'_> = kind::cell(kind::HOLD, "long-poll");
    let cell = known!(claim, evidence.cell_by(CELL, "exchange_p50_ms"));
    let held_s = known!(claim, evidence.metric(CELL, "exchange_p50_ms")) / 1e3;
    let told = cell.spec.long_poll.hold_s.map_or("no time".into(), |told_s| format!("{} s", short(told_s)));
    let note = format!("held {} s when told {told}, over {} polls", short(held_s), cell.exchange.count);
    let source = format!("exchange_p50_ms of {CELL}");
    let estimate = Estimate::exact(held_s);
    let Some(told_s) = cell.spec.long_poll.hold_s.filter(|told_s| claim.low.is_some_and(|low| *told_s < low))
    else {
        return Answer::judged(claim, estimate, source, note);
    };
    let verdict = if (held_s / told_s - 1.0).abs() <= ABOUT {
        Verdict::Depends {
            on: "the hold that the server is told".into(),
            flips_at: format!("a shorter one was told here; `{MATRIX} --full` waits for the claim's own"),
        }
    } else {
        Verdict::NotReproduced { by: format!("held {} s when told {} s", short(held_s), short(told_s)) }
    };
    Answer::with(claim, verdict, estimate, source, note)
}

/// Each client's own message and back.
pub(super) fn round_trip(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let Some(column) = super::column::COLUMNS.iter().find(|column| column.protocol == claim.subject) else {
        return Answer::not_measured(claim, unmeasured("a protocol of the matrix"));
    };
    let question = Question { column, claim, claimed: &claim.claim };
    Answer::found(
        claim,
        protocol_rows::network_latency(evidence, &question, kind::cell(kind::ECHO, &claim.subject)),
    )
}

/// User memory of the idle server per connection; beside it what else the connection holds.
pub(super) fn memory(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let protocol = &claim.subject;
    let slope = known!(claim, evidence.memory_slope(protocol));
    let mut note = format!(
        "user memory of the idle server, slope over {} points{}",
        slope.points,
        if slope.coarse { " (coarse)" } else { "" }
    );
    for (what, cells, metric) in [
        ("after traffic", kind::MEMORY, "server_memory_after_bytes"),
        ("with TLS", kind::MEMORY_TLS, "server_memory_idle_bytes"),
        ("kernel, both ends", kind::MEMORY, "kernel_memory_idle_bytes"),
    ] {
        if let Ok(slope) = evidence.slope(cells, protocol, metric) {
            let kb = slope.bounds.scaled(1e-3);
            let value = short(slope.value / 1e3);
            note += &format!("; {what}: {value} KB ({} to {})", short(kb.low), short(kb.high));
        }
    }
    let estimate = Estimate { value: slope.value / 1e3, bounds: slope.bounds.scaled(1e-3) };
    let source = format!("slope of server_memory_idle_bytes over memory/{protocol}/*");
    Answer::judged(claim, estimate, source, note)
}

/// Connections that many servers hold together (guide, Scaling Solutions). What was not held on one host is projected by the
/// slope over the steps of a search; a million that came short is an answer, too.
pub(super) fn scale(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    const CLAIMED: f64 = 1e6;
    const KINDS: [&str; 3] = [kind::CAPACITY, kind::CROWD, kind::MILLION];
    let crowds = || KINDS.iter().flat_map(|kind| evidence.crowds(kind)).filter(|cell| stands(cell));
    let most =
        |cells: &mut dyn Iterator<Item = &'_ Cell>| cells.max_by_key(|cell| cell.counts.connected).cloned();
    let held = most(&mut crowds().filter(|cell| holds_all(cell)));
    let asked = |cell: &&Cell| f64::from(cell.spec.clients) >= CLAIMED;
    let short_of_it = most(&mut crowds().filter(|cell| asked(cell) && !stayed(cell)));
    let answer = |cell: &Cell, verdict, note| {
        let connected = Estimate::exact(cell.counts.connected as f64);
        Answer::with(claim, verdict, connected, format!("connected of {}", cell.spec.id), note)
    };
    match (&held, &short_of_it) {
        (Some(held), _) if held.counts.connected as f64 >= CLAIMED => {
            answer(held, Verdict::Reproduced, cost_of_all(held).join("; "))
        }
        (_, Some(short)) => answer(short, not_held(short), cost_of_all(short).join("; ")),
        (Some(held), None) => {
            let projected = projected(held, evidence, CLAIMED);
            if projected.is_empty() {
                let what = "a search whose steps show what a connection costs: `rtbench capacity`";
                return Answer::not_measured(claim, unmeasured(what));
            }
            let verdict = Verdict::Depends {
                on: "memory beyond what was measured".into(),
                flips_at: format!("a projection: 1,000,000 would take {}", projected.join(" and ")),
            };
            answer(held, verdict, cost_of_all(held).join("; "))
        }
        (None, None) => {
            Answer::not_measured(claim, unmeasured("a run of many clients, e.g. `rtbench run million`"))
        }
    }
}

/// Where memory lies, and the metric that says how much.
const MEMORY: [(&str, &str); 2] =
    [("in the servers", "server_memory_after_bytes"), ("in the kernel", "kernel_memory_after_bytes")];

/// Server processes, and the memory that a crowd took.
fn cost_of_all(cell: &Cell) -> Vec<String> {
    let servers = cell.server.as_ref().map_or(1, |server| server.servers.max(1));
    let memory = MEMORY.iter().filter_map(|(what, name)| {
        Some(format!("{} GB {what}", short(metric::find(name)?.value(cell)? / 1e9)))
    });
    std::iter::once(format!("server processes: {servers}")).chain(memory).collect()
}

/// The memory that so many connections would take, by what each more took in the steps of a search. Memory that does not
/// grow with them projects nothing.
fn projected(cell: &Cell, evidence: &Evidence<'_>, clients: f64) -> Vec<String> {
    let grows = MEMORY.iter().filter_map(|(what, name)| {
        let slope = evidence
            .slope(kind::CAPACITY, cell.spec.id.protocol.name, name)
            .ok()
            .filter(|slope| slope.bounds.low > 0.0)?;
        Some(format!("{} GB {what}", short(slope.value * clients / 1e9)))
    });
    grows.collect()
}

/// What of a crowd did not come or did not stay.
fn not_held(cell: &Cell) -> Verdict {
    let clients = short(f64::from(cell.spec.clients));
    let by = shortfall::of(cell)
        .unwrap_or_else(|| format!("not all of {clients} clients were connected all the time"));
    Verdict::NotReproduced { by }
}

/// Whether its clients have a standing connection.
fn stands(cell: &Cell) -> bool {
    !cell.spec.id.protocol.traits.polls
}

/// Whether every client was connected from the ramp to the end of the window. A client that was cut off is owed nothing
/// meanwhile, so that nothing is lost does not say it.
fn stayed(cell: &Cell) -> bool {
    let all = u64::from(cell.spec.clients);
    let never_fewer = cell.intervals.iter().all(|second| second.connected == all);
    shortfall::of(cell).is_none() && never_fewer && cell.counts.excused == 0
}

/// The same, and everybody got everything.
fn holds_all(cell: &Cell) -> bool {
    stayed(cell) && cell.counts.lost == 0
}

/// Something that a probe did or could not do.
pub(super) fn works(claim: &'static Claim, evidence: &Evidence<'_>, name: &str) -> Answer {
    let probe = known!(claim, evidence.probe(&claim.subject, name));
    let works = if probe.found == "yes" { 1.0 } else { 0.0 };
    let source = format!("probe {name} in {}", probe_cell(&claim.subject, name));
    Answer {
        measured: probe.found.clone(),
        ..Answer::judged(claim, Estimate::exact(works), source, probe.detail.clone())
    }
}

/// Connections cut in mid-stream, and what never came.
pub(super) fn reconnect(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let probe = known!(claim, evidence.probe(&claim.subject, "reconnect"));
    let Some(&lost) = probe.evidence.get("lost").filter(|_| probe.found == "yes") else {
        let verdict = Verdict::NotReproduced { by: probe.detail.clone() };
        let source = format!("probe reconnect in probe/{}", claim.subject);
        return Answer {
            measured: probe.found.clone(),
            evidence: source,
            ..Answer::not_measured(claim, verdict)
        };
    };
    let source = format!("probe reconnect in probe/{}", claim.subject);
    Answer::judged(claim, Estimate::exact(lost), source, probe.detail.clone())
}

/// Streams that a real browser held open to one host.
pub(super) fn six(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let probe = known!(claim, evidence.probe(&claim.subject, "six"));
    let source = format!("probe six in {}", probe_cell(&claim.subject, "six"));
    let Some(&connections) = probe.evidence.get("connections") else {
        return Answer::not_measured(claim, unmeasured("the number of streams that the browser held"));
    };
    Answer::judged(claim, Estimate::exact(connections), source, probe.detail.clone())
}

/// The protocol has no binary message, and 256 byte values came in an encoding: base64 makes four bytes of three.
pub(super) fn text_only(claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
    let probe = known!(claim, evidence.probe(&claim.subject, "binary"));
    let figures = probe.evidence.get("sent_bytes").zip(probe.evidence.get("wire_in_bytes"));
    let Some((&sent, &wire)) = figures.filter(|(sent, _)| **sent > 0.0) else {
        return Answer::not_measured(claim, unmeasured("the bytes that binary took on the wire"));
    };
    let encoded = wire / sent >= 4.0 / 3.0;
    let (measured, works) = match (probe.found.as_str(), encoded) {
        ("no", true) => ("text only", 1.0),
        ("no", false) => ("no encoding", 0.0),
        _ => ("binary, too", 0.0),
    };
    let growth = short(wire / sent);
    let note = format!(
        "{} bytes of binary took {} B on the wire, framing included: x{growth}",
        short(sent),
        short(wire)
    );
    let source = format!("probe binary in probe/{}", claim.subject);
    Answer { measured: measured.into(), ..Answer::judged(claim, Estimate::exact(works), source, note) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::cell::Interval;
    use crate::measure::sample;

    #[test]
    fn six_streams_are_six() {
        let claim = super::super::find("sse-six").expect("a claim");
        let held = |connections: f64| {
            let cell = sample::cell("browser/sse").probe("six", "6", "held by Chromium 156").with(|cell| {
                cell.probes[0].evidence.insert("connections".into(), connections);
            });
            six(claim, &Evidence::new(&[cell.build()], &[]))
        };
        let six = held(6.0);
        assert_eq!((six.verdict.word(), six.value), ("reproduced", Some(6.0)));
        assert_eq!(six.evidence, "probe six in browser/sse");
        assert!(six.condition.contains("held by Chromium 156"), "{}", six.condition);
        assert_eq!(held(10.0).verdict.word(), "not reproduced");
    }

    #[test]
    fn a_short_hold_shows_something_only_if_it_is_kept() {
        let claim = super::super::find("lp-timeout").expect("a claim");
        let held = |told_s: f64, held_s: f64| {
            let samples: Vec<f64> = (0..200).map(|i| 1e3 * held_s + f64::from(i) / 100.0).collect();
            let cell = sample::cell("hold/long-poll").idle(40, 2_000).with(|cell| {
                (cell.spec.long_poll.hold_s, cell.exchange) =
                    (Some(told_s), sample::distribution(&samples, 200));
            });
            let answer = hold(claim, &Evidence::new(&[cell.build()], &[]));
            (answer.verdict.word(), answer.condition)
        };
        assert_eq!(held(1.0, 1.0).0, "depends");
        let (word, condition) = held(1.0, 0.2);
        assert!(
            word == "not reproduced" && condition.starts_with("held 0.201 s when told 1 s"),
            "{condition}"
        );
        assert_eq!((held(30.0, 30.0).0, held(30.0, 9.0).0), ("reproduced", "not reproduced"));
    }

    #[test]
    fn a_million_connections_are_held_or_projected() {
        let claim = super::super::find("server-scale").expect("a claim");
        let held = |name: &str, clients: u32, lost: u64| {
            let cell = sample::cell(name).idle(clients, 2_000).with(|cell| {
                cell.counts.lost = lost;
                let server = cell.server.as_mut().expect("a server of rtbench's own");
                server.memory_after_bytes = Some(2_000 * u64::from(clients));
            });
            cell.build()
        };
        let judged = |cells: &[Cell]| scale(claim, &Evidence::new(cells, &[]));
        let million = judged(&[held("million/sse", 1_000_000, 0), held("crowd/sse", 100_000, 0)]);
        assert_eq!((million.verdict.word(), million.value), ("reproduced", Some(1e6)));
        assert_eq!(million.evidence, "connected of million/sse");
        let search = [10_000, 50_000].map(|clients| held(&format!("capacity/sse/{clients}"), clients, 0));
        let fewer = judged(&[search.as_slice(), &[held("million/sse", 1_000_000, 1)]].concat());
        assert_eq!((fewer.verdict.word(), fewer.value), ("depends", Some(5e4)));
        assert!(fewer.condition.contains("a projection: 1,000,000 would take 2 GB"), "{}", fewer.condition);
        assert_eq!(judged(&[]).verdict.word(), "not measured");
        let lossy = judged(&[held("million/sse", 1_000_000, 1)]);
        assert_eq!(lossy.verdict.word(), "not measured", "all were there, and not everything arrived");
        let mut cut = held("million/sse", 1_000_000, 0);
        cut.counts.excused = 1;
        assert_eq!(judged(&[cut]).verdict.word(), "not reproduced", "one was cut off meanwhile");
        let mut fell = held("million/sse", 1_000_000, 0);
        fell.intervals = vec![Interval { connected: 999_999, ..Interval::default() }];
        assert_eq!(judged(&[fell]).verdict.word(), "not reproduced", "one fell, and was owed nothing");
        let mut few = held("million/sse", 1_000_000, 0);
        few.counts.connected = 999_000;
        let few = judged(&[few]);
        assert_eq!((few.verdict.word(), few.value), ("not reproduced", Some(999_000.0)));
        assert!(few.condition.contains("only 999000 of 1000000 clients connected"), "{}", few.condition);
        let unknown = judged(&[held("crowd/sse", 100_000, 0)]);
        assert_eq!(unknown.verdict.word(), "not measured", "nobody knows what more would take");
        let mut polls = held("million/short-poll", 1_000_000, 0);
        polls.spec.id.protocol = crate::protocol::find("short-poll").expect("a protocol");
        assert_eq!(judged(&[polls]).verdict.word(), "not measured", "a poller holds no connection");
    }
}
