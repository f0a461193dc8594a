//! The verbs that serve, and those that look at this machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::HostArgs;
use crate::unit::{Bytes, Count, Seconds};

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
    /// Events kept for each topic, for those who come back after a gap: at 10 a second what came in the last 100 s, and some 0.5 KB of
    /// memory each
    #[arg(long, value_name = "N", default_value = "1024")]
    pub history: Count,
    /// Events that a live subscriber may fall behind
    #[arg(long, value_name = "N", default_value = "1024")]
    pub queue: Count,
    /// Most that the events of one topic may take, with the forms they are sent in: 3.4 times their payload and 256 bytes each
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub topic_bytes: Bytes,
    /// The same for all topics together; the largest give first
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub history_bytes: Bytes,
    /// A topic that nobody follows, publishes to or polls for so long is forgotten
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub topic_idle: Seconds,
    /// Topics that one client may follow
    #[arg(long, value_name = "N", default_value = "1024")]
    pub client_topics: Count,
    /// Most that may wait for one client of its own echoes and answers; further ones it loses, as it does events
    #[arg(long, value_name = "SIZE", default_value = "4MiB")]
    pub client_bytes: Bytes,
    /// Most that all connections together may buffer; beyond it, who buffers most is broken
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub buffer_bytes: Bytes,
    /// What happens to a subscriber that falls further behind
    #[arg(long, value_enum, default_value_t = Slow::DropOldest)]
    pub slow: Slow,
    /// End when standard input, a pipe, ends, so that the server does not outlive whoever started it
    #[arg(long)]
    pub stdin_guard: bool,
    /// A defect of known size, to prove that a measurement notices it; may be repeated
    #[arg(long, value_name = "KIND=SIZE", long_help = crate::cli::fault::help())]
    pub fault: Vec<crate::cli::fault::Fault>,
}

/// What happens to a subscriber that cannot keep up.
#[derive(Clone, Copy, ValueEnum)]
pub enum Slow {
    /// It loses the oldest events, which are counted.
    DropOldest,
    /// It is disconnected, which is counted.
    Disconnect,
}

/// `rtbench doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Check the instrument's times against servers that hold messages for a known time, or stand still [2 min]
    #[arg(long)]
    pub verify: bool,
    /// Directory for doctor.json, which later runs there read on a machine in the same state
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub out: PathBuf,
    /// This machine.
    #[command(flatten)]
    pub host: HostArgs,
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
