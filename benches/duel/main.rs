//! What rtbench's generator costs beside others: CPU per exchange against the same small server, at the same time.
//!
//! ```text
//! cargo bench --bench duel -- one websocket --clients 64 --a rtbench --b epoll --replicates 8
//! cargo bench --bench duel -- one websocket --clients 1000 --a rtbench --b other --other /before/the/change/rtbench
//! cargo bench --bench duel -- all
//! ```
//!
//! Needs Linux and two cores: of those it may use the server has the first, and the generators the second, in turn. Of a generator all
//! processes count, of rtbench the worker (its coordinator sleeps meanwhile). User time is known to a few per cent.

#[cfg(target_os = "linux")]
mod contender;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod generator;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod slices;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("duel: skipped, as it takes Linux to stop programs and to read what they cost");
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::SocketAddrV4;
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;

    use anyhow::Result;
    use clap::{Args, Parser, Subcommand};
    use rtbench::host::cores::Mask;

    use super::contender::{Contender, Exchange, Order};
    use super::server::Server;
    use super::slices::{self, INTERRUPTED, Outcome};
    use super::{epoll, floor};

    /// What `all` compares rtbench with.
    const TABLE: &[(Exchange, usize, &[Contender])] = {
        use Contender::{Epoll, H2load, K6, LoadTest, Oha, Tcpkali, Wrk};
        &[
            (Exchange::Websocket, 64, &[Epoll, LoadTest, Tcpkali, K6]),
            (Exchange::Websocket, 1000, &[Epoll, LoadTest, Tcpkali, K6]),
            (Exchange::KeepAlive, 64, &[Epoll, Wrk, H2load, Oha, K6]),
            (Exchange::Fresh, 64, &[Epoll, Wrk, Oha, K6]),
        ]
    };

    #[derive(Parser)]
    #[command(name = "duel", about = "CPU per exchange of two generators, measured in alternating slices")]
    struct Cli {
        #[command(subcommand)]
        command: Option<Command>,
        /// How often fresh processes are compared.
        #[arg(long, global = true, default_value_t = 8)]
        replicates: u32,
        /// Pairs of slices of one replicate.
        #[arg(long, global = true, default_value_t = 12)]
        pairs: u32,
        /// The rtbench to measure [default: the one that was built along with this]
        #[arg(long, global = true)]
        rtbench: Option<PathBuf>,
        /// What the contender `other` is: another build of rtbench [default: the same]
        #[arg(long, global = true)]
        other: Option<PathBuf>,
        /// Passed by cargo.
        #[arg(long, global = true, hide = true)]
        bench: bool,
    }

    #[derive(Subcommand)]
    enum Command {
        /// One duel.
        One(One),
        /// rtbench against everybody who is installed; prints a Markdown table.
        All,
        /// Be the hand-written generator.
        #[command(hide = true)]
        Floor { exchange: Exchange, address: String, clients: usize },
        /// Be the server only, for profiling.
        #[command(hide = true)]
        Serve,
    }

    #[derive(Args)]
    struct One {
        exchange: Exchange,
        #[arg(long, default_value_t = 64)]
        clients: usize,
        /// Whose cost is told.
        #[arg(long, default_value = "rtbench")]
        a: Contender,
        /// In terms of whose.
        #[arg(long, default_value = "epoll")]
        b: Contender,
    }

    pub(super) fn main() -> Result<()> {
        let cli = Cli::parse();
        match &cli.command {
            Some(Command::Floor { exchange, address, clients }) => {
                Ok(floor::run(*exchange, epoll::address(address)?, *clients)?)
            }
            Some(Command::Serve) => {
                println!("{}", Server::start(slices::cores()?[0])?.address);
                loop {
                    std::thread::park();
                }
            }
            Some(Command::One(one)) => {
                let ring = Ring::new(&cli)?;
                println!("{}", HEAD);
                println!("{}", ring.row(one.exchange, one.clients, [one.a, one.b])?);
                Ok(())
            }
            Some(Command::All) => all(&Ring::new(&cli)?),
            // `cargo bench` runs every bench there is, and this one takes many minutes.
            None => {
                eprintln!("duel: say what to compare, e.g. `cargo bench --bench duel -- all`");
                Ok(())
            }
        }
    }

    fn all(ring: &Ring) -> Result<()> {
        let mut rows = vec![HEAD.to_owned()];
        for &(exchange, clients, others) in TABLE {
            for &other in others {
                if !other.is_installed() {
                    eprintln!("skipped: {} is not installed", other.name());
                    continue;
                }
                rows.push(ring.row(exchange, clients, [Contender::Rtbench, other])?);
            }
        }
        println!("{}", rows.join("\n"));
        Ok(())
    }

    const HEAD: &str = "\
| exchange | clients | a / b | CPU per exchange, a as a multiple of b [95%] | a: us (user) | b: us (user) |
|---|---|---|---|---|---|";

    /// Where duels are fought.
    struct Ring<'a> {
        cli: &'a Cli,
        server: Server,
        /// Core of the generators.
        core: usize,
        rtbench: PathBuf,
        other: PathBuf,
        scratch: tempfile::TempDir,
    }

    impl Ring<'_> {
        fn new(cli: &Cli) -> Result<Ring<'_>> {
            let [core, generators] = slices::cores()?;
            rtbench::host::process::descriptor_limit();
            // SAFETY: the handler stores one atomic and calls nothing.
            unsafe {
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                    libc::signal(signal, note_interrupt as *const () as libc::sighandler_t);
                }
            }
            let server = Server::start(core)?;
            Mask::of(&[core]).tie_this_thread();
            let built = || PathBuf::from(env!("CARGO_BIN_EXE_rtbench"));
            let rtbench = cli.rtbench.clone().unwrap_or_else(built);
            let other = cli.other.clone().unwrap_or_else(|| rtbench.clone());
            Ok(Ring { cli, server, core: generators, rtbench, other, scratch: tempfile::tempdir()? })
        }

        fn row(&self, exchange: Exchange, clients: usize, contenders: [Contender; 2]) -> Result<String> {
            let [a, b] = contenders.map(Contender::name);
            eprintln!("{}, {clients} clients: {a} against {b}", exchange.title());
            let address: SocketAddrV4 = self.server.address;
            let Ring { rtbench, other, scratch, core, .. } = self;
            let order =
                Order { exchange, address, clients, core: *core, rtbench, other, scratch: scratch.path() };
            let Cli { replicates, pairs, .. } = *self.cli;
            let Outcome { ratio, low, high, costs } =
                slices::duel(&self.server, contenders, &order, replicates, pairs)?;
            let [own, other] = costs.map(|cost| format!("{:.2} ({:.2})", cost.us(), cost.user_us()));
            let title = exchange.title();
            Ok(format!(
                "| {title} | {clients} | {a} / {b} | {ratio:.3} [{low:.3}, {high:.3}] | {own} | {other} |"
            ))
        }
    }

    extern "C" fn note_interrupt(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
}
