//! A scenario becomes cells. Pure: nothing here touches the world.

use reference_server::envelope::Form;

use super::cell_id::{Axis, CellId};
use super::file::{Scenario, Topology};
use super::kinds::{Pace, Pattern};
use super::spec::{CellSpec, HttpSpec, LongPollSpec, ShortPollSpec, WebrtcSpec};
use crate::protocol::{self, Protocol};
use crate::transport::link::LinkSpec;
use crate::unit::OneOrMany;

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
                        let mut spec = cell(scenario, protocol, clients.0, rate.0, payload.0, seed)?;
                        spec.link = *link;
                        spec.id.axes = axes(&spec, scenario);
                        cells.push(spec);
                    }
                }
            }
        }
    }
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
    protocol: &'static Protocol,
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
        id: CellId::of(protocol),
        pattern: load.pattern,
        clients,
        group,
        publishers: load.publishers.0,
        rate_per_s,
        pace: load.pace,
        payload_bytes,
        binary: load.binary && protocol.traits.binary,
        short_poll: ShortPollSpec {
            interval_s: scenario.short_poll.interval.0,
            mode: scenario.short_poll.mode,
            keep_alive: scenario.short_poll.keep_alive,
        },
        long_poll: LongPollSpec { hold_s: scenario.long_poll.hold.map(|hold| hold.0) },
        http: HttpSpec {
            headers: scenario.http.headers,
            publish_keep_alive: scenario.http.publish_keep_alive,
        },
        webrtc: WebrtcSpec {
            ordered: scenario.webrtc.ordered,
            max_retransmits: scenario.webrtc.max_retransmits,
            peer_to_peer,
        },
        link: LinkSpec::default(),
        tls: scenario.connect.tls,
        ramp_per_s: scenario.connect.ramp.0,
        connect_timeout_s: scenario.connect.timeout.0,
        warmup_s: load.warmup.0,
        duration_s: load.duration.0,
        drain_s: drain_s(scenario, protocol),
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

/// What is published just behind a short poll is fetched an interval later, however short the drain.
fn drain_s(scenario: &Scenario, protocol: &Protocol) -> f64 {
    let drain_s = scenario.load.drain.0;
    if protocol.traits.polls { drain_s.max(scenario.short_poll.interval.0) } else { drain_s }
}

fn check(spec: &CellSpec) -> Result<(), PlanError> {
    for (value, name) in [
        (f64::from(spec.clients), "load.clients"),
        (f64::from(spec.group), "load.group"),
        (spec.short_poll.interval_s, "short_poll.interval"),
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
    if spec.webrtc.peer_to_peer && spec.group > 64 {
        let members = u64::from(spec.group);
        return Err(PlanError::MeshTooLarge(spec.group, members * (members - 1) / 2));
    }
    Ok(())
}

/// What distinguishes a cell from the others of its run is an axis of it.
fn axes(spec: &CellSpec, scenario: &Scenario) -> Vec<Axis> {
    let Scenario { load, connect, .. } = scenario;
    let axes = [
        (load.clients.0.len(), Axis::Count(spec.clients)),
        (load.rate.0.len(), Axis::RatePerS(spec.rate_per_s)),
        (load.payload.0.len(), Axis::PayloadBytes(spec.payload_bytes)),
        (connect.link.0.len(), Axis::Link(spec.link)),
    ];
    axes.into_iter().filter(|(values, _)| *values > 1).map(|(_, axis)| axis).collect()
}
