//! Two cells that share the machine: they begin together, and the CPU of each is read in the rests between slices.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::host::clock::monotonic_ns;
use crate::host::family::Family;
use crate::host::process;
use crate::measure::cell::Slice;
use crate::scenario::spec::CellSpec;
use crate::scenario::turns::Turns;

/// Where cells wait for each other, so that their loads begin at the same time.
#[derive(Debug)]
pub struct Rendezvous {
    waiting: watch::Sender<Waiting>,
    start_ns: OnceLock<u64>,
}

/// For whom those wait who are there.
#[derive(Debug)]
struct Waiting {
    /// Cells that have not come.
    missing: usize,
    /// One of them will not.
    broken_up: bool,
}

impl Rendezvous {
    /// For so many cells.
    pub fn of(cells: usize) -> Rendezvous {
        let waiting = watch::Sender::new(Waiting { missing: cells, broken_up: false });
        Rendezvous { waiting, start_ns: OnceLock::new() }
    }

    /// A cell that has come or not says that it takes no further part: nobody waits for it.
    pub fn leave(&self) {
        self.waiting.send_modify(|waiting| waiting.broken_up = true);
    }

    /// Waits until all are here, which each cell does once, or one has left; the time of the monotonic clock at which all begin, `delay` later, in ns.
    pub(super) async fn agree(&self, delay: Duration) -> u64 {
        self.waiting.send_modify(|waiting| waiting.missing -= 1);
        let all_here = |waiting: &Waiting| waiting.missing == 0 || waiting.broken_up;
        // The sender lives as long as this does.
        let _ = self.waiting.subscribe().wait_for(all_here).await;
        *self.start_ns.get_or_init(|| monotonic_ns() + delay.as_nanos() as u64)
    }
}

/// Whose CPU is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers {
    /// Processes of the servers; `None` if one of them is not known.
    pub(super) servers: Option<Family>,
    /// Processes of the workers.
    pub(super) workers: Vec<u32>,
}

/// CPU time so far, in ns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuReading {
    server_ns: Option<u64>,
    generator_ns: Option<u64>,
}

impl Readers {
    fn read(&mut self) -> CpuReading {
        let server = self.servers.as_mut().and_then(Family::mark);
        CpuReading {
            server_ns: server.map(|mark| mark.used_ns),
            generator_ns: self.workers.iter().map(|&pid| process::cpu_ns(pid)).sum(),
        }
    }

    /// Reads in the rest before the window's first slice, and behind each of its slices. Nothing for a cell alone.
    pub(super) async fn read_rests(mut self, spec: &CellSpec, begun: Instant) -> Vec<CpuReading> {
        let mut readings = Vec::new();
        let Some(turns) = &spec.turns else { return readings };
        let window = window(spec, turns);
        // The slice before belongs to the warm-up; without one, nothing has been done yet.
        for slice in window.start.saturating_sub(1)..window.end {
            sleep_until(begun + Duration::from_nanos(turns.rests_ns(slice))).await;
            readings.push(self.read());
        }
        readings
    }
}

/// The slices of the measured window.
fn window(spec: &CellSpec, turns: &Turns) -> std::ops::Range<u64> {
    let at = |seconds: f64| turns.slice_of((seconds * 1e9).round() as u64);
    at(spec.warmup_s)..at(spec.warmup_s + spec.duration_s)
}

/// What each slice of the window delivered and cost. `delivered` counts from the start of the load.
pub(super) fn slices(spec: &CellSpec, readings: &[CpuReading], delivered: &[u64]) -> Vec<Slice> {
    let Some(turns) = &spec.turns else { return Vec::new() };
    let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    let of = |(slice, ends): (u64, &[CpuReading])| Slice {
        delivered: delivered.get(slice as usize).copied().unwrap_or(0),
        server_cpu_ns: between(ends[0].server_ns, ends[1].server_ns),
        generator_cpu_ns: between(ends[0].generator_ns, ends[1].generator_ns),
    };
    window(spec, turns).zip(readings.windows(2)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_of_the_window_has_its_own_cost() {
        let turns = Turns { second: true, slice_ns: 100_000_000, rest_ns: 10_000_000 };
        let spec = CellSpec { turns: Some(turns), warmup_s: 0.44, duration_s: 0.44, ..CellSpec::example() };
        let reading = |ns| CpuReading { server_ns: Some(ns), generator_ns: None };
        let slices = slices(&spec, &[reading(5), reading(25), reading(55)], &[9, 9, 3, 4]);
        let slice = |delivered, ns| Slice { delivered, server_cpu_ns: Some(ns), generator_cpu_ns: None };
        assert_eq!(slices, [slice(3, 20), slice(4, 30)]);
    }
}
