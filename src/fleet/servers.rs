//! The servers of a cell as one: groups are spread over them, and what they cost is added up.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, select_all, try_join_all};

use super::child::{Process, ProcessEnd};
use super::cost::Cost;
use super::message::Endpoint;
use super::server::{Server, ServerChoice, ServerStats};
use crate::host::family::{Family, Mark, Spent};
use crate::measure::cell::ServerCost;

/// Servers started at the same time. Each makes a certificate: a hundred at once would outwait their own patience.
const STARTED_AT_ONCE: usize = 8;

/// What a cell loads: one standing server, or as many as rtbench started.
pub struct Servers {
    each: Vec<Server>,
    cost: Cost,
}

impl Servers {
    /// Starts `count` servers, tied to `cores` if there are any, or finds the one that stands, and waits until they can be
    /// loaded.
    ///
    /// # Errors
    /// One of them cannot be started, ends at once, or does not answer.
    pub async fn ready(choice: &ServerChoice, count: u32, cores: &[usize]) -> Result<Servers> {
        let mut servers = Vec::with_capacity(count as usize);
        while servers.len() < count as usize {
            let batch = STARTED_AT_ONCE.min(count as usize - servers.len());
            servers.extend(try_join_all((0..batch).map(|_| Server::ready_on(choice, cores))).await?);
        }
        let cost = Cost::of(&servers);
        Ok(Servers { each: servers, cost })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.each.len() as u64
    }

    /// Where clients connect.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |server: &Server| Endpoint { address: server.address, trust: server.trust.clone() };
        self.each.iter().map(endpoint).collect()
    }

    /// `Host` header, if it is not the address.
    pub fn host(&self) -> Option<String> {
        self.each.first().and_then(|server| server.host.clone())
    }

    /// How many could not be tied to the cores that they were to have.
    pub fn untied(&self) -> u32 {
        let tied = self.each.iter().filter_map(|server| server.process.as_ref()?.tied);
        tied.filter(|tied| !tied).count() as u32
    }

    /// Waits until one of their processes has ended; for ever if none is ours.
    pub async fn ended(&mut self) -> ProcessEnd {
        select_all(self.each.iter_mut().map(|server| Box::pin(server.ended()))).await.0
    }

    /// Whether one of their processes has ended.
    pub fn has_ended(&mut self) -> bool {
        self.each.iter_mut().filter_map(|server| server.process.as_mut()).any(Process::has_ended)
    }

    /// Reads the CPU time of all so far, if every process is known.
    pub fn mark(&mut self) -> Option<Mark> {
        self.cost.mark()
    }

    /// What all used between a mark and the last.
    pub fn since(&self, from: Option<&Mark>) -> Option<Spent> {
        self.cost.since(from?)
    }

    /// The processes whose cost is read, to be read beside; `None` if one of them is not known.
    pub fn family(&self) -> Option<Family> {
        self.cost.family()
    }

    /// Private memory of all, in bytes, if every process is known. Holds them up while it is read.
    pub fn memory_bytes(&mut self) -> Option<u64> {
        self.cost.memory_bytes()
    }

    /// Resident memory of all, in bytes, if every process is known.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.cost.resident_bytes()
    }

    /// What was read of them, with what they `spent` in the window.
    pub fn record(&self, spent: Option<Spent>) -> ServerCost {
        ServerCost { servers: self.count() as u32, ..self.cost.record(spent) }
    }

    /// Asks for the sums of their own counters, of each for no longer than `patience`; absent where one of them has none.
    pub(super) fn stats(&self, patience: Duration) -> impl Future<Output = ServerStats> + use<> {
        let all = join_all(self.each.iter().map(|server| server.stats(patience)));
        async {
            let all = all.await;
            let sum = |of: fn(&ServerStats) -> Option<u64>| all.iter().map(of).sum();
            ServerStats {
                lookups: sum(|stats| stats.lookups),
                published_bytes: sum(|stats| stats.published_bytes),
                connections: sum(|stats| stats.connections),
            }
        }
    }

    /// Ends those that rtbench started, side by side.
    pub async fn end(&mut self) {
        let processes = self.each.iter_mut().filter_map(|server| server.process.take());
        join_all(processes.map(|process| process.end())).await;
    }
}
