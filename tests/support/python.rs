//! Servers in Python, which share no code with what is tested; they lie in `tests/servers/`.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[path = "missing.rs"]
mod missing;

/// The interpreter, if there is one.
pub fn python() -> Option<&'static str> {
    (!missing::python()).then_some("python3")
}

/// A running server.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts a file of `tests/servers/` and waits for its Ready line.
    pub fn start(python: &str, file: &str, args: &[&str]) -> Server {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(file);
        let mut child = Command::new(python)
            .arg(path)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address =
            ready["ready"]["http"].as_str().unwrap_or_else(|| panic!("no Ready line: {line}")).to_owned();
        Server { child, address }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end, and waits until it has.
    pub fn end(&mut self) {
        // SAFETY: no memory is involved, and the pid is that of a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
