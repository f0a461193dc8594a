//! What is read of the servers and of their host: memory where nothing is measured, as it holds a server up, and CPU at
//! both ends of the window and of each second.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::server::ServerStats;
use super::servers::Servers;
use crate::host::family::{Mark, Spent};
use crate::host::process;
use crate::measure::cell::ServerCost;

/// What is held at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    memory_bytes: Option<u64>,
    kernel_bytes: Option<u64>,
}

impl Held {
    /// Now. Not in a window.
    pub(super) fn read(servers: &mut Servers) -> Held {
        Held { memory_bytes: servers.memory_bytes(), kernel_bytes: process::kernel_slab_bytes() }
    }
}

/// How long a server may take to tell its counters at an end of the window. It works meanwhile, and what it tells later is no
/// longer what it had counted then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The servers' figures at one end of the window.
pub(super) struct Reading {
    /// CPU since the window opened.
    spent: Option<Spent>,
    host_busy_ns: Option<u64>,
    /// The answer that is on its way: a server that hangs must not hold up what is read of it, nor of anything else.
    stats: JoinHandle<ServerStats>,
}

/// How far the window has been read.
#[derive(Default)]
pub(super) struct Window {
    /// CPU time of the servers when it opened.
    opened: Option<Mark>,
    /// The same when its last second ended.
    second: Option<Mark>,
}

impl Window {
    /// Reads one of its ends, and waits for nobody; the first reading opens it.
    pub(super) fn read(&mut self, servers: &mut Servers) -> Reading {
        let mark = servers.mark();
        if self.opened.is_none() {
            (self.opened, self.second) = (mark, mark);
        }
        let spent = mark.and(servers.since(self.opened.as_ref()));
        let host_busy_ns = process::host_busy_ns();
        Reading { spent, host_busy_ns, stats: tokio::spawn(servers.stats(PATIENCE)) }
    }

    /// CPU time of the servers since the last second ended, in ns.
    pub(super) fn second_ns(&mut self, servers: &mut Servers) -> Option<u64> {
        let mark = servers.mark();
        let spent = mark.and(servers.since(self.second.as_ref()));
        self.second = mark;
        spent.map(|spent| spent.cpu_ns)
    }
}

/// The record of what servers cost: from what they held when empty, idle and after the traffic, and both ends of the window.
pub(super) async fn record(servers: &Servers, held: [Held; 3], [opened, closed]: [Reading; 2]) -> ServerCost {
    let [before, behind] = [opened.stats.await.unwrap_or_default(), closed.stats.await.unwrap_or_default()];
    // A counter that goes back is another server's, and tells nothing.
    let grown = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
    let [empty, idle, after] = held;
    ServerCost {
        memory_empty_bytes: empty.memory_bytes,
        memory_idle_bytes: idle.memory_bytes,
        memory_after_bytes: after.memory_bytes,
        kernel_empty_bytes: empty.kernel_bytes,
        kernel_idle_bytes: idle.kernel_bytes,
        kernel_after_bytes: after.kernel_bytes,
        host_busy_ns: grown(opened.host_busy_ns, closed.host_busy_ns),
        lookups: grown(before.lookups, behind.lookups),
        published_bytes: grown(before.published_bytes, behind.published_bytes),
        // Less those over which it was asked.
        connections: behind.connections.and_then(|open| open.checked_sub(servers.count())),
        ..servers.record(closed.spent)
    }
}
