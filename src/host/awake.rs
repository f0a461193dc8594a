//! Keeping the processors of this machine awake, so that a wake-up costs the same however seldom there is one.
//!
//! An idle processor sleeps the deeper the longer it is idle, and a virtual one may have to ask its hypervisor to wake it. The
//! kernel lets an administrator limit that (PM QoS, Documentation/power/pm_qos_interface.rst), as cyclictest does.

use std::fs::File;
use std::io::{self, Read, Write};

/// Holds the wish, in us, of whoever has it open.
const DEVICE: &str = "/dev/cpu_dma_latency";

/// Names what lets idle processors rest.
const IDLE_DRIVER: &str = "/sys/devices/system/cpu/cpuidle/current_driver";

/// What the device says where nobody wishes anything.
const NO_LIMIT_US: i32 = 2_000_000_000;

/// The processors of this machine stay awake for as long as this lives.
pub struct Awake {
    _wish: File,
}

impl Awake {
    /// Asks the kernel for it.
    ///
    /// # Errors
    /// This system has no such device, only its administrator may write to it, or nobody heeds it: without a driver
    /// for idle processors the kernel has no choice how they rest.
    pub fn keep() -> io::Result<Awake> {
        let mut wish = File::options().write(true).open(DEVICE)?;
        wish.write_all(&0i32.to_ne_bytes())?;
        let driver = std::fs::read_to_string(IDLE_DRIVER).unwrap_or_default();
        if limit_us() != Some(0) || matches!(driver.trim(), "" | "none") {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel takes the wish and does not heed it",
            ));
        }
        Ok(Awake { _wish: wish })
    }
}

/// How long an idle processor may take to wake, in us, by whoever wishes it: 0 keeps all awake. `None` where nobody does, or it
/// cannot be read.
pub fn limit_us() -> Option<u64> {
    let mut limit = [0; 4];
    File::open(DEVICE).ok()?.read_exact(&mut limit).ok()?;
    let limit_us = i32::from_ne_bytes(limit);
    (limit_us < NO_LIMIT_US).then(|| u64::try_from(limit_us).ok()).flatten()
}
