//! `rtbench gate` and its two sides.

use std::path::PathBuf;

use clap::Args;

use super::{HostArgs, OutputArgs, WorkloadArgs};
use crate::exit;
use crate::gate::{PRIMARY, Tiers};
use crate::unit::{Percent, Seconds};

/// `rtbench gate`.
#[derive(Args)]
#[command(after_long_help = exit::GATE_HELP)]
pub struct GateArgs {
    /// A built-in scenario's name, or a path (with a '/' or ending in .toml)
    #[arg(default_value = "gate")]
    pub scenario: String,
    /// What is compared.
    #[command(flatten)]
    pub sides: SideArgs,
    /// What may fail it: `exact` metrics alone (bytes per message, delivery; zero tolerance), or all. Exact ones take two
    /// replicates, and up to eight where the base does not agree with itself
    #[arg(long, value_enum, default_value_t = Tiers::All)]
    pub tier: Tiers,
    /// The noisy metric that decides; the others are told beside it
    #[arg(long, value_name = "METRIC", default_value = PRIMARY)]
    pub metric: String,
    /// Smallest change of it that counts
    #[arg(long, value_name = "SHARE", default_value = "2%")]
    pub min_effect: Percent,
    /// Longest time for all cells together
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub budget: Seconds,
    /// Load of each side in one replicate, whatever the scenario says
    #[arg(short = 'z', long, value_name = "TIME", default_value = "720ms")]
    pub duration: Seconds,
    /// What becomes of a gate that cannot tell: exit code 3, or 0 with a warning that nothing is proven. One whose new
    /// side was seen to be broken, as its base is, ends with 3
    #[arg(long, value_enum, default_value_t = Inconclusive::Fail)]
    pub inconclusive: Inconclusive,
    /// Say what fits into the budget and how often changes of several sizes would be found, and measure nothing
    #[arg(long)]
    pub plan: bool,
    /// Go on with a gate that was interrupted or killed, from the replicates in its directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["plan", "baseline", "save_baseline"])]
    pub resume: Option<PathBuf>,
    /// Measure the base alone, and keep it under this name in the results directory
    #[arg(long, value_name = "NAME", conflicts_with_all = ["plan", "baseline"])]
    pub save_baseline: Option<String>,
    /// Compare the new one with a baseline: the exact tier as strictly as ever, costs only beyond what machines drift, and
    /// only with five replicates that count and on a like host
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    pub baseline: Option<String>,
    /// Gates of the reference server against itself and against itself made slower: false alarms and power on this
    /// machine, from N gates without a change
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", conflicts_with_all = ["plan", "baseline", "save_baseline", "resume"])]
    pub selftest: Option<u32>,
    /// In a selftest, let another process come and go on all cores
    #[arg(long, requires = "selftest")]
    pub disturbed: bool,
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

/// The two sides of a gate.
#[derive(Args)]
#[command(next_help_heading = "Sides")]
pub struct SideArgs {
    /// Command that starts the server to compare with, as a shell reads it; `{port}` stands for a free port. It runs on half of
    /// the cores, and the workers on the others; a `taskset` in the command chooses otherwise
    #[arg(long, value_name = "COMMAND")]
    pub base_server: Option<String>,
    /// The same for the server that changed
    #[arg(long, value_name = "COMMAND")]
    pub new_server: Option<String>,
    /// URL that answers with success once such a server is ready [e.g. http://127.0.0.1:{port}/healthz]; without it, it
    /// prints a Ready line as `rtbench serve` does
    #[arg(long, value_name = "URL")]
    pub ready: Option<String>,
    /// The rtbench to compare with: its reference server, loaded by its workers
    #[arg(long, value_name = "PATH")]
    pub base_rtbench: Option<PathBuf>,
    /// The rtbench that changed
    #[arg(long, value_name = "PATH")]
    pub new_rtbench: Option<PathBuf>,
    /// A standing server to compare with
    #[arg(long, value_name = "URL")]
    pub base_target: Option<String>,
    /// The standing server that changed
    #[arg(long, value_name = "URL")]
    pub new_target: Option<String>,
    /// Process of the standing server to compare with, whose CPU and memory are read, with those of all that descend from it
    #[arg(long, value_name = "PID", requires = "base_target")]
    pub base_pid: Option<u32>,
    /// The same of the one that changed
    #[arg(long, value_name = "PID", requires = "new_target")]
    pub new_pid: Option<u32>,
}

/// What `--inconclusive` says of a gate that cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Inconclusive {
    /// It ends with exit code 3.
    Fail,
    /// It says that nothing is proven, and ends with 0.
    Warn,
}
