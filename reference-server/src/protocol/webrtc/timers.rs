//! The timers of all peers. Each has one deadline, which moves with nearly every datagram.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// A heap in which a later deadline costs nothing: the old entry stays, and is put back when it comes up too early.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
}

/// One peer's timer, kept with the peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer {
    /// When the peer wants to be called.
    deadline: Option<Instant>,
    /// The entry in the heap that stands for it; not later than the deadline. Other entries are leftovers.
    entry: Option<Instant>,
}

impl Timers {
    /// Sets the deadline of `peer`.
    pub(super) fn set(&mut self, peer: u32, timer: &mut Timer, deadline: Instant) {
        timer.deadline = Some(deadline);
        if timer.entry.is_none_or(|entry| deadline < entry) {
            timer.entry = Some(deadline);
            self.heap.push(Reverse((deadline, peer)));
        }
    }

    /// When the next entry comes up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next peer that may be due. It is, if `expire` says so.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, u32)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now { None } else { self.heap.pop().map(|Reverse(entry)| entry) }
    }

    /// Whether `peer` is due, given its entry that came up at `at`. If not, the entry is put back where it belongs.
    pub(super) fn expire(&mut self, peer: u32, timer: &mut Timer, at: Instant, now: Instant) -> bool {
        if timer.entry != Some(at) {
            return false;
        }
        timer.entry = None;
        match timer.deadline {
            Some(deadline) if deadline > now => {
                self.set(peer, timer, deadline);
                false
            }
            Some(_) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The peers that are due at `now`.
    fn due(timers: &mut Timers, slots: &mut [Timer], now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some((at, peer)) = timers.pop(now) {
            if timers.expire(peer, &mut slots[peer as usize], at, now) {
                due.push(peer);
            }
        }
        due
    }

    #[test]
    fn each_peer_is_due_once_at_its_last_deadline() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut slots) = (Timers::default(), [Timer::default(); 2]);
        timers.set(0, &mut slots[0], at(10));
        timers.set(1, &mut slots[1], at(30));
        timers.set(0, &mut slots[0], at(50));
        timers.set(1, &mut slots[1], at(20));
        assert!(due(&mut timers, &mut slots, at(15)).is_empty());
        assert_eq!(due(&mut timers, &mut slots, at(25)), [1]);
        assert_eq!(due(&mut timers, &mut slots, at(60)), [0]);
        assert_eq!((due(&mut timers, &mut slots, at(99)).len(), timers.next()), (0, None));
    }

    #[test]
    fn a_deadline_that_keeps_moving_away_needs_one_entry() {
        let start = Instant::now();
        let (mut timers, mut timer) = (Timers::default(), Timer::default());
        for ms in 0..1000 {
            timers.set(0, &mut timer, start + Duration::from_millis(ms));
        }
        assert_eq!(timers.heap.len(), 1);
    }
}
