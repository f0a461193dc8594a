//! The servers of a cell as one: groups are spread over them, and what they cost is added up.

use anyhow::Result;
use futures_util::future::{join_all, select_all, try_join_all};

use super::child::{Obituary, Process};
use super::message::Endpoint;
use super::server::{Server, ServerChoice, ServerStats};

/// Servers started at the same time. Each makes a certificate: a hundred at once would outwait their own patience.
const STARTED_AT_ONCE: usize = 8;

/// What a cell loads: one standing server, or as many as rtbench started.
pub struct Servers(Vec<Server>);

impl Servers {
    /// Starts `count` servers or finds the one that stands, and waits until they can be loaded.
    ///
    /// # Errors
    /// One of them cannot be started, ends at once, or does not answer.
    pub async fn ready(choice: &ServerChoice, count: u32) -> Result<Servers> {
        let mut servers = Vec::with_capacity(count as usize);
        while servers.len() < count as usize {
            let batch = STARTED_AT_ONCE.min(count as usize - servers.len());
            servers.extend(try_join_all((0..batch).map(|_| Server::ready(choice))).await?);
        }
        Ok(Servers(servers))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Where clients connect.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |server: &Server| Endpoint { address: server.address, trust: server.trust.clone() };
        self.0.iter().map(endpoint).collect()
    }

    /// `Host` header, if it is not the address.
    pub fn host(&self) -> Option<String> {
        self.0.first().and_then(|server| server.host.clone())
    }

    /// The processes among them that rtbench started.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter_map(|server| server.process.as_ref().map(|process| process.pid))
    }

    /// The processes whose cost is read; `None` if one of them is not known.
    pub fn cost_pids(&self) -> Option<Vec<u32>> {
        self.0.iter().map(|server| server.pid).collect()
    }

    /// Waits until one of their processes has ended; for ever if none is ours.
    pub async fn ended(&mut self) -> Obituary {
        select_all(self.0.iter_mut().map(|server| Box::pin(server.ended()))).await.0
    }

    /// Whether one of their processes has ended.
    pub fn has_ended(&mut self) -> bool {
        self.0.iter_mut().filter_map(|server| server.process.as_mut()).any(Process::has_ended)
    }

    /// CPU time of all so far, in ns, if every process is known.
    pub fn cpu_ns(&self) -> Option<u64> {
        self.0.iter().map(Server::cpu_ns).sum()
    }

    /// Private memory of all, in bytes, if every process is known.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.iter().map(Server::memory_bytes).sum()
    }

    /// Resident memory of all, in bytes, if every process is known.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.0.iter().map(Server::resident_bytes).sum()
    }

    /// The sums of their own counters; absent where one of them has none.
    pub async fn stats(&self) -> ServerStats {
        let all = join_all(self.0.iter().map(Server::stats)).await;
        let sum = |of: fn(&ServerStats) -> Option<u64>| all.iter().map(of).sum();
        ServerStats {
            lookups: sum(|stats| stats.lookups),
            published_bytes: sum(|stats| stats.published_bytes),
            connections: sum(|stats| stats.connections),
        }
    }

    /// Ends those that rtbench started, side by side.
    pub async fn end(&mut self) {
        let processes = self.0.iter_mut().filter_map(|server| server.process.take());
        join_all(processes.map(|process| process.end())).await;
    }
}
