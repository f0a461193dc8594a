//! A TURN relay where the direct path is blocked: coturn, and clients of which no datagram gets to the server itself.
//!
//! Both clients, publisher and subscriber, are behind the emulated firewall and go through the relay, so that a message
//! passes it twice. `yes` is found if nothing arrives without the relay, everything with it, and a STUN binding request is
//! answered with the address that it came from.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::*;

use super::external::External;
use super::probe_client::{Arrival, because, pass};
use super::{PATIENCE, Stage, Way};
use crate::fleet::server::Server;
use crate::measure::cell::Probe;
use crate::protocol::Protocol;
use crate::transport::link::Link;
use crate::transport::turn::Relay;

/// The program of coturn.
pub(super) const PROGRAM: &str = "turnserver";

/// Messages on each way.
const MESSAGES: usize = 100;

const PAYLOAD_BYTES: usize = 100;

/// File with coturn's log, in its directory.
const LOG: &str = "log";

/// Name and password of the one account.
const ACCOUNT: [&str; 2] = ["rtbench", "for-one-probe"];

/// Probes a protocol whose datagrams `blocked` loses.
pub(super) async fn probe(protocol: &'static Protocol, server: &Server, blocked: &Link) -> Result<Probe> {
    let coturn = External::start(PROGRAM, |dir, address| {
        let file = dir.join("turnserver.conf");
        std::fs::write(&file, configuration(&dir.to_string_lossy(), address))?;
        Ok(vec!["-c".to_owned(), file.to_string_lossy().into_owned()])
    })
    .await?;
    let found = compare(protocol, server, blocked, coturn.address).await;
    let told_bytes = account(&coturn.dir().join(LOG)).await;
    coturn.end().await;
    Ok(Found { told_bytes, ..found? }.probe())
}

/// Listens and relays on the loopback interface alone, and writes to its own directory.
fn configuration(dir: &str, address: SocketAddr) -> String {
    let (ip, port, [user, password]) = (address.ip(), address.port(), ACCOUNT);
    format!(
        "listening-ip={ip}\nlistening-port={port}\nrelay-ip={ip}\nallow-loopback-peers\n\
         no-tls\nno-dtls\nno-cli\nno-rfc5780\nrelay-threads=1\n\
         lt-cred-mech\nrealm=rtbench\nuser={user}:{password}\n\
         verbose\nlog-file={dir}/{LOG}\nsimple-log\npidfile={dir}/pid\nuserdb={dir}/db\n"
    )
}

/// Bytes to and from the server by coturn's own account, which it writes when a client has ended its allocation.
async fn account(log: &Path) -> Option<u64> {
    let [user, _] = ACCOUNT;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let mark = format!(": peer usage: realm=<rtbench>, username=<{user}>,");
        let told: Vec<u64> = text.lines().filter(|line| line.contains(&mark)).map(bytes_of).collect();
        // A publisher and a subscriber.
        if told.len() == 2 {
            return Some(told.iter().sum());
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Received and sent: `... rp=58, rb=4386, sp=107, sb=17683`.
fn bytes_of(line: &str) -> u64 {
    let fields = line.split(", ").filter_map(|field| field.split_once('='));
    fields
        .filter(|(name, _)| matches!(*name, "rb" | "sb"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// What was found.
struct Found {
    stun: bool,
    direct_ms: f64,
    /// Nothing arrives without the relay.
    blocks: bool,
    relayed_ms: Result<f64>,
    /// Bytes of datagrams by the clients' count, and by the relay's.
    carried_bytes: u64,
    told_bytes: Option<u64>,
}

async fn compare(
    protocol: &'static Protocol,
    server: &Server,
    blocked: &Link,
    coturn: SocketAddr,
) -> Result<Found> {
    let stun = is_reflected(coturn).await.context("STUN")?;
    let [username, password] = ACCOUNT.map(str::to_owned);
    let relay = Rc::new(Relay { address: coturn, username, password, carried_bytes: Cell::new(0) });
    let stage = |way| Stage { protocol, server, way };
    let direct = deliveries(&stage(Way::default()), "turn-direct").await.context("the direct path")?;
    let link = Some(blocked.clone());
    let without = stage(Way { link: link.clone(), ..Way::default() });
    let without = deliveries(&without, "turn-blocked").await;
    let with = stage(Way { link, relay: Some(relay.clone()), ..Way::default() });
    let relayed = deliveries(&with, "turn-relayed").await;
    Ok(Found {
        stun,
        direct_ms: median(&direct),
        blocks: without.is_err(),
        relayed_ms: relayed.map(|times| median(&times)),
        carried_bytes: relay.carried_bytes.get(),
        told_bytes: None,
    })
}

impl Found {
    /// Every payload went up to the server and down from it, by both counts.
    fn works(&self) -> bool {
        let least = (2 * MESSAGES * PAYLOAD_BYTES) as u64;
        let carries = self.carried_bytes >= least && self.told_bytes.is_none_or(|bytes| bytes >= least);
        self.relayed_ms.is_ok() && carries && self.blocks && self.stun
    }

    fn probe(self) -> Probe {
        let number = |yes: bool| f64::from(u8::from(yes));
        let mut evidence = BTreeMap::from([
            ("relay_bytes".to_owned(), self.carried_bytes as f64),
            ("direct_ms".to_owned(), self.direct_ms),
            ("blocked_without".to_owned(), number(self.blocks)),
            ("stun_ok".to_owned(), number(self.stun)),
        ]);
        evidence.extend(self.told_bytes.map(|bytes| ("coturn_bytes".to_owned(), bytes as f64)));
        evidence.extend(self.relayed_ms.as_ref().ok().map(|ms| ("relayed_ms".to_owned(), *ms)));
        Probe {
            name: "turn".to_owned(),
            found: if self.works() { "yes" } else { "no" }.to_owned(),
            evidence,
            detail: self.detail(),
        }
    }

    fn detail(&self) -> String {
        let relayed = match &self.relayed_ms {
            Ok(relayed_ms) => format!(
                "{MESSAGES} of {MESSAGES} messages through coturn, {} B of datagrams{}; delivery p50 {relayed_ms:.2} ms with \
                 the relay on both ways, to the server and from it, {:.2} ms direct",
                self.carried_bytes,
                self.told_bytes.map_or_else(String::new, |bytes| format!(" ({bytes} B by its own account)")),
                self.direct_ms
            ),
            Err(error) => format!("not through the relay: {error:#}"),
        };
        let without = if self.blocks { "nothing arrives" } else { "messages arrive all the same" };
        let stun = if self.stun { "answers with" } else { "does not answer with" };
        format!(
            "{relayed}; without it {without} (emulated: a link that loses every datagram); STUN {stun} the reflexive address"
        )
    }
}

/// How long each of the messages took from the publisher over the server to the subscriber, in ms.
async fn deliveries(stage: &Stage<'_>, topic: &str) -> Result<Vec<f64>> {
    let mut pair = stage.pair(topic, false).await?;
    let mut times = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        let message = format!("{number:0PAYLOAD_BYTES$}");
        let (arrival, took) = pass(&mut pair, message.as_bytes(), false).await;
        ensure!(arrival == Arrival::Unchanged, "message {number} did not arrive{}", because(&pair));
        times.push(took.as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Whether a binding request is answered with the address that it came from (RFC 8489, section 3). Asked again until it
/// is answered: coturn takes connections before it takes datagrams.
async fn is_reflected(server: SocketAddr) -> Result<bool> {
    const AGAIN: Duration = Duration::from_millis(100);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 1500];
    while Instant::now() < deadline {
        let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        // An error tells of the datagram before: it was refused, and so is not answered.
        let _ = socket.send(&request).await;
        let Ok(Ok(length)) = timeout(AGAIN, socket.recv(&mut buffer)).await else {
            sleep(AGAIN).await;
            continue;
        };
        let answer = Message::from_bytes(&buffer[..length]).context("not a STUN message")?;
        let mapped = answer.attribute::<XorMappedAddress>().context("no mapped address")?;
        return Ok(mapped.addr(answer.transaction_id()) == socket.local_addr()?);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let (carried_bytes, told_bytes) = (20_000, Some(20_000));
        Found { stun: true, direct_ms: 1.0, blocks: true, relayed_ms: Ok(2.0), carried_bytes, told_bytes }
    }

    #[test]
    fn a_relay_works_only_if_it_is_needed_carries_everything_and_stun_answers() {
        assert!(found().works() && Found { told_bytes: None, ..found() }.works());
        assert!(!Found { stun: false, ..found() }.works());
        assert!(!Found { blocks: false, ..found() }.works());
        assert!(!Found { carried_bytes: 19_999, ..found() }.works());
        assert!(!Found { told_bytes: Some(0), ..found() }.works());
        let refused = Found { relayed_ms: Err(anyhow::anyhow!("refused")), ..found() }.probe();
        assert_eq!(refused.found, "no");
        assert!(refused.detail.starts_with("not through the relay: refused; without it nothing arrives"));
    }

    #[test]
    fn coturns_account_is_read() {
        let line = "6: : session 03: peer usage: realm=<rtbench>, username=<rtbench>, rp=58, rb=4386, sp=107, sb=17683";
        assert_eq!(bytes_of(line), 4386 + 17683);
    }
}
