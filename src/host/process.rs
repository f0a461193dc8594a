//! What a process costs and may hold, read from the outside.

/// CPU time of a process so far, in ns, of threads that have ended too; of one that has ended until it is waited for. What runs at
/// this moment on another core is counted up to the kernel's last tick. `None` for what is no process, such as a thread.
#[cfg(target_os = "linux")]
pub fn cpu_ns(pid: u32) -> Option<u64> {
    let mut clock = 0;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointers are to live values. For an id that is no process's the calls fail.
    let told = unsafe {
        libc::clock_getcpuclockid(pid.try_into().ok()?, &mut clock) == 0
            && libc::clock_gettime(clock, &mut now) == 0
    };
    told.then_some(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// Calls this process by the name of its file, where others see it (`ps`, `/proc`). Before it has other threads.
#[cfg_attr(not(target_os = "linux"), allow(unused_variables))]
pub fn be_called(path: &std::path::Path) {
    #[cfg(target_os = "linux")]
    if let Some(name) = path.file_name().and_then(|name| std::ffi::CString::new(name.as_encoded_bytes()).ok())
    {
        // SAFETY: the pointer is to a string that outlives the call, of which the kernel takes the first 15 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

/// Time that this process, which has one thread, was runnable and had no core, in ns.
#[cfg(target_os = "linux")]
pub fn own_run_queue_delay_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Private memory of a process in bytes: the pages without a file that it has written, of which one that several processes share
/// (a master and those it forked, until one of them writes to it) is divided among them. So of a process alone it is what
/// would be free if it ended, and summed over a family every page counts once. Pages of files do not count: those of a
/// program that was just linked are dirty until the disk has them.
pub fn memory_bytes(pid: u32) -> Option<u64> {
    memory_of(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn memory_of(rollup: &str) -> Option<u64> {
    let bytes = |field: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    match (bytes("Pss_Anon:"), bytes("Pss_Dirty:")) {
        (Some(anonymous), Some(dirty)) => Some(anonymous.min(dirty)),
        // Before Linux 6.0: what was given back and not taken yet is the only part that is not dirty.
        (Some(anonymous), None) => Some(anonymous - bytes("LazyFree:").unwrap_or(0).min(anonymous)),
        // Before 5.3: what is shared counts for nobody.
        (None, _) => Some(bytes("Private_Dirty:")?.min(bytes("Anonymous:")?)),
    }
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

#[cfg(not(target_os = "linux"))]
pub use absent::*;

#[cfg(not(target_os = "linux"))]
mod absent {
    /// Not readable here.
    pub fn cpu_ns(_pid: u32) -> Option<u64> {
        None
    }
    /// Not readable here.
    pub fn own_run_queue_delay_ns() -> Option<u64> {
        None
    }
}

/// Lets freed memory go back to the system, where glibc would keep what it once had: large buffers at once, and the rest of the
/// heap's end from some size on. Without it, 500 messages of 1 MiB that never became whole left 300 MB behind.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets two numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_was_written_and_shared_pages_are_divided() {
        let rollup = |anonymous, dirty| {
            format!("55-7f ---p 0 00:00 0 [rollup]\nRss: 9000 kB\n{anonymous}\n{dirty}\nLazyFree: 24 kB\n")
        };
        let alone = "Private_Dirty: 700 kB\nAnonymous: 500 kB";
        let new = memory_of(&rollup("Pss_Dirty: 702 kB\nPss_Anon: 500 kB", alone));
        let old = memory_of(&rollup("", alone));
        assert_eq!((new, old), (Some(500 * 1024), Some(500 * 1024)), "of a process alone the same");
        let forked = "Private_Dirty: 100 kB\nAnonymous: 900 kB";
        let family = memory_of(&rollup("Pss_Dirty: 500 kB\nPss_Anon: 500 kB", forked));
        assert_eq!(family, Some(500 * 1024), "half of what two share");
        assert_eq!(memory_of(&rollup("Pss_Anon: 500 kB", forked)), Some(476 * 1024), "no Pss_Dirty");
        assert_eq!(memory_of(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_ended_is_not_forgotten() {
        let burn = || {
            let begun = crate::host::clock::own_cpu_ns();
            while crate::host::clock::own_cpu_ns() < begun + 30_000_000 {}
        };
        let before = cpu_ns(std::process::id()).unwrap();
        std::thread::spawn(burn).join().unwrap();
        let used = cpu_ns(std::process::id()).unwrap() - before;
        assert!(used >= 30_000_000, "{used} ns");
    }
}
