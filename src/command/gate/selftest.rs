//! `rtbench gate --selftest`: gates of the reference server against itself, and against itself made slower.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Order;
use super::contender::Contender;
use super::replicates::Replicates;
use crate::command::measuring::{self, Bench};
use crate::exit::Exit;
use crate::fleet::child::Process;
use crate::fleet::server::ServerChoice;
use crate::gate::selftest::{ARMS, Arm, Change};
use crate::gate::{GateFile, judge};
use crate::host::image::Image;
use crate::measure::run::RunStatus;
use crate::say;
use crate::scenario::spec::CellSpec;

/// Longest time for one gate.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `gates` gates without a change, and the other arms among them.
///
/// # Errors
/// As the other verbs.
pub(super) fn run(order: &Order<'_>, gates: u32) -> Result<Exit> {
    let formats = measuring::formats(&order.args.output)?;
    let program = measuring::own_image()?;
    let sides = ["the reference server", "the same, with the change in the cell's name"].map(str::to_owned);
    let mut file = order.run_file(sides);
    let gate = file.gate.as_mut().map(|gate| {
        gate.selftest = true;
        gate.clone()
    });
    let name = if order.args.disturbed { "selftest-disturbed" } else { "selftest" };
    let run = measuring::conduct(file, name, &order.args.output, None, async |bench| {
        let nuisance = match order.args.disturbed {
            true => {
                Some(Process::start("the nuisance".to_owned(), &program, &["nuisance".to_owned()], &[])?.0)
            }
            false => None,
        };
        let selftest = Selftest { order, bench, program: &program, gate: gate.clone() };
        let done = selftest.all(gates).await;
        if let Some(nuisance) = nuisance {
            nuisance.end().await;
        }
        done
    })?;
    // Whatever its gates found, a selftest has done its work if it came to its end.
    let broken = judge::of(&run).into_iter().find_map(|gate| Some((gate.cell, gate.broken?)));
    let exit = match (&run.file.status, &broken) {
        (RunStatus::Interrupted, _) => Exit::Interrupted,
        (_, Some(_)) => Exit::Broken,
        (_, None) => Exit::Ok,
    };
    let exit = measuring::show(&run, &order.args.output, &formats, exit);
    if let Some((cell, why)) = broken.filter(|_| run.file.status != RunStatus::Interrupted) {
        say::line(format!("rtbench: {cell}: {why}"));
    }
    Ok(exit)
}

struct Selftest<'a> {
    order: &'a Order<'a>,
    bench: &'a Bench,
    program: &'a Image,
    gate: Option<GateFile>,
}

impl Selftest<'_> {
    /// The arms take turns, so that each has its share of whatever the machine does.
    async fn all(&self, gates: u32) -> Result<()> {
        let spec = self.order.cells.first().context("the scenario has no cell")?;
        // What a delivery costs the base, as the last gate without a change found it.
        let mut base_us = None;
        for gate in 0..gates {
            for arm in ARMS.iter().filter(|arm| gate % arm.one_in == 0) {
                if self.bench.is_stopped() {
                    return Ok(());
                }
                let (number, of) = (gate / arm.one_in + 1, gates.div_ceil(arm.one_in));
                let Some(found_us) = self.one(arm, number, of, spec, base_us).await? else { return Ok(()) };
                if arm.change == Change::Nothing {
                    base_us = found_us.or(base_us);
                }
            }
        }
        Ok(())
    }

    /// One gate; what a delivery cost its base, in us, if that is known. `None` if there is no going on.
    async fn one(
        &self,
        arm: &Arm,
        number: u32,
        of: u32,
        spec: &CellSpec,
        base_us: Option<f64>,
    ) -> Result<Option<Option<f64>>> {
        let contenders = [self.server(&[]), self.server(&fault(arm.change, base_us.unwrap_or(0.0)))];
        let spec = CellSpec { id: arm.cell(number, spec.id.clone()), ..spec.clone() };
        let bout =
            Replicates::new(self.order, self.bench, &contenders, self.gate.clone(), Vec::new()).silent();
        if !bout.settle(&spec, Instant::now() + PATIENCE).await? {
            return Ok(None);
        }
        let judgement = bout.judge(&spec);
        self.bench.say(&format!(
            "{} {number}/{of}: {}, {} replicates: {}",
            arm.about,
            judgement.finding.outcome.word(),
            judgement.replicates,
            judgement.finding.why
        ));
        Ok(Some(judgement.noisy.first().filter(|row| row.decides).map(|row| row.medians[0])))
    }

    fn server(&self, faults: &[String]) -> Contender {
        let args = ["serve", "--stdin-guard"].map(str::to_owned).into_iter().chain(faults.iter().cloned());
        Contender {
            words: faults.join(" "),
            server: ServerChoice::Start { program: self.program.clone(), args: args.collect() },
            program: self.program.clone(),
        }
    }
}

/// The arguments that give the reference server a change of this size.
fn fault(change: Change, base_us: f64) -> Vec<String> {
    let fault = match change {
        Change::Nothing => return Vec::new(),
        Change::Framing(bytes) => format!("framing={bytes}B"),
        Change::Cpu(share) => {
            // The loop that burns it looks at the clock before, and half too often.
            let ns = (share * base_us * 1e3 - 1.5 * clock_ns()).max(0.0);
            format!("spin={ns:.0}ns")
        }
    };
    vec!["--fault".to_owned(), fault]
}

/// What a look at the clock takes, in ns.
fn clock_ns() -> f64 {
    const LOOKS: u32 = 100_000;
    let begun = Instant::now();
    for _ in 0..LOOKS {
        black_box(Instant::now());
    }
    begun.elapsed().as_nanos() as f64 / f64::from(LOOKS)
}
