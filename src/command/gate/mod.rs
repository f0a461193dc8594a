//! `rtbench gate`: whether a change made it worse.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::measuring;
use super::run::{fresh_seed, override_workload};
use crate::cli::{GateArgs, Inconclusive};
use crate::exit::Exit;
use crate::gate::judge::{self, Judgement, Outcome};
use crate::gate::rule::Rule;
use crate::gate::{GateFile, Tiers, plan};
use crate::host::facts::HostFacts;
use crate::measure::metric::{self, Better};
use crate::measure::run::{Run, RunFile, RunKind, RunStatus, ScenarioText};
use crate::measure::store::{self, Store};
use crate::report;
use crate::say;
use crate::scenario::spec::CellSpec;
use crate::scenario::{self, Scenario, ScenarioError, Source, headers};

mod annotate;
mod contender;
mod replicates;
mod selftest;
mod with_baseline;

use contender::Contender;
use replicates::Replicates;

/// Compares.
///
/// # Errors
/// `ScenarioError` or `PlanError` for what the user wrote; else what the surroundings refused.
pub fn run(args: &GateArgs) -> Result<Exit> {
    let order = Order::new(args)?;
    if let Some(gates) = args.selftest {
        return selftest::run(&order, gates);
    }
    if args.plan {
        return order.show_plan();
    }
    match (&args.save_baseline, &args.baseline) {
        (Some(name), _) => with_baseline::save(&order, name),
        (_, Some(name)) => with_baseline::compare(&order, name),
        _ => duet(&order),
    }
}

/// What is to be done, all of it checked.
#[derive(Clone)]
struct Order<'a> {
    args: &'a GateArgs,
    source: Source,
    cells: Vec<CellSpec>,
    seed: u64,
    headers: String,
    /// Whether the scenario wants connections to be encrypted.
    tls: bool,
    /// The run that goes on.
    resumed: Option<(PathBuf, Run)>,
}

impl<'a> Order<'a> {
    fn new(args: &'a GateArgs) -> Result<Order<'a>> {
        let resumed = match &args.resume {
            Some(dir) => Some((dir.clone(), to_resume(dir)?)),
            None => None,
        };
        let source = match &resumed {
            None => scenario::locate(&args.scenario)?,
            // As it was then, whatever has become of the file.
            Some((_, run)) => Source::kept(&run.file.scenario.name, &run.file.scenario.text),
        };
        let mut scenario: Scenario = source.parse()?;
        override_workload(&mut scenario, &args.workload);
        headers::choice(&scenario.http).map_err(ScenarioError::Invalid)?;
        scenario.load.duration = args.duration;
        let resumed_seed = resumed.as_ref().map(|(_, run)| run.file.seed);
        let seed = resumed_seed.or(args.workload.seed).unwrap_or_else(fresh_seed);
        decides(&args.metric)?;
        let begun = resumed.as_ref().and_then(|(_, run)| run.file.gate.as_ref());
        Ok(Order {
            cells: match begun {
                Some(gate) => gate.cells.clone(),
                None => scenario::plan::cells(&scenario, seed)?,
            },
            headers: headers::lines(&scenario.http),
            tls: scenario.connect.tls == scenario::kinds::Encryption::Tls,
            args,
            source,
            seed,
            resumed,
        })
    }

    /// What `run.json` will say of it.
    fn run_file(&self, sides: [String; 2]) -> RunFile {
        let text = ScenarioText { name: self.source.name.clone(), text: self.source.text.clone() };
        let mut file = RunFile::begin(RunKind::Gate, measuring::command_line(), self.seed, text);
        file.gate = Some(GateFile {
            sides,
            tiers: self.args.tier,
            metric: self.args.metric.clone(),
            min_effect: self.min_effect(),
            cells: self.cells.clone(),
            selftest: false,
            baseline: None,
        });
        file
    }

    /// Smallest change that counts, as a share.
    fn min_effect(&self) -> f64 {
        self.args.min_effect.0 / 100.0
    }

    fn name(&self) -> String {
        format!("gate-{}", self.source.name)
    }

    fn show_plan(&self) -> Result<Exit> {
        let plans = plan::fit(&self.cells, self.args.budget.0);
        let rule = Rule { min_effect: self.min_effect() };
        let text = report::gate_plan(&plans, self.args.budget.0, self.args.tier, &self.args.metric, rule);
        say::out(|out| out.write_all(text.as_bytes()))?;
        let fits = plans.iter().all(|plan| match self.args.tier {
            Tiers::Exact => !plan.is_too_short(),
            Tiers::All => !plan.looks.is_empty(),
        });
        Ok(if fits { Exit::Ok } else { Exit::Inconclusive })
    }
}

/// A gate that was killed, or ran out of time. Workload and rule are those that it was begun with.
fn to_resume(dir: &Path) -> Result<Run> {
    let run = store::load(dir)?;
    if run.file.gate.as_ref().is_none_or(|gate| gate.baseline.is_some()) {
        let why = format!("{} is no gate of two sides, and only such a gate can go on", dir.display());
        return Err(ScenarioError::Invalid(why).into());
    }
    Ok(run)
}

/// Whether this metric can decide a gate.
fn decides(name: &str) -> Result<(), ScenarioError> {
    match metric::find(name) {
        Some(metric) if metric.better != Better::Neither => Ok(()),
        Some(_) => Err(ScenarioError::Invalid(format!("{name} has no better direction, and cannot decide"))),
        None => {
            Err(ScenarioError::Invalid(format!("'{name}' is no metric; `rtbench list metrics` names them")))
        }
    }
}

/// Two that stand at the same time.
fn duet(order: &Order<'_>) -> Result<Exit> {
    let formats = measuring::formats(&order.args.output)?;
    let contenders = contender::both(&order.args.sides, order.tls)?;
    let run = match &order.resumed {
        Some((dir, run)) => {
            let sides = contenders.each_ref().map(|contender| contender.words.clone());
            let were = run.file.gate.as_ref().map(|gate| gate.sides.clone());
            if were.as_ref() != Some(&sides) {
                let were = were.unwrap_or_default().join(" and ");
                let why = format!("{} compares {were}; name the same two again", dir.display());
                return Err(ScenarioError::Invalid(why).into());
            }
            if let Some(other) = HostFacts::read().differs_from(&run.file.host) {
                let why = format!("{} cannot go on here: {other}", dir.display());
                return Err(ScenarioError::Invalid(why).into());
            }
            measuring::conduct_in(
                || Store::reopen(dir),
                &order.args.output,
                None,
                async |bench| {
                    Replicates::new(order, bench, &contenders, run.file.gate.clone(), run.cells.clone())
                        .fight()
                        .await
                },
            )?
        }
        None => {
            let file = order.run_file(contenders.each_ref().map(|contender| contender.words.clone()));
            let gate = file.gate.clone();
            measuring::conduct(file, &order.name(), &order.args.output, None, async |bench| {
                Replicates::new(order, bench, &contenders, gate, Vec::new()).fight().await
            })?
        }
    };
    Ok(conclude(order, &run, &formats))
}

/// Shows the run; its verdict as an exit code.
fn conclude(order: &Order<'_>, run: &Run, formats: &[&dyn report::Format]) -> Exit {
    let args = order.args;
    let judgements = judge::of(run);
    let exit = exit_of(run, &judgements, args.inconclusive);
    let exit = match &order.resumed {
        Some((dir, _)) => measuring::show_at(run, dir, &args.output, formats, exit),
        None => measuring::show(run, &args.output, formats, exit),
    };
    annotate::tell(&judgements, args.inconclusive, args.output.quiet);
    exit
}

/// How a gate ends: what is proven outweighs what failed, and that what nobody can tell; the user outweighs them all.
fn exit_of(run: &Run, judgements: &[Judgement], inconclusive: Inconclusive) -> Exit {
    let any = |is: fn(&Judgement) -> bool| judgements.iter().any(is);
    if run.file.status == RunStatus::Interrupted {
        Exit::Interrupted
    } else if any(|judgement| judgement.finding.outcome == Outcome::Regression) {
        Exit::Failed
    } else if any(|judgement| judgement.broken.is_some()) {
        Exit::Broken
    } else if judgements.iter().any(|judgement| is_open(judgement, inconclusive)) {
        Exit::Inconclusive
    } else {
        Exit::Ok
    }
}

/// Whether a verdict that nobody can tell is to fail the gate. One on a new side that was seen to be broken always is.
fn is_open(judgement: &Judgement, inconclusive: Inconclusive) -> bool {
    let finding = &judgement.finding;
    finding.outcome == Outcome::Inconclusive && (finding.wrong || inconclusive == Inconclusive::Fail)
}

/// Where a baseline of this name lies.
fn baseline_dir(args: &GateArgs, name: &str) -> Result<PathBuf> {
    let safe = store::safe_name(name);
    if safe != name {
        let why = format!("'{name}' cannot be a baseline's name; letters, digits, '.', '-' and '_' can");
        return Err(ScenarioError::Invalid(why).into());
    }
    let parent = args.output.out.join("baselines");
    std::fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
    Ok(parent.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Side;
    use crate::gate::exact::Findings;
    use crate::gate::judge::{Finding, Remark};

    fn judgement(outcome: Outcome, wrong: bool, broken: bool) -> Judgement {
        Judgement {
            cell: CellSpec::example().id,
            finding: Finding { outcome, settled: true, wrong, why: String::new() },
            replicates: 2,
            untrusted: Vec::new(),
            wrong: Vec::new(),
            without_figures: 0,
            broken: broken.then(|| Remark { replicate: 0, side: Side::New, what: "no such file".to_owned() }),
            exact: Findings::default(),
            noisy: Vec::new(),
        }
    }

    fn exit(judgements: &[Judgement], inconclusive: Inconclusive, status: RunStatus) -> Exit {
        let text = ScenarioText { name: "gate".to_owned(), text: String::new() };
        let mut file = RunFile::begin(RunKind::Gate, Vec::new(), 1, text);
        file.status = status;
        exit_of(
            &Run { name: String::new(), file, cells: Vec::new(), warnings: Vec::new() },
            judgements,
            inconclusive,
        )
    }

    /// 1 before 4 before 3, and 130 before all of them.
    #[test]
    fn what_is_proven_outweighs_what_failed_and_that_what_nobody_can_tell() {
        let all = || {
            [
                judgement(Outcome::Pass, false, false),
                judgement(Outcome::Inconclusive, false, false),
                judgement(Outcome::Inconclusive, false, true),
                judgement(Outcome::Regression, false, false),
            ]
        };
        let finished =
            |judgements: &[Judgement], inconclusive| exit(judgements, inconclusive, RunStatus::Finished);
        for (count, expected) in
            [(1, Exit::Ok), (2, Exit::Inconclusive), (3, Exit::Broken), (4, Exit::Failed)]
        {
            assert_eq!(finished(&all()[..count], Inconclusive::Fail), expected);
        }
        assert_eq!(finished(&all()[..2], Inconclusive::Warn), Exit::Ok);
        assert_eq!(finished(&all()[..3], Inconclusive::Warn), Exit::Broken);
        assert_eq!(exit(&all(), Inconclusive::Fail, RunStatus::Interrupted), Exit::Interrupted);
        // Both sides are broken: nobody can wish that away.
        let broken = [judgement(Outcome::Inconclusive, true, false)];
        assert_eq!(finished(&broken, Inconclusive::Warn), Exit::Inconclusive);
    }
}
