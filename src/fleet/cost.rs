//! Whose cost is the servers': the processes that rtbench started or was told of, with all that descend from them. The kernel
//! is asked who holds the target's port, so that nobody else's cost is taken for it.

use std::collections::BTreeSet;

use super::server::Server;
use crate::host::cores;
use crate::host::family::{Family, Mark, Root, Spent};
use crate::host::listener::{self, Holder, Holders, Inode};
use crate::host::stat::Stat;
use crate::measure::cell::{Listener, Place, ProcessName, ServerCost};

/// Processes that a record names; it tells how many there were.
const MOST_NAMED: usize = 32;

/// What can be known of the servers' cost.
#[derive(Default)]
pub(super) struct Cost {
    /// Whose cost is read; `None` if somebody's is not known.
    family: Option<Family>,
    listeners: Vec<Listener>,
    /// Why nothing is read of servers that rtbench started.
    unread: Option<String>,
    cores: Option<String>,
}

impl Cost {
    /// Looks for the processes of these servers, which are ready.
    pub(super) fn of(servers: &[Server]) -> Cost {
        let roots: Option<Vec<Root>> = servers.iter().map(root).collect();
        let family = roots.as_deref().and_then(Family::of);
        let cores = roots.as_deref().and_then(|roots| cores::of(roots.first()?.pid));
        let cost = Cost { family, cores: cores.map(|cores| cores::in_words(&cores)), ..Cost::default() };
        let sockets: Vec<_> =
            servers.iter().map(|server| listener::sockets(server.address, server.pid)).collect();
        let all = sockets.iter().flatten().copied().collect();
        match servers.iter().all(|server| server.process.is_some()) {
            true => cost.of_own(servers, roots.unwrap_or_default(), &sockets, &all),
            false => cost.of_strangers(roots.unwrap_or_default(), &all),
        }
    }

    /// What rtbench started must hold the port; if it has handed it on to a process that the server itself named, that is read
    /// as well.
    fn of_own(
        mut self,
        servers: &[Server],
        mut roots: Vec<Root>,
        sockets: &[BTreeSet<Inode>],
        all: &BTreeSet<Inode>,
    ) -> Cost {
        let Some(family) = &self.family else { return self };
        let Holders { mut found, all_seen } = listener::holders(all, family.members().map(|(pid, _)| pid));
        let started = roots.len();
        for (server, own) in servers.iter().zip(sockets) {
            if own.iter().all(|inode| found.iter().any(|holder| holder.sockets.contains(inode))) {
                continue;
            }
            let outside = listener::all_holders(own).found;
            if let Some(named) = outside.iter().find(|holder| Some(holder.pid) == server.named_pid) {
                roots.push(Root { pid: named.pid, leads_group: false });
            } else if all_seen {
                // Where not even its own descriptors can be seen, nothing is known.
                self.unread = Some(disowned(server, &outside));
            }
            found.extend(outside);
        }
        if roots.len() > started {
            self.family = Family::of(&roots);
        }
        self.family = self.family.filter(|_| self.unread.is_none());
        self.naming(&found, &[])
    }

    /// Whoever was named is read; who holds the port is told beside it.
    fn of_strangers(self, roots: Vec<Root>, all: &BTreeSet<Inode>) -> Cost {
        if all.is_empty() {
            return self;
        }
        let above: Vec<u32> = roots.iter().flat_map(|root| ancestors(root.pid)).collect();
        let holders = listener::all_holders(all);
        let mut cost = self.naming(&holders.found, &above);
        // The named ones hold it not, that can be seen; who does cannot.
        let inside =
            cost.family.as_ref().map(|family| listener::holders(all, family.members().map(|(pid, _)| pid)));
        if holders.found.is_empty() && inside.is_some_and(|inside| inside.all_seen) {
            cost.listeners.push(Listener { pid: None, name: None, place: Place::Apart });
        }
        cost
    }

    fn naming(mut self, holders: &[Holder], above: &[u32]) -> Cost {
        let read = |pid| self.family.as_ref().is_some_and(|family| family.contains(pid));
        let mut listeners: Vec<Listener> = holders
            .iter()
            .map(|Holder { pid, name, .. }| Listener {
                pid: Some(*pid),
                name: Some(name.clone()),
                place: match () {
                    () if read(*pid) => Place::Read,
                    () if above.contains(pid) => Place::Above,
                    () => Place::Apart,
                },
            })
            .collect();
        // Whoever is not read is never cut off.
        listeners.sort_by_key(|listener| (listener.place == Place::Read, listener.pid));
        listeners.truncate(MOST_NAMED);
        self.listeners = listeners;
        self
    }

    /// What they used so far; `None` if it is not known.
    pub(super) fn mark(&mut self) -> Option<Mark> {
        self.family.as_mut()?.mark()
    }

    /// What they used between a mark and the last.
    pub(super) fn since(&self, from: &Mark) -> Option<Spent> {
        Some(self.family.as_ref()?.since(from))
    }

    /// To be read beside this one, from now on.
    pub(super) fn family(&self) -> Option<Family> {
        self.family.clone()
    }

    /// Private memory of all; holds each of them up while it is read.
    pub(super) fn memory_bytes(&mut self) -> Option<u64> {
        self.family.as_mut()?.memory_bytes()
    }

    /// Resident memory of all, cheap to read.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        self.family.as_ref()?.resident_bytes()
    }

    /// The part of the record that says what was read and how; `spent` is of the window.
    pub(super) fn record(&self, spent: Option<Spent>) -> ServerCost {
        let members = || self.family.iter().flat_map(Family::members);
        let name = |(pid, name): (u32, &str)| ProcessName { pid, name: name.to_owned() };
        ServerCost {
            cpu_ns: spent.map(|spent| spent.cpu_ns),
            cpu_ticked_ns: spent.map(|spent| spent.ticked_ns),
            cpu_error_ns: spent.map(|spent| spent.error_ns),
            unwaited: spent.map(|spent| spent.unwaited),
            processes: members().take(MOST_NAMED).map(name).collect(),
            process_count: members().count() as u32,
            listeners: self.listeners.clone(),
            unread: self.unread.clone(),
            cores: self.cores.clone(),
            ..ServerCost::default()
        }
    }
}

fn root(server: &Server) -> Option<Root> {
    Some(Root { pid: server.pid?, leads_group: server.process.is_some() })
}

fn name_of(pid: u32) -> String {
    Stat::of(pid).map_or_else(String::new, |stat| stat.name)
}

/// Whose child it is, and whose that is.
fn ancestors(pid: u32) -> Vec<u32> {
    let parent = |pid: &u32| Stat::of(*pid).map(|stat| stat.parent).filter(|&parent| parent > 0);
    std::iter::successors(Some(pid), parent).skip(1).collect()
}

fn disowned(server: &Server, holders: &[Holder]) -> String {
    let called = |pid: u32, name: &str| format!("{name} ({pid})");
    let names: Vec<String> = holders.iter().take(3).map(|holder| called(holder.pid, &holder.name)).collect();
    let who = match names.is_empty() {
        true => "a process that cannot be seen".to_owned(),
        false => names.join(", "),
    };
    let started = server.pid.map_or_else(String::new, |pid| called(pid, &name_of(pid)));
    format!("{} is held by {who}, which does not descend from {started} that rtbench started", server.address)
}
