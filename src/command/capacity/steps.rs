//! From a scenario and the command line to the steps of a search. Pure.

use super::slo::Slo;
use crate::capacity::search::{self, SearchPlan, Vary};
use crate::cli::CapacityArgs;
use crate::measure::threshold::Threshold;
use crate::scenario::cell_id::{Axis, CellId};
use crate::scenario::plan;
use crate::scenario::spec::CellSpec;
use crate::scenario::{Scenario, ScenarioError};
use crate::unit::{Count, OneOrMany, PerSecond, Seconds};

/// Length of a step's window where nothing asks for more, in seconds.
const SHORTEST_S: f64 = 5.0;

/// Longest window that a default may ask for, in seconds: a search has a dozen steps.
const LONGEST_S: f64 = 30.0;

/// What a step takes beside connecting, warm-up and window, in seconds: processes, and what is still under way.
const OVERHEAD_S: f64 = 1.5;

/// Most clients, and highest rate of a publisher, to try where nothing is said.
const MOST_CLIENTS: f64 = 100_000.0;
const HIGHEST_RATE: f64 = 100_000.0;

/// Size of groups where a scenario names none; the same as in its plan.
const GROUP: u32 = 10;

/// The steps of a search.
pub(super) struct Steps {
    /// What is searched.
    pub(super) plan: SearchPlan,
    /// What must hold.
    pub(super) slos: Vec<Slo>,
    scenario: Scenario,
    /// All clients are one group, however many there are.
    everybody: bool,
    /// Length of every window, if the user said one.
    duration: Option<Seconds>,
    seed: u64,
}

impl Steps {
    /// Plans a search; `slos` are those of the user or the scenario, or none.
    ///
    /// # Errors
    /// What cannot be searched as asked, in words.
    pub(super) fn new(
        mut scenario: Scenario,
        slos: Vec<Slo>,
        args: &CapacityArgs,
        seed: u64,
    ) -> Result<Steps, ScenarioError> {
        only_one_workload(&scenario, args.vary)?;
        let everybody = scenario.load.group.is_some_and(|group| scenario.load.clients.0.contains(&group));
        let plan = search_plan(&mut scenario, args, everybody)?;
        let mut steps = Steps { plan, slos, scenario, everybody, duration: args.duration, seed };
        if steps.slos.is_empty() {
            steps.slos = Slo::default(|threshold| steps.can_tell(threshold, steps.plan.from));
        }
        steps.slos = Slo::with_defaults(steps.slos);
        if args.from.is_none() {
            steps.plan.least = steps.least();
        }
        steps.check_time()?;
        Ok(steps)
    }

    /// The cell of a step; `again` measures a load for the second time.
    ///
    /// # Errors
    /// The plan of the scenario says no.
    pub(super) fn spec(&self, protocol: &str, load: f64, again: bool) -> Result<CellSpec, plan::PlanError> {
        let mut scenario = self.at(load);
        scenario.load.protocols = Some(OneOrMany(vec![protocol.to_owned()]));
        let mut cells = plan::cells(&scenario, self.seed)?;
        let mut spec = cells.swap_remove(0);
        let figure = match self.plan.vary {
            Vary::Clients => Axis::Count(spec.clients),
            Vary::Rate => Axis::RatePerS(spec.rate_per_s),
        };
        spec.id = CellId::of(spec.id.protocol).with_kind(search::KIND).with(figure);
        if again {
            spec.id = spec.id.with(Axis::Again);
        }
        Ok(spec)
    }

    /// How long a step will take, in seconds, as far as that can be known.
    pub(super) fn expected_s(spec: &CellSpec) -> f64 {
        f64::from(spec.clients) / spec.ramp_per_s + spec.warmup_s + spec.duration_s + OVERHEAD_S
    }

    /// The scenario at a load.
    fn at(&self, load: f64) -> Scenario {
        let mut scenario = self.scenario.clone();
        match self.plan.vary {
            Vary::Clients => {
                let clients = Count(load.round() as u32);
                if self.everybody {
                    scenario.load.group = Some(clients);
                }
                scenario.load.clients = OneOrMany(vec![clients]);
            }
            Vary::Rate => scenario.load.rate = OneOrMany(vec![PerSecond(load)]),
        }
        scenario.load.duration = Seconds(self.window_s(load));
        scenario
    }

    /// Length of the window at a load, in seconds.
    fn window_s(&self, load: f64) -> f64 {
        let needed = self.slos.iter().map(|slo| slo.threshold.events_needed()).max().unwrap_or(0);
        // Up to the millisecond, so that names and files stay short.
        let needed_s = (ample(needed) / self.events_per_s(load) * 1e3).ceil() / 1e3;
        self.duration.map_or(needed_s.max(SHORTEST_S), |duration| duration.0)
    }

    /// Events of all publishers together.
    fn events_per_s(&self, load: f64) -> f64 {
        let given = &self.scenario.load;
        let (clients, rate) = match self.plan.vary {
            Vary::Clients => (load, given.rate.0[0].0),
            Vary::Rate => (f64::from(given.clients.0[0].0), load),
        };
        let publishers = f64::from(given.publishers.0);
        rate * match given.group {
            _ if !given.has_groups() => clients,
            Some(group) if !self.everybody => (clients / f64::from(group.0)).ceil() * publishers,
            _ => publishers,
        }
    }

    /// Whether a step of bearable length tells a threshold at a load.
    fn can_tell(&self, threshold: &Threshold, load: f64) -> bool {
        let longest_s = self.duration.map_or(LONGEST_S, |duration| duration.0);
        ample(threshold.events_needed()) <= self.events_per_s(load) * longest_s
    }

    /// The least load that is worth trying where the user names none: half of the start, or a half of that, as long as
    /// it can be told.
    fn least(&self) -> f64 {
        let plan = &self.plan;
        let tells = |load: &f64| self.slos.iter().all(|slo| self.can_tell(&slo.threshold, *load));
        let halves = std::iter::successors(Some(plan.from), |load| Some(load / 2.0)).take(64);
        let loads = halves.map(|load| plan.snap(load)).take_while(|&load| load >= plan.least);
        loads.take_while(tells).last().map_or(plan.from, |load| load.min(plan.from))
    }

    /// A step that cannot tell, or that the time does not suffice for, is better not begun.
    fn check_time(&self) -> Result<(), ScenarioError> {
        let (from, plan) = (self.plan.from, &self.plan);
        let per_s = self.events_per_s(from);
        let most = self.slos.iter().max_by_key(|slo| slo.threshold.events_needed());
        let Some((threshold, needed)) = most.map(|slo| (&slo.threshold, slo.threshold.events_needed()))
        else {
            return Ok(());
        };
        let load = plan.vary.say(from);
        let why = format!("{threshold} needs {needed} distinct events, and {load} make {per_s:.1} a second");
        let advice = "ask for a lower percentile or 'max', or for more events with --rate or --from";
        let window_s = self.window_s(from);
        if needed > 0 && per_s * window_s < needed as f64 {
            let message =
                format!("{why}: a step of {window_s} s is too short; leave --duration out, {advice}");
            return Err(ScenarioError::Invalid(message));
        }
        let (step_s, share_s) = (window_s + OVERHEAD_S, plan.budget_s / plan.protocols.len() as f64);
        if step_s * 2.0 > share_s {
            let message = format!(
                "each protocol has {share_s:.0} s of the budget, and two steps take {:.0} s: {}; or raise --budget",
                step_s * 2.0,
                if needed > 0 { format!("{why}; {advice}") } else { "shorten --duration".to_owned() }
            );
            return Err(ScenarioError::Invalid(message));
        }
        Ok(())
    }
}

/// Events to plan for so that a random schedule has as many as are needed: five standard deviations more.
fn ample(needed: u64) -> f64 {
    let needed = needed as f64;
    needed + 5.0 * needed.sqrt()
}

/// A search goes through one dimension; of everything else there must be one value.
fn only_one_workload(scenario: &Scenario, vary: Vary) -> Result<(), ScenarioError> {
    let load = &scenario.load;
    for (values, searched, name, flag) in [
        (load.clients.0.len(), vary == Vary::Clients, "numbers of clients", "--clients"),
        (load.rate.0.len(), vary == Vary::Rate, "rates", "--rate"),
        (load.payload.0.len(), false, "payloads", "--payload"),
        (scenario.connect.link.0.len(), false, "links", "--link"),
    ] {
        if values > 1 && !searched {
            let message =
                format!("the scenario has {values} {name}, and a search needs one: choose it with {flag}");
            return Err(ScenarioError::Invalid(message));
        }
    }
    Ok(())
}

fn search_plan(
    scenario: &mut Scenario,
    args: &CapacityArgs,
    everybody: bool,
) -> Result<SearchPlan, ScenarioError> {
    let wrong = |message: String| Err(ScenarioError::Invalid(message));
    let vary = args.vary;
    let flag = |name: &str, text: &Option<String>| {
        text.as_ref().map(|text| {
            amount(vary, text).map_err(|error| ScenarioError::Invalid(format!("{name}: {error}")))
        })
    };
    let (from, max) = (flag("--from", &args.from).transpose()?, flag("--max", &args.max).transpose()?);
    let one_group = one_group(scenario, everybody);
    let (quantum, smallest) = match vary {
        Vary::Clients => one_group,
        Vary::Rate => (0.0, 0.0),
    };
    let load = &scenario.load;
    let own = match vary {
        Vary::Clients => load.clients.0.iter().map(|count| f64::from(count.0)).fold(f64::INFINITY, f64::min),
        Vary::Rate => load.rate.0.iter().map(|rate| rate.0).fold(f64::INFINITY, f64::min),
    };
    let max = max.unwrap_or(if vary == Vary::Clients { MOST_CLIENTS } else { HIGHEST_RATE });
    let start = from.unwrap_or(own.max(smallest).min(max));
    if start <= 0.0 {
        return wrong("a search cannot start from 0: say where with --from".to_owned());
    }
    if start < smallest {
        return wrong(format!("--from: a group has {smallest} clients, and fewer make none"));
    }
    if max < start {
        return wrong(format!("--max: {} is less than the start, {}", vary.figure(max), vary.say(start)));
    }
    if !(1.0..=100.0).contains(&args.resolution.0) {
        return wrong("--resolution: from 1% to 100%".to_owned());
    }
    let least = if vary == Vary::Clients { smallest } else { start / 1_000.0 };
    Ok(SearchPlan {
        vary,
        from: start,
        least: if from.is_some() { start } else { least },
        max,
        resolution: args.resolution.0 / 100.0,
        quantum,
        protocols: protocols(scenario)?,
        budget_s: args.budget.0,
    })
}

/// Of how many clients numbers of clients are multiples, and the fewest that make sense. Groups keep their size
/// whatever the number of clients, so it is written into the scenario.
fn one_group(scenario: &mut Scenario, everybody: bool) -> (f64, f64) {
    let load = &mut scenario.load;
    match everybody {
        _ if !load.has_groups() => (1.0, 1.0),
        true => (1.0, f64::from(load.publishers.0) + 1.0),
        false => {
            let group = load.group.get_or_insert(Count(GROUP)).0;
            (group.into(), group.into())
        }
    }
}

fn amount(vary: Vary, text: &str) -> Result<f64, String> {
    match vary {
        Vary::Clients => text.parse::<Count>().map(|count| count.0.into()).map_err(|error| error.to_string()),
        Vary::Rate => text.parse::<PerSecond>().map(|rate| rate.0).map_err(|error| error.to_string()),
    }
}

/// Names of the scenario's protocols, each of which plans.
fn protocols(scenario: &Scenario) -> Result<Vec<String>, ScenarioError> {
    let cells = plan::cells(scenario, 0).map_err(|error| ScenarioError::Invalid(error.to_string()))?;
    let mut names: Vec<String> = Vec::new();
    for cell in cells {
        if !names.iter().any(|name| name == cell.id.protocol.name) {
            names.push(cell.id.protocol.name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
