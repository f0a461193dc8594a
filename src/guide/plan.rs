//! The cells of the comparison matrix: the guide's conditions, or the user's. Pure.
//!
//! | cell | what for |
//! |---|---|
//! | `workload/P` | the same workload for every protocol: groups of 10, one publishes, nine receive |
//! | `workload/P@LINK` | the same behind an emulated link, at a rate that its round trips leave room for |
//! | `minimal/P` | the same with minimal headers, where headers make the difference |
//! | `poll-latency/short-poll` | short polling as the guide describes it: a topic for each user, rare Poisson events, a poll every 5 s |
//! | `probe/P` | what the protocol can do, by doing it |
//! | `browser/P` | the same of a real browser |
//! | `firewall/P` | the same through middleboxes |
//! | `tls/P` | `workload/P` over TLS; by default of WebSocket alone, which data channels are compared with |
//! | `mesh/webrtc/N` | one stream of 1 Mbit/s from one of N peers to all others: by symmetry what each of N such costs |
//! | `echo/websocket`, `idle/P` | round trips; 10,000 connected clients |
//! | `rate/websocket` | one connection, thousands of messages a second |
//! | `hold/long-poll` | silence: how long polls are held |
//! | `cost/P/N` | N deliveries or polls a second, a part of what the users make whose cost is asked for: points of a curve |
//! | `direct/P` | as many users as were asked for |
//! | `memory/P/N`, `memory-tls/P/N` | N connected clients, idle and (in a full matrix) after traffic: their slope is the memory of one |

mod costs;

use super::kind;
use crate::scenario::cell_id::{Axis, CellId};
use crate::scenario::file::{Http, Load, LongPoll, Scenario, ShortPoll, Topology, Webrtc};
use crate::scenario::kinds::{Encryption, Headers, Pace, Pattern};
use crate::scenario::plan::{self, PlanError};
use crate::scenario::spec::{CellSpec, LongPollSpec};
use crate::transport::link::LinkSpec;
use crate::unit::{Bytes, Count, OneOrMany, PerSecond, Seconds};

/// How long a matrix may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// 40 s.
    Quick,
    /// 90 s at most.
    Default,
    /// 10 min.
    Full,
}

/// The workload, where the user's differs from the guide's.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Simulated users of `workload/P`.
    pub clients: Option<Count>,
    /// Events per second of each publisher.
    pub rate: Option<PerSecond>,
    /// Size of an event.
    pub payload: Option<Bytes>,
    /// Protocols; empty for all.
    pub protocols: Vec<String>,
    /// Request headers of `workload/P`.
    pub headers: Option<Headers>,
    /// Users whose cost is asked for.
    pub users: Option<Count>,
    /// Links to measure `workload/P@LINK` on; empty for those of the effort.
    pub links: Vec<LinkSpec>,
}

/// Cells in two lanes that are measured side by side: those that mostly wait for the poll interval, and the others.
#[derive(Clone, Debug)]
pub struct MatrixPlan {
    /// Short polling: a few hundred requests a second at most.
    pub waiting: Vec<CellSpec>,
    /// Everything else.
    pub working: Vec<CellSpec>,
    /// What is probed, not loaded; in the lane of the others.
    pub probes: Vec<CellSpec>,
}

/// Lengths of the windows of one effort, in seconds, and the points of the memory slope.
struct Sizes {
    /// At most, whatever the cell.
    warmup_s: f64,
    poll_latency_s: f64,
    poll_workload_s: f64,
    workload_s: f64,
    minimal_s: f64,
    /// Of `cost/P/N`; 0 for none.
    cost_s: f64,
    /// What long polls are told to be held in silence.
    hold_s: f64,
    memory_points: &'static [u32],
    /// Memory over TLS too, meshes of all sizes, 10,000 idle clients: whatever takes time.
    everything: bool,
    /// Links of `workload/P@LINK`, if the user names none.
    links: &'static [&'static str],
    /// Kinds of probes.
    probes: &'static [&'static str],
}

impl Effort {
    fn sizes(self) -> Sizes {
        match self {
            Effort::Quick => Sizes {
                warmup_s: 0.5,
                poll_latency_s: 8.0,
                poll_workload_s: 5.0,
                workload_s: 3.0,
                minimal_s: 1.0,
                cost_s: 0.0,
                hold_s: 1.0,
                memory_points: &[100, 800],
                everything: false,
                links: &[],
                probes: &[kind::PROBE],
            },
            Effort::Default => Sizes {
                warmup_s: 1.0,
                poll_latency_s: 35.0,
                poll_workload_s: 10.0,
                workload_s: 6.0,
                minimal_s: 1.5,
                cost_s: 2.0,
                hold_s: 1.0,
                memory_points: &[100, 400, 1000],
                everything: false,
                links: &[],
                probes: &[kind::PROBE],
            },
            Effort::Full => Sizes {
                warmup_s: 1.0,
                poll_latency_s: 120.0,
                poll_workload_s: 40.0,
                workload_s: 30.0,
                minimal_s: 10.0,
                cost_s: 5.0,
                hold_s: 30.0,
                memory_points: &[100, 250, 500, 1000, 2000],
                everything: true,
                links: &["lan", "wan", "rtt=100ms"],
                probes: &[kind::PROBE, kind::BROWSER, kind::FIREWALL],
            },
        }
    }
}

/// Least window of a cell behind a link, in seconds.
const LINKED_S: f64 = 6.0;

/// Events that such a cell must see for a median with an interval.
const LINKED_EVENTS: f64 = 60.0;

/// The number whose multiples divide a circle most evenly, however many there are.
const GOLDEN_SECTION: f64 = 0.618_033_988_749_895;

/// Participants of a mesh; the guide draws the line at 10.
const MESH_SIZES: [u32; 6] = [2, 4, 6, 8, 10, 12];

/// What the guide says a server holds at least.
const CROWD: u32 = 10_000;

/// Interval of the guide's short poll, in seconds.
const POLL_INTERVAL_S: f64 = 5.0;

/// The scenario all five protocols share, for result files and for `list --dump`.
fn workload(user: &Workload, window_s: f64, headers: Headers) -> Scenario {
    Scenario {
        about: "The workload of the comparison matrix".to_owned(),
        load: Load {
            protocols: None,
            pattern: Pattern::Broadcast,
            clients: OneOrMany(vec![user.clients.unwrap_or(Count(200))]),
            group: Some(Count(10)),
            publishers: Count(1),
            rate: OneOrMany(vec![user.rate.unwrap_or(PerSecond(8.0))]),
            pace: Pace::Poisson,
            payload: OneOrMany(vec![user.payload.unwrap_or(Bytes(100))]),
            binary: false,
            in_flight: None,
            warmup: Seconds(1.0),
            duration: Seconds(window_s),
            drain: Seconds(POLL_INTERVAL_S + 1.0),
        },
        http: Http { headers, ..Http::default() },
        short_poll: ShortPoll { interval: Seconds(POLL_INTERVAL_S), ..ShortPoll::default() },
        long_poll: LongPoll::default(),
        webrtc: Webrtc::default(),
        connect: Default::default(),
        thresholds: Default::default(),
    }
}

/// The cells of a matrix.
///
/// # Errors
/// The user's workload cannot be measured, in words.
pub fn plan(effort: Effort, user: &Workload, seed: u64) -> Result<MatrixPlan, PlanError> {
    let sizes = effort.sizes();
    let headers = user.headers.unwrap_or_default();
    let mut plan = MatrixPlan { waiting: Vec::new(), working: Vec::new(), probes: Vec::new() };
    let mut names: Vec<&str> = user.protocols.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = crate::protocol::ALL.iter().map(|protocol| protocol.name).collect();
    }
    for name in &names {
        let waits = *name == "short-poll";
        let window_s = if waits { sizes.poll_workload_s } else { sizes.workload_s };
        let lane = if waits { &mut plan.waiting } else { &mut plan.working };
        if waits {
            lane.push(poll_latency(user, sizes.poll_latency_s, seed)?);
        }
        let own = cell(workload(user, window_s, headers), name, kind::WORKLOAD, seed)?;
        let costs = costs::cells(user, &own, &sizes);
        lane.push(own);
        lane.extend(costs);
        if headers != Headers::Minimal && matches!(*name, "short-poll" | "long-poll" | "sse") {
            let window_s = if waits { POLL_INTERVAL_S } else { sizes.minimal_s };
            let scenario = workload(user, window_s, Headers::Minimal);
            lane.push(cell(scenario, name, kind::MINIMAL, seed)?);
        }
        if sizes.everything || *name == "websocket" {
            lane.push(secured(user, if waits { POLL_INTERVAL_S } else { sizes.minimal_s }, name, seed)?);
        }
        for link in links(user, &sizes, waits) {
            lane.push(linked(user, link, name, seed)?);
        }
    }
    if names.contains(&"websocket") {
        plan.working.push(rate(seed)?);
        if sizes.everything {
            plan.working.push(round_trip(user, sizes.minimal_s, seed)?);
        }
    }
    if sizes.everything && names.contains(&"webrtc") {
        for size in MESH_SIZES {
            plan.working.push(mesh(size, seed)?);
        }
    }
    if names.contains(&"long-poll") {
        plan.working.push(hold(sizes.hold_s, seed)?);
    }
    for name in &names {
        for kind in sizes.probes {
            let spec = memory(name, 10, seed)?;
            plan.probes.push(CellSpec { id: CellId::of(spec.id.protocol).with_kind(*kind), ..spec });
        }
        for &clients in sizes.memory_points {
            let cell = memory(name, clients, seed)?;
            if sizes.everything {
                let id = cell.id.clone().with_kind(kind::MEMORY_TLS);
                let tls = CellSpec { tls: Encryption::Tls, id, ..cell.clone() };
                plan.working.extend([after_traffic(tls), after_traffic(cell)]);
            } else {
                plan.working.push(cell);
            }
        }
        if sizes.everything && matches!(*name, "long-poll" | "websocket") {
            let spec = memory(name, CROWD, seed)?;
            plan.working.push(CellSpec { id: CellId::of(spec.id.protocol).with_kind(kind::IDLE), ..spec });
        }
    }
    for cell in plan.waiting.iter_mut().chain(&mut plan.working) {
        cell.warmup_s = cell.warmup_s.min(sizes.warmup_s);
    }
    Ok(plan)
}

fn cell(
    mut scenario: Scenario,
    protocol: &str,
    kind: &'static str,
    seed: u64,
) -> Result<CellSpec, PlanError> {
    scenario.load.protocols = Some(OneOrMany(vec![protocol.to_owned()]));
    let mut cells = plan::cells(&scenario, seed)?;
    let mut cell = cells.remove(0);
    cell.id = cell.id.with_kind(kind);
    Ok(cell)
}

/// The links to measure a protocol on. Short polls on loopback at their shorter interval are one more.
fn links(user: &Workload, sizes: &Sizes, waits: bool) -> Vec<LinkSpec> {
    let mut links = user.links.clone();
    if links.is_empty() {
        // The texts are ours; that they are links is a test.
        links = sizes.links.iter().filter_map(|text| text.parse().ok()).collect();
    }
    if waits && !links.is_empty() && !links.contains(&LinkSpec::default()) {
        links.insert(0, LinkSpec::default());
    }
    links
}

/// The workload behind a link. A publish over a fresh connection takes two round trips, and a poll too: the rate leaves
/// three quarters of the time free, so that a message waits for the network and not for the one before it.
///
/// Polls come at short intervals, for the randomness of long ones would hide the network, and at such that events fall
/// evenly into them: one event after the other falls a golden section further on.
fn linked(user: &Workload, link: LinkSpec, protocol: &str, seed: u64) -> Result<CellSpec, PlanError> {
    let rtt_s = link.rtt_ms() / 1e3;
    let mut scenario = workload(user, LINKED_S, user.headers.unwrap_or_default());
    let step_s = (8.0 * rtt_s).max(1.0);
    let groups = f64::from(scenario.load.clients.0[0].0.div_ceil(10).max(1));
    scenario.load.rate = OneOrMany(vec![PerSecond(1.0 / step_s)]);
    scenario.load.pace = Pace::Constant;
    scenario.load.duration = Seconds((LINKED_EVENTS / groups * step_s).max(LINKED_S));
    scenario.short_poll.interval = Seconds(step_s * GOLDEN_SECTION);
    scenario.connect.link = OneOrMany(vec![link]);
    let mut cell = cell(scenario, protocol, kind::WORKLOAD, seed)?;
    cell.id.axes.push(Axis::Link(link));
    Ok(cell)
}

/// The guide's short poll: 1,000 users, a topic each, an event every 50 s.
fn poll_latency(user: &Workload, window_s: f64, seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(user, window_s, user.headers.unwrap_or_default());
    scenario.load.pattern = Pattern::Echo;
    scenario.load.clients = OneOrMany(vec![Count(1000)]);
    scenario.load.rate = OneOrMany(vec![PerSecond(1.0 / 50.0)]);
    cell(scenario, "short-poll", kind::POLL_LATENCY, seed)
}

/// The workload over TLS. Data channels are encrypted anyway; what changes is their signalling.
fn secured(user: &Workload, window_s: f64, protocol: &str, seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(user, window_s, user.headers.unwrap_or_default());
    scenario.connect.tls = Encryption::Tls;
    cell(scenario, protocol, kind::TLS, seed)
}

/// Each client's own message and back.
fn round_trip(user: &Workload, window_s: f64, seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(user, window_s, Headers::Minimal);
    scenario.load.pattern = Pattern::Echo;
    scenario.load.clients = OneOrMany(vec![Count(100)]);
    scenario.load.rate = OneOrMany(vec![PerSecond(10.0)]);
    cell(scenario, "websocket", kind::ECHO, seed)
}

/// One stream of a mesh, as of a slow video: 30 frames of 4,167 B a second are 1 Mbit/s.
fn mesh(size: u32, seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(&Workload::default(), 4.0, Headers::Minimal);
    scenario.load.clients = OneOrMany(vec![Count(size)]);
    scenario.load.group = Some(Count(size));
    scenario.load.rate = OneOrMany(vec![PerSecond(30.0)]);
    scenario.load.pace = Pace::Constant;
    scenario.load.payload = OneOrMany(vec![Bytes(4167)]);
    scenario.webrtc.topology = Topology::Mesh;
    let mut cell = cell(scenario, "webrtc", kind::MESH, seed)?;
    cell.id.axes.push(Axis::Count(size));
    Ok(cell)
}

/// Some messages for each, before memory is read again.
fn after_traffic(cell: CellSpec) -> CellSpec {
    // What a poll fetches may be an interval old.
    let drain_s = if cell.id.protocol.traits.polls { cell.short_poll.interval_s + 1.0 } else { 1.0 };
    CellSpec { rate_per_s: 2.0, duration_s: 1.0, drain_s, ..cell }
}

/// Twice the guide's "thousands of messages a second", there and back, on one connection.
fn rate(seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(&Workload::default(), 1.0, Headers::Minimal);
    scenario.load.pattern = Pattern::Echo;
    scenario.load.clients = OneOrMany(vec![Count(1)]);
    scenario.load.rate = OneOrMany(vec![PerSecond(2000.0)]);
    scenario.load.warmup = Seconds(0.2);
    cell(scenario, "websocket", kind::RATE, seed)
}

/// Polls that nothing answers but the end of their hold, at least one of each client.
fn hold(hold_s: f64, seed: u64) -> Result<CellSpec, PlanError> {
    let spec = memory("long-poll", 40, seed)?;
    Ok(CellSpec {
        id: CellId::of(spec.id.protocol).with_kind(kind::HOLD),
        long_poll: LongPollSpec { hold_s: Some(hold_s) },
        duration_s: (2.0 * hold_s).min(hold_s + 5.0) + 0.5,
        ..spec
    })
}

/// Connected clients and silence. A mesh of data channels is costly to build and holds nothing on the server.
fn memory(protocol: &str, clients: u32, seed: u64) -> Result<CellSpec, PlanError> {
    let mut scenario = workload(&Workload::default(), 0.1, Headers::Minimal);
    let clients = if protocol == "webrtc" { (clients / 10).max(10) } else { clients };
    scenario.load.clients = OneOrMany(vec![Count(clients)]);
    scenario.load.rate = OneOrMany(vec![PerSecond(0.0)]);
    scenario.load.warmup = Seconds(0.1);
    scenario.load.drain = Seconds(0.0);
    let mut cell = cell(scenario, protocol, kind::MEMORY, seed)?;
    cell.id.axes.push(Axis::Count(clients));
    Ok(cell)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
