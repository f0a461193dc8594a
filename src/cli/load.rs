//! The verbs that load a server.

use clap::Args;

use super::{HostArgs, OutputArgs, TargetArgs, WorkloadArgs};
use crate::capacity::search::Vary;
use crate::exit;
use crate::scenario::sweep::{self, Sweep};
use crate::unit::{Count, Percent, Seconds};

/// `rtbench matrix`.
#[derive(Args)]
pub struct MatrixArgs {
    /// Forty seconds: fewer events, wider intervals
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// Ten minutes: the same cells with longer windows and five memory points
    #[arg(long)]
    pub full: bool,
    /// Users whose cost is projected [default: 10k]
    #[arg(long, value_name = "N")]
    pub users: Option<Count>,
    /// Measure each cell so many times: all cells once, then all again, with the same seed; probes are asked once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// A defect of known size in the reference server [see `rtbench serve --help`]; may be repeated
    #[arg(long, value_name = "KIND=SIZE", hide_short_help = true)]
    pub server_fault: Vec<crate::cli::fault::Fault>,
    /// The workload, where it is not the scenario's.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// This machine.
    #[command(flatten)]
    pub host: HostArgs,
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rtbench run`.
#[derive(Args)]
pub struct RunArgs {
    /// A built-in scenario's name, or a path (with a '/' or ending in .toml)
    pub scenario: String,
    /// Length of the measured window [e.g. 30s]
    #[arg(short = 'z', long, value_name = "TIME")]
    pub duration: Option<Seconds>,
    /// Measure each cell so many times: all cells once, then all again, with the same seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Measure several values of anything in the scenario; may be repeated, and then every combination [e.g.
    /// poll=1s,5s,30s, payload=100B,4KB, 'link=lan;rtt=40ms,loss=1%', short_poll.keep_alive=true,false]
    #[arg(long, value_name = "KEY=VALUES", long_help = sweep::HELP)]
    pub sweep: Vec<Sweep>,
    /// What is loaded.
    #[command(flatten)]
    pub server: TargetArgs,
    /// The workload, where it is not the scenario's.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// This machine.
    #[command(flatten)]
    pub host: HostArgs,
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rtbench capacity`.
#[derive(Args)]
#[command(after_long_help = exit::CAPACITY_HELP)]
pub struct CapacityArgs {
    /// A built-in scenario's name, or a path (with a '/' or ending in .toml)
    pub scenario: String,
    /// What must hold; may be repeated. Without it the scenario's thresholds, or else 'latency p(99)<200ms' (p(95),
    /// p(90) or max where events are too few) and 'lost count==0' [e.g. 'latency p(95)<1s', 'server_cpu_percent
    /// value<80%']
    #[arg(long, value_name = "SLO")]
    pub slo: Vec<String>,
    /// What grows from step to step
    #[arg(long, value_enum, default_value_t = Vary::Clients)]
    pub vary: Vary,
    /// Where to start, and the least that counts [e.g. 500, or 5/s with --vary rate]. Without it the start is the
    /// scenario's own, and less is tried if that does not hold
    #[arg(long, value_name = "LOAD")]
    pub from: Option<String>,
    /// The most to try [default: 100k clients, or 100k/s]
    #[arg(long, value_name = "LOAD")]
    pub max: Option<String>,
    /// How closely to find it
    #[arg(long, value_name = "SHARE", default_value = "10%")]
    pub resolution: Percent,
    /// Length of each step's window [default: 5s, or as long as the percentiles need]
    #[arg(short = 'z', long, value_name = "TIME")]
    pub duration: Option<Seconds>,
    /// Longest time for everything; each protocol gets its share
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub budget: Seconds,
    /// What is loaded.
    #[command(flatten)]
    pub server: TargetArgs,
    /// The workload, where it is not the scenario's.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// This machine.
    #[command(flatten)]
    pub host: HostArgs,
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}
