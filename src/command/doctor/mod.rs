//! `rtbench doctor`: the machine, the instrument's own floor on it, and whether its times are right.

mod calibrate;
mod verify;

use std::io;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::LocalSet;

use crate::cli::DoctorArgs;
use crate::exit::Exit;
use crate::host::checkup::{self, Finding, Further};
use crate::host::clock::{monotonic_ns, own_cpu_ns};
use crate::host::facts::HostFacts;
use crate::host::process;
use crate::host::timer::Timer;
use crate::measure::floor::{DOCTOR_FILE, Floor};
use crate::measure::run::{Tool, now_rfc3339};
use crate::measure::store;
use crate::say;

/// What `doctor.json` holds.
#[derive(Serialize)]
struct DoctorFile {
    tool: Tool,
    /// When, RFC 3339 in UTC.
    measured: String,
    host: HostFacts,
    findings: Vec<Finding>,
    floor: Floor,
}

/// A reader that is gone, or cannot take it, is no reason to stop measuring.
fn print(text: &str) {
    let _: io::Result<()> = say::out(|out| out.write_all(text.as_bytes()));
}

/// Waits that the timer is tried with.
const WAITS: usize = 200;

/// Wake-ups whose CPU time is measured, and the time between two: long enough for a processor to fall asleep.
const WAKE_UPS: u64 = 20;
const WAKE_UPS_APART_NS: u64 = 25_000_000;

/// Looks at everything and says it. A check of `--verify` that does not hold fails the command.
///
/// # Errors
/// The processes cannot be started, or the file not be written.
pub fn run(args: &DoctorArgs) -> Result<Exit> {
    process::descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = HostFacts::read();
    let further = Further {
        timer_late_ns: timer_late_ns(&runtime)?,
        wake_up_cpu_ns: Some(wake_up_cpu_ns(&runtime)?),
        ..Further::read()
    };
    let findings = checkup::judge(&facts, &further);
    print(&format!("{}\n", facts.summary()));
    findings.iter().for_each(|finding| print(&line(finding)));
    print("\nThe instrument's own times, against servers that do nothing\n");
    let floor = runtime.block_on(calibrate::floor(&mut print))?;
    let file = DoctorFile { tool: Tool::this(), measured: now_rfc3339(), host: facts, findings, floor };
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let path = args.out.join(DOCTOR_FILE);
    store::replace(&path, |out| writeln!(out, "{}", serde_json::to_string_pretty(&file)?))?;
    print(&format!(
        "  kept in {}; runs there flag what lies within twice these times, on this machine in this state\n",
        path.display()
    ));
    let mut exit = Exit::Ok;
    if args.verify {
        print("\nTimes, measured against expected\n");
        let mut say = |check: verify::Check| {
            if !check.holds {
                exit = Exit::Failed;
            }
            let mark = if check.holds { '✓' } else { '✗' };
            print(&format!("  {mark} {}: {} (expected {})\n", check.name, check.measured, check.expected));
        };
        runtime.block_on(async {
            verify::holds(&mut say).await?;
            verify::stall(&mut say).await
        })?;
    }
    Ok(exit)
}

fn line(finding: &Finding) -> String {
    let Finding { state, what, found, advice } = finding;
    let advice = if advice.is_empty() { String::new() } else { format!(" → {advice}") };
    format!("  {} {what}: {found}{advice}\n", state.mark())
}

/// How late waits of 1 ms end, in the median and at most.
fn timer_late_ns(runtime: &tokio::runtime::Runtime) -> Result<Option<(u64, u64)>> {
    let mut late: Vec<u64> = LocalSet::new().block_on(runtime, async {
        let timer = Timer::new()?;
        let mut late = Vec::with_capacity(WAITS);
        for _ in 0..WAITS {
            let due_ns = monotonic_ns() + 1_000_000;
            timer.sleep_until(due_ns).await;
            late.push(monotonic_ns().saturating_sub(due_ns));
        }
        anyhow::Ok(late)
    })?;
    late.sort_unstable();
    Ok(late.get(WAITS / 2).copied().zip(late.last().copied()))
}

/// CPU time that this process takes to be woken and to go back to sleep.
fn wake_up_cpu_ns(runtime: &tokio::runtime::Runtime) -> Result<u64> {
    LocalSet::new().block_on(runtime, async {
        let timer = Timer::new()?;
        let before_ns = own_cpu_ns();
        for _ in 0..WAKE_UPS {
            timer.sleep_until(monotonic_ns() + WAKE_UPS_APART_NS).await;
        }
        Ok(own_cpu_ns().saturating_sub(before_ns) / WAKE_UPS)
    })
}
