//! Programs of others that a probe starts beside the server: found, given a port and a directory, and gone with the handle.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::fleet::child::Process;
use crate::host::programs;

/// How long a program may take until it listens.
const READY_PATIENCE: Duration = Duration::from_secs(5);

/// How often another port is tried when someone else took the one that was free.
const ATTEMPTS: usize = 3;

/// A program that listens.
pub(super) struct External {
    /// Where.
    pub(super) address: SocketAddr,
    process: Process,
    dir: TempDir,
}

impl External {
    /// Starts a program on a free port of 127.0.0.1. `configure` fills its directory and says its arguments.
    ///
    /// # Errors
    /// It is not installed, or ends instead of listening.
    pub(super) async fn start(
        name: &str,
        configure: impl Fn(&Path, SocketAddr) -> Result<Vec<String>>,
    ) -> Result<External> {
        let program = programs::find(name).with_context(|| format!("{name} is not installed"))?;
        let mut final_lines = String::new();
        for _ in 0..ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("rtbench-").tempdir()?;
            let address = free_port()?;
            let args = configure(dir.path(), address)?;
            let mut process = Process::start_attached(name.to_owned(), &program, &args)?;
            tokio::select! {
                process_end = process.ended() => final_lines = process_end.to_string(),
                listening = timeout(READY_PATIENCE, listens(address)) => {
                    listening.with_context(|| format!("{name} does not listen at {address}"))?;
                    return Ok(External { address, process, dir });
                }
            }
        }
        bail!(final_lines)
    }

    /// Where it writes.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends it in good order.
    pub(super) async fn end(self) {
        self.process.end().await;
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

async fn listens(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
#[path = "../../../tests/support/missing.rs"]
mod missing;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `sh` does not listen; its last words are the error's.
    #[tokio::test]
    async fn a_program_that_ends_instead_of_listening_is_told_with_its_last_words() {
        let configure = |_: &Path, address: SocketAddr| {
            Ok(vec!["-c".to_owned(), format!("echo no room at {address} >&2; exit 3")])
        };
        let error = External::start("sh", configure).await.err().unwrap().to_string();
        assert!(
            error.starts_with("sh ended with exit code 3; its last words: no room at 127.0.0.1:"),
            "{error}"
        );
        let error = External::start("no-such-program", configure).await.err().unwrap().to_string();
        assert_eq!(error, "no-such-program is not installed");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn nothing_is_left_of_a_program_that_is_dropped() {
        if missing::program("nginx", "nginx") {
            return;
        }
        let configure = |dir: &Path, address: SocketAddr| {
            let text = format!(
                "daemon off; master_process off; pid pid; events {{}}\n                 http {{ access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c;\n                 uwsgi_temp_path d; scgi_temp_path e; server {{ listen {address}; }} }}\n"
            );
            let file = dir.join("nginx.conf");
            std::fs::write(&file, text)?;
            let args = ["-e", "stderr", "-p", &dir.to_string_lossy(), "-c", &file.to_string_lossy()];
            Ok(args.map(str::to_owned).to_vec())
        };
        let nginx = External::start("nginx", configure).await.unwrap();
        let (address, dir) = (nginx.address, nginx.dir().to_owned());
        drop(nginx);
        assert!(!dir.exists());
        let gone = async {
            while TcpStream::connect(address).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(READY_PATIENCE, gone).await.unwrap();
    }
}
