//! The arithmetic of what a family of processes used: pure.
//!
//! A process that lives has a clock, exact to the nanosecond, with the threads in it that have ended. One that has ended and was
//! waited for comes back, with everything that had come back to it, in what its parent was told by the kernel, which is in
//! ticks. So what was counted of a child while it lived is *owed* to its parent's account: what comes back there is first set
//! against that, and only the rest is new. Ticks are cut off, not rounded, so a debt may be paid some readings later; it is
//! never forgiven, or cut-off ticks would be counted twice.

use std::collections::BTreeMap;

/// A process at one moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) pid: u32,
    /// With the id, who it is.
    pub(super) started: u64,
    pub(super) parent: u32,
    /// Its own CPU time, in ns.
    pub(super) clock_ns: u64,
    /// That of children it has waited for, in ns, cut off at a tick.
    pub(super) waited_ns: u64,
}

/// A process with what happened to its children.
#[derive(Clone, Debug)]
struct Account {
    seen: Seen,
    /// What was counted of children that are gone, and has not come back in `waited_ns` yet.
    owed_ns: u64,
    /// The last reading at which a child was gone or something came back.
    waited_at: u64,
}

impl Account {
    /// All that its parent will be told of it.
    fn whole_ns(&self) -> u64 {
        self.seen.clock_ns + self.seen.waited_ns + self.owed_ns
    }
}

/// How much a family had used at a reading: two of them make a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// CPU time since the family was first read, in ns.
    pub used_ns: u64,
    /// The part of it that is known in ticks.
    ticked_ns: u64,
    /// Processes that ended without anybody being told what they used.
    unwaited: u64,
    reading: u64,
}

/// What a family used in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time of all processes, those that ended among them, in ns.
    pub cpu_ns: u64,
    /// The part of it that is known in ticks, as the processes had ended, in ns.
    pub ticked_ns: u64,
    /// The most by which `cpu_ns` may be wrong for that, in ns.
    pub error_ns: u64,
    /// Processes that ended and that nobody waited for: what they used since they were last read is missing.
    pub unwaited: u64,
}

/// The accounts of a family.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<u32, Account>,
    mark: Mark,
}

impl Ledger {
    /// Enters a reading of all that live; `ignores` says of a process that it waits for no child.
    pub(super) fn enter(&mut self, living: Vec<Seen>, ignores: impl Fn(u32) -> bool) -> Mark {
        let before = std::mem::take(&mut self.accounts);
        self.mark.reading += 1;
        for seen in living {
            let old = before.get(&seen.pid).filter(|old| old.seen.started == seen.started);
            let (owed_ns, waited_at) = old.map_or((0, 0), |old| (old.owed_ns, old.waited_at));
            self.accounts.insert(seen.pid, Account { seen, owed_ns, waited_at });
        }
        self.bury(&before, ignores);
        let first = self.mark.reading == 1;
        for account in self.accounts.values_mut() {
            let old = before.get(&account.seen.pid).filter(|old| old.seen.started == account.seen.started);
            account.settle(old.map(|old| &old.seen), first, &mut self.mark);
        }
        self.mark
    }

    /// What was counted of those who are gone is owed to whoever waited for them.
    fn bury(&mut self, before: &BTreeMap<u32, Account>, ignores: impl Fn(u32) -> bool) {
        let gone = before.values().filter(|old| !self.lives(&old.seen)).collect::<Vec<_>>();
        for old in gone {
            match self.heir(&old.seen, before).filter(|&heir| !ignores(heir)) {
                Some(heir) => {
                    if let Some(account) = self.accounts.get_mut(&heir) {
                        account.owed_ns += old.whole_ns();
                        account.waited_at = self.mark.reading;
                    }
                }
                None => self.mark.unwaited += 1,
            }
        }
    }

    fn lives(&self, seen: &Seen) -> bool {
        self.accounts.get(&seen.pid).is_some_and(|account| account.seen.started == seen.started)
    }

    /// The nearest ancestor that lives: where a parent has ended too, it was told and then told its own.
    fn heir(&self, gone: &Seen, before: &BTreeMap<u32, Account>) -> Option<u32> {
        let mut parent = gone.parent;
        // No chain is longer than there are processes.
        for _ in 0..=before.len() {
            match before.get(&parent) {
                Some(old) if self.lives(&old.seen) => return Some(parent),
                Some(old) => parent = old.seen.parent,
                None => return self.accounts.contains_key(&parent).then_some(parent),
            }
        }
        None
    }

    /// What was used between a mark and the last reading.
    pub(super) fn since(&self, from: &Mark, tick_ns: u64) -> Spent {
        let waited = self.accounts.values().filter(|account| account.waited_at > from.reading).count();
        Spent {
            cpu_ns: self.mark.used_ns - from.used_ns,
            ticked_ns: self.mark.ticked_ns - from.ticked_ns,
            // Two numbers (in and outside the kernel), each cut off at both ends of the span.
            error_ns: 2 * tick_ns * waited as u64,
            unwaited: self.mark.unwaited - from.unwaited,
        }
    }
}

impl Account {
    /// Counts what is new since it was `old`; in a family's first reading nothing is.
    fn settle(&mut self, old: Option<&Seen>, first: bool, mark: &mut Mark) {
        let (clock_ns, waited_ns) = match old {
            Some(old) => (old.clock_ns, old.waited_ns),
            None if first => (self.seen.clock_ns, self.seen.waited_ns),
            None => (0, 0),
        };
        // Neither runs backwards; should a kernel's ever do, what was counted stays.
        self.seen.clock_ns = self.seen.clock_ns.max(clock_ns);
        self.seen.waited_ns = self.seen.waited_ns.max(waited_ns);
        let came_back_ns = self.seen.waited_ns - waited_ns;
        let paid_ns = came_back_ns.min(self.owed_ns);
        self.owed_ns -= paid_ns;
        mark.used_ns += self.seen.clock_ns - clock_ns + came_back_ns - paid_ns;
        mark.ticked_ns += came_back_ns - paid_ns;
        if came_back_ns > 0 {
            self.waited_at = mark.reading;
        }
    }
}
