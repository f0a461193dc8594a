//! Probes: the rows of the matrix that are not numbers, answered by doing the thing. Each runs real clients of one
//! protocol against a fresh server, and says what it found in the guide's own words, with the counts it rests on. What a
//! broken server would look like as well is not found: such a probe fails, or says what it would take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use probe_client::{ProbeClient, ReceivedMail, because, drive, failure};
use tokio::time::Instant;

use super::kind;
use crate::fleet::server::{Server, ServerChoice};
use crate::measure::cell::{Cell, Probe, Status};
use crate::protocol::{self, Mesh, Options, Protocol, Seat, Sending, Target};
use crate::quote;
use crate::scenario::spec::CellSpec;
use crate::transport::link::Link;
use crate::transport::meter::Meter;
use crate::transport::turn::Relay;

mod basic;
mod browser;
mod external;
mod firewall;
mod middlebox;
mod probe_client;
mod relay;
mod special;

/// How long a probe waits for what should come.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a protocol may take to recover from a cut; it is told to try again after a fraction of that.
const RECOVERY: Duration = Duration::from_secs(3);

/// Messages of a probe.
const MESSAGES: usize = 10;

/// Probes of one kind: what is found goes to the last argument, also where a later one fails.
type Kind = for<'a> fn(
    &'static Protocol,
    &'a ServerChoice,
    &'a mut Vec<Probe>,
) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Cells of probes, by their kinds.
static KINDS: &[(&str, Kind)] = &[
    (kind::PROBE, |protocol, choice, probes| Box::pin(probe_all(protocol, choice, probes))),
    (kind::FIREWALL, |protocol, choice, probes| Box::pin(firewall::probe(protocol, choice, probes))),
    (kind::BROWSER, |protocol, choice, probes| Box::pin(browser::probe(protocol, choice, probes))),
];

/// Runs the probes of a cell. What could not be found out is missing from the cell, and its status says why.
pub async fn run(spec: &CellSpec, choice: &ServerChoice) -> Cell {
    let started_unix_s =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let begun = Instant::now();
    let mut cell = Cell::empty(spec.clone(), started_unix_s);
    let outcome = match KINDS.iter().find(|(kind, _)| spec.id.is_of(kind)) {
        Some((_, probe)) => probe(spec.id.protocol, choice, &mut cell.probes).await,
        None => Err(anyhow!("there is no probe '{}'", spec.id)),
    };
    if let Err(error) = outcome {
        cell.status = Status::Failed(quote::within(&format!("{error:#}"), quote::MAX_REASON_CHARS));
    }
    cell.measured_s = begun.elapsed().as_secs_f64();
    cell
}

async fn probe_all(
    protocol: &'static Protocol,
    choice: &ServerChoice,
    probes: &mut Vec<Probe>,
) -> Result<()> {
    let mut server = Server::ready(choice).await?;
    let stage = Stage { protocol, server: &server, way: Way::default() };
    let outcome = async {
        probes.extend(stage.connection_and_direction().await.context("connection and direction")?);
        probes.push(stage.binary().await.context("binary")?);
        probes.push(stage.reconnect().await.context("reconnect")?);
        probes.extend(stage.special().await?);
        Ok(())
    };
    let outcome = outcome.await;
    if let Some(process) = server.process.take() {
        process.end().await;
    }
    outcome
}

/// A probe that found this word.
fn found(name: &str, word: &str, evidence: BTreeMap<String, f64>, detail: String) -> Probe {
    Probe { name: name.to_owned(), found: word.to_owned(), evidence, detail }
}

/// A probe that could not tell, and what it would take.
fn open(name: &str, evidence: BTreeMap<String, f64>, needs: String) -> Probe {
    found(name, "", evidence, needs)
}

struct Stage<'a> {
    protocol: &'static Protocol,
    server: &'a Server,
    way: Way,
}

/// How clients get to the server, where that is not the straight way.
#[derive(Default)]
struct Way {
    /// A proxy that speaks HTTP without TLS, in the server's place.
    proxy: Option<SocketAddr>,
    /// Where datagrams have to pass.
    link: Option<Link>,
    /// What datagrams go through.
    relay: Option<Rc<Relay>>,
}

impl Stage<'_> {
    /// A publisher and a subscriber of one topic, both ready. A mesh where the protocol makes one and `mesh` asks for it.
    async fn pair(&self, topic: &str, mesh: bool) -> Result<[ProbeClient; 2]> {
        self.pair_with(topic, &self.options(mesh && self.protocol.traits.peer_to_peer)).await
    }

    fn options(&self, peer_to_peer: bool) -> Options {
        Options {
            keep_alive: false,
            publish_keep_alive: false,
            hold: Some(Duration::from_secs(10)),
            ordered: true,
            max_retransmits: None,
            peer_to_peer,
        }
    }

    async fn pair_with(&self, topic: &str, options: &Options) -> Result<[ProbeClient; 2]> {
        let mut pair = self.clients(topic, options);
        let ready = |pair: &[ProbeClient]| pair.iter().all(|client| client.ready);
        let ready = drive(&mut pair, |pair| ready(pair) || failure(pair).is_some()).await && ready(&pair);
        ensure!(ready, "the clients did not get ready{}", because(&pair));
        Ok(pair)
    }

    /// The same before they have done anything.
    fn clients(&self, topic: &str, options: &Options) -> [ProbeClient; 2] {
        let topic: Rc<str> = topic.into();
        [0, 1].map(|index| self.client(&topic, index, options))
    }

    fn client(&self, topic: &Rc<str>, index: usize, options: &Options) -> ProbeClient {
        let target = Target {
            address: self.way.proxy.unwrap_or(self.server.address),
            tls: self.server.tls.clone().filter(|_| self.way.proxy.is_none()),
            host: self.server.host.clone().unwrap_or_else(|| self.server.address.to_string()),
            headers: String::new(),
        };
        let (meter, publish_meter) = (Rc::new(Meter::default()), Rc::new(Meter::default()));
        let seat = Seat {
            target: Rc::new(target),
            dialect: protocol::contract(),
            source: None,
            topics: if index == 1 { vec![topic.clone()] } else { Vec::new() },
            publish: (index == 0).then(|| topic.clone()),
            echo: false,
            options: options.clone(),
            mesh: options.peer_to_peer.then(|| Mesh { group: topic.clone(), index, size: 2 }),
            meter: meter.clone(),
            publish_meter: publish_meter.clone(),
            spare_connections: Rc::default(),
            link: self.way.link.clone(),
            relay: self.way.relay.clone(),
            seed: index as u64 + 1,
        };
        ProbeClient {
            client: (self.protocol.open)(seat),
            polls: self.protocol.traits.polls,
            meter,
            publish_meter,
            ready: false,
            rest: None,
            outgoing: None,
            sending: Sending::default(),
            mail: ReceivedMail::default(),
            cuts: 0,
            refused: 0,
            ended: None,
        }
    }
}
