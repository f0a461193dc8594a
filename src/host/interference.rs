//! What the host did to a measurement behind its back: counters of the kernel, compared over a span.

use std::collections::HashMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the whole host did to a cell; whatever could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Interference {
    /// Share of all processor time that a hypervisor took, 0 to 1.
    pub steal_share: Option<f64>,
    /// Connections that found a listen queue full, of any process of this host.
    pub listen_overflows: Option<u64>,
    /// Connections that were refused a place for any reason.
    pub listen_drops: Option<u64>,
}

/// The counters at one moment; what cannot be read is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processor time taken by a hypervisor, and all processor time, in ticks.
    ticks: Option<(u64, u64)>,
    listen_overflows: Option<u64>,
    listen_drops: Option<u64>,
}

impl Counters {
    /// Reads them now.
    pub fn read() -> Counters {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Counters::parse(&text("/proc/stat"), &text("/proc/net/netstat"))
    }

    fn parse(stat: &str, netstat: &str) -> Counters {
        let tcp = tcp_ext(netstat);
        Counters {
            ticks: ticks(stat),
            listen_overflows: tcp.get("ListenOverflows").copied(),
            listen_drops: tcp.get("ListenDrops").copied(),
        }
    }

    /// What happened since an earlier reading.
    pub fn since(&self, earlier: &Counters) -> Interference {
        let grown = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let steal = self.ticks.zip(earlier.ticks).and_then(|((stolen, all), (stolen_then, all_then))| {
            let passed = all.saturating_sub(all_then);
            (passed > 0).then(|| stolen.saturating_sub(stolen_then) as f64 / passed as f64)
        });
        Interference {
            steal_share: steal,
            listen_overflows: grown(self.listen_overflows, earlier.listen_overflows),
            listen_drops: grown(self.listen_drops, earlier.listen_drops),
        }
    }
}

/// Stolen ticks and all ticks of the line `cpu`: user, nice, system, idle, iowait, irq, softirq, steal. The two numbers
/// behind those are contained in the first two.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    Some((*ticks.get(7)?, ticks.iter().sum()))
}

/// The counters `TcpExt`, which stand in two lines: names, and values below them.
fn tcp_ext(netstat: &str) -> HashMap<&str, u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let values = values.split(' ').map(|value| value.parse().unwrap_or(0));
    names.split(' ').zip(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_what_kernels_write() {
        let netstat = |overflows: u64| {
            format!(
                "TcpExt: TW ListenOverflows ListenDrops\nTcpExt: 5 {overflows} 9\nIpExt: InOctets\nIpExt: 1\n"
            )
        };
        let before = Counters::parse("cpu  10 0 20 300 4 0 1 250 7 7\ncpu0 1\n", &netstat(3));
        let after = Counters::parse("cpu  50 0 40 340 4 0 1 350 9 9\ncpu0 1\n", &netstat(8));
        let strain = after.since(&before);
        assert_eq!(strain.steal_share, Some(0.5));
        assert_eq!((strain.listen_overflows, strain.listen_drops), (Some(5), Some(0)));
    }

    #[test]
    fn another_system_has_none_rather_than_zeros() {
        let none = Counters::parse("", "");
        assert_eq!(none.since(&none), Interference::default());
    }
}
