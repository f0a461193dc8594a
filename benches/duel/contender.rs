//! Who takes part, and how each is told to do the same thing.

use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use rtbench::host::programs;

/// What is exchanged, by so many clients with one exchange under way each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exchange {
    /// 100 bytes over a WebSocket and back.
    Websocket,
    /// A GET and its empty answer, over a connection that stays.
    KeepAlive,
    /// A GET and its empty answer, each over a new connection.
    Fresh,
}

impl Exchange {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Exchange::Websocket => "WebSocket echo, 100 B",
            Exchange::KeepAlive => "poll, keep-alive",
            Exchange::Fresh => "poll, new connection each",
        }
    }
}

/// A program that can load the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    Rtbench,
    /// The rtbench that `--other` names, e.g. as it was before a change.
    Other,
    /// The hand-written loop of `floor.rs`.
    Epoll,
    Wrk,
    H2load,
    Oha,
    K6,
    Tcpkali,
    /// The `load_test` of uWebSockets, which keeps no latencies.
    LoadTest,
}

/// What a contender is started with.
pub(crate) struct Order<'a> {
    pub(crate) exchange: Exchange,
    pub(crate) address: SocketAddrV4,
    pub(crate) clients: usize,
    /// Where it runs.
    pub(crate) core: usize,
    /// The program of rtbench.
    pub(crate) rtbench: &'a Path,
    /// Another of its builds.
    pub(crate) other: &'a Path,
    /// Where scripts and results may be written.
    pub(crate) scratch: &'a Path,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Rtbench => "rtbench",
            Contender::Other => "other",
            Contender::Epoll => "epoll",
            Contender::Wrk => "wrk",
            Contender::H2load => "h2load",
            Contender::Oha => "oha",
            Contender::K6 => "k6",
            Contender::Tcpkali => "tcpkali",
            Contender::LoadTest => "load_test",
        }
    }

    /// The part of it whose CPU counts: its processes whose command line has this word. rtbench's coordinator is on no
    /// message's path and sleeps; what it does between cells is no part of the load.
    pub(crate) fn counted_word(self) -> Option<&'static str> {
        matches!(self, Contender::Rtbench | Contender::Other).then_some("worker")
    }

    /// The command that does what is ordered until it is killed; `None` if this program cannot.
    pub(crate) fn command(self, order: &Order<'_>) -> io::Result<Option<Command>> {
        let Order { exchange, address, clients, scratch, .. } = *order;
        let url = format!("http://{address}/poll?topic=g0&after=0");
        let plain = |program: &str, args: &[&str]| {
            // As it was found, which may be where only administrators look.
            let mut command = Command::new(programs::find(program).unwrap_or_else(|| program.into()));
            command.args(args);
            Some(command)
        };
        let number = clients.to_string();
        let once: &[&str] = if exchange == Exchange::Fresh { &["-H", "Connection: close"] } else { &[] };
        Ok(match (self, exchange) {
            (Contender::Rtbench, _) => Some(rtbench(order.rtbench, order)?),
            (Contender::Other, _) => Some(rtbench(order.other, order)?),
            (Contender::Epoll, _) => {
                let mut command = Command::new(std::env::current_exe()?);
                let exchange =
                    exchange.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
                command.args(["floor", &exchange, &address.to_string(), &number]);
                Some(command)
            }
            (Contender::K6, _) => {
                let script = scratch.join("k6.js");
                std::fs::write(&script, k6(exchange, address))?;
                let script = script.display().to_string();
                plain("k6", &["run", "--quiet", "--vus", &number, "--duration", "1h", &script])
            }
            (Contender::Wrk, Exchange::KeepAlive | Exchange::Fresh) => {
                plain("wrk", &[&["-t1", "-d3600", "-c", &number], once, &[&url]].concat())
            }
            (Contender::H2load, Exchange::KeepAlive) => {
                plain("h2load", &["--h1", "-t1", "-D3600", "-c", &number, &url])
            }
            (Contender::Oha, Exchange::KeepAlive) => plain("oha", &["--no-tui", "-z1h", "-c", &number, &url]),
            (Contender::Oha, Exchange::Fresh) => {
                plain("oha", &["--no-tui", "-z1h", "--disable-keepalive", "-c", &number, &url])
            }
            (Contender::Tcpkali, Exchange::Websocket) => {
                let rate = (51_200 / clients.max(1)).to_string();
                let message = "x".repeat(100);
                let target = address.to_string();
                plain(
                    "tcpkali",
                    &["--ws", "-w1", "-T1h", "-c", &number, "-r", &rate, "-m", &message, &target],
                )
            }
            (Contender::LoadTest, Exchange::Websocket) => {
                plain("load_test", &[&number, "127.0.0.1", &address.port().to_string(), "0", "0"])
            }
            _ => None,
        })
    }

    /// Whether its program is installed.
    pub(crate) fn is_installed(self) -> bool {
        match self {
            Contender::Rtbench | Contender::Other | Contender::Epoll => true,
            _ => programs::find(self.name()).is_some(),
        }
    }
}

/// Events fall due more often than a client can send them: each has one under way at all times, and everything is recorded.
fn rtbench(program: &Path, order: &Order<'_>) -> io::Result<Command> {
    let Order { exchange, address, clients, scratch, .. } = order;
    // The schedule would let more fall due than one core can send to.
    let rate = 1_000_000 / clients;
    let load = match exchange {
        Exchange::Websocket => format!("protocols = \"websocket\"\nrate = \"{rate}/s\"\nin_flight = 1"),
        Exchange::KeepAlive | Exchange::Fresh => "protocols = \"short-poll\"\nrate = \"0\"".to_owned(),
    };
    let keep_alive = *exchange == Exchange::KeepAlive;
    let scenario = format!(
        "about = \"One exchange under way for each client, for as long as it may.\"\n\
         [load]\n{load}\npattern = \"echo\"\nclients = {clients}\npayload = \"100B\"\nwarmup = \"0s\"\nduration = \"1h\"\n\
         [http]\nheaders = \"minimal\"\n\
         [short_poll]\ninterval = \"1us\"\nkeep_alive = {keep_alive}\n\
         [connect]\nramp = \"20000/s\"\ntimeout = \"30s\"\n"
    );
    let file = scratch.join("duel.toml");
    std::fs::write(&file, scenario)?;
    let mut command = Command::new(program);
    command.arg("run").arg(file).args(["--quiet", "--workers", "1", "--target"]);
    command.arg(format!("http://{address}")).arg("--out").arg(scratch.join("results"));
    Ok(command)
}

fn k6(exchange: Exchange, address: SocketAddrV4) -> String {
    match exchange {
        Exchange::Websocket => format!(
            "import ws from 'k6/ws';\nconst payload = 'x'.repeat(100);\n\
             export default () => ws.connect('ws://{address}/ws?echo=1', null, (socket) => {{\n\
             socket.on('open', () => socket.send(payload));\n\
             socket.on('message', () => socket.send(payload));\n}});\n"
        ),
        Exchange::KeepAlive | Exchange::Fresh => format!(
            "import http from 'k6/http';\nexport const options = {{ noConnectionReuse: {} }};\n\
             export default () => {{ http.get('http://{address}/poll?topic=g0&after=0'); }};\n",
            exchange == Exchange::Fresh
        ),
    }
}
