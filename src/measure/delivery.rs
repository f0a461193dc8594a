//! Delivery accounting of one subscriber and one stream: what came, what came twice, what came late in order, what never came.
//!
//! The tracker counts gaps where they open and close; it never derives "lost" from "sent minus received", so that
//! `delivered + lost` can be held against the publishers' own count. What is owed is every event of the window that was
//! due between the subscription's acknowledgement and its end. Where the protocol resumes, a cut ends nothing. Where it
//! does not, what falls due between the cut and the next acknowledgement is owed to nobody, and is counted as such.

use std::ops::Range;

use smallvec::SmallVec;

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

/// Sequences 0, 1, 2 ... of one stream, as one subscriber sees them. 16 bytes while nothing is missing.
#[derive(Debug, Default)]
struct Tracker {
    /// The sequence after the highest seen.
    next: u32,
    stream: u32,
    gaps: Option<Box<Gaps>>,
}

/// Sequences below the highest seen that have not come, as rising disjoint ranges.
#[derive(Debug, Default)]
struct Gaps(Vec<Range<u32>>);

/// A subscriber's tracker for each stream of which something came. Nearly all follow one stream, and one needs no memory
/// beyond this.
#[derive(Debug, Default)]
pub struct Trackers(SmallVec<[Tracker; 1]>);

impl Trackers {
    /// Notes the arrival of `sequence` of `stream`.
    #[inline]
    pub fn see(&mut self, stream: u32, sequence: u32) -> Arrival {
        let at = self.find(stream).unwrap_or_else(|at| {
            self.0.insert(at, Tracker { stream, ..Tracker::default() });
            at
        });
        self.0[at].see(sequence)
    }

    /// How many of the `published` sequences of `stream` have not come.
    pub fn missing(&self, stream: u32, published: u32) -> u64 {
        self.ranges(stream, published).map(|gap| u64::from(gap.end - gap.start)).sum()
    }

    /// Which of the `published` sequences of `stream` have not come, rising.
    pub fn missing_sequences(&self, stream: u32, published: u32) -> impl Iterator<Item = u32> {
        self.ranges(stream, published).flatten()
    }

    fn ranges(&self, stream: u32, published: u32) -> impl Iterator<Item = Range<u32>> {
        let tracker = self.find(stream).ok().map(|at| &self.0[at]);
        let next = tracker.map_or(0, |tracker| tracker.next);
        let gaps = tracker.and_then(|tracker| tracker.gaps.as_deref());
        gaps.into_iter()
            .flat_map(|gaps| gaps.0.iter().cloned())
            .chain(std::iter::once(next..published.max(next)))
    }

    #[inline]
    fn find(&self, stream: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&stream, |tracker| tracker.stream)
    }
}

impl Tracker {
    #[inline]
    fn see(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.next {
            if sequence > self.next {
                self.gaps.get_or_insert_default().0.push(self.next..sequence);
            }
            self.next = sequence.saturating_add(1);
            return Arrival::First;
        }
        let filled = self.gaps.as_deref_mut().is_some_and(|gaps| gaps.fill(sequence));
        match filled {
            true => Arrival::Reordered { behind: self.next - 1 - sequence },
            false => Arrival::Duplicate,
        }
    }
}

impl Gaps {
    /// Takes `sequence` out of them, if it is in one.
    fn fill(&mut self, sequence: u32) -> bool {
        let at = self.0.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = self.0.get(at).filter(|gap| gap.contains(&sequence)) else { return false };
        let halves = [gap.start..sequence, sequence + 1..gap.end];
        self.0.splice(at..=at, halves.into_iter().filter(|half| !half.is_empty()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Against the obvious accounting with a set, for any arrivals of three streams of 40.
        #[test]
        fn agrees_with_a_set(arrivals in proptest::collection::vec((0u32..3, 0u32..40), 0..300)) {
            let mut trackers = Trackers::default();
            let mut seen_of = [const { BTreeSet::new() }; 3];
            for (stream, sequence) in arrivals {
                let seen = &mut seen_of[stream as usize];
                let highest = seen.last().copied();
                let expected = if !seen.insert(sequence) {
                    Arrival::Duplicate
                } else if let Some(highest) = highest.filter(|&highest| sequence < highest) {
                    Arrival::Reordered { behind: highest - sequence }
                } else {
                    Arrival::First
                };
                prop_assert_eq!(trackers.see(stream, sequence), expected);
                prop_assert_eq!(trackers.missing(stream, 40), 40 - seen.len() as u64);
                let missing: Vec<u32> = (0..40).filter(|sequence| !seen.contains(sequence)).collect();
                prop_assert_eq!(trackers.missing_sequences(stream, 40).collect::<Vec<_>>(), missing);
            }
            prop_assert_eq!(trackers.missing(3, 40), 40);
        }
    }
}
