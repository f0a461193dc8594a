//! `rtbench capacity SCENARIO`: the largest load that a server bears, per protocol.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::measuring::{self, Bench, Job};
use super::run::{self, Prepared, fresh_seed};
use crate::capacity::curve::{self, Outcome};
use crate::capacity::search::{Ending, Next, Search, Verdict};
use crate::cli::CapacityArgs;
use crate::cli::fault;
use crate::exit::Exit;
use crate::fleet::coordinator::Fleet;
use crate::fleet::server::ServerChoice;
use crate::measure::cell::Status;
use crate::measure::run::{Run, RunFile, RunKind, ScenarioText};
use crate::measure::threshold::Threshold;
use crate::scenario::{ScenarioError, headers};

mod slo;
mod steps;

use slo::Slo;
use steps::Steps;

/// Searches.
///
/// # Errors
/// `ScenarioError` or `PlanError` for what the user wrote; else what the surroundings refused.
pub fn run(args: &CapacityArgs) -> Result<Exit> {
    let formats = measuring::formats(&args.output)?;
    let Prepared { source, scenario, server } = run::prepare(&args.scenario, &args.workload, &args.server)?;
    let asked: Vec<Slo> = match args.slo.is_empty() {
        true => run::thresholds(&source, &scenario)?.into_iter().map(Slo::of).collect(),
        false => args.slo.iter().map(|text| Slo::parse(text)).collect::<Result<_, ScenarioError>>()?,
    };
    let header_lines = headers::lines(&scenario.http);
    let seed = args.workload.seed.unwrap_or_else(fresh_seed);
    let steps = Steps::new(scenario, asked, args, seed)?;
    for protocol in &steps.plan.protocols {
        fault::check(
            &args.server.server_fault,
            [&steps.spec(protocol, steps.plan.from, false)?].into_iter(),
        )?;
    }
    let text = ScenarioText { name: source.name.clone(), text: source.text.clone() };
    let mut file = RunFile::begin(RunKind::Capacity, measuring::command_line(), seed, text);
    file.thresholds = steps.slos.iter().map(|slo| slo.text.clone()).collect();
    file.search = Some(steps.plan.clone());
    let name = format!("capacity-{}", source.name);
    let run = measuring::conduct(file, &name, &args.output, None, async |bench| {
        let hunt = Hunt {
            steps: &steps,
            bench,
            server: &server,
            workers: args.server.workers,
            headers: &header_lines,
        };
        hunt.all().await
    })?;
    Ok(measuring::show(&run, &args.output, &formats, exit_of(&run)))
}

/// A search with everything that it measures with.
struct Hunt<'a> {
    steps: &'a Steps,
    bench: &'a Bench,
    server: &'a ServerChoice,
    workers: Option<u32>,
    headers: &'a str,
}

impl Hunt<'_> {
    /// One protocol after the other; what one leaves of its share of the time, the others get.
    async fn all(&self) -> Result<()> {
        let plan = &self.steps.plan;
        let end = Instant::now() + Duration::from_secs_f64(plan.budget_s);
        for (index, protocol) in plan.protocols.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / (plan.protocols.len() - index) as u32;
            self.one(protocol, Instant::now() + share).await?;
        }
        Ok(())
    }

    /// Searches one protocol until it is found, or the next step would end after `deadline`.
    async fn one(&self, protocol: &str, deadline: Instant) -> Result<()> {
        let thresholds: Vec<Threshold> = self.steps.slos.iter().map(|slo| slo.threshold.clone()).collect();
        let mut search = Search::new(&self.steps.plan);
        loop {
            let (load, again) = match search.next() {
                Next::Measure(load) => (load, false),
                Next::Again(load) => (load, true),
                Next::End(_) => return Ok(()),
            };
            let spec = self.steps.spec(protocol, load, again)?;
            let expected = Duration::from_secs_f64(Steps::expected_s(&spec));
            if self.bench.is_stopped() || Instant::now() + expected > deadline {
                return Ok(());
            }
            let cell = self.bench.measure(&Job::Load(spec), &self.fleet()?).await?;
            if cell.status == Status::Interrupted {
                return Ok(());
            }
            let judgement = curve::judge(&cell, &thresholds);
            // A failure has been shown already.
            if judgement.verdict != Verdict::Failed {
                self.bench.say(&format!("{protocol}: {}: {judgement}", self.steps.plan.vary.say(load)));
            }
            search.note(load, judgement.verdict);
        }
    }

    fn fleet(&self) -> Result<Fleet> {
        Ok(Fleet {
            program: measuring::own_image()?,
            server: self.server.clone(),
            workers: self.workers,
            headers: self.headers.to_owned(),
            rendezvous: None,
            stop: self.bench.stop(),
        })
    }
}

/// The gravest of what came of the protocols.
fn exit_of(run: &Run) -> Exit {
    let of_curve = |curve: &curve::Curve<'_>| match curve.outcome {
        Outcome::Ended(Ending::Found | Ending::AtMax) => Exit::Ok,
        Outcome::Ended(Ending::NoneHolds) => Exit::Failed,
        Outcome::Ended(Ending::Untold) | Outcome::OutOfTime => Exit::Inconclusive,
        Outcome::Ended(Ending::Failed) => Exit::Broken,
        Outcome::Interrupted => Exit::Interrupted,
    };
    curve::of(run).iter().map(of_curve).fold(Exit::Ok, Exit::max)
}
