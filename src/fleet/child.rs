//! A child process: started in a group of its own (Ctrl-C is the coordinator's business), spoken to line by line, and
//! gone when its handle is: its input ends, and it is killed if that is not enough.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a child may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(3);

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
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        let last_words = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_last_words(stderr, Arc::clone(&last_words)));
        }
        let stdout = child.stdout.take().context("no pipe from the child")?;
        let process = Process {
            pid: child.id().context("the child ended at once")?,
            input: child.stdin.take(),
            child,
            last_words,
            name,
        };
        Ok((process, BufReader::new(stdout).lines()))
    }

    /// Sends one line.
    ///
    /// # Errors
    /// The child no longer reads.
    pub async fn say(&mut self, message: &impl serde::Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let input = self.input.as_mut().context("the child's input is closed")?;
        input.write_all(&line).await.with_context(|| format!("{} does not listen", self.name))
    }

    /// Waits until the child has ended by itself.
    pub async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        self.obituary(status.ok())
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
        // SAFETY: the child has not been waited for, so the pid is still its own.
        unsafe { libc::kill(self.pid as libc::pid_t, libc::SIGTERM) };
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn keep_last_words(stderr: impl AsyncRead + Unpin, words: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(line);
    }
}
