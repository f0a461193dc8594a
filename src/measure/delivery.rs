//! Delivery accounting of one subscriber and one stream: what came, what came twice, what came late in order, what never came.
//!
//! The tracker counts gaps where they open and close; it never derives "lost" from "sent minus received", so that
//! `delivered + lost` can be held against the publishers' own count. What is owed is every event of the window that was
//! due between the subscription's acknowledgement and its end. Where the protocol resumes, a cut ends nothing. Where it
//! does not, what falls due between the cut and the next acknowledgement is owed to nobody, and is counted as such.

use std::ops::Range;

/// What one arrival was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first of its sequence, in order or after a gap.
    First,
    /// The first of its sequence, after one of a higher sequence.
    Reordered {
        /// How far behind the highest sequence seen.
        behind: u32,
    },
    /// Seen before.
    Duplicate,
}

/// Sequences 0, 1, 2 ... of one stream, as one subscriber sees them. 32 bytes while nothing is missing.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    /// The sequence after the highest seen.
    next: u32,
    /// Sequences below `next` that have not come, as rising disjoint ranges.
    gaps: Vec<Range<u32>>,
}

impl Tracker {
    /// Notes the arrival of `sequence`.
    #[inline]
    pub fn see(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.next {
            if sequence > self.next {
                self.gaps.push(self.next..sequence);
            }
            self.next = sequence.saturating_add(1);
            return Arrival::First;
        }
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        match self.gaps.get(at).cloned() {
            Some(gap) if gap.contains(&sequence) => {
                let halves = [gap.start..sequence, sequence + 1..gap.end];
                self.gaps.splice(at..=at, halves.into_iter().filter(|half| !half.is_empty()));
                Arrival::Reordered { behind: self.next - 1 - sequence }
            }
            _ => Arrival::Duplicate,
        }
    }

    /// How many of `published` sequences have not come.
    pub fn missing(&self, published: u32) -> u64 {
        self.ranges(published).map(|gap| u64::from(gap.end - gap.start)).sum()
    }

    /// Which of `published` sequences have not come, rising.
    pub fn missing_sequences(&self, published: u32) -> impl Iterator<Item = u32> {
        self.ranges(published).flatten()
    }

    fn ranges(&self, published: u32) -> impl Iterator<Item = Range<u32>> {
        let tail = self.next..published.max(self.next);
        self.gaps.iter().cloned().chain(std::iter::once(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Against the obvious accounting with a set, for any arrivals of a stream of 40.
        #[test]
        fn agrees_with_a_set(arrivals in proptest::collection::vec(0u32..40, 0..120)) {
            let mut tracker = Tracker::default();
            let mut seen = BTreeSet::new();
            for sequence in arrivals {
                let highest = seen.last().copied();
                let expected = if !seen.insert(sequence) {
                    Arrival::Duplicate
                } else if let Some(highest) = highest.filter(|&highest| sequence < highest) {
                    Arrival::Reordered { behind: highest - sequence }
                } else {
                    Arrival::First
                };
                prop_assert_eq!(tracker.see(sequence), expected);
                prop_assert_eq!(tracker.missing(40), 40 - seen.len() as u64);
                let missing: Vec<u32> = (0..40).filter(|sequence| !seen.contains(sequence)).collect();
                prop_assert_eq!(tracker.missing_sequences(40).collect::<Vec<_>>(), missing);
            }
        }
    }
}
