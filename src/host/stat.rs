//! What the kernel says of a process in one line, `/proc/PID/stat`: whose child it is, what it and its children used.

/// That line, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name of the program, at most 15 bytes of it.
    pub name: String,
    /// `R` runs, `S` sleeps, `T` is stopped, `Z` has ended and was not waited for ...
    pub state: char,
    /// Process id of the parent.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// CPU time outside the kernel, in ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, in ticks.
    pub system_ticks: u64,
    /// CPU time of all children that have ended and were waited for, with theirs, in ticks.
    pub waited_ticks: u64,
    /// When it began, in ticks since boot: with its id the identity of a process, as ids are used again.
    pub started_ticks: u64,
}

impl Stat {
    /// Of a process; `None` if there is none.
    pub fn of(pid: u32) -> Option<Stat> {
        Stat::read(&format!("/proc/{pid}/stat"))
    }

    /// From a file such as `/proc/PID/stat` or `/proc/PID/task/TID/stat`.
    pub fn read(path: &str) -> Option<Stat> {
        Stat::parse(&String::from_utf8_lossy(&std::fs::read(path).ok()?))
    }

    /// The name stands in brackets and may hold anything, brackets and blanks too.
    fn parse(line: &str) -> Option<Stat> {
        let (head, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(Stat {
            // It may end up on a terminal.
            name: head.split_once('(')?.1.replace(char::is_control, "?"),
            state: fields.first()?.chars().next()?,
            parent: id(1)?,
            group: id(2)?,
            user_ticks: number(11)?,
            system_ticks: number(12)?,
            waited_ticks: number(13)? + number(14)?,
            started_ticks: number(19)?,
        })
    }

    /// It has ended, and its parent has not taken notice.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Every process of this host that this one may see, in order.
pub fn all_processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The id that was given to a process or thread last: as long as it stays, none has come to be. `None` where the kernel
/// does not tell.
pub fn last_pid() -> Option<u32> {
    last_of(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

fn last_of(loadavg: &str) -> Option<u32> {
    loadavg.split_whitespace().nth(4)?.parse().ok().filter(|&pid| pid > 0)
}

/// Whether a process lets its children end without waiting for them (SIGCHLD is ignored): then nobody is told what they used.
pub fn ignores_children(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ignores(&text).unwrap_or(false)
}

fn ignores(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (libc::SIGCHLD - 1) & 1 == 1)
}

/// Length of a tick, in ns: 10 ms on every Linux that was seen.
pub fn tick_ns() -> u64 {
    // SAFETY: no memory is involved.
    let per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / u64::try_from(per_s).unwrap_or(100).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kernels_write() {
        let line = "4711 (a) (b c) S 17 42 17 34816 4711 4194304 1 2 3 4 150 50 20 5 20 0 3 0 987654 1 2 3\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent, stat.group), ("a) (b c", 'S', 17, 42));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.waited_ticks), (150, 50, 25));
        assert_eq!((stat.started_ticks, stat.has_ended()), (987_654, false));
        assert_eq!(Stat::parse(&line.replace("b c", "\u{1b}[2J\n")).unwrap().name, "a) (?[2J?");
        assert_eq!(Stat::parse("4711 (cut off) S 17"), None);
        assert_eq!((last_of("0.1 0.2 0.3 1/86 21619\n"), last_of("0.0 0.0 0.0 0/0 0")), (Some(21_619), None));
        assert_eq!(ignores("SigBlk:\t0\nSigIgn:\t0000000000011000\n"), Some(true));
        assert_eq!(ignores("SigIgn:\t0000000000001000\n"), Some(false));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_new_process_moves_the_last_id() {
        let before = last_pid();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(before.is_some() && last_pid() != before, "{before:?}");
        assert!(all_processes().contains(&std::process::id()));
        let stat = Stat::of(child.id()).unwrap();
        assert_eq!(stat.parent, std::process::id());
        child.wait().unwrap();
    }
}
