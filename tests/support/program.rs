//! Driving the built program as a user does.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub fn rtbench() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtbench"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs to the end.
pub fn run(args: &[&str]) -> Output {
    rtbench().args(args).output().unwrap()
}

/// Standard output and error as one text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The exit code, or a panic that shows everything.
#[track_caller]
pub fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}

/// Waits for something that must come; never for a fixed time.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A run in the background whose results go to a directory of its own.
pub struct Background {
    /// The process.
    pub child: Child,
    /// Where results go.
    pub out: tempfile::TempDir,
}

impl Background {
    /// Starts `rtbench` with these arguments and `--out`.
    pub fn start(args: &[&str]) -> Background {
        let mut command = rtbench();
        command.args(args);
        Background::of(command)
    }

    /// Starts a command with `--out`.
    pub fn of(mut command: Command) -> Background {
        let out = tempfile::tempdir().unwrap();
        command.arg("--out").arg(out.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Background { child: command.spawn().unwrap(), out }
    }

    /// Children whose command line begins with this verb.
    pub fn children(&self, verb: &str) -> Vec<u32> {
        children_of(self.child.id(), verb)
    }

    /// Lines of the run's `cells.jsonl` so far.
    pub fn cells(&self) -> Vec<serde_json::Value> {
        run_dir(self.out.path()).map_or(Vec::new(), |dir| cells(&dir))
    }

    /// Waits for its end.
    pub fn output(self) -> (Output, tempfile::TempDir) {
        (self.child.wait_with_output().unwrap(), self.out)
    }
}

/// The only run in a results directory.
pub fn run_dir(out: &Path) -> Option<PathBuf> {
    std::fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).next()
}

/// The cells of a run.
pub fn cells(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("cells.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Live children of a process whose command line has this verb.
pub fn children_of(parent: u32, verb: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, ppid) = (fields.next(), fields.next());
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        state != Some("Z") && ppid == Some(&parent.to_string()) && command.split('\0').nth(1) == Some(verb)
    })
    .collect()
}

/// Whether a process is there and not a zombie.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}
