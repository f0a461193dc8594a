//! How long it takes from the first subscriber of an event to the last: the fan-out as its audience sees it. A group
//! is never split over workers, so each worker sees all receipts of its events.

use std::collections::{HashMap, VecDeque};

use super::timings::Samples;

/// Events of one stream whose receipts are still coming in. Beyond that the oldest is given up, and has no spread.
const MOST_OPEN: usize = 64;

/// Receipts of events that are under way, and the spreads of those that everybody has.
#[derive(Default)]
pub(super) struct Spreads {
    streams: HashMap<u32, VecDeque<Open>>,
    /// One sample an event.
    pub(super) samples: Samples,
}

/// An event that somebody has and somebody has not.
struct Open {
    sequence: u32,
    first_ns: u64,
    last_ns: u64,
    /// Subscribers that do not have it yet.
    left: u32,
}

impl Spreads {
    /// One of `subscribers` received an event for the first time.
    #[inline]
    pub(super) fn see(&mut self, stream: u32, sequence: u32, now_ns: u64, subscribers: u32) {
        if subscribers < 2 {
            return;
        }
        let open = self.streams.entry(stream).or_default();
        let at = match open.iter().rposition(|event| event.sequence == sequence) {
            Some(at) => at,
            None => {
                if open.len() == MOST_OPEN {
                    open.pop_front();
                }
                open.push_back(Open { sequence, first_ns: now_ns, last_ns: now_ns, left: subscribers });
                open.len() - 1
            }
        };
        let event = &mut open[at];
        // Clients are polled in any order, but each takes its time when it is: no receipt is earlier than the last.
        event.last_ns = event.last_ns.max(now_ns);
        event.left -= 1;
        if event.left == 0 {
            self.samples.record(event.last_ns - event.first_ns);
            open.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_wide_as_from_its_first_receipt_to_its_last() {
        let mut spreads = Spreads::default();
        for (sequence, now_ns) in [(0, 100), (1, 150), (0, 180), (1, 200), (0, 400), (1, 950)] {
            spreads.see(7, sequence, now_ns, 3);
        }
        let told = spreads.samples.distribution(2);
        assert_eq!((told.count, told.min_ns, told.max_ns), (2, 300, 800));
    }

    #[test]
    fn what_one_has_alone_or_somebody_never_gets_has_none() {
        let mut spreads = Spreads::default();
        spreads.see(1, 0, 5, 1);
        for sequence in 0..1_000 {
            spreads.see(2, sequence, u64::from(sequence), 2);
        }
        assert_eq!(spreads.samples.distribution(0).count, 0);
        assert_eq!(spreads.streams[&2].len(), MOST_OPEN);
    }
}
