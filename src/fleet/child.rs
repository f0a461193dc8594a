//! A child process: started in a group of its own (Ctrl-C is the coordinator's business), spoken to line by line, and
//! gone when its handle is: its input ends, and it is killed if that is not enough.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::shell;
use crate::host;
use crate::host::cores::Mask;
use crate::host::image::Image;
use crate::host::stat::Stat;
use crate::quote;

/// How long a child may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long last words are waited for once a child has ended: they may still lie in the pipe, and a grandchild may
/// hold it open for ever.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// Lines of standard error that are kept as last words.
const LAST_WORDS: usize = 10;

/// A running child process.
pub struct Process {
    /// What it is called in messages, e.g. `worker 2`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// It may run on the cores to which it was to be tied and no others; `None` if it was not to be tied.
    pub tied: Option<bool>,
    child: Child,
    input: Option<ChildStdin>,
    final_lines: Arc<Mutex<VecDeque<String>>>,
    /// Ends with the child's standard error.
    listening: Option<JoinHandle<()>>,
}

/// How a child ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Its name, and what became of it.
    how: String,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    final_lines: String,
}

impl ProcessEnd {
    /// The same of one that was at work.
    pub fn in_mid_run(mut self) -> ProcessEnd {
        self.how += " in mid-run";
        self
    }
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.how)?;
        match self.final_lines.is_empty() {
            true => Ok(()),
            false => write!(out, "; its last words: {}", self.final_lines),
        }
    }
}

impl Process {
    /// Starts a program, tied to `cores` if there are any; returns it and the lines of its standard output.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        name: String,
        program: &Image,
        args: &[String],
        cores: &[usize],
    ) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let mut command = Command::new(program.file());
        command.arg0(program.path()).args(args);
        Process::spawn(name, command, cores)
    }

    /// Starts a program that does not care for the end of its input: it is killed when the thread ends that started it, so
    /// also when this process is killed. (Where that can be had: on Linux.)
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_attached(name: String, program: &Path, args: &[String]) -> Result<Process> {
        let mut command = Command::new(program);
        command.args(args);
        let (process, lines) = Process::spawn_attached(name, command, &[])?;
        // Nobody reads it, and it must not block on a full pipe.
        tokio::spawn(async move { tokio::io::copy(&mut lines.into_inner(), &mut tokio::io::sink()).await });
        Ok(process)
    }

    /// The same for a command as a shell reads it; the shell gives way to the program, whose process this then is, unless it has
    /// something else to do, and then it leads the group in which its program is.
    ///
    /// # Errors
    /// There is no shell.
    pub fn start_shell(
        name: String,
        line: &str,
        cores: &[usize],
    ) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(shell::giving_way(line));
        Process::spawn_attached(name, command, cores)
    }

    #[cfg_attr(not(target_os = "linux"), allow(unused_mut))]
    fn spawn_attached(
        name: String,
        mut command: Command,
        cores: &[usize],
    ) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        #[cfg(target_os = "linux")]
        // SAFETY: between fork and exec there is one system call, and it takes no pointer.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        Process::spawn(name, command, cores)
    }

    fn spawn(
        name: String,
        mut command: Command,
        cores: &[usize],
    ) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let program = command.as_std().get_program().to_owned();
        if !cores.is_empty() {
            let mask = Mask::of(cores);
            // SAFETY: between fork and exec there is one system call, on a mask that was made before.
            unsafe {
                command.pre_exec(move || {
                    // A child that cannot be tied runs all the same; what came of it is read below.
                    mask.tie_this_thread();
                    Ok(())
                });
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", Path::new(&program).display()))?;
        let final_lines = Arc::default();
        let listening = child.stderr.take();
        let listening =
            listening.map(|stderr| tokio::spawn(keep_last_words(stderr, Arc::clone(&final_lines))));
        let stdout = child.stdout.take().context("no pipe from the child")?;
        let pid = child.id().context("the child ended at once")?;
        let process = Process {
            pid,
            tied: (!cores.is_empty()).then(|| host::cores::of(pid).as_deref() == Some(cores)),
            input: child.stdin.take(),
            child,
            final_lines,
            listening,
            name,
        };
        Ok((process, BufReader::new(stdout).lines()))
    }

    /// Sends one line.
    ///
    /// # Errors
    /// The child no longer reads: how it ended, if it did.
    pub async fn say(&mut self, message: &impl serde::Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let input = self.input.as_mut().context("the child's input is closed")?;
        match timeout(PATIENCE, input.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(anyhow!(self.fell_silent().await)),
            Err(_) => Err(anyhow!("{} does not listen", self.name)),
        }
    }

    /// Whether the child has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until the child has ended by itself, however long that takes; says how it ended.
    pub async fn ended(&mut self) -> ProcessEnd {
        let status = self.child.wait().await;
        if let Some(listening) = &mut self.listening {
            // Polled again after it was ready it would panic, so it is awaited once.
            let _ = timeout(END_PATIENCE, listening).await;
            self.listening = None;
        }
        self.process_end(status.ok())
    }

    /// What became of a child whose pipe has ended: how it ended, or that it lives on and says nothing.
    pub async fn fell_silent(&mut self) -> String {
        match timeout(PATIENCE, self.ended()).await {
            Ok(process_end) => process_end.to_string(),
            Err(_) => format!("{} closed its pipe and lives on", self.name),
        }
    }

    /// How the child ended, with its last words.
    fn process_end(&self, status: Option<ExitStatus>) -> ProcessEnd {
        use std::os::unix::process::ExitStatusExt;
        let signal = status.and_then(|status| status.signal());
        let how = match (signal, status.and_then(|status| status.code())) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (None, Some(code)) => format!("ended with exit code {code}"),
            (None, None) => "ended".to_owned(),
        };
        let words = self.final_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let final_lines = words.iter().map(String::as_str).collect::<Vec<_>>().join(" | ");
        ProcessEnd { how: format!("{} {how}", self.name), signal, final_lines }
    }

    /// Ends the child in good order: end of input, SIGTERM, and after some patience SIGKILL; then those whom it started and left
    /// behind, as a shell does that is no more than a server's parent.
    pub async fn end(mut self) {
        drop(self.input.take());
        // One that has been waited for has no id: its number may be another process's by now.
        if let Some(pid) = self.child.id() {
            // SAFETY: no memory is involved, and the pid is still the child's own.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) };
        }
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        end_group(self.pid).await;
    }
}

/// Ends whoever is left in the group of a child that has been waited for.
async fn end_group(group: u32) {
    // As long as anybody is in the group, its number is given to no other process.
    if Stat::of(group).is_some() {
        return;
    }
    // SAFETY: no memory is involved.
    let signal = |signal| unsafe { libc::kill(-(group as libc::pid_t), signal) == 0 };
    let gone = async {
        while signal(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if signal(libc::SIGTERM) && timeout(PATIENCE, gone).await.is_err() {
        signal(libc::SIGKILL);
    }
}

async fn keep_last_words(stderr: impl AsyncRead + Unpin, words: Arc<Mutex<VecDeque<String>>>) {
    // Bytes, not lines of UTF-8: one strange byte must not end the reading, or the child blocks on a full pipe.
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = quote::line(&String::from_utf8_lossy(&line));
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(line);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Process, Lines<BufReader<ChildStdout>>) {
        Process::start("the child".to_owned(), &"/bin/sh".into(), &["-c".to_owned(), script.to_owned()], &[])
            .unwrap()
    }

    #[tokio::test]
    async fn how_a_child_ended_is_told_with_its_last_words() {
        let (mut child, _lines) = shell(r"printf 'a \377 byte\n' >&2; echo the end >&2; exit 7");
        let told = child.ended().await;
        assert_eq!(
            told.to_string(),
            "the child ended with exit code 7; its last words: a \u{fffd} byte | the end"
        );
        assert_eq!(child.ended().await, told);
        child.end().await;
    }

    #[tokio::test]
    async fn a_child_that_is_gone_when_it_is_spoken_to_is_mourned() {
        let (mut child, mut lines) = shell("echo no disk >&2; exec 0<&-; exit 4");
        assert_eq!(lines.next_line().await.unwrap(), None);
        let error = child.say(&1).await.unwrap_err().to_string();
        assert_eq!(error, "the child ended with exit code 4; its last words: no disk");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_child_leaves_behind_is_ended_with_it() {
        let (child, mut lines) = shell("sleep 1000 & echo $!; wait");
        let left: u32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        child.end().await;
        assert!(Stat::of(left).is_none_or(|stat| stat.has_ended()), "{left} lives on");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_child_is_tied_before_it_runs_and_whoever_it_starts_inherits_that() {
        let given = host::cores::of(0).unwrap();
        let last = &given[given.len() - 1..];
        let script = "grep Cpus_allowed_list /proc/self/status";
        let args = ["-c".to_owned(), script.to_owned()];
        let (child, mut lines) =
            Process::start("the child".to_owned(), &"/bin/sh".into(), &args, last).unwrap();
        let told = lines.next_line().await.unwrap().unwrap();
        assert_eq!(told.split_whitespace().last(), Some(host::cores::in_words(last).as_str()));
        child.end().await;
        let none = Process::start("the child".to_owned(), &"/bin/sh".into(), &args, &[8_191]).unwrap().0;
        assert_eq!(none.tied, Some(false), "there is no such core");
        none.end().await;
    }

    #[tokio::test]
    async fn a_child_that_closes_its_pipe_and_lives_on_is_not_waited_for() {
        let (mut child, mut lines) = shell("exec 1>&-; read line");
        assert_eq!(lines.next_line().await.unwrap(), None);
        assert_eq!(child.fell_silent().await, "the child closed its pipe and lives on");
        child.end().await;
    }
}
