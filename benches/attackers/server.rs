//! The server under attack and the attacker: processes of their own, ended with their owners.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// The niceness of who goes before all ordinary programs.
const FIRST: libc::c_int = -20;

/// A running reference server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one, with a free port. It may go before other programs.
    pub(crate) fn start(path: &Path, is_first: bool) -> Result<Server> {
        let help = Command::new(path).args(["serve", "--help"]).output();
        let help = help.with_context(|| format!("cannot start {}", path.display()))?.stdout;
        let mut command = Command::new(path);
        command.args(["serve", "--stdin-guard"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Builds that forget nothing do not know the option.
        if String::from_utf8_lossy(&help).contains("--topic-idle") {
            command.args(["--topic-idle", "1s"]);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().context("the server has no standard output")?;
        BufReader::new(out).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line).context("the server is not ready")?;
        let address = ready["ready"]["http"].as_str().context("the server names no address")?.parse()?;
        // Else it would go where this process does.
        set_nice(child.id(), if is_first { FIRST } else { 0 });
        Ok(Server { child, address })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A running attacker. It runs only while nobody else on its core wants to: what is measured is the server, not the
/// competition for the other core.
pub(crate) struct Attacker(Child);

impl Attacker {
    pub(crate) fn start(name: &str, address: SocketAddr, is_first: bool) -> Result<Attacker> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["attack", name, &address.to_string()]).stdin(Stdio::null());
        let child = command.spawn()?;
        // Where nobody may go first, this goes last.
        set_nice(child.id(), if is_first { 0 } else { 19 });
        Ok(Attacker(child))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Lets this process go before all ordinary ones, so that neither attackers nor anything else that runs on this machine is
/// measured; says whether that was allowed. (Real time would not do: the system takes 5% of a core from it, all at once.)
pub(crate) fn go_first() -> bool {
    // Where programs are grouped by session, niceness counts within one, and each has a niceness of its own.
    let group = "/proc/self/autogroup";
    let is_first = !Path::new(group).exists() || std::fs::write(group, FIRST.to_string()).is_ok();
    set_nice(0, FIRST) && is_first
}

fn set_nice(pid: u32, nice: libc::c_int) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::setpriority(libc::PRIO_PROCESS as _, pid as libc::id_t, nice) == 0 }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}
