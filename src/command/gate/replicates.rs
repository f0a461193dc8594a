//! Replicate after replicate, until a cell is settled or its time is up.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Contender, Order};
use crate::command::measuring::Bench;
use crate::fleet::coordinator::Fleet;
use crate::fleet::turns::Rendezvous;
use crate::gate::judge::{self, Judgement};
use crate::gate::{GateFile, exact, plan, rule, sides_of};
use crate::host::facts::HostFacts;
use crate::measure::cell::Cell;
use crate::scenario::spec::CellSpec;

/// Replicates without figures before a cell is given up.
const MOST_WITHOUT_FIGURES: usize = 8;

/// A gate of two that stand at the same time.
pub(super) struct Replicates<'a> {
    order: &'a Order<'a>,
    bench: &'a Bench,
    contenders: &'a [Contender; 2],
    file: GateFile,
    host: HostFacts,
    silent: bool,
    /// Measured so far, in this sitting and before.
    cells: RefCell<Vec<Cell>>,
}

impl<'a> Replicates<'a> {
    pub(super) fn new(
        order: &'a Order<'a>,
        bench: &'a Bench,
        contenders: &'a [Contender; 2],
        file: Option<GateFile>,
        cells: Vec<Cell>,
    ) -> Replicates<'a> {
        let file = file.unwrap_or_else(|| unreachable!("a gate's run says what it compares"));
        let host = HostFacts::read();
        Replicates { order, bench, contenders, file, host, silent: false, cells: RefCell::new(cells) }
    }

    /// Says nothing of single replicates.
    pub(super) fn silent(self) -> Self {
        Replicates { silent: true, ..self }
    }

    /// Every cell. What time one leaves, the next may use.
    pub(super) async fn fight(&self) -> Result<()> {
        let begun = Instant::now();
        let share_s = self.order.args.budget.0 / self.order.cells.len() as f64;
        for (index, spec) in self.order.cells.iter().enumerate() {
            let end = begun + Duration::from_secs_f64(share_s * (index + 1) as f64);
            if !self.settle(spec, end).await? || self.bench.is_stopped() {
                break;
            }
        }
        Ok(())
    }

    /// The verdict so far.
    pub(super) fn judge(&self, spec: &CellSpec) -> Judgement {
        judge::judge(&self.file, &spec.id, &self.cells.borrow(), &self.host)
    }

    /// One cell, until its verdict stands or `end`; whether there is going on from there.
    pub(super) async fn settle(&self, spec: &CellSpec, end: Instant) -> Result<bool> {
        let replicate = Duration::from_secs_f64(plan::replicate_s(spec));
        let mut number = self.first_number();
        loop {
            let judgement = self.judge(spec);
            let most = rule::STEPS[rule::STEPS.len() - 1].replicates;
            let given_up = judgement.without_figures >= MOST_WITHOUT_FIGURES || judgement.replicates >= most;
            if judgement.finding.settled
                || given_up
                || Instant::now() + replicate > end
                || self.bench.is_stopped()
            {
                return Ok(true);
            }
            let cells = self.replicate(spec, number).await?;
            self.cells.borrow_mut().extend(cells);
            let judgement = self.judge(spec);
            if !self.silent {
                self.say(&judgement, number);
            }
            if judgement.broken.is_some() {
                return Ok(false);
            }
            number += 1;
        }
    }

    /// Behind whatever was measured before: a half replicate is not completed but measured anew.
    fn first_number(&self) -> u32 {
        self.cells.borrow().iter().map(|cell| cell.spec.repeat + 1).max().unwrap_or(0)
    }

    /// One pair of fresh processes.
    async fn replicate(&self, spec: &CellSpec, number: u32) -> Result<Vec<Cell>> {
        let rendezvous = Arc::new(Rendezvous::of(2));
        let fleets = self.contenders.each_ref().map(|contender| Fleet {
            program: contender.program.clone(),
            server: contender.server.clone(),
            workers: None,
            headers: self.order.headers.clone(),
            rendezvous: Some(rendezvous.clone()),
            stop: self.bench.stop(),
        });
        let (mut specs, mut fleets) = (sides_of(spec, number), fleets);
        // Who goes first also starts first.
        if specs[0].turns.is_some_and(|turns| turns.second) {
            specs.reverse();
            fleets.reverse();
        }
        self.bench.measure_together(specs, fleets).await
    }

    /// How far it is, in a line, behind the replicate of this number.
    fn say(&self, judgement: &Judgement, number: u32) {
        let Judgement { cell, replicates, untrusted, wrong, .. } = judgement;
        let so_far = match judgement.noisy.first() {
            Some(row) if *replicates >= exact::REPLICATES => {
                format!(", {} {:+.1}% so far", row.metric.name, (row.ratio - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        let of_this = untrusted.iter().chain(wrong).filter(|remark| remark.replicate == number);
        let remarks: String = of_this.map(|remark| format!(" ({remark})")).collect();
        self.bench.say(&format!("{cell}: {replicates} replicates{so_far}{remarks}"));
    }
}
