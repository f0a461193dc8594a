//! What servers and generator cost, as a record keeps it.

use std::collections::BTreeSet;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Distribution;

/// What the server cost; whatever could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ServerCost {
    /// CPU time in the window, in ns: of the servers' processes and all that descend from them, threads and processes that ended
    /// among them.
    pub cpu_ns: Option<u64>,
    /// The part of it that is known in ticks alone, in ns: what processes that ended had used since they were last read.
    #[serde(default)]
    pub cpu_ticked_ns: Option<u64>,
    /// The most by which `cpu_ns` may be wrong for that, in ns.
    #[serde(default)]
    pub cpu_error_ns: Option<u64>,
    /// Processes of the servers that ended in the window and that no parent waited for, so that what they used since they were
    /// last read is not in `cpu_ns`.
    #[serde(default)]
    pub unwaited: Option<u64>,
    /// The processes that were read, as of the end of the window; the first 32.
    #[serde(default)]
    pub processes: Vec<ProcessName>,
    /// How many they were.
    #[serde(default)]
    pub process_count: u32,
    /// Processes of this host that held the target's listening socket before any client came, as far as they can be seen.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Why the cost of servers that rtbench started is not known.
    #[serde(default)]
    pub unread: Option<String>,
    /// Cores that the first server may run on, e.g. `0-3,8`.
    #[serde(default)]
    pub cores: Option<String>,
    /// Servers that were to be tied to a core of their own and could not be.
    #[serde(default)]
    pub untied: u32,
    /// Private memory before any client came, in bytes; what several processes of a server share counts once.
    pub memory_empty_bytes: Option<u64>,
    /// Private memory with all clients connected and idle, in bytes.
    pub memory_idle_bytes: Option<u64>,
    /// Private memory after the traffic, with all clients still connected, in bytes.
    pub memory_after_bytes: Option<u64>,
    /// What the kernel of the whole host held in slabs before any client came, in bytes.
    #[serde(default)]
    pub kernel_empty_bytes: Option<u64>,
    /// The same with all clients connected and idle: both ends of their connections, on one host.
    #[serde(default)]
    pub kernel_idle_bytes: Option<u64>,
    /// The same after the traffic.
    #[serde(default)]
    pub kernel_after_bytes: Option<u64>,
    /// Time that all cores of the host together were busy in the window, in ns.
    #[serde(default)]
    pub host_busy_ns: Option<u64>,
    /// Look-ups into the message store in the window.
    pub lookups: Option<u64>,
    /// Payload bytes published to the server in the window.
    pub published_bytes: Option<u64>,
    /// Connections open at the end of the window.
    pub connections: Option<u64>,
    /// Server processes, over which groups are spread and of which the rest here is the sum; 0 in older records, which had one.
    #[serde(default)]
    pub servers: u32,
}

impl ServerCost {
    /// Whose cost this is, where a server was more than one process; of a target whose cost was not asked for, whose it would be.
    pub fn whose(&self) -> Option<String> {
        if self.processes.is_empty() {
            let Listener { pid: Some(pid), name: Some(name), .. } = self.listeners.first()? else {
                return None;
            };
            return self.unread.is_none().then(|| {
                format!("cost not read: {name} ({pid}) holds the port, and --server-pid {pid} reads it")
            });
        }
        if self.process_count <= self.servers && self.cpu_ticked_ns.is_none_or(|ns| ns == 0) {
            return None;
        }
        let names: BTreeSet<&str> = self.processes.iter().map(|process| process.name.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let ended = self.cpu_ticked_ns.filter(|&ns| ns > 0).map_or(String::new(), |ns| {
            let ms = |ns: u64| ns as f64 / 1e6;
            let error_ns = self.cpu_error_ns.unwrap_or(0);
            format!("; {:.0} ms of CPU were of some that ended, known to {:.0} ms", ms(ns), ms(error_ns))
        });
        Some(format!("{} processes ({names}){ended}", self.process_count))
    }
}

/// A process of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ProcessName {
    /// Its id.
    pub pid: u32,
    /// Name of its program.
    pub name: String,
}

/// A process that held the target's listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Listener {
    /// Its id; `None` if it cannot be seen.
    pub pid: Option<u32>,
    /// Name of its program.
    pub name: Option<String>,
    /// How it stands to the processes that are read.
    pub place: Place,
}

/// How a process stands to those whose cost is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// It is one of them.
    Read,
    /// They descend from it.
    Above,
    /// Neither.
    Apart,
}

/// What the generator cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct GeneratorCost {
    /// Worker processes.
    pub workers: u32,
    /// CPU time of all workers in the window, in ns.
    pub cpu_ns: Option<u64>,
    /// Share of one core that the busiest worker used in the window, 0 to 1; where workers are tied to cores, that all
    /// workers of the busiest core used.
    pub busiest_share: Option<f64>,
    /// Time that workers were runnable and had no core, summed over the window, in ns.
    pub run_queue_delay_ns: Option<u64>,
    /// Private memory of all workers with their clients ready, in bytes.
    pub memory_bytes: Option<u64>,
    /// Largest share of the window that one worker was runnable and had no core, 0 to 1.
    #[serde(default)]
    pub waiting_share: Option<f64>,
    /// Largest share of the window that one worker ran or was runnable, 0 to 1.
    #[serde(default)]
    pub demand_share: Option<f64>,
    /// How late the workers' event loops came to what they had to do at even intervals of the window.
    #[serde(default)]
    pub loop_lag: Distribution,
    /// Cores that workers are tied to, each to one, e.g. `1-3`; absent where none is.
    #[serde(default)]
    pub cores: Option<String>,
    /// Workers that were to be tied to a core and could not be.
    #[serde(default)]
    pub untied: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_cost_it_is_is_said_where_it_is_not_plain() {
        let process = |pid, name: &str| ProcessName { pid, name: name.into() };
        let listener = Listener { pid: Some(7), name: Some("node".into()), place: Place::Apart };
        let mut cost = ServerCost { servers: 1, process_count: 1, ..ServerCost::default() };
        assert_eq!(cost.whose(), None, "a server on another host");
        cost.listeners.push(listener);
        let unread = "cost not read: node (7) holds the port, and --server-pid 7 reads it";
        assert_eq!(cost.whose().as_deref(), Some(unread));
        cost.processes.push(process(7, "node"));
        assert_eq!(cost.whose(), None, "one process, which is read");
        cost.processes.extend([process(8, "sh"), process(9, "node")]);
        cost.process_count = 3;
        assert_eq!(cost.whose().as_deref(), Some("3 processes (node, sh)"));
        (cost.cpu_ticked_ns, cost.cpu_error_ns) = (Some(150_000_000), Some(20_000_000));
        let ended = "3 processes (node, sh); 150 ms of CPU were of some that ended, known to 20 ms";
        assert_eq!(cost.whose().as_deref(), Some(ended));
    }
}
