//! The command line, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::capacity::search::Vary;
use crate::command::gate::Inconclusive;
use crate::exit;
use crate::gate::{PRIMARY, Tiers};
use crate::report::comparison::Form;
use crate::scenario::file::Headers;
use crate::scenario::sweep::{self, Sweep};
use crate::scenario::unit::{Bytes, Count, PerSecond, Percent, Seconds};
use crate::transport::link::LinkSpec;

/// Load tester for real-time communication: polling, SSE, WebSocket and WebRTC data channels under one workload.
///
/// Measures latency, bytes on the wire, delivery, and what a client costs the server. Everything it measures is
/// written to results/TIME-NAME/ as each cell ends.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
#[command(after_long_help = const_format_help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Examples and exit codes.
fn const_format_help() -> String {
    format!(
        "\
Start here:
  rtbench matrix                               measure the comparison matrix of the five protocols
  rtbench matrix -c 10k --rate 1/min -p sse,websocket
                                               the same for your own workload
  rtbench run echo -c 500 -z 30s               one scenario; `rtbench list` shows them all
  rtbench run ./mine.toml --target http://127.0.0.1:8080
                                               your scenario on your own server
  rtbench capacity echo -p websocket --slo 'latency p(99)<50ms'
                                               the most clients that keep to it
  rtbench report latest                        show the last run again
  rtbench compare results/A results/B          what differs between two runs, and whether it is proven

{}",
        exit::HELP
    )
}

/// The verbs.
#[derive(Subcommand)]
pub enum Command {
    /// Measure the guide's comparison matrix: claim, measured value and verdict side by side.
    Matrix(MatrixArgs),
    /// Run a scenario and check its thresholds.
    Run(RunArgs),
    /// Find the largest load of a scenario that a server bears: the most clients, or the highest rate.
    Capacity(CapacityArgs),
    /// Compare two builds of a server in turns, and fail only what is proven to be worse.
    Gate(GateArgs),
    /// Run the reference server in the foreground.
    Serve(ServeArgs),
    /// List protocols, scenarios, claims, metrics, formats and schemas.
    List(ListArgs),
    /// Render a run again from its files, or several side by side.
    Report(ReportArgs),
    /// Compare two runs, or two sets of them, metric by metric.
    Compare(CompareArgs),
    /// A verdict for every claim of the guide, from the runs at hand.
    Claims(ClaimsArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page (roff).
    Man,
    /// Look at this machine, and at what the instrument itself costs on it.
    Doctor(DoctorArgs),
    /// Hold each message for a known time; started by `doctor --verify`.
    #[command(hide = true)]
    Holder(HolderArgs),
    /// Come and go on all cores; started by `gate --selftest --disturbed`.
    #[command(hide = true)]
    Nuisance,
    /// Run a share of the clients; started by the other commands.
    #[command(hide = true)]
    Worker,
}

/// What changes a workload; each overrides the scenario's own value.
#[derive(Args, Default)]
#[command(next_help_heading = "Workload")]
pub struct WorkloadArgs {
    /// Simulated clients, publishers included [e.g. 500, 10k]
    #[arg(short, long, value_name = "N")]
    pub clients: Option<Count>,
    /// Events per second of each publisher [e.g. 5/s, 1/min]
    #[arg(short = 'q', long, value_name = "RATE")]
    pub rate: Option<PerSecond>,
    /// Size of an event [e.g. 400B, 4KB]
    #[arg(long, value_name = "SIZE")]
    pub payload: Option<Bytes>,
    /// Protocols to measure, separated by commas
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',')]
    pub protocol: Vec<String>,
    /// What clients send as HTTP request headers
    #[arg(long, value_name = "SET")]
    pub headers: Option<Headers>,
    /// Network to emulate in the clients: loopback, lan, wan, mobile, or your own; may be repeated [e.g.
    /// rtt=40ms,jitter=5ms,loss=0.5%,rate=10mbit]
    #[arg(long, value_name = "LINK")]
    pub link: Vec<LinkSpec>,
    /// Seed of every random choice; without it, a new one for each run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Where results go and what is shown.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Directory for results; a new one is made in it for each run
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub out: PathBuf,
    /// Print the result in these formats instead of the summary [see `rtbench list formats`]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub format: Vec<String>,
    /// No progress, no report: only errors and the exit code
    #[arg(long)]
    pub quiet: bool,
    /// Progress as plain lines, also on a terminal
    #[arg(long)]
    pub no_tui: bool,
    /// Serve what is measured at http://ADDR/metrics while it is, for Prometheus [e.g. 127.0.0.1:9464; port 0 takes a
    /// free one]
    #[arg(long, value_name = "ADDR", value_parser = crate::command::prometheus::listen_address)]
    pub prometheus: Option<SocketAddr>,
}

/// `rtbench matrix`.
#[derive(Args)]
pub struct MatrixArgs {
    /// Forty seconds: fewer events, wider intervals
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// Ten minutes: the same cells with longer windows and five memory points
    #[arg(long)]
    pub full: bool,
    /// Measure each cell so many times: all cells once, then all again, with the same seed; probes are asked once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// A defect of known size in the reference server [see `rtbench serve --help`]; may be repeated
    #[arg(long, value_name = "KIND=SIZE", hide_short_help = true)]
    pub server_fault: Vec<crate::command::serve::Fault>,
    /// The workload, where it is not the scenario's.
    #[command(flatten)]
    pub workload: WorkloadArgs,
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
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is loaded, and by how many processes.
#[derive(Args, Default)]
pub struct TargetArgs {
    /// Load this server instead of starting the reference server [e.g. http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Read CPU and memory of this process on this host as the target's
    #[arg(long, value_name = "PID", requires = "target")]
    pub server_pid: Option<u32>,
    /// A defect of known size in the reference server [see `rtbench serve --help`]; may be repeated
    #[arg(long, value_name = "KIND=SIZE", conflicts_with = "target", hide_short_help = true)]
    pub server_fault: Vec<crate::command::serve::Fault>,
    /// Encrypt connections, whatever the scenario says; a target must then be https://
    #[arg(long)]
    pub tls: bool,
    /// Believe any certificate of an https:// target
    #[arg(short = 'k', long, requires = "target", conflicts_with = "ca")]
    pub insecure: bool,
    /// Believe certificates of an https:// target that these (PEM) have signed [default: those the system believes]
    #[arg(long, value_name = "FILE", requires = "target")]
    pub ca: Option<PathBuf>,
    /// Worker processes; without it, by cores and descriptors
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
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
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}

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
    /// What may fail it: `exact` metrics alone (bytes per message, delivery; zero tolerance), or all
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
    /// What becomes of a gate that cannot tell: exit code 3, or 0 with a warning that nothing is proven
    #[arg(long, value_enum, default_value_t = Inconclusive::Fail)]
    pub inconclusive: Inconclusive,
    /// Say what fits into the budget, and measure nothing
    #[arg(long)]
    pub plan: bool,
    /// Go on with a gate that was interrupted or killed, from the replicates in its directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["plan", "baseline", "save_baseline"])]
    pub resume: Option<PathBuf>,
    /// Measure the base alone, and keep it under this name in the results directory
    #[arg(long, value_name = "NAME", conflicts_with_all = ["plan", "baseline"])]
    pub save_baseline: Option<String>,
    /// Compare the new one with a baseline: the exact tier as strictly as ever, costs only beyond what machines drift
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
    /// Results and progress.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The two sides of a gate.
#[derive(Args)]
#[command(next_help_heading = "Sides")]
pub struct SideArgs {
    /// Command that starts the server to compare with, as a shell reads it; `{port}` stands for a free port
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
    /// Process of the standing server to compare with, whose CPU and memory are read
    #[arg(long, value_name = "PID", requires = "base_target")]
    pub base_pid: Option<u32>,
    /// The same of the one that changed
    #[arg(long, value_name = "PID", requires = "new_target")]
    pub new_pid: Option<u32>,
}

/// `rtbench serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one, and the Ready line tells it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub bind: SocketAddr,
    /// UDP sockets for data channels
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub rtc_sockets: usize,
    /// Speak TLS, with a certificate made for this run; the Ready line tells it
    #[arg(long)]
    pub tls: bool,
    /// Also write the certificate (PEM) to this file
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub certificate: Option<PathBuf>,
    /// How long a long poll is held when it asks for no time
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub hold: Seconds,
    /// What SSE clients are told to wait before they reconnect
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub retry: Seconds,
    /// Events kept for each topic
    #[arg(long, value_name = "N", default_value = "1024")]
    pub history: Count,
    /// Events that a live subscriber may fall behind
    #[arg(long, value_name = "N", default_value = "1024")]
    pub queue: Count,
    /// What happens to a subscriber that falls further behind
    #[arg(long, value_enum, default_value_t = Slow::DropOldest)]
    pub slow: Slow,
    /// End when standard input ends, so that the server does not outlive whoever started it
    #[arg(long)]
    pub stdin_guard: bool,
    /// A defect of known size, to prove that a measurement notices it; may be repeated
    #[arg(long, value_name = "KIND=SIZE", long_help = crate::command::serve::FAULT_HELP)]
    pub fault: Vec<crate::command::serve::Fault>,
}

/// What happens to a subscriber that cannot keep up.
#[derive(Clone, Copy, ValueEnum)]
pub enum Slow {
    /// It loses the oldest events, which are counted.
    DropOldest,
    /// It is disconnected, which is counted.
    Disconnect,
}

/// `rtbench list`.
#[derive(Args)]
pub struct ListArgs {
    /// What to list; without it, everything but columns
    pub what: Option<Topic>,
    /// Print a built-in scenario's file
    #[arg(long, value_name = "SCENARIO", conflicts_with = "what")]
    pub dump: Option<String>,
    /// Print the JSON Schema of a file [see `rtbench list schemas`]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dump", "what"])]
    pub schema: Option<String>,
}

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topic {
    /// The protocols and what they can do.
    Protocols,
    /// The scenarios that come with the program.
    Scenarios,
    /// The emulated links with names.
    Links,
    /// The guide's claims.
    Claims,
    /// The metrics, their units and directions.
    Metrics,
    /// The report formats.
    Formats,
    /// The JSON Schemas of files.
    Schemas,
    /// The columns of every CSV file.
    Columns,
}

/// `rtbench doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Check the instrument's times against servers that hold messages for a known time, or stand still [2 min]
    #[arg(long)]
    pub verify: bool,
    /// Directory for doctor.json, which later runs there read
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub out: PathBuf,
}

/// `rtbench holder`.
#[derive(Args)]
pub struct HolderArgs {
    /// How long each message is held
    #[arg(long, value_name = "TIME")]
    pub hold: Seconds,
    /// File for the holds really made, in ns, one a line
    #[arg(long, value_name = "FILE")]
    pub stamps: Option<PathBuf>,
}

/// `rtbench claims`.
#[derive(Args)]
pub struct ClaimsArgs {
    /// Directories of runs, or `latest`; the later of two that measured the same counts. Without any: the reference
    /// runs in the results directory, then `latest`
    pub runs: Vec<String>,
    /// Only claims of sections whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub section: Option<String>,
    /// Directory for claims.csv, or `-` for standard output instead of the table; a run's own claims.csv has the
    /// verdicts of that run alone
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` and the reference runs are
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// `rtbench report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Directories of runs, or `latest`; several are shown side by side
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Formats to render; without it the summary, or with --out all files; of several runs cells.csv, intervals.csv and
    /// html [see `rtbench list formats`]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub format: Vec<String>,
    /// Directory to write to, or `-` for standard output; without it, the run's own, if it is one
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` looks
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// `rtbench compare`.
#[derive(Args)]
#[command(
    override_usage = "rtbench compare [OPTIONS] <BASE> <NEW>\n       rtbench compare [OPTIONS] <BASE>... -- <NEW>..."
)]
#[command(after_help = exit::COMPARE_HELP)]
pub struct CompareArgs {
    /// Directories of the base's runs, or `latest`; without `--` exactly two, the base and the new run
    #[arg(required = true, value_name = "BASE")]
    pub base: Vec<String>,
    /// Directories of the new side's runs
    #[arg(last = true, value_name = "NEW")]
    pub new: Vec<String>,
    /// Show every metric, not only the headline ones and those that differ
    #[arg(long)]
    pub all: bool,
    /// Compare runs of different machines; every output says so
    #[arg(long)]
    pub across_hosts: bool,
    /// Formats to render instead of the table on the terminal
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub format: Vec<Form>,
    /// Directory to write files to (without --format, all of them), or `-` for standard output [default: -]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` looks
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}
