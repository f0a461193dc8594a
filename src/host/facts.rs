//! What a result needs to say about the machine it was measured on. What cannot be read is absent, never guessed.

use std::path::Path;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::awake;

/// The machine, as far as it shapes results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct HostFacts {
    /// Operating system, e.g. `linux`.
    pub os: String,
    /// Processor architecture, e.g. `x86_64`.
    pub architecture: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Processor, in its maker's words.
    pub cpu_model: Option<String>,
    /// Processors that this process may use.
    pub cores: Option<u64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// What the kernel reads the time from; anything but `tsc` makes every timestamp dearer.
    pub clocksource: Option<String>,
    /// File descriptors that a process may open, without and with raising its limit.
    pub nofile_soft: Option<u64>,
    /// The most to which that limit can be raised.
    pub nofile_hard: Option<u64>,
    /// First local port that the kernel gives to connecting sockets.
    pub port_first: Option<u64>,
    /// Last of them.
    pub port_last: Option<u64>,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
    /// How long an idle processor may take to wake, in us, where somebody limits it (PM QoS) and this process may know:
    /// 0 keeps all awake.
    pub wake_limit_us: Option<u64>,
    /// The processor says that a hypervisor is there.
    pub virtualised: Option<bool>,
    /// Time that a hypervisor took from all processors since boot, in seconds.
    pub steal_s: Option<f64>,
}

impl HostFacts {
    /// Reads the facts of this machine.
    pub fn read() -> HostFacts {
        let cpuinfo = text("/proc/cpuinfo").unwrap_or_default();
        let limits = text("/proc/self/limits").unwrap_or_default();
        let ports = text("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let mut ports = ports.split_whitespace().map(|port| port.parse().ok());
        let (nofile_soft, nofile_hard) = open_files(&limits);
        HostFacts {
            os: std::env::consts::OS.into(),
            architecture: std::env::consts::ARCH.into(),
            kernel: text("/proc/sys/kernel/osrelease"),
            cpu_model: field(&cpuinfo, "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().ok().map(|n| n.get() as u64),
            memory_bytes: memory_bytes(&text("/proc/meminfo").unwrap_or_default()),
            clocksource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            nofile_soft,
            nofile_hard,
            port_first: ports.next().flatten(),
            port_last: ports.next().flatten(),
            governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            wake_limit_us: awake::limit_us(),
            virtualised: field(&cpuinfo, "flags")
                .map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            steal_s: steal_s(&text("/proc/stat").unwrap_or_default()),
        }
    }

    /// The first fact in which costs measured here and there are not comparable; `None` if the machines are alike.
    pub fn differs_from(&self, other: &HostFacts) -> Option<String> {
        let say = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "unknown".to_owned());
        let number = |fact: Option<u64>| fact.map(|number| number.to_string());
        let wake_limit =
            |host: &HostFacts| host.wake_limit_us.map_or("not known of".into(), |us| format!("{us} us"));
        let facts = |host: &HostFacts| {
            [
                ("architecture", Some(host.architecture.clone())),
                ("kernel", host.kernel.clone()),
                ("processor", host.cpu_model.clone()),
                ("number of cores", number(host.cores)),
                ("clock source", host.clocksource.clone()),
                ("frequency governor", host.governor.clone()),
                ("limit to wake-ups of processors", Some(wake_limit(host))),
            ]
        };
        let pairs = facts(self).into_iter().zip(facts(other));
        let mut differing = pairs.filter(|((_, here), (_, there))| here != there);
        differing.next().map(|((name, here), (_, there))| {
            format!("the {name} is {}, and was {}", say(&here), say(&there))
        })
    }

    /// The facts in one line for people: `AMD EPYC, 2 cores, 8.3 GB, linux 6.1, virtual`.
    pub fn summary(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.cpu_model.clone());
        parts.extend(self.cores.map(|n| if n == 1 { "1 core".into() } else { format!("{n} cores") }));
        parts.extend(self.memory_bytes.map(|bytes| format!("{:.1} GB", bytes as f64 / 1e9)));
        parts.push(format!("{} {}", self.os, self.kernel.as_deref().unwrap_or(&self.architecture)));
        parts.extend(self.virtualised.filter(|v| *v).map(|_| "virtual machine".into()));
        parts.extend(self.wake_limit_us.map(|limit_us| match limit_us {
            0 => "processors kept awake".into(),
            _ => format!("processors wake within {limit_us} us"),
        }));
        parts.join(", ")
    }
}

/// A file's text without the white space around it; `None` if it cannot be read or says nothing.
fn text(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The value of the first line `key : value`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(k, _)| k.trim() == key)
        .map(|(_, value)| value.trim())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Soft and hard limit of the line `Max open files`; `unlimited` is absent.
fn open_files(limits: &str) -> (Option<u64>, Option<u64>) {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

/// The eighth number of the line `cpu`; the kernel's interface counts in hundredths of a second on every machine.
fn steal_s(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let hundredths: u64 = line.split_whitespace().nth(7)?.parse().ok()?;
    Some(hundredths as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kernels_write() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Example CPU @ 2.00GHz\nflags\t\t: fpu tsc hypervisor\n";
        assert_eq!(field(cpuinfo, "model name"), Some("Example CPU @ 2.00GHz"));
        assert_eq!(memory_bytes("MemTotal:        8038196 kB\nMemFree: 1 kB"), Some(8038196 * 1024));
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n";
        assert_eq!(open_files(limits), (Some(1024), Some(20000)));
        assert_eq!(open_files("Max open files  unlimited unlimited files"), (None, None));
        assert_eq!(steal_s("cpu  10 0 20 300 4 0 1 250 0 0\ncpu0 1 2"), Some(2.5));
    }

    #[test]
    fn another_system_has_no_facts_rather_than_wrong_ones() {
        assert_eq!((memory_bytes(""), open_files(""), steal_s("")), (None, (None, None), None));
        assert_eq!(
            HostFacts { os: "macos".into(), architecture: "aarch64".into(), ..Default::default() }.summary(),
            "macos aarch64"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_them() {
        let facts = HostFacts::read();
        assert!(
            facts.kernel.is_some() && facts.cores >= Some(1) && facts.memory_bytes > Some(1 << 20),
            "{facts:?}"
        );
        assert!(facts.port_first < facts.port_last && facts.nofile_soft <= facts.nofile_hard, "{facts:?}");
    }
}
