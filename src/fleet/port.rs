//! Ports for servers that a command starts: which is free, and whether the one who answers there is the server.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::host::listener;
use crate::host::stat::Stat;

/// What stands for a free port in a command and in the URL of its readiness.
pub(super) const PLACE: &str = "{port}";

/// Ports given last, which are not given again: their servers may not have taken them yet.
const KEPT: usize = 256;

/// How long somebody who answers already may take to be noticed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A port that is free now, and that no other server of this process was given. A stranger may take it before the
/// server does.
pub(super) fn free() -> io::Result<u16> {
    static GIVEN: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Those in hand are not offered again.
    let mut in_hand = Vec::new();
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if !given.contains(&port) {
            given.push_back(port);
            if given.len() > KEPT {
                given.pop_front();
            }
            return Ok(port);
        }
        in_hand.push(listener);
    }
}

/// Whether somebody takes connections there.
pub(super) async fn is_taken(address: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Whether it is known who listens there, and that none of them belongs to this process, which leads a group of its own.
pub(super) fn is_strangers(address: SocketAddr, process: u32) -> bool {
    let sockets = listener::sockets(address, Some(process));
    let holders = listener::all_holders(&sockets).found;
    !holders.is_empty() && !holders.iter().any(|holder| descends(holder.pid, process))
}

/// Whether a process is of a group, or a descendant of its leader.
fn descends(mut pid: u32, leader: u32) -> bool {
    while let Some(stat) = Stat::of(pid).filter(|_| pid > 1) {
        if pid == leader || stat.group == leader {
            return true;
        }
        pid = stat.parent;
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..100).map(|_| free().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_answers_is_told_from_who_was_started() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(is_taken(address).await);
        // This process holds it, and a child of its own group has nothing to do with that.
        let mut child = tokio::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let pid = child.id().unwrap();
        assert!(is_strangers(address, pid));
        assert!(!is_strangers(address, std::process::id()));
        child.kill().await.unwrap();
        drop(listener);
        assert!(!is_taken(address).await && !is_strangers(address, pid), "nobody is no stranger");
    }
}
