//! What one client can do to the others: the latency and the deliveries of well-behaved clients of the reference server, in
//! alternating slices without an attacker, with one, and with one that attacks another server on the same core (the control:
//! what an attacker costs by taking time from the machine, whatever the server does); and the server's memory.
//!
//! ```text
//! cargo bench --bench attackers -- short
//! cargo bench --bench attackers -- all --before /another/rtbench
//! cargo bench --bench attackers -- short --only pings,offers
//! ```
//!
//! Needs Linux and two cores: the server has the first, everybody else the second, where attackers run only while the
//! measured clients do not want to. Every slice has a bound, in time and in what is sent.

#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod victims;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("attackers: skipped, as it takes Linux to keep programs apart and to read what they cost");
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use anyhow::{Context, Result};
    use clap::{Args, Parser, Subcommand};
    use rtbench::host::cores::{self, Mask};
    use rtbench::host::process;

    use super::attack::{self, Attack};
    use super::server::{Attacker, Server, go_first};
    use super::victims::{Seen, Victims};

    #[derive(Parser)]
    #[command(name = "attackers", about = "What one client can do to the others")]
    struct Cli {
        #[command(subcommand)]
        command: Option<Command>,
        /// Passed by cargo.
        #[arg(long, global = true, hide = true)]
        bench: bool,
    }

    #[derive(Subcommand)]
    enum Command {
        /// One minute or two.
        Short(Options),
        /// Longer and surer.
        All(Options),
        /// Be the attacker.
        #[command(hide = true)]
        Attack { name: String, address: SocketAddr },
    }

    #[derive(Args)]
    struct Options {
        /// The rtbench whose server is attacked [default: the one that was built along with this]
        #[arg(long)]
        server: Option<PathBuf>,
        /// Another build, attacked as well.
        #[arg(long)]
        before: Option<PathBuf>,
        /// Only these attacks.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    }

    /// How often and how long.
    struct Plan {
        rounds: usize,
        slice: Duration,
    }

    /// From an attack's start or end to what is measured next.
    const SETTLE: Duration = Duration::from_millis(500);

    /// Longer than the server keeps a topic that nobody uses.
    const FORGOTTEN: Duration = Duration::from_millis(2500);

    pub(super) fn main() -> Result<()> {
        process::descriptor_limit();
        match Cli::parse().command {
            Some(Command::Attack { name, address }) => attack::run(&name, address),
            Some(Command::Short(options)) => {
                table(&options, &Plan { rounds: 2, slice: Duration::from_millis(1000) })
            }
            Some(Command::All(options)) => {
                table(&options, &Plan { rounds: 8, slice: Duration::from_millis(1500) })
            }
            // `cargo bench` runs every bench there is, and this one takes some minutes.
            None => {
                eprintln!("attackers: say how long, e.g. `cargo bench --bench attackers -- short`");
                Ok(())
            }
        }
    }

    fn table(options: &Options, plan: &Plan) -> Result<()> {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_rtbench"));
        let own = options.server.clone().unwrap_or(built);
        let cores = cores::of(std::process::id()).unwrap_or_default();
        let &[first, second, ..] = &cores[..] else { anyhow::bail!("two cores are needed") };
        let cores = [first, second];
        let binaries =
            options.before.iter().map(|path| ("before", path)).chain([("server", &own)]).collect::<Vec<_>>();
        let is_first = go_first();
        if !is_first {
            eprintln!(
                "attackers: not allowed to run before other programs (CAP_SYS_NICE); keep the machine idle"
            );
        }
        println!(
            "| attack | server | p50 alone / attacked, ms | p99 alone / attacked / control, ms | delivered alone / attacked | \
             server MB before / most / after |\n|---|---|---|---|---|---|"
        );
        for attack in attack::ALL {
            if !options.only.is_empty() && !options.only.iter().any(|name| name == attack.name) {
                continue;
            }
            for (build, path) in &binaries {
                let row = row(attack, path, plan, cores, is_first)
                    .with_context(|| format!("{}, {build}", attack.name))?;
                println!("| {} | {build} | {row}", attack.about);
            }
        }
        Ok(())
    }

    fn row(attack: &Attack, path: &Path, plan: &Plan, cores: [usize; 2], is_first: bool) -> Result<String> {
        Mask::of(&[cores[0]]).tie_this_thread();
        let server = Server::start(path, is_first)?;
        let other = Server::start(path, false)?;
        Mask::of(&[cores[1]]).tie_this_thread();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let memory_mb = || process::resident_bytes(server.pid()).unwrap_or_default() / 1_000_000;
        let attacked = [None, Some(server.address), Some(other.address)];
        let mut seen = attacked.map(|_| Seen::default());
        let mut most_mb = 0;
        runtime.block_on(async {
            let victims = Victims::connect(server.address).await?;
            // Everything that is made at first use is there.
            victims.measure(plan.slice / 2).await;
            let before_mb = memory_mb();
            for slice in 0..plan.rounds * attacked.len() {
                // Each kind is as often the first of its round as the others.
                let kind = (slice + slice / attacked.len()) % attacked.len();
                let attacker =
                    attacked[kind].map(|to| Attacker::start(attack.name, to, is_first)).transpose()?;
                tokio::time::sleep(SETTLE).await;
                seen[kind].add(victims.measure(plan.slice).await);
                most_mb = most_mb.max(memory_mb());
                drop(attacker);
                // What is still on its way belongs to neither.
                tokio::time::sleep(SETTLE).await;
            }
            tokio::time::sleep(FORGOTTEN).await;
            let [alone, attacked, control] = &seen;
            anyhow::Ok(format!(
                "{:.2} / {:.2} | {:.2} / {:.2} / {:.2} | {} / {} | {before_mb} / {most_mb} / {} |",
                alone.quantile_ms(0.5),
                attacked.quantile_ms(0.5),
                alone.quantile_ms(0.99),
                attacked.quantile_ms(0.99),
                control.quantile_ms(0.99),
                alone.delivered(),
                attacked.delivered(),
                memory_mb(),
            ))
        })
    }
}
