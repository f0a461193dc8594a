//! What this machine has and lacks for measuring, a line each, and how to raise it. Pure but for the reading.

use serde::{Deserialize, Serialize};

use super::facts::HostFacts;
use super::{process, programs};

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How good that is.
    pub state: State,
    /// What was looked at.
    pub what: String,
    /// What was found, in words and figures.
    pub found: String,
    /// How to raise it; empty where nothing is to be raised.
    pub advice: String,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// It limits what can be measured.
    Limits,
    /// Something cannot be measured, or not be believed.
    Bad,
}

impl State {
    /// The state in one character.
    pub fn mark(self) -> char {
        match self {
            State::Good => '✓',
            State::Limits => '!',
            State::Bad => '✗',
        }
    }
}

/// What the facts of a machine do not tell.
#[derive(Clone, Debug, Default)]
pub struct Further {
    /// Longest queue of connections that wait to be accepted.
    pub somaxconn: Option<u64>,
    /// The kernel tells the CPU time of another process to the ns, waiting for a core, private memory, and full listen queues.
    pub cpu_clock: bool,
    /// See `cpu_clock`.
    pub schedstat: bool,
    /// See `cpu_clock`.
    pub smaps: bool,
    /// See `cpu_clock`.
    pub netstat: bool,
    /// Programs that were found of those asked for, with the packages that bring them.
    pub programs: Vec<(&'static str, &'static str, bool)>,
    /// How late waits of 1 ms ended, in the median and at most, in ns.
    pub timer_late_ns: Option<(u64, u64)>,
    /// CPU time of a wake-up after a sleep of some ms, in ns.
    pub wake_up_cpu_ns: Option<u64>,
}

/// Programs that some measurements need, and Debian's packages of them.
const PROGRAMS: [(&str, &str); 3] =
    [("chromium", "chromium"), ("nginx", "nginx-light"), ("turnserver", "coturn")];

/// CPU time of a wake-up beyond which it shows in what a message costs at low load, in ns.
const DEAR_WAKE_UP_NS: u64 = 30_000;

impl Further {
    /// Reads it, but for the timer and the wake-ups.
    pub fn read() -> Further {
        let readable = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| !text.is_empty());
        let there = |program: &str| programs::find(program).is_some();
        Further {
            somaxconn: std::fs::read_to_string("/proc/sys/net/core/somaxconn")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            cpu_clock: process::cpu_ns(std::os::unix::process::parent_id().max(1)).is_some(),
            schedstat: readable("/proc/self/schedstat"),
            smaps: readable("/proc/self/smaps_rollup"),
            netstat: readable("/proc/net/netstat"),
            programs: PROGRAMS.map(|(program, package)| (program, package, there(program))).into(),
            timer_late_ns: None,
            wake_up_cpu_ns: None,
        }
    }
}

/// Judges a machine, the most important first.
pub fn judge(facts: &HostFacts, further: &Further) -> Vec<Finding> {
    let mut findings = vec![cores(facts), descriptors(facts), ports(facts), backlog(further), clock(facts)];
    findings.extend(timer(further));
    findings.extend(wake_up(facts, further));
    findings.push(governor(facts));
    findings.push(hypervisor(facts));
    for (readable, what, file) in [
        (further.cpu_clock, "CPU time", "the clock of another process"),
        (further.schedstat, "waiting for a core", "/proc/self/schedstat"),
        (further.smaps, "memory", "/proc/self/smaps_rollup"),
        (further.netstat, "listen queues", "/proc/net/netstat"),
    ] {
        let (state, found) = if readable {
            (State::Good, "can be read")
        } else {
            (State::Bad, "cannot be read: columns stay empty")
        };
        findings.push(finding(state, what, format!("{file} {found}"), ""));
    }
    findings.extend(further.programs.iter().map(|(program, package, there)| match there {
        true => finding(State::Good, program, "installed".into(), ""),
        false => finding(State::Limits, program, "not installed".into(), &format!("apt install {package}")),
    }));
    findings
}

fn finding(state: State, what: &str, found: String, advice: &str) -> Finding {
    // What is good needs no advice.
    let advice = if state == State::Good { String::new() } else { advice.into() };
    Finding { state, what: what.into(), found, advice }
}

/// By two limits: good from the one, bad below the other.
fn level(value: Option<u64>, good: u64, bad: u64) -> State {
    match value {
        Some(value) if value >= good => State::Good,
        Some(value) if value >= bad => State::Limits,
        _ => State::Bad,
    }
}

fn known(value: Option<u64>) -> String {
    value.map_or("unknown".into(), |value| value.to_string())
}

fn cores(facts: &HostFacts) -> Finding {
    let found = format!("{} that this process may use", known(facts.cores));
    let advice = "server and workers share cores: keep the load below what one core carries";
    finding(level(facts.cores, 3, 2), "cores", found, advice)
}

fn descriptors(facts: &HostFacts) -> Finding {
    // `unlimited` is absent.
    let state = if facts.nofile_hard.is_none() && facts.os == "linux" {
        State::Good
    } else {
        level(facts.nofile_hard, 10_000, 1_024)
    };
    let limit = facts.nofile_hard.map_or("no limit".into(), |limit| limit.to_string());
    let found = format!("{limit} a process, soft {}", known(facts.nofile_soft));
    finding(state, "descriptors", found, "raise the hard limit: `nofile` in /etc/security/limits.conf")
}

fn ports(facts: &HostFacts) -> Finding {
    let count = facts.port_first.zip(facts.port_last).map(|(first, last)| last.saturating_sub(first) + 1);
    let found = format!("{} for connections from one address to one server", known(count));
    finding(
        level(count, 28_000, 5_000),
        "local ports",
        found,
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
    )
}

fn backlog(further: &Further) -> Finding {
    let found = format!("somaxconn is {}", known(further.somaxconn));
    finding(level(further.somaxconn, 4_096, 128), "listen queue", found, "sysctl -w net.core.somaxconn=4096")
}

fn clock(facts: &HostFacts) -> Finding {
    let source = facts.clocksource.as_deref().unwrap_or("unknown");
    let state = match source {
        "tsc" | "arch_sys_counter" | "kvm-clock" | "hyperv_clocksource_tsc_page" => State::Good,
        _ => State::Limits,
    };
    finding(
        state,
        "clock source",
        source.into(),
        "every timestamp is a system call: boot with clocksource=tsc if it is stable",
    )
}

fn timer(further: &Further) -> Option<Finding> {
    let (median_ns, largest_ns) = further.timer_late_ns?;
    let state = match median_ns {
        0..=250_000 => State::Good,
        250_001..=2_000_000 => State::Limits,
        _ => State::Bad,
    };
    let us = |ns: u64| ns / 1_000;
    let found =
        format!("waits of 1 ms end {} us late in the median, {} us at most", us(median_ns), us(largest_ns));
    Some(finding(state, "timer", found, "something else runs on this host, or the machine saves power"))
}

/// At a thousand messages a second, each may cost a wake-up.
fn wake_up(facts: &HostFacts, further: &Further) -> Option<Finding> {
    let cpu_ns = further.wake_up_cpu_ns?;
    let kept_awake = facts.wake_limit_us == Some(0);
    let state = if cpu_ns <= DEAR_WAKE_UP_NS { State::Good } else { State::Limits };
    let when = if kept_awake { "the processors are kept awake" } else { "an idle processor may sleep" };
    let found = format!("{} us of CPU each, where {when}", cpu_ns / 1_000);
    let advice = match kept_awake {
        true => "this machine hardly heeds that: at low load a message costs more than at a high one",
        false => "at low load that is most of what a message costs: --keep-awake makes loads more alike",
    };
    Some(finding(state, "wake-ups", found, advice))
}

fn governor(facts: &HostFacts) -> Finding {
    match facts.governor.as_deref() {
        None => {
            finding(State::Good, "governor", "none: the frequency is not for this system to set".into(), "")
        }
        Some("performance") => finding(State::Good, "governor", "performance".into(), ""),
        Some(other) => {
            finding(State::Limits, "governor", other.into(), "cpupower frequency-set -g performance")
        }
    }
}

fn hypervisor(facts: &HostFacts) -> Finding {
    let stolen = facts.steal_s.unwrap_or(0.0);
    let found = match facts.virtualised {
        Some(true) => format!("a virtual machine, {stolen:.0} s stolen since boot"),
        _ => "no hypervisor seen".into(),
    };
    let state = if facts.virtualised == Some(true) { State::Limits } else { State::Good };
    finding(
        state,
        "hypervisor",
        found,
        "compare only runs that were taken side by side; steal is in every cell",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (HostFacts, Further) {
        let facts = HostFacts {
            os: "linux".into(),
            cores: Some(8),
            clocksource: Some("tsc".into()),
            nofile_soft: Some(1_024),
            nofile_hard: Some(100_000),
            port_first: Some(32_768),
            port_last: Some(60_999),
            virtualised: Some(false),
            ..HostFacts::default()
        };
        let programs = PROGRAMS.map(|(program, package)| (program, package, true)).into();
        let (cpu_clock, schedstat, smaps, netstat) = (true, true, true, true);
        let (timer_late_ns, wake_up_cpu_ns) = (Some((60_000, 300_000)), Some(8_000));
        let somaxconn = Some(4_096);
        let further = Further {
            somaxconn,
            cpu_clock,
            schedstat,
            smaps,
            netstat,
            programs,
            timer_late_ns,
            wake_up_cpu_ns,
        };
        (facts, further)
    }

    #[test]
    fn a_good_machine_needs_no_advice() {
        let (facts, further) = good();
        for finding in judge(&facts, &further) {
            assert!(finding.state == State::Good && finding.advice.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_raise_it() {
        let (facts, further) = good();
        let facts = HostFacts {
            cores: Some(1),
            nofile_hard: Some(4_096),
            port_first: Some(60_000),
            clocksource: Some("hpet".into()),
            virtualised: Some(true),
            ..facts
        };
        let mut further =
            Further { somaxconn: Some(128), timer_late_ns: Some((5_000_000, 9_000_000)), ..further };
        further.wake_up_cpu_ns = Some(45_000);
        further.programs[1].2 = false;
        let states: Vec<_> = judge(&facts, &further)
            .into_iter()
            .filter(|finding| finding.state != State::Good)
            .map(|finding| {
                assert!(!finding.advice.is_empty(), "{finding:?}");
                (finding.what, finding.state.mark())
            })
            .collect();
        let states: Vec<_> = states.iter().map(|(what, mark)| (what.as_str(), *mark)).collect();
        assert_eq!(
            states,
            [
                ("cores", '✗'),
                ("descriptors", '!'),
                ("local ports", '✗'),
                ("listen queue", '!'),
                ("clock source", '!'),
                ("timer", '✗'),
                ("wake-ups", '!'),
                ("hypervisor", '!'),
                ("nginx", '!')
            ]
        );
    }
}
