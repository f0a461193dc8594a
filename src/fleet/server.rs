//! The server under test: one that rtbench starts for a cell, or one that stands already.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;

use super::admission::Stranger;
use super::child::{Process, ProcessEnd};
use super::port;
use crate::host::image::Image;
use crate::quote;
use crate::transport::control;
use crate::transport::reception::Refusal;
use crate::transport::tls::{self, Tls, Trust};

/// How long a server may take until it says that it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(10);

/// What to load.
#[derive(Clone, Debug)]
pub enum ServerChoice {
    /// A fresh process for each cell: a program and its arguments, which prints the `Ready` line.
    Start {
        /// The program.
        program: Image,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A fresh process for each cell: a command as a shell reads it, in which `{port}` stands for a free port.
    Command {
        /// The command.
        line: String,
        /// What answers with success once it is ready, `{port}` as above; without it, it prints the `Ready` line.
        ready: Option<String>,
    },
    /// One that stands already.
    Standing {
        /// Its address.
        address: SocketAddr,
        /// `Host` header.
        host: String,
        /// Whose certificate it must have; `None` speaks without TLS.
        trust: Option<Trust>,
        /// Its process on this host, whose cost is to be read.
        pid: Option<u32>,
    },
}

/// Standard output of a server.
type Output = Lines<BufReader<ChildStdout>>;

/// What it prints from here on is nobody's business, but it must not block on a full pipe.
fn ignore(lines: Output) {
    tokio::spawn(async move { tokio::io::copy(&mut lines.into_inner(), &mut tokio::io::sink()).await });
}

/// What to do about a server of others that says nothing of itself.
const NAME_A_URL: &str = "; a server that prints none is started with --ready and a URL that answers once it is ready, e.g. --ready http://127.0.0.1:{port}/healthz";

/// Times that a server is started, each on another port, as long as its port turns out to be another's.
const PORTS_TRIED: usize = 4;

/// After so many ports at which strangers answered they are no coincidence: what the command starts has them listen for it,
/// as containers do.
const STRANGERS: usize = 2;

/// What starts a server, on a port of its own.
struct Command<'a> {
    line: &'a str,
    ready: Option<&'a str>,
    cores: &'a [usize],
}

impl Command<'_> {
    /// Starts it. `suspicious` does not take strangers that answer in its place.
    async fn start(&self, suspicious: bool) -> Result<Server> {
        let port = port::free().context("no port is free for the server")?.to_string();
        let fill = |text: &str| text.replace(port::PLACE, &port);
        let run =
            || Process::start_shell(format!("the server ({})", self.line), &fill(self.line), self.cores);
        let Some(url) = self.ready.map(fill) else {
            let (process, lines) = run()?;
            return Server::that_says_so(process, lines, NAME_A_URL).await;
        };
        let parsed = reqwest::Url::parse(&url).with_context(|| format!("'{url}' is no URL"))?;
        let address = parsed.socket_addrs(|| None)?.first().copied().context("its host has no address")?;
        // Whoever answers before the server was started is another: what was left of an earlier run, for one.
        if port::is_taken(address).await {
            return Err(NotThere::Taken(url).into());
        }
        let (process, lines) = run()?;
        let mut server = Server::that_answers(process, lines, &url, address).await?;
        let theirs = |process: &Process| suspicious && port::is_strangers(address, process.pid);
        match server.process.take_if(|process| theirs(process)) {
            None => Ok(server),
            Some(process) => {
                process.end().await;
                Err(NotThere::Strangers(url).into())
            }
        }
    }
}

/// Why a server that was started on a port is not there: on another port it may be.
#[derive(Debug, thiserror::Error)]
enum NotThere {
    #[error("{0}")]
    Ended(String),
    #[error("another process answers at {0}: end it, or write {{port}} for a free port")]
    Taken(String),
    #[error("another process than the server's answers at {0}")]
    Strangers(String),
}

/// A server that is ready.
pub struct Server {
    /// Where clients connect.
    pub address: SocketAddr,
    /// `Host` header, if it is not the address.
    pub host: Option<String>,
    /// The process, if rtbench started it.
    pub process: Option<Process>,
    /// Whose cost is read, with that of its descendants, if anybody's.
    pub(super) pid: Option<u32>,
    /// Whom the server itself named as its process; in a container that may be anybody's number.
    pub(super) named_pid: Option<u32>,
    /// Whose certificate it has; `None` speaks without TLS.
    pub trust: Option<Trust>,
    /// The same, ready for use.
    pub tls: Option<Tls>,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct ReadyLine {
    ready: Ready,
}

#[derive(Deserialize)]
struct Ready {
    http: SocketAddr,
    /// It speaks TLS.
    #[serde(default)]
    tls: bool,
    /// Its certificate, in PEM, if the system cannot know whom to trust.
    #[serde(default)]
    certificate: Option<String>,
    /// Its process; whatever else stands there is nobody's.
    #[serde(default)]
    pid: serde_json::Value,
}

impl Ready {
    fn trust(&self) -> Option<Trust> {
        self.tls.then(|| self.certificate.clone().map_or(Trust::System, Trust::Pem))
    }
}

/// The part of `/stats` that rtbench reads; what a server does not have stays absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerStats {
    /// Look-ups into the message store.
    pub lookups: Option<u64>,
    /// Payload bytes published to the server.
    pub published_bytes: Option<u64>,
    /// Connections open now, that of this question among them.
    pub connections: Option<u64>,
}

impl Server {
    /// Starts a server or finds the standing one, and waits until it can be loaded.
    ///
    /// # Errors
    /// It cannot be started, ends at once, or does not answer.
    pub async fn ready(choice: &ServerChoice) -> Result<Server> {
        Server::ready_on(choice, &[]).await
    }

    /// The same; one that is started is tied to `cores` if there are any, and so is whatever it starts.
    ///
    /// # Errors
    /// As [`Server::ready`].
    pub async fn ready_on(choice: &ServerChoice, cores: &[usize]) -> Result<Server> {
        match choice {
            ServerChoice::Standing { address, host, trust, pid } => {
                let mut server = Server::new(*address, Some(host.clone()), None, trust.clone())?;
                server.pid = *pid;
                let scheme = if trust.is_some() { "https" } else { "http" };
                server.healthy(&format!("{scheme}://{host}/healthz")).await?;
                Ok(server)
            }
            ServerChoice::Start { program, args } => {
                let (process, lines) = Process::start("the server".to_owned(), program, args, cores)?;
                Server::that_says_so(process, lines, "").await
            }
            ServerChoice::Command { line, ready } => {
                let command = Command { line, ready: ready.as_deref(), cores };
                let (mut tried, mut strangers) = (1, 0);
                loop {
                    let movable = line.contains(port::PLACE);
                    match command.start(movable && strangers < STRANGERS).await {
                        Err(error) if error.is::<NotThere>() && movable && tried < PORTS_TRIED => {
                            strangers +=
                                usize::from(matches!(error.downcast_ref(), Some(NotThere::Strangers(_))));
                            tried += 1;
                        }
                        done => return done,
                    }
                }
            }
        }
    }

    /// One that prints the `Ready` line; `advice` is for one that does not.
    async fn that_says_so(mut process: Process, mut lines: Output, advice: &str) -> Result<Server> {
        let line = tokio::time::timeout(READY_PATIENCE, lines.next_line()).await;
        let line =
            line.with_context(|| format!("the server did not print its Ready line within 10 s{advice}"))?;
        let Some(line) = line.context("the server's output cannot be read")? else {
            let words = process.fell_silent().await;
            return Err(match process.has_ended() {
                true => NotThere::Ended(words).into(),
                false => anyhow!("{words}{advice}"),
            });
        };
        let ready = serde_json::from_str(&line);
        let ReadyLine { ready } =
            ready.map_err(|error| anyhow!("not a Ready line: {} ({error}){advice}", quote::line(&line)))?;
        ignore(lines);
        let trust = ready.trust();
        let mut server = Server::new(ready.http, None, Some(process), trust)?;
        server.named_pid = ready.pid.as_u64().and_then(|pid| pid.try_into().ok());
        Ok(server)
    }

    /// One that answers at a URL when it is ready.
    async fn that_answers(
        mut process: Process,
        lines: Output,
        url: &str,
        address: SocketAddr,
    ) -> Result<Server> {
        ignore(lines);
        let http = control::client(address, None).timeout(READY_PATIENCE).build()?;
        // A name may have several addresses, of which the server listens on one: that which answers.
        let answers = async {
            loop {
                let answer = http.get(url).send().await.and_then(reqwest::Response::error_for_status);
                if let Ok(answer) = answer {
                    return answer.remote_addr().unwrap_or(address);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let address = tokio::select! {
            answered = tokio::time::timeout(READY_PATIENCE, answers) => {
                answered.with_context(|| format!("nothing answers with success at {url} within 10 s"))?
            }
            process_end = process.ended() => return Err(NotThere::Ended(process_end.to_string()).into()),
        };
        Server::new(address, None, Some(process), None)
    }

    fn new(
        address: SocketAddr,
        host: Option<String>,
        process: Option<Process>,
        trust: Option<Trust>,
    ) -> Result<Server> {
        let name = host.clone().unwrap_or_else(|| address.to_string());
        let tls = trust.as_ref().map(|trust| Tls::new(trust, &name)).transpose()?;
        let http = control::client(address, tls.as_ref()).timeout(Duration::from_secs(5)).build()?;
        let pid = process.as_ref().map(|process| process.pid);
        Ok(Server { address, host, process, pid, named_pid: None, trust, tls, http })
    }

    fn url(&self, path: &str) -> String {
        control::origin(self.address, self.tls.as_ref()) + path
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.host {
            Some(host) => request.header("Host", host),
            None => request,
        }
    }

    /// Whether a standing server answers at `url` as the contract says; in words for people if not.
    async fn healthy(&self, url: &str) -> Result<()> {
        let answer = self.request(reqwest::Method::GET, "/healthz").send().await.map_err(|error| {
            let why = match tls::is_distrust(&error) {
                true => format!("the certificate at {url} is not believed; name it, or its issuer's, with --ca, or believe any with --insecure"),
                false => format!("no server answers at {url}; is it running?"),
            };
            anyhow::Error::from(error).context(why)
        });
        let mut answer = answer?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok()).map(str::to_owned);
        let body = answer.chunk().await.ok().flatten().unwrap_or_default();
        let refusal = Refusal::new("GET /healthz", status.as_u16(), "", place.as_deref(), &body);
        Err(Stranger::by(refusal).into())
    }

    /// Posts a body to the server.
    ///
    /// # Errors
    /// It does not answer, or not with success.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<()> {
        self.request(reqwest::Method::POST, path).body(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Asks for the server's own counters; absent where it has none, or does not answer in time. What is to be counted at a
    /// moment may not be asked for later.
    pub fn stats(&self, patience: Duration) -> impl Future<Output = ServerStats> + use<> {
        let asked = self.request(reqwest::Method::GET, "/stats").timeout(patience).send();
        async {
            let text = async { asked.await?.error_for_status()?.text().await }.await.unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_default()
        }
    }

    /// Waits until the server's process has ended; for ever if it is not ours.
    pub async fn ended(&mut self) -> ProcessEnd {
        match &mut self.process {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }
}
