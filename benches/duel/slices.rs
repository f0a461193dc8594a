//! Comparing two programs on a machine that drifts: both stand at once and are loaded in alternating slices.
//!
//! A pair of neighbouring slices sees the same machine, so its ratio is free of drift. The median of the log ratios of one
//! pair of fresh processes is one replicate, and only replicates are independent samples.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rtbench::stats::mean;

use super::contender::{Contender, Order};
use super::generator::{Generator, Ticks};
use super::server::Server;

const SLICE: Duration = Duration::from_millis(120);

/// What was under way when a generator stopped is answered within this.
const SETTLING: Duration = Duration::from_millis(2);

/// From the first exchanges to the first slice.
const WARMUP: Duration = Duration::from_millis(400);

/// How long a generator may take until it is at work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set by the signal handler.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The outcome of a duel.
pub(crate) struct Outcome {
    /// Cost of an exchange, the first contender's as a multiple of the second's, and the interval that holds it with 95%.
    pub(crate) ratio: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) costs: [Cost; 2],
}

/// What one contender cost over all replicates.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    cpu_ns: u64,
    exchanges: u64,
    user_ticks: u64,
    ticks: u64,
}

impl Cost {
    /// CPU of one exchange, in us.
    pub(crate) fn us(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.exchanges as f64
    }

    /// The part outside the kernel, in us. Ticks are coarse: good to a few per cent.
    pub(crate) fn user_us(&self) -> f64 {
        self.us() * self.user_ticks as f64 / self.ticks.max(1) as f64
    }

    fn add(&mut self, other: &Cost) {
        self.cpu_ns += other.cpu_ns;
        self.exchanges += other.exchanges;
        self.user_ticks += other.user_ticks;
        self.ticks += other.ticks;
    }
}

/// Lets `contenders` do the same thing, `replicates` times with fresh processes.
pub(crate) fn duel(
    server: &Server,
    contenders: [Contender; 2],
    order: &Order<'_>,
    replicates: u32,
    pairs: u32,
) -> Result<Outcome> {
    let mut costs = [Cost::default(); 2];
    let mut logs = Vec::new();
    for replicate in 1..=replicates {
        let (log, own) = one_replicate(server, contenders, order, pairs)?;
        eprintln!(
            "  {replicate}/{replicates}: {:.3} ({:.2} us against {:.2})",
            log.exp(),
            own[0].us(),
            own[1].us()
        );
        logs.push(log);
        costs.iter_mut().zip(&own).for_each(|(sum, own)| sum.add(own));
    }
    let (sum, squares) = logs.iter().fold((0.0, 0.0), |(sum, squares), log| (sum + log, squares + log * log));
    let count = logs.len() as u64;
    let bounds = mean::bounds(count, sum, squares, count).context("an interval takes two replicates")?;
    let mean = sum / count as f64;
    Ok(Outcome { ratio: mean.exp(), low: bounds.low.exp(), high: bounds.high.exp(), costs })
}

fn one_replicate(
    server: &Server,
    contenders: [Contender; 2],
    order: &Order<'_>,
    pairs: u32,
) -> Result<(f64, [Cost; 2])> {
    let generators = [at_work(server, contenders[0], order)?, at_work(server, contenders[1], order)?];
    let before = [generators[0].ticks(), generators[1].ticks()];
    let mut costs = [Cost::default(); 2];
    let mut logs = Vec::new();
    for pair in 0..pairs {
        let mut us = [0.0; 2];
        // A B, B A: what grows steadily favours neither.
        for turn in 0..2 {
            let index = (pair as usize + turn) % 2;
            let cost = slice(server, &generators[index])?;
            us[index] = cost.us();
            costs[index].add(&cost);
        }
        logs.push((us[0] / us[1]).ln());
    }
    for index in 0..2 {
        let Ticks { user, system } = generators[index].ticks();
        costs[index].user_ticks = user - before[index].user;
        costs[index].ticks = user + system - before[index].user - before[index].system;
    }
    Ok((median(logs), costs))
}

/// Starts a contender, waits until it is warm, and stops it.
fn at_work(server: &Server, contender: Contender, order: &Order<'_>) -> Result<Generator> {
    let name = contender.name();
    let command = contender.command(order)?.with_context(|| format!("{name} cannot do this"))?;
    let mut generator = Generator::start(command, order.core, contender.counted_word())
        .with_context(|| format!("cannot start {name}"))?;
    let (begun, answered) = (Instant::now(), server.answered());
    while server.answered() - answered < 20 * order.clients as u64 {
        check_interrupt()?;
        if let Some(words) = generator.final_lines() {
            bail!("{name} ended ({words})");
        }
        if begun.elapsed() > PATIENCE {
            bail!("{name} is not at work after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(WARMUP);
    generator.gather();
    generator.stop();
    std::thread::sleep(SETTLING);
    Ok(generator)
}

fn slice(server: &Server, generator: &Generator) -> Result<Cost> {
    check_interrupt()?;
    let (cpu_ns, answered) = (generator.cpu_ns(), server.answered());
    generator.resume();
    std::thread::sleep(SLICE);
    generator.stop();
    std::thread::sleep(SETTLING);
    let exchanges = server.answered() - answered;
    if exchanges == 0 {
        bail!("a slice went by without an exchange");
    }
    Ok(Cost { cpu_ns: generator.cpu_ns() - cpu_ns, exchanges, ..Cost::default() })
}

/// Core of the server and core of the generators: the first two that this program was given.
pub(crate) fn cores() -> Result<[usize; 2]> {
    match rtbench::host::cores::of(0).as_deref() {
        Some(&[server, generators, ..]) => Ok([server, generators]),
        _ => bail!("a duel takes two cores"),
    }
}

fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
