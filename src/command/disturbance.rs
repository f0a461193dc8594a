//! A process that comes and goes on every core, to see what a gate makes of it; started by `gate --selftest --disturbed`.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::exit::Exit;
use crate::random::unit;

/// Mean length of a burst, and of the peace behind it.
const BURST: Duration = Duration::from_millis(400);
const PEACE: Duration = Duration::from_millis(800);

/// Disturbs until its input ends.
///
/// # Errors
/// The system gives no thread.
pub fn run() -> Result<Exit> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for core in 0..cores {
        thread::Builder::new().spawn(move || disturb(core as u64))?;
    }
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(Exit::Ok)
}

fn disturb(seed: u64) {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    // Exponential, so that bursts fall into every part of a slice.
    let mut about = |mean: Duration| mean.mul_f64(-(1.0 - unit(&mut rng)).ln());
    loop {
        let end = Instant::now() + about(BURST);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        thread::sleep(about(PEACE));
    }
}
