//! Probes: the rows of the matrix that are not numbers, answered by doing the thing. Each runs real clients of one
//! protocol against a fresh server, and says what it found in the guide's own words, with the counts it rests on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use puppet::{Mail, Puppet, drive, drive_for};
use tokio::time::Instant;

use crate::fleet::server::{Server, ServerChoice};
use crate::measure::cell::{Cell, Probe, Status};
use crate::protocol::{self, Mesh, Options, Protocol, Seat, Target};
use crate::quote;
use crate::scenario::plan::CellSpec;
use crate::transport::link::Link;
use crate::transport::meter::Meter;
use crate::transport::turn::Relay;

mod browser;
mod external;
mod firewall;
mod middlebox;
mod puppet;
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

/// How the names of the cells of a kind begin.
static KINDS: &[(&str, Kind)] = &[
    ("probe/", |protocol, choice, probes| Box::pin(probe_all(protocol, choice, probes))),
    ("firewall/", |protocol, choice, probes| Box::pin(firewall::probe(protocol, choice, probes))),
    ("browser/", |protocol, choice, probes| Box::pin(browser::probe(protocol, choice, probes))),
];

/// Runs the probes of a cell. What could not be found out is missing from the cell, and its status says why.
pub async fn run(spec: &CellSpec, choice: &ServerChoice) -> Cell {
    let started_unix_s =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let begun = Instant::now();
    let mut cell = Cell::empty(spec.clone(), started_unix_s);
    let kind = KINDS.iter().find(|(prefix, _)| spec.name.starts_with(prefix));
    let outcome = match (protocol::find(&spec.protocol), kind) {
        (Some(protocol), Some((_, probe))) => probe(protocol, choice, &mut cell.probes).await,
        (None, _) => Err(anyhow!("there is no protocol '{}'", spec.protocol)),
        (_, None) => Err(anyhow!("there is no probe '{}'", spec.name)),
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
    async fn pair(&self, topic: &str, mesh: bool) -> Result<[Puppet; 2]> {
        self.pair_with(topic, &self.options(mesh && self.protocol.traits.peer_to_peer)).await
    }

    fn options(&self, peer_to_peer: bool) -> Options {
        Options {
            keep_alive: false,
            hold: Some(Duration::from_secs(10)),
            ordered: true,
            max_retransmits: None,
            peer_to_peer,
        }
    }

    async fn pair_with(&self, topic: &str, options: &Options) -> Result<[Puppet; 2]> {
        let mut pair = self.puppets(topic, options);
        let ready = drive(&mut pair, |pair| pair.iter().all(|puppet| puppet.ready)).await;
        let why =
            pair.iter().find_map(|puppet| puppet.ended.as_ref()).map_or(String::new(), |f| format!(": {f}"));
        ensure!(ready, "the clients did not get ready{why}");
        Ok(pair)
    }

    /// The same before they have done anything.
    fn puppets(&self, topic: &str, options: &Options) -> [Puppet; 2] {
        let topic: Rc<str> = topic.into();
        [0, 1].map(|index| self.puppet(&topic, index, options))
    }

    fn puppet(&self, topic: &Rc<str>, index: usize, options: &Options) -> Puppet {
        let target = Target {
            address: self.way.proxy.unwrap_or(self.server.address),
            tls: self.server.tls.clone().filter(|_| self.way.proxy.is_none()),
            host: self.server.host.clone().unwrap_or_else(|| self.server.address.to_string()),
            headers: String::new(),
        };
        let (meter, publish_meter) = (Rc::new(Meter::default()), Rc::new(Meter::default()));
        let seat = Seat {
            target: Rc::new(target),
            source: None,
            topics: if index == 1 { vec![topic.clone()] } else { Vec::new() },
            publish: (index == 0).then(|| topic.clone()),
            echo: false,
            options: options.clone(),
            mesh: options.peer_to_peer.then(|| Mesh { group: topic.clone(), index, size: 2 }),
            meter: meter.clone(),
            publish_meter: publish_meter.clone(),
            link: self.way.link.clone(),
            relay: self.way.relay.clone(),
            seed: index as u64 + 1,
        };
        Puppet {
            client: (self.protocol.open)(seat),
            polls: self.protocol.traits.polls,
            meter,
            publish_meter,
            ready: false,
            rest: None,
            outgoing: None,
            mail: Mail::default(),
            cuts: 0,
            refused: 0,
            ended: None,
        }
    }

    /// Ten messages, one after the other: what was opened, asked and passed on for each?
    async fn connection_and_direction(&self) -> Result<[Probe; 2]> {
        let mut pair = self.pair("probe-connection", true).await?;
        let before = self.server.stats().await.published_bytes;
        let (opened, exchanges) = (pair[1].meter.connections.get(), pair[1].meter.exchanges.get());
        let published_before = pair[0].publish_meter.exchanges.get();
        for number in 0..MESSAGES {
            pair[0].outgoing = Some((format!("message {number}").into_bytes(), false));
            let arrived = drive(&mut pair, |pair| pair[1].mail.payloads.len() > number).await;
            ensure!(arrived, "message {number} did not arrive");
        }
        let per_message = |count: u64| count as f64 / MESSAGES as f64;
        let connections = per_message(pair[1].meter.connections.get() - opened);
        let requests = per_message(pair[1].meter.exchanges.get() - exchanges);
        let publish_requests = per_message(pair[0].publish_meter.exchanges.get() - published_before);
        let after = self.server.stats().await.published_bytes;
        let through_server = before.zip(after).map(|(before, after)| (after - before) as f64);
        let mut evidence = BTreeMap::from([
            ("connections_per_message".to_owned(), connections),
            ("requests_per_message".to_owned(), requests),
            ("publish_requests_per_message".to_owned(), publish_requests),
            ("messages".to_owned(), MESSAGES as f64),
        ]);
        evidence.extend(through_server.map(|bytes| ("payload_bytes_through_server".to_owned(), bytes)));
        let connection = match through_server {
            Some(0.0) => "P2P",
            _ if connections >= 1.0 => "new each",
            _ if publish_requests == 0.0 => "persistent",
            _ => "held open",
        };
        let direction = match (requests == 0.0, publish_requests == 0.0) {
            (true, true) => "both",
            (true, false) => "server to client",
            (false, _) => "request/response",
        };
        Ok([
            Probe {
                name: "connection".to_owned(),
                found: connection.to_owned(),
                evidence: evidence.clone(),
                detail: format!(
                    "{connections:.1} connections opened per delivered message; payload through the server: {} B",
                    through_server.map_or("unknown".to_owned(), |bytes| format!("{bytes:.0}"))
                ),
            },
            Probe {
                name: "direction".to_owned(),
                found: direction.to_owned(),
                evidence,
                detail: format!(
                    "{requests:.1} requests of the receiver and {publish_requests:.1} of the sender per message"
                ),
            },
        ])
    }

    /// All 256 byte values in one message that is sent as binary.
    async fn binary(&self) -> Result<Probe> {
        let mut pair = self.pair("probe-binary", false).await?;
        let sent: Vec<u8> = (0..=255).collect();
        let wire_before = pair[1].meter.wire_in_bytes.get();
        pair[0].outgoing = Some((sent.clone(), true));
        let arrived = drive(&mut pair, |pair| {
            !pair[1].mail.payloads.is_empty() || pair.iter().any(|puppet| puppet.ended.is_some())
        })
        .await;
        let received = pair[1].mail.payloads.first();
        let unchanged = arrived && received == Some(&sent);
        let has_type = self.protocol.traits.binary;
        let wire_bytes = pair[1].meter.wire_in_bytes.get() - wire_before;
        let detail = match (unchanged, has_type) {
            (true, true) => "256 byte values arrived unchanged in a binary message".to_owned(),
            (true, false) => format!(
                "256 byte values arrived ({wire_bytes} B on the wire), but the protocol itself knows no binary message"
            ),
            (false, _) => format!(
                "256 byte values did not arrive{}",
                pair.iter()
                    .find_map(|puppet| puppet.ended.as_ref())
                    .map_or(String::new(), |f| format!(": {f}"))
            ),
        };
        Ok(Probe {
            name: "binary".to_owned(),
            found: if unchanged && has_type { "yes" } else { "no" }.to_owned(),
            evidence: BTreeMap::from([
                ("sent_bytes".to_owned(), sent.len() as f64),
                ("received_bytes".to_owned(), received.map_or(0.0, |payload| payload.len() as f64)),
                ("unchanged".to_owned(), f64::from(u8::from(unchanged))),
                ("wire_in_bytes".to_owned(), wire_bytes as f64),
            ]),
            detail,
        })
    }

    /// Connections are cut; three messages before, three during: does delivery go on by what the protocol itself does?
    async fn reconnect(&self) -> Result<Probe> {
        let topic = "probe-reconnect";
        let [_publisher, mut subscriber] = self.pair(topic, false).await?;
        self.publish(topic, 0..3).await?;
        ensure!(
            drive(std::slice::from_mut(&mut subscriber), |p| p[0].mail.payloads.len() >= 3).await,
            "nothing arrived before the cut"
        );
        let opened = subscriber.meter.connections.get();
        self.server.post("/cut", Vec::new()).await?;
        self.publish(topic, 3..6).await?;
        let over = |p: &[Puppet]| p[0].mail.payloads.len() >= 6 || p[0].ended.is_some();
        drive_for(RECOVERY, std::slice::from_mut(&mut subscriber), over).await;
        let connections = subscriber.meter.connections.get() - opened;
        let mut seen: Vec<&[u8]> = subscriber.mail.payloads.iter().map(Vec::as_slice).collect();
        seen.sort_unstable();
        seen.dedup();
        let (after, lost) = (seen.len().saturating_sub(3), 6 - seen.len().min(6));
        let goes_on = after > 0 && subscriber.ended.is_none();
        Ok(Probe {
            name: "reconnect".to_owned(),
            found: if goes_on { "yes" } else { "no" }.to_owned(),
            evidence: BTreeMap::from([
                ("lost".to_owned(), lost as f64),
                ("received_after_cut".to_owned(), after as f64),
                ("cuts_seen".to_owned(), f64::from(subscriber.cuts)),
            ]),
            detail: match &subscriber.ended {
                Some(failure) => format!("ended by the cut ({failure}); {lost} of 6 messages lost"),
                // RFC 9112, section 9.3.1: a client may send an idempotent request again when a reused connection breaks.
                None if subscriber.cuts == 0 && connections > 0 => {
                    format!("the HTTP client asked again on a new connection, {lost} of 6 messages lost")
                }
                None => format!("{} cuts seen, {lost} of 6 messages lost", subscriber.cuts),
            },
        })
    }

    async fn publish(&self, topic: &str, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers {
            self.server.post(&format!("/topics/{topic}"), format!("message {number}").into_bytes()).await?;
        }
        Ok(())
    }
}
