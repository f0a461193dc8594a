//! The rows of the matrix that are an order of the protocols: scalability, server load, implementation.
//!
//! Rule for all three: every criterion ranks the protocols, the ranks are added up, and a cell is reproduced if every protocol of
//! another claimed level stands where the claim says. What lies within each other's intervals is not ordered, and then nothing is
//! claimed of it. A rank is a place among all: where one of them was not measured, the order is not known.

use super::column::Column;
use super::cost;
use super::evidence::{Evidence, unmeasured};
use super::finding::{Finding, Question, measured};
use super::kind;
use super::rank::{self, Order};
use super::verdict::{Estimate, Verdict, judge};
use crate::number::short;
use crate::stats::Bounds;
use crate::stats::mean::t_95;

/// A row that is an order.
pub(super) struct Ranking {
    /// What is ranked, for people.
    criteria: &'static str,
    unit: &'static str,
    stand: fn(&Evidence<'_>, &'static Column) -> Result<Standing, Verdict>,
}

/// What one protocol brings to an order. Smaller is lighter, easier, simpler.
struct Standing {
    criteria: Vec<Bounds>,
    measured: String,
    value: f64,
    note: String,
    evidence: String,
}

pub(super) static SCALABILITY: Ranking = Ranking {
    criteria: "a client can be served by another server at its next message, server CPU per client, recovers from a cut by itself; with one server, what a lost one takes along is inferred from the cut",
    unit: "clients/core",
    stand: scalability,
};

pub(super) static SERVER_LOAD: Ranking = Ranking {
    criteria: "server CPU per delivered message, server memory per client",
    unit: "us/message",
    stand: server_load,
};

pub(super) static IMPLEMENTATION: Ranking = Ranking {
    criteria: "lines of this project's client and server modules, crates they need",
    unit: "lines",
    stand: implementation,
};

impl Ranking {
    /// Judges the `i`th question by the order of all that could be measured.
    pub(super) fn judge(&self, evidence: &Evidence<'_>, asked: &[Question<'_>], i: usize) -> Finding {
        if rank::level(asked[i].claimed).is_none() {
            return no_server_needed(evidence, asked[i].column);
        }
        let own = measured!((self.stand)(evidence, asked[i].column));
        let ranked = asked.iter().filter_map(|q| Some((q, rank::level(q.claimed)?)));
        let (mut field, mut missing) = (Vec::new(), Vec::new());
        for (question, level) in ranked {
            match (self.stand)(evidence, question.column) {
                Ok(standing) => field.push((question, level, standing)),
                Err(_) => missing.push(question.column.title),
            }
        }
        let levels: Vec<u8> = field.iter().map(|(_, level, _)| *level).collect();
        let criteria: Vec<Vec<Bounds>> =
            (0..own.criteria.len()).map(|k| field.iter().map(|(.., s)| s.criteria[k]).collect()).collect();
        let positions = rank::positions(&criteria);
        let place = field.iter().position(|(q, ..)| q.column.protocol == asked[i].column.protocol);
        let name = |j: usize| field[j].0.column.title;
        let verdict = if missing.is_empty() {
            verdict(&levels, &positions, place, name)
        } else {
            unmeasured(format!("the same of all protocols that are ranked; {} missing", missing.join(", ")))
        };
        let range = |place: &Bounds| match place {
            place if place.low == place.high => short(place.low),
            place => format!("{} to {}", short(place.low), short(place.high)),
        };
        let sums: Vec<String> =
            positions.iter().enumerate().map(|(j, place)| format!("{} {}", name(j), range(place))).collect();
        let complete = missing.is_empty();
        let shared = complete.then(|| format!("sums of ranks ({}): {}", self.criteria, sums.join(", ")));
        let shared = shared.unwrap_or_default();
        Finding {
            measured: own.measured,
            value: Some(own.value),
            unit: self.unit,
            verdict,
            note: own.note,
            shared,
            evidence: own.evidence,
        }
    }
}

/// Where one contender stands beside those of other levels.
fn verdict(
    levels: &[u8],
    positions: &[Bounds],
    place: Option<usize>,
    name: impl Fn(usize) -> &'static str,
) -> Verdict {
    let with = |order: Order| -> Vec<usize> {
        let Some(i) = place else { return Vec::new() };
        (0..levels.len()).filter(|&j| rank::order(levels, positions, i, j) == order).collect()
    };
    match (&with(Order::Contradicts)[..], &with(Order::Untold)[..]) {
        ([], []) => Verdict::Reproduced,
        ([], untold) => unmeasured(format!(
            "figures that lie further apart or are known better: cells drift too much to be ordered with {}",
            join(untold, name)
        )),
        (against, _) => Verdict::NotReproduced { by: format!("out of order with {}", join(against, name)) },
    }
}

fn join(indices: &[usize], name: impl Fn(usize) -> &'static str) -> String {
    indices.iter().map(|j| name(*j)).collect::<Vec<_>>().join(", ")
}

/// `N/A` says that there is no server to scale: judged by the claim that the server carries no peer data.
fn no_server_needed(evidence: &Evidence<'_>, column: &Column) -> Finding {
    let workload = kind::cell(kind::WORKLOAD, column.protocol);
    let percent = measured!(evidence.metric(workload, "server_payload_percent"));
    let verdict = super::find("rtc-server-bytes").and_then(|claim| judge(claim, Estimate::exact(percent)));
    Finding {
        measured: format!("server carries {}%", short(percent)),
        value: Some(percent),
        unit: "%",
        verdict: verdict.unwrap_or_else(|| unmeasured("the payload that the server carried")),
        note: "N/A holds if the server carries signalling only: at most 1% of the payload".into(),
        shared: String::new(),
        evidence: format!("server_payload_percent of {workload}"),
    }
}

/// What one more cell would find for what a cell found, by how cells of this run drift.
fn about(evidence: &Evidence<'_>, value: f64) -> Bounds {
    let drift = cost::drift(evidence.all());
    let factor = (drift.deviation * t_95(drift.freedom)).exp();
    Bounds { low: value / factor, high: value * factor }
}

/// A yes is a zero: less of an obstacle.
fn obstacle(absent: bool) -> Bounds {
    Bounds::exact(if absent { 0.0 } else { 1.0 })
}

fn scalability(evidence: &Evidence<'_>, column: &'static Column) -> Result<Standing, Verdict> {
    let workload = kind::cell(kind::WORKLOAD, column.protocol);
    let cell = evidence.cell_by(workload, "server_cpu_percent")?;
    let share_of_core = evidence.metric(workload, "server_cpu_percent")? / 100.0;
    if share_of_core <= 0.0 || cell.counts.connected == 0 {
        return Err(unmeasured(format!("server CPU in the cell {workload}")));
    }
    let recovers = evidence.probe(column.protocol, "reconnect")?.found == "yes";
    // Where most exchanges open a connection, a balancer may choose a server for each of them.
    let wire = &cell.subscriber_wire;
    let moves = wire.exchanges > 0 && wire.connections * 2 >= wire.exchanges;
    let per_core = cell.counts.connected as f64 / share_of_core;
    let yes_no = |yes| if yes { "yes" } else { "no" };
    Ok(Standing {
        criteria: vec![obstacle(moves), about(evidence, 1.0 / per_core), obstacle(recovers)],
        measured: format!("{} clients/core", short(per_core)),
        value: per_core,
        note: format!(
            "next message at another server: {}, recovers from a cut: {}",
            yes_no(moves),
            yes_no(recovers)
        ),
        evidence: format!("server_cpu_percent of {workload}, probe reconnect in probe/{}", column.protocol),
    })
}

fn server_load(evidence: &Evidence<'_>, column: &'static Column) -> Result<Standing, Verdict> {
    let workload = kind::cell(kind::WORKLOAD, column.protocol);
    let cpu_us = evidence.metric(workload, "server_cpu_us_per_delivery")?;
    let memory = evidence.memory_slope(column.protocol)?;
    let kb = memory.value / 1e3;
    let coarse = if memory.coarse { format!(" (coarse: {} points)", memory.points) } else { String::new() };
    Ok(Standing {
        criteria: vec![about(evidence, cpu_us), memory.bounds],
        measured: format!("{} us, {} KB/client", short(cpu_us), short(kb)),
        value: cpu_us,
        note: format!(
            "memory {} to {} KB per client{coarse}",
            short(memory.bounds.low / 1e3),
            short(memory.bounds.high / 1e3)
        ),
        evidence: format!(
            "server_cpu_us_per_delivery of {workload}, slope of server_memory_idle_bytes over memory/{}/*",
            column.protocol
        ),
    })
}

fn implementation(evidence: &Evidence<'_>, column: &'static Column) -> Result<Standing, Verdict> {
    let count = evidence.source.iter().find(|count| count.protocol == column.protocol);
    let lines = count.and_then(|count| Some((count, f64::from(count.lines()?))));
    let (count, lines) = lines.ok_or_else(|| unmeasured("the protocol's modules at build time"))?;
    let crates = count.dependencies.len();
    Ok(Standing {
        criteria: vec![Bounds::exact(lines), Bounds::exact(crates as f64)],
        measured: format!("{} lines, {crates} crates", short(lines)),
        value: lines,
        note: format!(
            "client {} and server {} lines, {}",
            count.client_lines,
            count.server_lines,
            count.dependencies.join(" ")
        ),
        evidence: "counted at build time".into(),
    })
}
