//! What a process costs and may hold, read from the outside.

/// CPU time of a process with all its threads so far, in ns (schedstat: exact, where ticks are 10 ms coarse).
#[cfg(target_os = "linux")]
pub fn cpu_ns(pid: u32) -> Option<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut total = 0;
    for task in tasks.flatten() {
        // A thread may end between the listing and the reading.
        if let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) {
            total += text.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(total)
}

/// Time that the threads of a process were runnable and had no core, in ns.
#[cfg(target_os = "linux")]
pub fn run_queue_delay_ns(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Private memory of a process in bytes: what would be free if it ended (Private_Dirty). Pages of files do not count:
/// those of a program that was just linked are dirty until the disk has them.
#[cfg(target_os = "linux")]
pub fn private_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let bytes = |field: &str| {
        let line = text.lines().find(|line| line.starts_with(field))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    };
    Some(bytes("Private_Dirty:")?.min(bytes("Anonymous:")?))
}

/// Resident memory of a process in bytes, shared pages included: cheap to read, whatever the size.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: no memory is involved.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_bytes).ok()?)
}

/// Memory that the whole host's kernel holds in its slabs, in bytes: sockets, their buffers, and all else (`/proc/meminfo`).
pub fn kernel_slab_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Memory of the whole host that is free or can be freed, in bytes.
pub fn available_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Descriptors that all processes together may still open.
pub fn descriptors_left() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").ok()?;
    let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().ok());
    let (open, unused, most) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(most.saturating_sub(open - unused.min(open)))
}

/// Whether a port in TIME-WAIT may be taken again after a second; of connections within this host at least.
pub fn time_wait_is_reused() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse").is_ok_and(|text| text.trim() != "0")
}

/// Time that all cores of the host together were busy so far, in ns; coarse by a tick of 10 ms for each core.
pub fn host_busy_ns() -> Option<u64> {
    const TICK_NS: u64 = 10_000_000;
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    Some([0, 1, 2, 5, 6].into_iter().filter_map(|i| ticks.get(i)).sum::<u64>() * TICK_NS)
}

/// Ties a process to one core; says whether that worked.
#[cfg(target_os = "linux")]
pub fn pin(pid: u32, core: usize) -> bool {
    // SAFETY: the set is a plain bit mask, initialised before use, and its size is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(pid as libc::pid_t, size_of::<libc::cpu_set_t>(), &set) == 0
    }
}

#[cfg(not(target_os = "linux"))]
pub use absent::*;

#[cfg(not(target_os = "linux"))]
mod absent {
    /// Not readable here.
    pub fn cpu_ns(_pid: u32) -> Option<u64> {
        None
    }
    /// Not readable here.
    pub fn run_queue_delay_ns(_pid: u32) -> Option<u64> {
        None
    }
    /// Not readable here.
    pub fn private_bytes(_pid: u32) -> Option<u64> {
        None
    }
    /// Not possible here.
    pub fn pin(_pid: u32, _core: usize) -> bool {
        false
    }
}

/// How many descriptors a process may hold: raised to the hard limit first, where that is allowed.
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live struct.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return raised.rlim_cur;
        }
    }
    limit.rlim_cur
}
