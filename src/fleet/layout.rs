//! How a cell is spread over processes and addresses, and what its host cannot give. Pure but for [`HostCapacity::read`].
//!
//! A process holds few descriptors, so many clients need many workers, and many servers: a group stays on one of each.

use std::net::{IpAddr, Ipv4Addr};

use crate::host::facts::HostFacts;
use crate::host::process;
use crate::scenario::spec::{CellSpec, Publishing};

/// Share of its descriptors that a process fills with connections: it needs some for itself, and a connection that
/// ends overlaps with the next.
const FILL: f64 = 0.95;

/// Descriptors that every process needs for itself.
const OWN_DESCRIPTORS: u64 = 64;

/// Share of the local ports towards one server that connections may take. Linux tries every second port first, and once
/// those are taken, walks past all of them at each connect: 14,000 connections took 1 s, 19,000 took 26 s.
const PORT_FILL: f64 = 0.45;

/// How long a closed connection keeps its port, in seconds: the time of TIME-WAIT, and where the kernel uses it again.
const PORT_REST_S: [f64; 2] = [60.0, 1.0];

/// What a pair of connected ends takes of this host's memory at least, in bytes: kernel and both processes.
const PAIR_BYTES: u64 = 10_000;

/// The same of a data channel, whose ends are not the kernel's.
const PEER_PAIR_BYTES: u64 = 90_000;

/// What a host has to give.
#[derive(Clone, Copy, Debug)]
pub struct HostCapacity {
    /// Processors that this program may use.
    pub cores: u64,
    /// Descriptors that a process may hold.
    pub descriptors: u64,
    /// Descriptors that all processes together may still open.
    pub descriptors_left: u64,
    /// Local ports towards one address and port.
    pub ports: u64,
    /// Ports in TIME-WAIT may be taken again after a second.
    pub ports_reused: bool,
    /// Memory that is free or can be freed, in bytes.
    pub memory_bytes: u64,
}

impl HostCapacity {
    /// This host. What it does not tell is taken to suffice.
    pub fn read() -> HostCapacity {
        let facts = HostFacts::read();
        let ports = facts.port_first.zip(facts.port_last).map(|(first, last)| last.saturating_sub(first) + 1);
        HostCapacity {
            cores: facts.cores.unwrap_or(1),
            descriptors: process::descriptor_limit(),
            descriptors_left: process::descriptors_left().unwrap_or(u64::MAX),
            ports: ports.unwrap_or(28_000),
            ports_reused: process::time_wait_is_reused(),
            memory_bytes: process::available_memory_bytes().unwrap_or(u64::MAX),
        }
    }
}

/// What is to be loaded, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSite {
    /// Servers that rtbench starts on this host, as many as it takes, of one thread each.
    Own,
    /// The same by somebody's command: processes and threads of any number.
    Command,
    /// One that stands already, at this address.
    Standing(IpAddr),
}

impl ServerSite {
    /// rtbench starts the servers.
    fn is_own(self) -> bool {
        matches!(self, ServerSite::Own | ServerSite::Command)
    }

    /// Of so many cores, how many are the servers' alone. One thread needs one. Who knows what another needs: it gets half, and
    /// one core only where there are no more than three, as the workers' load would be noise in its cost.
    pub(super) fn server_cores(self, cores: u64) -> u64 {
        match self {
            ServerSite::Own => 1,
            ServerSite::Command => (cores / 2).max(1),
            ServerSite::Standing(_) => 0,
        }
    }
}

/// How many processes and addresses a cell gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Worker processes.
    pub workers: u32,
    /// Server processes.
    pub servers: u32,
    /// Source addresses that the clients connect from; 1 leaves the choice to the system.
    pub sources: u32,
}

/// What a host cannot carry, and what would have to be raised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HostLimit {
    /// A group does not fit into a process.
    #[error(
        "a group of {group} clients needs {needed} descriptors in one process, which may hold {limit}: raise the hard limit (`nofile` in /etc/security/limits.conf), or make groups smaller"
    )]
    Group {
        /// Clients of a group.
        group: u32,
        /// Descriptors it needs.
        needed: u64,
        /// Descriptors that a process has for connections.
        limit: u64,
    },
    /// The host has too few descriptors in all.
    #[error("{needed} descriptors are needed and this host has {left} left: raise fs.file-max")]
    Descriptors {
        /// Descriptors needed, by all processes.
        needed: u64,
        /// Descriptors left.
        left: u64,
    },
    /// There are too few ports, and no other addresses to connect from.
    #[error(
        "{needed} local ports are needed towards one server and there are {ports}: widen net.ipv4.ip_local_port_range, or keep connections"
    )]
    Ports {
        /// Ports needed.
        needed: u64,
        /// Ports there are.
        ports: u64,
    },
    /// There is too little memory.
    #[error("at least {needed_mb} MB are needed and this host has {free_mb} MB free: use fewer clients")]
    Memory {
        /// Memory needed, in MB.
        needed_mb: u64,
        /// Memory free, in MB.
        free_mb: u64,
    },
}

impl Layout {
    /// The layout of a cell. `workers` overrules the number that follows from the host.
    ///
    /// # Errors
    /// What the host cannot carry, before anything is started.
    pub fn of(
        spec: &CellSpec,
        site: ServerSite,
        workers: Option<u32>,
        room: &HostCapacity,
    ) -> Result<Layout, HostLimit> {
        let demanded = processes(spec, room)?;
        let beside_the_server = room.cores.saturating_sub(site.server_cores(room.cores).max(1)).max(1) as u32;
        let servers = if site.is_own() && !spec.webrtc.peer_to_peer { demanded } else { 1 };
        let workers = workers.unwrap_or(beside_the_server.max(demanded)).clamp(1, spec.groups());
        check_totals(spec, site, room)?;
        Ok(Layout { workers, servers, sources: sources(spec, site, servers, room)? })
    }
}

/// Connections that a client keeps: the one it receives over, and where that carries nothing back, one to publish.
fn connections_per_client(spec: &CellSpec) -> u64 {
    let one_way = !spec.id.protocol.traits.in_band;
    1 + u64::from(spec.returns_to_sender() && one_way)
}

/// Connections that one process may hold.
fn most_connections(descriptors: u64) -> u64 {
    ((descriptors.saturating_sub(OWN_DESCRIPTORS)) as f64 * FILL) as u64
}

/// Connections that `clients` of a worker that may hold so many descriptors leave it for further ones.
pub fn spare_connections(spec: &CellSpec, clients: u32, descriptors: u64) -> u32 {
    let kept = u64::from(clients) * connections_per_client(spec);
    most_connections(descriptors).saturating_sub(kept).min(u32::MAX.into()) as u32
}

/// Processes that it takes to hold everybody, if none holds a part of a group.
fn processes(spec: &CellSpec, room: &HostCapacity) -> Result<u32, HostLimit> {
    let limit = most_connections(room.descriptors);
    let group = spec.group.min(spec.clients);
    let needed = u64::from(group) * connections_per_client(spec);
    match limit / needed.max(1) {
        0 => Err(HostLimit::Group { group, needed, limit }),
        groups => Ok(u64::from(spec.groups()).div_ceil(groups) as u32),
    }
}

fn check_totals(spec: &CellSpec, site: ServerSite, room: &HostCapacity) -> Result<(), HostLimit> {
    let ends = if site.is_own() { 2 } else { 1 };
    let connections = u64::from(spec.clients) * connections_per_client(spec);
    let needed = connections * ends;
    if needed > room.descriptors_left {
        return Err(HostLimit::Descriptors { needed, left: room.descriptors_left });
    }
    let by_datagrams = spec.id.protocol.traits.peer_to_peer;
    let pair_bytes = if by_datagrams { PEER_PAIR_BYTES } else { PAIR_BYTES };
    // In a mesh each client has an end for each other member, two ends a pair.
    let pairs =
        if spec.webrtc.peer_to_peer { connections * u64::from(spec.group - 1) / 2 } else { connections };
    let needed_bytes = pairs * pair_bytes * ends / 2;
    if needed_bytes > room.memory_bytes {
        let mb = |bytes: u64| bytes / 1_000_000;
        return Err(HostLimit::Memory { needed_mb: mb(needed_bytes), free_mb: mb(room.memory_bytes) });
    }
    Ok(())
}

/// Addresses to connect from, so that no server meets more connections of one than there are ports.
fn sources(spec: &CellSpec, site: ServerSite, servers: u32, room: &HostCapacity) -> Result<u32, HostLimit> {
    let connections = u64::from(spec.clients) * connections_per_client(spec);
    let rest_s = PORT_REST_S[usize::from(room.ports_reused)];
    let traits = Some(spec.id.protocol).map(|protocol| protocol.traits);
    let polls = traits.is_some_and(|traits| traits.polls) && !spec.short_poll.keep_alive;
    let polled_per_s = if polls { f64::from(spec.clients) / spec.short_poll.interval_s } else { 0.0 };
    let posted_per_s = if spec.publishing() == Publishing::Fresh { spec.events_per_s() } else { 0.0 };
    let fresh_per_s = polled_per_s + posted_per_s;
    // However fast they poll, no more than the machine answers.
    let resting = (fresh_per_s.min(50_000.0) * rest_s) as u64;
    let needed = (connections + resting).div_ceil(u64::from(servers));
    let ports = (room.ports as f64 * PORT_FILL) as u64;
    let sources = needed.div_ceil(ports.max(1)).max(1) as u32;
    let loopback = match site {
        ServerSite::Own | ServerSite::Command => true,
        ServerSite::Standing(address) => address.is_ipv4() && address.is_loopback(),
    };
    if loopback {
        return Ok(sources);
    }
    // There is one address to connect from. Connections that stand need a port each; those that come and go may find one.
    match connections > room.ports {
        true => Err(HostLimit::Ports { needed: connections, ports: room.ports }),
        false => Ok(1),
    }
}

/// The address that a client connects from, of `sources`; `None` leaves it to the system. All of 127.0.0.0/8 is this host.
pub fn source_of(client: u32, sources: u32) -> Option<IpAddr> {
    let nth = (sources > 1).then(|| client % sources)?;
    Some(Ipv4Addr::new(127, 1, (nth / 250) as u8, (nth % 250 + 1) as u8).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::protocol;
    use crate::scenario::cell_id::CellId;

    const ROOM: HostCapacity = HostCapacity {
        cores: 2,
        descriptors: 20_000,
        descriptors_left: 2_400_000,
        ports: 28_232,
        ports_reused: true,
        memory_bytes: 24_000_000_000,
    };

    fn spec(protocol: &str, clients: u32, group: u32) -> CellSpec {
        {
            let id = CellId::of(protocol::find(protocol).unwrap());
            CellSpec { id, clients, group, ..CellSpec::example() }
        }
    }

    fn own(spec: &CellSpec) -> Result<Layout, HostLimit> {
        Layout::of(spec, ServerSite::Own, None, &ROOM)
    }

    #[test]
    fn few_clients_need_one_of_each() {
        let layout = own(&spec("websocket", 10_000, 10)).unwrap();
        assert_eq!(layout, Layout { workers: 1, servers: 1, sources: 1 });
    }

    #[test]
    fn a_command_has_half_of_the_cores_and_workers_the_rest() {
        let room = HostCapacity { cores: 8, ..ROOM };
        let workers = |site| Layout::of(&spec("websocket", 1_000, 10), site, None, &room).unwrap().workers;
        assert_eq!((workers(ServerSite::Own), workers(ServerSite::Command)), (7, 4));
    }

    #[test]
    fn descriptors_decide_how_many_processes_it_takes() {
        let hundred_thousand = own(&spec("websocket", 100_000, 100)).unwrap();
        assert_eq!(hundred_thousand, Layout { workers: 6, servers: 6, sources: 2 });
        let million = own(&spec("sse", 1_000_000, 10)).unwrap();
        assert_eq!((million.workers, million.servers), (53, 53));
    }

    #[test]
    fn no_process_gets_more_than_it_may_hold() {
        for group in [1, 7, 100, 9_000] {
            let spec = spec("websocket", 100_000, group);
            let layout = own(&spec).unwrap();
            for worker in 0..layout.workers {
                let clients: usize = spec.shard(worker, layout.workers).map(|g| spec.members(g).len()).sum();
                assert!(clients <= 19_900, "{clients} of groups of {group}");
            }
        }
    }

    #[test]
    fn a_standing_server_on_this_host_is_met_from_many_addresses() {
        let spec = spec("websocket", 100_000, 100);
        let here = ServerSite::Standing(Ipv4Addr::LOCALHOST.into());
        let layout = Layout::of(&spec, here, None, &ROOM).unwrap();
        assert_eq!((layout.servers, layout.sources), (1, 8));
        let elsewhere = ServerSite::Standing(Ipv4Addr::new(192, 0, 2, 1).into());
        let short = HostLimit::Ports { needed: 100_000, ports: 28_232 };
        assert_eq!(Layout::of(&spec, elsewhere, None, &ROOM), Err(short));
        let fewer = CellSpec { clients: 20_000, ..spec };
        assert_eq!(Layout::of(&fewer, elsewhere, None, &ROOM).unwrap().sources, 1);
        assert_eq!(source_of(3, 1), None);
        assert_eq!(source_of(751, 1_000), Some(Ipv4Addr::new(127, 1, 3, 2).into()));
    }

    #[test]
    fn fresh_polls_rest_on_their_ports() {
        let mut polls = spec("short-poll", 10_000, 10);
        polls.short_poll.interval_s = 1.0;
        let slow = HostCapacity { ports_reused: false, ..ROOM };
        assert_eq!(own(&polls).unwrap().sources, 2);
        assert_eq!(Layout::of(&polls, ServerSite::Own, None, &slow).unwrap().sources, 49);
    }

    #[test]
    fn what_does_not_fit_is_named_before_the_start() {
        let group = own(&spec("websocket", 30_000, 30_000));
        assert_eq!(group, Err(HostLimit::Group { group: 30_000, needed: 30_000, limit: 18_939 }));
        assert!(matches!(own(&spec("websocket", 2_000_000, 10)), Err(HostLimit::Descriptors { .. })));
        let small = HostCapacity { memory_bytes: 900_000_000, ..ROOM };
        let short = Layout::of(&spec("sse", 100_000, 10), ServerSite::Own, None, &small);
        assert_eq!(short, Err(HostLimit::Memory { needed_mb: 1_000, free_mb: 900 }));
    }
}
