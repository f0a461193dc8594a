//! A child process: started in a group of its own (Ctrl-C is the coordinator's business), spoken to line by line, and
//! gone when its handle is: its input ends, and it is killed if that is not enough.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::quote;

/// How long a child may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long last words are waited for once a child has ended: they may still lie in the pipe, and a grandchild may
/// hold it open for ever.
const MOURNING: Duration = Duration::from_millis(500);

/// Lines of standard error that are kept as last words.
const LAST_WORDS: usize = 10;

/// A running child process.
pub struct Process {
    /// What it is called in messages, e.g. `worker 2`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    child: Child,
    input: Option<ChildStdin>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    /// Ends with the child's standard error.
    listening: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program; returns it and the lines of its standard output.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        name: String,
        program: &Path,
        args: &[String],
    ) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let mut command = Command::new(program);
        command.args(args);
        Process::spawn(name, command)
    }

    /// Starts a program that does not care for the end of its input: it is killed when the thread ends that started it, so
    /// also when this process is killed. (Where that can be had: on Linux.)
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_tied(name: String, program: &Path, args: &[String]) -> Result<Process> {
        let mut command = Command::new(program);
        command.args(args);
        let (process, lines) = Process::spawn_tied(name, command)?;
        // Nobody reads it, and it must not block on a full pipe.
        tokio::spawn(async move { tokio::io::copy(&mut lines.into_inner(), &mut tokio::io::sink()).await });
        Ok(process)
    }

    /// The same for a command as a shell reads it; the shell gives way to the program, whose process this then is.
    ///
    /// # Errors
    /// There is no shell.
    pub fn start_shell(name: String, line: &str) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {line}"));
        Process::spawn_tied(name, command)
    }

    #[cfg_attr(not(target_os = "linux"), allow(unused_mut))]
    fn spawn_tied(name: String, mut command: Command) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        #[cfg(target_os = "linux")]
        // SAFETY: between fork and exec there is one system call, and it takes no pointer.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        Process::spawn(name, command)
    }

    fn spawn(name: String, mut command: Command) -> Result<(Process, Lines<BufReader<ChildStdout>>)> {
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", Path::new(&program).display()))?;
        let last_words = Arc::default();
        let listening = child.stderr.take();
        let listening =
            listening.map(|stderr| tokio::spawn(keep_last_words(stderr, Arc::clone(&last_words))));
        let stdout = child.stdout.take().context("no pipe from the child")?;
        let process = Process {
            pid: child.id().context("the child ended at once")?,
            input: child.stdin.take(),
            child,
            last_words,
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

    /// Waits until the child has ended by itself, however long that takes; says how it ended.
    pub async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        if let Some(listening) = &mut self.listening {
            // Polled again after it was ready it would panic, so it is awaited once.
            let _ = timeout(MOURNING, listening).await;
            self.listening = None;
        }
        self.obituary(status.ok())
    }

    /// What became of a child whose pipe has ended: how it ended, or that it lives on and says nothing.
    pub async fn fell_silent(&mut self) -> String {
        match timeout(PATIENCE, self.ended()).await {
            Ok(obituary) => obituary,
            Err(_) => format!("{} closed its pipe and lives on", self.name),
        }
    }

    /// How the child ended, with its last words.
    fn obituary(&self, status: Option<ExitStatus>) -> String {
        use std::os::unix::process::ExitStatusExt;
        let how = match status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("was killed by signal {signal}"),
                (None, code) => format!("ended with exit code {}", code.unwrap_or(0)),
            },
            None => "ended".to_owned(),
        };
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.is_empty() {
            true => format!("{} {how}", self.name),
            false => format!("{} {how}; its last words: {}", self.name, words.join(" | ")),
        }
    }

    /// Ends the child in good order: end of input, SIGTERM, and after some patience SIGKILL.
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
        Process::start("the child".to_owned(), Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()])
            .unwrap()
    }

    #[tokio::test]
    async fn how_a_child_ended_is_told_with_its_last_words() {
        let (mut child, _lines) = shell(r"printf 'a \377 byte\n' >&2; echo the end >&2; exit 7");
        let told = child.ended().await;
        assert_eq!(told, "the child ended with exit code 7; its last words: a \u{fffd} byte | the end");
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

    #[tokio::test]
    async fn a_child_that_closes_its_pipe_and_lives_on_is_not_waited_for() {
        let (mut child, mut lines) = shell("exec 1>&-; read line");
        assert_eq!(lines.next_line().await.unwrap(), None);
        assert_eq!(child.fell_silent().await, "the child closed its pipe and lives on");
        child.end().await;
    }
}
