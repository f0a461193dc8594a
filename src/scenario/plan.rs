//! A scenario becomes cells, a cell becomes shards. Pure: nothing here touches the world.

use std::time::Duration;

use reference_server::envelope::Form;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::{Scenario, Topology};
use super::turns::Turns;
use super::unit::OneOrMany;
use crate::protocol::{self, Protocol};
use crate::transport::link::LinkSpec;

/// One combination to measure, with every choice made. This is what workers are given, what a result carries,
/// and what two results are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct CellSpec {
    /// Unique in the run, e.g. `workload/sse` or `memory/websocket/300`.
    pub name: String,
    /// Name in the table of protocols.
    pub protocol: String,
    /// Who talks to whom.
    pub pattern: Pattern,
    /// Simulated users, publishers included.
    pub clients: u32,
    /// Clients of one topic.
    pub group: u32,
    /// Publishers among them; in the echo pattern every client publishes.
    pub publishers: u32,
    /// Events per second of each publisher; 0 for silence.
    pub rate_per_s: f64,
    /// How due times are spaced.
    pub pace: Pace,
    /// Size of an event's payload, in bytes.
    pub payload_bytes: u32,
    /// Whether payloads are sent as binary.
    pub binary: bool,
    /// Time between two short polls, in seconds.
    pub poll_interval_s: f64,
    /// What the interval is counted from.
    pub poll_mode: PollMode,
    /// How long long polls ask to be held, in seconds; `None` leaves it to the server.
    pub hold_s: Option<f64>,
    /// Short polls keep their connection from one to the next.
    pub keep_alive: bool,
    /// Publishes by POST keep their connection; in older records they did where polls did.
    #[serde(default)]
    pub publish_keep_alive: bool,
    /// Name of the set of request headers: `minimal`, `browser` or `custom`.
    pub headers: String,
    /// Data channels keep the order.
    pub ordered: bool,
    /// Data channels give up after so many retransmissions; `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// Data channels join clients to each other.
    pub peer_to_peer: bool,
    /// The emulated network, in its canonical text: `loopback` for none, or e.g. `rtt=40ms,loss=1%`.
    pub link: String,
    /// Whether connections are encrypted: `plain` or `tls`.
    pub tls: String,
    /// Clients started per second.
    pub ramp_per_s: f64,
    /// Time a client may take to be ready, in seconds.
    pub connect_timeout_s: f64,
    /// Load before the measured window, in seconds; discarded.
    pub warmup_s: f64,
    /// The measured window, in seconds.
    pub duration_s: f64,
    /// Longest wait for what is still under way at the end of the window, in seconds.
    pub drain_s: f64,
    /// Own events a client of the echo pattern may have under way; `None` sends whenever one is due.
    pub in_flight: Option<u32>,
    /// What a client does after its connection was cut.
    pub reconnect: Reconnect,
    /// Seed of every random choice in the cell.
    pub seed: u64,
    /// Which repetition of the same cell this is, from 0.
    #[serde(default)]
    pub repeat: u32,
    /// It shares the machine with another cell, and is loaded in turns with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
}

/// What a client does after its connection was cut in mid-run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reconnect {
    /// What the protocol itself specifies, and nothing else.
    Protocol,
    /// What applications add: again after 1, 2, 4 ... 30 s, give or take a quarter.
    Backoff,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Publishers -> topic -> subscribers.
    Broadcast,
    /// Each client's own round trip; on protocols that cannot send in band: publish, then receive.
    Echo,
}

/// How due times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Evenly, each publisher with a phase of its own.
    Constant,
    /// At random, independently of everything else.
    Poisson,
    /// Each as soon as an own one came back (echo): as fast as both ends manage, so that a cost can be measured at
    /// full load. Latency says little then, as nobody waits for a slow answer but its own client.
    Closed,
}

/// What a poll interval is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PollMode {
    /// From the last poll's scheduled start.
    FixedRate,
    /// From the last poll's answer.
    AfterResponse,
}

/// Over which connections events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// Those that receive.
    InBand,
    /// By POST, on connections that are kept.
    Kept,
    /// By POST, on a new connection for each event.
    Fresh,
}

impl Publishing {
    /// The name that results carry.
    pub fn name(self) -> &'static str {
        match self {
            Publishing::InBand => "in-band",
            Publishing::Kept => "kept",
            Publishing::Fresh => "fresh",
        }
    }
}

impl CellSpec {
    /// Over which connections its events are published.
    pub fn publishing(&self) -> Publishing {
        let in_band = protocol::find(&self.protocol).is_some_and(|protocol| protocol.traits.in_band);
        match self.publish_keep_alive {
            _ if in_band => Publishing::InBand,
            true => Publishing::Kept,
            false => Publishing::Fresh,
        }
    }

    /// Events of all publishers per second, as the schedule has them.
    pub fn events_per_s(&self) -> f64 {
        let publishers = match self.pattern {
            Pattern::Echo => self.clients,
            Pattern::Broadcast => self.groups() * self.publishers,
        };
        f64::from(publishers) * self.rate_per_s
    }

    /// A small valid cell, for tests and documentation.
    pub fn example() -> CellSpec {
        CellSpec {
            name: "example".to_owned(),
            protocol: "websocket".to_owned(),
            pattern: Pattern::Broadcast,
            clients: 20,
            group: 10,
            publishers: 1,
            rate_per_s: 10.0,
            pace: Pace::Constant,
            payload_bytes: 100,
            binary: false,
            poll_interval_s: 5.0,
            poll_mode: PollMode::FixedRate,
            hold_s: None,
            keep_alive: false,
            publish_keep_alive: true,
            headers: "minimal".to_owned(),
            ordered: true,
            max_retransmits: None,
            peer_to_peer: false,
            link: "loopback".to_owned(),
            tls: "plain".to_owned(),
            ramp_per_s: 1000.0,
            connect_timeout_s: 10.0,
            warmup_s: 0.2,
            duration_s: 1.0,
            drain_s: 1.0,
            in_flight: None,
            reconnect: Reconnect::Protocol,
            seed: 1,
            repeat: 0,
            turns: None,
        }
    }

    /// The name among all cells of a run: repetitions after the first carry their number, as in `workload/sse r1`.
    pub fn label(&self) -> String {
        match self.repeat {
            0 => self.name.clone(),
            repeat => format!("{} r{repeat}", self.name),
        }
    }

    /// Whether its channel was asked to give up on messages: data channels alone can.
    pub fn may_lose(&self) -> bool {
        let by_datagrams = |protocol: &Protocol| protocol.traits.peer_to_peer;
        self.max_retransmits.is_some() && protocol::find(&self.protocol).is_some_and(by_datagrams)
    }

    /// Length of the measured window.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// What the client of this index does. Indices run from 0 over all clients of the cell.
    #[inline]
    pub fn role(&self, client: u32) -> Role {
        match self.pattern {
            Pattern::Echo => Role { group: client, index_in_group: 0, publishes: true, subscribes: true },
            Pattern::Broadcast => {
                let (group, index_in_group) = (client / self.group, client % self.group);
                let publishes = index_in_group < self.publishers;
                Role { group, index_in_group, publishes, subscribes: !publishes }
            }
        }
    }

    /// Number of groups; the last may be smaller than the others.
    pub fn groups(&self) -> u32 {
        self.clients.div_ceil(self.group)
    }

    /// The clients of one group.
    pub fn members(&self, group: u32) -> std::ops::Range<u32> {
        let first = group * self.group;
        first..(first + self.group).min(self.clients)
    }

    /// Deliveries owed for one event of `stream` (the publishing client's index).
    #[inline]
    pub fn subscribers_of(&self, stream: u32) -> u32 {
        match self.pattern {
            Pattern::Echo => 1,
            Pattern::Broadcast => {
                let members = self.members(stream / self.group);
                (members.end - members.start).saturating_sub(self.publishers)
            }
        }
    }

    /// The streams that a subscriber is owed: those of its group's publishers, or in the echo pattern its own.
    pub fn streams_of(&self, group: u32, client: u32) -> std::ops::Range<u32> {
        match self.pattern {
            Pattern::Echo => client..client + 1,
            Pattern::Broadcast => {
                let members = self.members(group);
                members.start..(members.start + self.publishers).min(members.end)
            }
        }
    }

    /// The groups of one of `workers` shards. A group is never split, so that its traffic needs one server.
    pub fn shard(&self, worker: u32, workers: u32) -> impl Iterator<Item = u32> + use<> {
        (worker..self.groups()).step_by(workers.max(1) as usize)
    }
}

/// What one client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Group, and so topic, of the client.
    pub group: u32,
    /// Place in the group.
    pub index_in_group: u32,
    /// It sends events.
    pub publishes: bool,
    /// It receives events.
    pub subscribes: bool,
}

/// Why a scenario makes no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No protocol has this name.
    #[error("there is no protocol '{0}'; there are: {1}")]
    UnknownProtocol(String, String),
    /// The envelope does not fit.
    #[error("a payload of {asked} B cannot hold the envelope, which needs {needed} B as {form}")]
    PayloadTooSmall {
        /// Size asked for, in bytes.
        asked: u32,
        /// Size needed, in bytes.
        needed: usize,
        /// `text` or `binary`.
        form: &'static str,
    },
    /// A group without a publisher or a subscriber.
    #[error(
        "groups of {group} with {publishers} publishers: each group needs at least one publisher and one subscriber"
    )]
    NoSubscribers {
        /// Clients of a group.
        group: u32,
        /// Publishers of a group.
        publishers: u32,
    },
    /// Some number that must be above zero is not.
    #[error("{0} must be above zero")]
    Zero(&'static str),
    /// Nothing comes back that could be answered.
    #[error("load.pace = \"closed\" sends when an own event came back, which takes load.pattern = \"echo\"")]
    ClosedBroadcast,
    /// A mesh cannot have this size.
    #[error(
        "a mesh of {0} would hold {1} peer connections per group; set webrtc.topology = \"server\" or a group of at most 64"
    )]
    MeshTooLarge(u32, u64),
}

/// The cells of a scenario, in the order in which they are measured.
///
/// # Errors
/// What cannot be measured as asked, in words.
pub fn cells(scenario: &Scenario, seed: u64) -> Result<Vec<CellSpec>, PlanError> {
    let load = &scenario.load;
    let mut cells = Vec::new();
    for protocol in protocols(load.protocols.as_ref())? {
        for clients in &load.clients.0 {
            for rate in &load.rate.0 {
                for payload in &load.payload.0 {
                    for link in &scenario.connect.link.0 {
                        let spec = cell(scenario, protocol, clients.0, rate.0, payload.0, seed)?;
                        cells.push(CellSpec { link: link.to_string(), ..spec });
                    }
                }
            }
        }
    }
    name_cells(&mut cells, scenario);
    Ok(cells)
}

/// Every cell once, then all of them again, `times` in all: what drifts meanwhile hits all cells alike.
pub fn repeated(cells: Vec<CellSpec>, times: u32) -> Vec<CellSpec> {
    let once = |repeat: u32| cells.iter().map(move |cell| CellSpec { repeat, ..cell.clone() });
    (0..times).flat_map(once).collect()
}

fn protocols(asked: Option<&OneOrMany<String>>) -> Result<Vec<&'static Protocol>, PlanError> {
    let Some(asked) = asked else { return Ok(protocol::ALL.iter().collect()) };
    let find = |name: &String| {
        protocol::find(name).ok_or_else(|| {
            let names: Vec<_> = protocol::ALL.iter().map(|protocol| protocol.name).collect();
            PlanError::UnknownProtocol(name.clone(), names.join(", "))
        })
    };
    asked.0.iter().map(find).collect()
}

fn cell(
    scenario: &Scenario,
    protocol: &Protocol,
    clients: u32,
    rate_per_s: f64,
    payload_bytes: u32,
    seed: u64,
) -> Result<CellSpec, PlanError> {
    let load = &scenario.load;
    let group = match load.pattern {
        Pattern::Echo => 1,
        Pattern::Broadcast => load.group.map_or(clients.min(10), |group| group.0.min(clients)),
    };
    let peer_to_peer = protocol.traits.peer_to_peer
        && load.pattern == Pattern::Broadcast
        && match scenario.webrtc.topology {
            Topology::Auto => group <= 10,
            Topology::Mesh => true,
            Topology::Server => false,
        };
    let spec = CellSpec {
        name: protocol.name.to_owned(),
        protocol: protocol.name.to_owned(),
        pattern: load.pattern,
        clients,
        group,
        publishers: load.publishers.0,
        rate_per_s,
        pace: load.pace,
        payload_bytes,
        binary: load.binary && protocol.traits.binary,
        poll_interval_s: scenario.short_poll.interval.0,
        poll_mode: scenario.short_poll.mode,
        hold_s: scenario.long_poll.hold.map(|hold| hold.0),
        keep_alive: scenario.short_poll.keep_alive,
        publish_keep_alive: scenario.http.publish_keep_alive,
        headers: scenario.http.headers.name().to_owned(),
        ordered: scenario.webrtc.ordered,
        max_retransmits: scenario.webrtc.max_retransmits,
        peer_to_peer,
        link: "loopback".to_owned(),
        tls: scenario.connect.tls.name().to_owned(),
        ramp_per_s: scenario.connect.ramp.0,
        connect_timeout_s: scenario.connect.timeout.0,
        warmup_s: load.warmup.0,
        duration_s: load.duration.0,
        drain_s: load.drain.0,
        in_flight: match (load.in_flight, load.pace) {
            (None, Pace::Closed) => Some(1),
            (limit, _) => limit.map(|count| count.0),
        },
        reconnect: scenario.connect.reconnect_of(protocol),
        seed,
        repeat: 0,
        turns: None,
    };
    check(&spec)?;
    Ok(spec)
}

fn check(spec: &CellSpec) -> Result<(), PlanError> {
    for (value, name) in [
        (f64::from(spec.clients), "load.clients"),
        (f64::from(spec.group), "load.group"),
        (spec.poll_interval_s, "short_poll.interval"),
        (spec.ramp_per_s, "connect.ramp"),
        (spec.connect_timeout_s, "connect.timeout"),
        (spec.duration_s, "load.duration"),
    ] {
        if value <= 0.0 {
            return Err(PlanError::Zero(name));
        }
    }
    let (form, name) = if spec.binary { (Form::Binary, "binary") } else { (Form::Text, "text") };
    if (spec.payload_bytes as usize) < form.min_bytes() {
        return Err(PlanError::PayloadTooSmall {
            asked: spec.payload_bytes,
            needed: form.min_bytes(),
            form: name,
        });
    }
    if spec.pattern == Pattern::Broadcast && (spec.publishers == 0 || spec.publishers >= spec.group) {
        return Err(PlanError::NoSubscribers { group: spec.group, publishers: spec.publishers });
    }
    if spec.pace == Pace::Closed && spec.pattern != Pattern::Echo {
        return Err(PlanError::ClosedBroadcast);
    }
    if spec.peer_to_peer && spec.group > 64 {
        let members = u64::from(spec.group);
        return Err(PlanError::MeshTooLarge(spec.group, members * (members - 1) / 2));
    }
    Ok(())
}

/// A cell's name says what distinguishes it from the others of its run.
fn name_cells(cells: &mut [CellSpec], scenario: &Scenario) {
    let Scenario { load, connect, .. } = scenario;
    // Links change fastest.
    for (cell, link) in cells.iter_mut().zip(connect.link.0.iter().cycle()) {
        if load.clients.0.len() > 1 {
            cell.name += &format!("/{}", cell.clients);
        }
        if load.rate.0.len() > 1 {
            cell.name += &format!("/{}per_s", cell.rate_per_s);
        }
        if load.payload.0.len() > 1 {
            cell.name += &format!("/{}B", cell.payload_bytes);
        }
        if connect.link.0.len() > 1 {
            cell.name += &at(link);
        }
    }
}

/// How the name of a cell ends that is measured behind `link`: `@wan`, `@rtt=100ms`.
pub fn at(link: &LinkSpec) -> String {
    format!("@{}", link.label())
}
