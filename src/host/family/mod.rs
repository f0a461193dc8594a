//! A server as the kernel knows it: processes that were named, and all that descend from them. What it uses is what the
//! named ones use, whether they do the work or only stay its parents (`npm start`, a shell, the master of a pre-fork server).
//!
//! The CPU time of those that live is read from their clocks: to the nanosecond, with threads that have ended. Of those that
//! ended and were waited for the kernel tells it in ticks of 10 ms, to each parent as a sum, so that a span is known to 20 ms
//! for each such parent ([`Spent::error_ns`]), however many children ended. A cgroup would tell it to the microsecond, but must be
//! made (by root), and the kernel schedules what is in a group otherwise than what is not: it would change what is measured.

mod ledger;

use std::collections::BTreeMap;

use super::process;
use super::stat::{self, Stat};

use ledger::{Ledger, Seen};
pub use ledger::{Mark, Spent};

/// Readings that are taken anew because a process ended in their midst, before one is taken as it is.
const MOST_ANEW: u32 = 3;

/// New ids that are looked at one by one; of more, all processes are listed instead.
const MOST_NEW: u32 = 2_000;

/// A process that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its id.
    pub pid: u32,
    /// It leads a process group of its own: whoever is in that is of the family, also when its parent has ended.
    pub leads_group: bool,
}

/// Processes, and what they used since they were first read.
#[derive(Clone, Debug)]
pub struct Family {
    roots: Vec<Root>,
    /// As they were when they were last looked at.
    members: BTreeMap<u32, Stat>,
    /// The ids given last, as of the reading before the last and of the last one.
    ids_to: [Option<u32>; 2],
    ledger: Ledger,
}

impl Family {
    /// The family of these processes, read for the first time; `None` if one of them cannot be found, or the system does not
    /// tell.
    pub fn of(roots: &[Root]) -> Option<Family> {
        let members =
            roots.iter().map(|root| Some((root.pid, Stat::of(root.pid)?))).collect::<Option<_>>()?;
        let mut family =
            Family { roots: roots.to_vec(), members, ids_to: [None; 2], ledger: Ledger::default() };
        family.mark().map(|_| family)
    }

    /// Reads what all have used so far; `None` if nobody is left.
    pub fn mark(&mut self) -> Option<Mark> {
        self.refresh();
        self.find_new();
        let mut living = self.living();
        for _ in 0..MOST_ANEW {
            if living.len() == self.members.len() {
                break;
            }
            self.refresh();
            living = self.living();
        }
        let anybody = !living.is_empty();
        let mark = self.ledger.enter(living, stat::ignores_children);
        anybody.then_some(mark)
    }

    /// What was used between a mark and the last reading.
    pub fn since(&self, from: &Mark) -> Spent {
        self.ledger.since(from, stat::tick_ns())
    }

    /// Ids and names of all, as last looked at.
    pub fn members(&self) -> impl Iterator<Item = (u32, &str)> {
        self.members.iter().map(|(&pid, stat)| (pid, stat.name.as_str()))
    }

    /// Whether a process was of the family when it was last looked at.
    pub fn contains(&self, pid: u32) -> bool {
        self.members.contains_key(&pid)
    }

    /// Memory of all, in bytes, as [`process::memory_bytes`] counts it: what several share counts once. Holds each of them up
    /// while it is read. `None` if one of them may not be read.
    pub fn memory_bytes(&mut self) -> Option<u64> {
        self.look();
        self.sum(process::memory_bytes)
    }

    /// Resident memory of all, in bytes, cheap to read: pages that several share count for each.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.sum(process::resident_bytes)
    }

    /// Looks at every process of the host for new members.
    pub fn look(&mut self) {
        self.ids_to = [None; 2];
        self.refresh();
        self.find_new();
    }

    /// Of whom has ended meanwhile nothing is asked.
    fn sum(&self, of: fn(u32) -> Option<u64>) -> Option<u64> {
        let living = self.members.iter().filter(|(_, stat)| !stat.has_ended());
        let each = living.map(|(&pid, stat)| of(pid).or_else(|| (!lives(pid, stat)).then_some(0)));
        each.sum::<Option<u64>>().filter(|_| !self.members.is_empty())
    }

    fn living(&self) -> Vec<Seen> {
        self.members.iter().filter_map(|(&pid, stat)| seen(pid, stat)).collect()
    }

    /// Parents are told of children that end before the children are gone, so parents' lines are read before anybody's clock.
    fn refresh(&mut self) {
        self.members.retain(|&pid, old| match Stat::of(pid) {
            Some(stat) if stat.started_ticks == old.started_ticks => {
                *old = stat;
                true
            }
            _ => false,
        });
    }

    /// Takes in whoever has come to be since it was last looked.
    fn find_new(&mut self) {
        let last = stat::last_pid();
        let [older, newer] = self.ids_to;
        self.ids_to = [newer, last];
        if last.is_some() && older == last {
            return;
        }
        // An id is given before its process can be seen: each is looked at twice.
        let new = older.zip(last).and_then(|(older, last)| Some((older, last, last.checked_sub(older)?)));
        let strangers: Vec<u32> = match new {
            Some((older, last, count)) if count <= MOST_NEW => {
                (older + 1..=last).filter(|&pid| process::cpu_ns(pid).is_some()).collect()
            }
            _ => stat::all_processes(),
        };
        self.adopt(strangers);
    }

    /// Takes in the kin among them, and the kin of those.
    fn adopt(&mut self, pids: Vec<u32>) {
        let own = std::process::id();
        let unknown = pids.into_iter().filter(|pid| *pid != own && !self.members.contains_key(pid));
        let mut strangers: Vec<(u32, Stat)> = unknown.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
        loop {
            let (kin, rest): (Vec<_>, Vec<_>) =
                strangers.into_iter().partition(|(_, stat)| self.is_kin(stat));
            if kin.is_empty() {
                return;
            }
            self.members.extend(kin);
            strangers = rest;
        }
    }

    fn is_kin(&self, stat: &Stat) -> bool {
        let in_group = |root: &Root| root.leads_group && root.pid == stat.group;
        self.members.contains_key(&stat.parent) || self.roots.iter().any(in_group)
    }
}

fn lives(pid: u32, stat: &Stat) -> bool {
    Stat::of(pid).is_some_and(|now| now.started_ticks == stat.started_ticks && !now.has_ended())
}

fn seen(pid: u32, stat: &Stat) -> Option<Seen> {
    Some(Seen {
        pid,
        started: stat.started_ticks,
        parent: stat.parent,
        clock_ns: process::cpu_ns(pid)?,
        waited_ns: stat.waited_ticks * stat::tick_ns(),
    })
}

#[cfg(test)]
mod tests;
