//! The command line, and nothing else.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit;
use crate::scenario::kinds::Headers;
use crate::transport::link::LinkSpec;
use crate::unit::{Bytes, Count, PerSecond};

pub mod fault;
mod gate;
mod load;
mod reading;
mod serve;

pub use gate::{GateArgs, Inconclusive, SideArgs};
pub use load::{CapacityArgs, MatrixArgs, RunArgs};
pub use reading::{ClaimsArgs, CompareArgs, ListArgs, ReportArgs, Topic};
pub use serve::{DoctorArgs, HolderArgs, ServeArgs, Slow};

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

impl Cli {
    /// Reads a command line; where it is wrong, or help was asked for, the program ends here.
    pub fn of(words: impl Iterator<Item = OsString>) -> Cli {
        Cli::parse_from(reading::comparison_words(words.collect()))
    }
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

impl Command {
    /// What it does to this machine, if it measures.
    pub fn host(&self) -> Option<&HostArgs> {
        match self {
            Command::Matrix(args) => Some(&args.host),
            Command::Run(args) => Some(&args.host),
            Command::Capacity(args) => Some(&args.host),
            Command::Gate(args) => (!args.plan).then_some(&args.host),
            Command::Doctor(args) => Some(&args.host),
            _ => None,
        }
    }
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

/// What is done to this machine while it measures.
#[derive(Args, Default)]
#[command(next_help_heading = "Machine")]
pub struct HostArgs {
    /// Keep this machine's processors awake meanwhile, so that a wake-up costs much the same at every load; needs root, draws
    /// power, and on a shared virtual machine may show as steal
    #[arg(long)]
    pub keep_awake: bool,
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
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub prometheus: Option<SocketAddr>,
}

/// What is loaded, and by how many processes.
#[derive(Args, Default)]
pub struct TargetArgs {
    /// Load this server instead of starting the reference server [e.g. http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Read CPU and memory of this process on this host, and of all that descend from it, as the target's
    #[arg(long, value_name = "PID", requires = "target")]
    pub server_pid: Option<u32>,
    /// A defect of known size in the reference server [see `rtbench serve --help`]; may be repeated
    #[arg(long, value_name = "KIND=SIZE", conflicts_with = "target", hide_short_help = true)]
    pub server_fault: Vec<crate::cli::fault::Fault>,
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

/// Reads an address to listen on: `127.0.0.1:9090`, `localhost:9090`, or `:9090` for all of this host's.
///
/// # Errors
/// What would be right.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let address = full.to_socket_addrs().ok().and_then(|mut all| all.next());
    address.ok_or_else(|| "not an address such as 127.0.0.1:9090, or :9090 for all of this host's".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let reads = |text: &str| listen_address(text).map(|address| address.to_string());
        assert_eq!(reads(":9090"), Ok("0.0.0.0:9090".into()));
        assert_eq!(reads("127.0.0.1:0"), Ok("127.0.0.1:0".into()));
        assert_eq!(reads("[::1]:9090"), Ok("[::1]:9090".into()));
        for wrong in ["", "9090", "127.0.0.1", ":", ":99999"] {
            assert!(listen_address(wrong).is_err(), "{wrong}");
        }
    }
}
