//! A contender at work: all its processes, stopped and set going together, and what they have cost.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rtbench::host::cores::Mask;
use rtbench::host::family::{Family, Root};
use rtbench::host::process;
use rtbench::host::stat::Stat;

/// How long a signal may take to be obeyed.
const OBEDIENCE: Duration = Duration::from_secs(2);

/// Running processes; killed when it is dropped, whatever else goes wrong.
pub(crate) struct Generator {
    child: Child,
    /// Only processes with this word in their command line count.
    counted_word: Option<&'static str>,
    /// Every process of it, the first one among them.
    pids: Vec<u32>,
}

impl Generator {
    /// Starts `command` on `core`.
    pub(crate) fn start(
        mut command: Command,
        core: usize,
        counted_word: Option<&'static str>,
    ) -> io::Result<Generator> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mask = Mask::of(&[core]);
        // SAFETY: between fork and exec there are two system calls, and a mask that was made before.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                match mask.tie_this_thread() {
                    true => Ok(()),
                    false => Err(io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn()?;
        Ok(Generator { pids: vec![child.id()], child, counted_word })
    }

    /// Looks for the processes that it has started itself. Call when it is at work.
    pub(crate) fn gather(&mut self) {
        self.pids = family(self.child.id());
    }

    /// How it ended, if it has.
    pub(crate) fn final_lines(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let mut words = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut words);
        }
        Some(format!("{status}: {}", words.trim()))
    }

    /// Stops every process, and returns when all their threads stand still.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let begun = Instant::now();
        while !self.pids.iter().all(|&pid| stands_still(pid)) && begun.elapsed() < OBEDIENCE {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        for &pid in &self.pids {
            // SAFETY: no pointers. A process that is gone gets none.
            unsafe { libc::kill(pid as libc::pid_t, signal) };
        }
    }

    fn counted(&self) -> impl Iterator<Item = u32> {
        self.pids.iter().copied().filter(|pid| {
            let line = || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            self.counted_word
                .is_none_or(|word| line().split(|&byte| byte == 0).any(|part| part == word.as_bytes()))
        })
    }

    /// CPU time so far, in ns.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.counted().filter_map(process::cpu_ns).sum()
    }

    /// CPU time so far that was spent outside the kernel, as a share of all, with what it is a share of: in ticks.
    pub(crate) fn ticks(&self) -> Ticks {
        self.counted().filter_map(ticks).fold(Ticks::default(), |sum, ticks| Ticks {
            user: sum.user + ticks.user,
            system: sum.system + ticks.system,
        })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.gather();
        // A stopped process dies too.
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// CPU time in clock ticks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ticks {
    pub(crate) user: u64,
    pub(crate) system: u64,
}

fn ticks(pid: u32) -> Option<Ticks> {
    let stat = Stat::of(pid)?;
    Some(Ticks { user: stat.user_ticks, system: stat.system_ticks })
}

fn stands_still(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    tasks.flatten().all(|task| {
        let stat = Stat::read(&task.path().join("stat").display().to_string());
        stat.is_none_or(|stat| matches!(stat.state, 'T' | 'Z' | 'X'))
    })
}

/// A process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let family = Family::of(&[Root { pid, leads_group: true }]);
    family.map_or_else(|| vec![pid], |family| family.members().map(|(pid, _)| pid).collect())
}
