//! Against a baseline that was measured earlier: for runners that cannot build two versions.

use anyhow::Result;

use super::{Order, baseline_dir, conclude, contender};
use crate::command::measuring::{self, Bench, Job};
use crate::exit::Exit;
use crate::fleet::coordinator::Fleet;
use crate::gate::baseline::REPLICATES;
use crate::gate::{GateFile, Side, judge};
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::run::{Run, RunFile, RunStatus};
use crate::measure::store;
use crate::say;
use crate::scenario::ScenarioError;
use crate::scenario::spec::CellSpec;

/// Measures the base alone and keeps it under a name, in the place of one that had it before.
///
/// # Errors
/// As the other verbs.
pub(super) fn save(order: &Order<'_>, name: &str) -> Result<Exit> {
    let dir = baseline_dir(order.args, name)?;
    let base = contender::one(&order.args.sides, Side::Base, order.tls)?;
    let file = order.run_file([base.words.clone(), String::new()]);
    let run = measuring::conduct(file, &order.name(), &order.args.output, None, async |bench| {
        alone(order, bench, &base, Side::Base, None).await
    })?;
    if let Some((exit, why)) = unfit(&run) {
        let exit = measuring::show(&run, &order.args.output, &[], exit);
        say::line(format!("rtbench: error: the baseline '{name}' was not saved: {why}"));
        return Ok(exit);
    }
    store::replace_directory(&order.args.output.out.join(&run.name), &dir)?;
    if !order.args.output.quiet {
        say::line(format!("baseline '{name}': {} cells in {}", run.cells.len(), dir.display()));
    }
    Ok(Exit::Ok)
}

/// Why a run is no baseline, if it is none: a base that is broken makes every comparison inconclusive.
fn unfit(run: &Run) -> Option<(Exit, String)> {
    let of = |cell: &Cell| {
        let wrong = judge::wrong_of(cell).map(|what| (Exit::Inconclusive, what));
        let doubt = || match (&cell.status, cell.trust.level) {
            (Status::Interrupted, _) => Some((Exit::Interrupted, "interrupted".to_owned())),
            (Status::Failed(reason), _) => Some((Exit::Broken, reason.clone())),
            (_, TrustLevel::Invalid) => Some((Exit::Inconclusive, cell.trust.reasons.join("; "))),
            _ => None,
        };
        let (exit, why) = wrong.or_else(doubt)?;
        Some((exit, format!("replicate {}: {why}", cell.spec.repeat + 1)))
    };
    let interrupted = run.file.status == RunStatus::Interrupted;
    let interrupted = interrupted.then(|| (Exit::Interrupted, "interrupted".to_owned()));
    interrupted.or_else(|| run.cells.iter().find_map(of))
}

/// Measures the new one alone, beside what the baseline holds.
///
/// # Errors
/// There is no such baseline, or it holds another workload; else as the other verbs.
pub(super) fn compare(order: &Order<'_>, name: &str) -> Result<Exit> {
    let formats = measuring::formats(&order.args.output)?;
    let dir = baseline_dir(order.args, name)?;
    let baseline = store::load(&dir)?;
    // The same schedule, so that the exact tier can be exact.
    let cells: Vec<CellSpec> =
        order.cells.iter().map(|spec| CellSpec { seed: baseline.file.seed, ..spec.clone() }).collect();
    same_workload(name, &baseline.cells, &cells)?;
    same_wake_ups(name, &baseline.file.host)?;
    let order = Order { cells, seed: baseline.file.seed, ..order.clone() };
    let new = contender::one(&order.args.sides, Side::New, order.tls)?;
    let mut file: RunFile = order.run_file([format!("baseline {name}"), new.words.clone()]);
    if let Some(gate) = &mut file.gate {
        gate.baseline = Some(baseline.file.host.clone());
    }
    let gate = file.gate.clone();
    let run = measuring::conduct(file, &order.name(), &order.args.output, None, async |bench| {
        // The run holds both sides, and can be judged again without the baseline.
        baseline.cells.iter().try_for_each(|cell| bench.keep(cell))?;
        alone(&order, bench, &new, Side::New, gate.zip(Some(baseline.cells.clone()))).await
    })?;
    Ok(conclude(&order, &run, &formats))
}

/// Every cell often enough, one after the other; `baseline` is what they will be held against.
async fn alone(
    order: &Order<'_>,
    bench: &Bench,
    contender: &contender::Contender,
    side: Side,
    mut baseline: Option<(GateFile, Vec<Cell>)>,
) -> Result<()> {
    let host = HostFacts::read();
    for repeat in 0..REPLICATES {
        for spec in &order.cells {
            let fleet = Fleet {
                program: contender.program.clone(),
                server: contender.server.clone(),
                workers: None,
                headers: order.headers.clone(),
                rendezvous: None,
                stop: bench.stop(),
            };
            let cell = bench.measure(&Job::Load(of_side(spec, side, repeat)), &fleet).await?;
            let finished = cell.status == Status::Finished;
            // A base that fails is no baseline. A new side whose server fails goes on: that is its result.
            let goes_on = baseline.as_mut().is_some_and(|(gate, cells)| {
                cells.push(cell);
                judge::judge(gate, &spec.id, cells, &host).broken.is_none()
            });
            if bench.is_stopped() || !(finished || goes_on) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn of_side(spec: &CellSpec, side: Side, repeat: u32) -> CellSpec {
    CellSpec { id: spec.id.clone().on(side), repeat, ..spec.clone() }
}

/// A forgotten flag must not look like another machine, whose costs are not compared at all.
fn same_wake_ups(name: &str, base: &HostFacts) -> Result<(), ScenarioError> {
    let [was, is] = [base.wake_limit_us, HostFacts::read().wake_limit_us];
    if was == is {
        return Ok(());
    }
    let how = match was {
        Some(0) => "with --keep-awake: say the same".to_owned(),
        Some(limit_us) => {
            format!("where processors had to wake within {limit_us} us, and here it is otherwise")
        }
        None => "without --keep-awake, and here processors are held to wake fast".to_owned(),
    };
    let why = format!("the baseline '{name}' was saved {how}");
    Err(ScenarioError::Invalid(why))
}

fn same_workload(name: &str, base: &[Cell], specs: &[CellSpec]) -> Result<(), ScenarioError> {
    let has = |spec: &CellSpec| {
        let asked = of_side(spec, Side::Base, 0);
        base.iter().any(|cell| cell.spec == asked && cell.trust.level != TrustLevel::Invalid)
    };
    match specs.iter().find(|spec| !has(spec)) {
        None => Ok(()),
        Some(spec) => Err(ScenarioError::Invalid(format!(
            "the baseline '{name}' holds no trusted cell {} of this very workload; save it again",
            spec.id
        ))),
    }
}
