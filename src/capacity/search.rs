//! The search for the largest load that holds: doubling, then bisection. A state machine that measures nothing.
//!
//! A load that holds is believed at once; whatever else a measurement says, it must say twice, since on a shared machine
//! one bad second is no limit. The exception is a cell that could not be measured at all.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digits to which a load without a quantum is rounded, so that people can type it again.
const DIGITS: i32 = 4;

/// What a search varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Vary {
    /// The number of clients.
    Clients,
    /// The events per second of each publisher.
    Rate,
}

/// What is searched, and how closely. Loads are clients, or events per second of each publisher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SearchPlan {
    /// What varies.
    pub vary: Vary,
    /// The load to begin with.
    pub from: f64,
    /// The smallest load that counts; it is tried if `from` does not hold.
    pub least: f64,
    /// The largest load to try.
    pub max: f64,
    /// The search ends when the smallest load that broke lies within this share above the largest that held.
    pub resolution: f64,
    /// Loads between are multiples of this: the clients of a group. 0 for any.
    pub quantum: f64,
    /// Protocols to search, in this order.
    pub protocols: Vec<String>,
    /// Longest time for everything, in seconds.
    pub budget_s: f64,
}

/// What one measurement says about a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every threshold held.
    Held,
    /// A threshold was broken.
    Broken,
    /// Nobody can tell: the measurement cannot be trusted, or not everything could be measured.
    Untold,
    /// There was no measurement.
    Failed,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Broken => "broken",
            Verdict::Untold => "untold",
            Verdict::Failed => "failed",
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Measure this load.
    Measure(f64),
    /// Measure this load once more, since the last measurement of it was not good enough to be believed.
    Again(f64),
    /// Nothing: the search has ended.
    End(Ending),
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The largest load that holds is known to the resolution.
    Found,
    /// The largest load allowed still holds.
    AtMax,
    /// Not even the smallest load holds.
    NoneHolds,
    /// A load could not be judged.
    Untold,
    /// A load could not be measured.
    Failed,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    plan: &'a SearchPlan,
    held: Option<f64>,
    broken: Option<f64>,
    /// A load that was measured once and did not hold.
    doubted: Option<(f64, Verdict)>,
    ended: Option<Ending>,
}

impl<'a> Search<'a> {
    /// A search that has measured nothing.
    pub fn new(plan: &'a SearchPlan) -> Search<'a> {
        Search { plan, held: None, broken: None, doubted: None, ended: None }
    }

    /// The largest load that held.
    pub fn held(&self) -> Option<f64> {
        self.held
    }

    /// The smallest load that broke a threshold, twice.
    pub fn broken(&self) -> Option<f64> {
        self.broken
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        let plan = self.plan;
        if let Some(ending) = self.ended {
            return Next::End(ending);
        }
        if let Some((load, _)) = self.doubted {
            return Next::Again(load);
        }
        match (self.held, self.broken) {
            (None, None) => Next::Measure(plan.from),
            (None, Some(broken)) if broken <= plan.least => Next::End(Ending::NoneHolds),
            (None, Some(_)) => Next::Measure(plan.least),
            (Some(held), None) if held >= plan.max => Next::End(Ending::AtMax),
            (Some(held), None) => Next::Measure(plan.snap(held * 2.0).min(plan.max)),
            (Some(held), Some(broken)) => {
                plan.between(held, broken).map_or(Next::End(Ending::Found), Next::Measure)
            }
        }
    }

    /// A load was measured.
    pub fn note(&mut self, load: f64, verdict: Verdict) {
        let doubt = self.doubted.take().filter(|&(doubted, _)| same(doubted, load));
        match (verdict, doubt) {
            (Verdict::Held, _) => self.held = Some(self.held.map_or(load, |held| held.max(load))),
            (Verdict::Failed, _) => self.ended = Some(Ending::Failed),
            (Verdict::Broken | Verdict::Untold, None) => self.doubted = Some((load, verdict)),
            (Verdict::Broken, Some((_, Verdict::Broken))) => {
                self.broken = Some(self.broken.map_or(load, |broken| broken.min(load)));
            }
            (Verdict::Broken | Verdict::Untold, Some(_)) => self.ended = Some(Ending::Untold),
        }
    }
}

/// Loads that were written to a file and read again may differ in their last bit.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

impl SearchPlan {
    /// The next load that is a multiple of the quantum, or has few digits.
    pub fn snap(&self, load: f64) -> f64 {
        if self.quantum > 0.0 {
            return (load / self.quantum).round().max(1.0) * self.quantum;
        }
        let digits = DIGITS - 1 - load.log10().floor() as i32;
        // Divided by a whole power of ten, a number is the one that its few digits spell.
        let power = 10f64.powi(digits.abs());
        if digits >= 0 { (load * power).round() / power } else { (load / power).round() * power }
    }

    /// The load to try between two, in the middle of their ratio; `None` if they are close enough.
    fn between(&self, held: f64, broken: f64) -> Option<f64> {
        if broken <= held * (1.0 + self.resolution) || broken - held <= self.quantum {
            return None;
        }
        let middle = (held * broken).sqrt();
        let candidates = match self.quantum {
            quantum if quantum > 0.0 => {
                [self.snap(middle), (middle / quantum).ceil() * quantum, (middle / quantum).floor() * quantum]
            }
            _ => [self.snap(middle), middle, middle],
        };
        candidates.into_iter().find(|&load| held < load && load < broken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn plan(from: f64, least: f64, max: f64, resolution: f64, quantum: f64) -> SearchPlan {
        SearchPlan {
            vary: Vary::Clients,
            from,
            least,
            max,
            resolution,
            quantum,
            protocols: vec!["websocket".into()],
            budget_s: 600.0,
        }
    }

    /// Searches to the end; panics where that takes too long.
    fn search(plan: &SearchPlan, mut measure: impl FnMut(f64) -> Verdict) -> (Search<'_>, Vec<f64>, Ending) {
        let mut search = Search::new(plan);
        let mut tried = Vec::new();
        loop {
            let load = match search.next() {
                Next::End(ending) => return (search, tried, ending),
                Next::Measure(load) | Next::Again(load) => load,
            };
            assert!(tried.len() < 200, "no end: {tried:?}");
            assert!(plan.least <= load && load <= plan.max, "{load} is not in the plan");
            tried.push(load);
            search.note(load, measure(load));
        }
    }

    fn holds_to(limit: f64) -> impl Fn(f64) -> Verdict {
        move |load| if load <= limit { Verdict::Held } else { Verdict::Broken }
    }

    #[test]
    fn it_doubles_and_then_halves_and_repeats_what_breaks() {
        let plan = plan(100.0, 100.0, 10_000.0, 0.1, 10.0);
        let (found, tried, ending) = search(&plan, holds_to(530.0));
        assert_eq!(tried, [100.0, 200.0, 400.0, 800.0, 800.0, 570.0, 570.0, 480.0, 520.0]);
        assert_eq!((found.held(), found.broken(), ending), (Some(520.0), Some(570.0), Ending::Found));
    }

    #[test]
    fn from_above_it_goes_to_the_least_and_comes_up_again() {
        let plan = plan(1_000.0, 10.0, 10_000.0, 0.1, 10.0);
        let (found, tried, ending) = search(&plan, holds_to(30.0));
        assert_eq!(tried[..4], [1_000.0, 1_000.0, 10.0, 100.0]);
        assert_eq!((found.held(), found.broken(), ending), (Some(30.0), Some(40.0), Ending::Found));
        let (found, tried, ending) = search(&plan, holds_to(5.0));
        assert_eq!(tried, [1_000.0, 1_000.0, 10.0, 10.0]);
        assert_eq!((found.held(), ending), (None, Ending::NoneHolds));
    }

    #[test]
    fn the_largest_allowed_ends_it() {
        let plan = plan(100.0, 100.0, 350.0, 0.1, 10.0);
        let (found, tried, ending) = search(&plan, holds_to(1e9));
        assert_eq!(tried, [100.0, 200.0, 350.0]);
        assert_eq!((found.held(), ending), (Some(350.0), Ending::AtMax));
    }

    #[test]
    fn one_bad_measurement_is_forgiven_and_two_are_not() {
        let plan = plan(100.0, 100.0, 400.0, 0.1, 10.0);
        for bad in [Verdict::Broken, Verdict::Untold] {
            let mut first = true;
            let (_, tried, ending) = search(&plan, |_| match std::mem::take(&mut first) {
                true => bad,
                false => Verdict::Held,
            });
            assert_eq!((tried.len(), ending), (4, Ending::AtMax));
        }
        let end = |verdicts: [Verdict; 2]| {
            let mut left = verdicts.into_iter();
            search(&plan, |_| left.next().unwrap()).2
        };
        assert_eq!(end([Verdict::Untold, Verdict::Untold]), Ending::Untold);
        assert_eq!(end([Verdict::Broken, Verdict::Untold]), Ending::Untold);
        assert_eq!(end([Verdict::Untold, Verdict::Broken]), Ending::Untold);
        assert_eq!(end([Verdict::Untold, Verdict::Failed]), Ending::Failed);
    }

    #[test]
    fn loads_between_are_whole_groups_or_have_few_digits() {
        assert_eq!(plan(10.0, 10.0, 1e5, 0.1, 10.0).snap(83.0), 80.0);
        let rates = plan(1.0, 1e-3, 1e6, 0.1, 0.0);
        for (load, snapped) in
            [(0.016_666_7, 0.016_67), (1.234_56, 1.235), (123_456.0, 123_500.0), (3.0, 3.0)]
        {
            assert_eq!(rates.snap(load), snapped);
        }
        assert_eq!(plan(1.0, 1.0, 1e5, 0.1, 10.0).between(1.0, 12.0), Some(10.0), "0 is no load");
    }

    proptest! {
        #[test]
        fn a_limit_is_found_within_the_resolution(
            limit in 1.0..2e5f64, from in 1u32..5_000, resolution in 0.01..0.5f64, group in 1u32..50, least in any::<bool>(),
        ) {
            let group = f64::from(group);
            let from = f64::from(from).max(group);
            let plan = plan(from, if least { from } else { group }, 1e5, resolution, group);
            let (found, tried, ending) = search(&plan, holds_to(limit));
            match ending {
                Ending::Found => {
                    let (held, broken) = (found.held().unwrap(), found.broken().unwrap());
                    prop_assert!(held <= limit && limit < broken);
                    prop_assert!(broken <= held * (1.0 + resolution) || broken - held <= group);
                }
                Ending::AtMax => prop_assert!(limit >= plan.max && found.held() == Some(plan.max)),
                Ending::NoneHolds => prop_assert!(limit < plan.least),
                ending => prop_assert!(false, "{ending:?}"),
            }
            prop_assert!(tried.len() <= 60);
        }

        #[test]
        fn a_rate_is_found_within_the_resolution(limit in 1e-4..1e7f64, from in 1e-3..1e3f64, resolution in 0.01..0.5f64) {
            let plan = plan(from, from / 1_000.0, 1e6, resolution, 0.0);
            let (found, _, ending) = search(&plan, holds_to(limit));
            if ending == Ending::Found {
                let (held, broken) = (found.held().unwrap(), found.broken().unwrap());
                prop_assert!(held <= limit && limit < broken && broken <= held * (1.0 + resolution) * (1.0 + 1e-9));
            }
        }

        #[test]
        fn whatever_is_measured_it_ends(
            seed in proptest::collection::vec(0u8..100, 200), from in 1u32..5_000, group in 1u32..20, resolution in 0.01..0.5f64,
        ) {
            let group = f64::from(group);
            let from = f64::from(from).max(group);
            let plan = plan(from, group, 1e6, resolution, group);
            let mut dice = seed.into_iter();
            let (found, ..) = search(&plan, |_| match dice.next().unwrap() {
                0..55 => Verdict::Held,
                55..97 => Verdict::Broken,
                97..99 => Verdict::Untold,
                _ => Verdict::Failed,
            });
            if let (Some(held), Some(broken)) = (found.held(), found.broken()) {
                prop_assert!(held < broken);
            }
        }
    }
}
