//! A TURN relay where the direct path is blocked: coturn, and clients of which no datagram gets to the server itself.
//!
//! Both clients, publisher and subscriber, are behind the emulated firewall and go through the relay, so that a message
//! passes it twice. `yes` is found if nothing arrives without the relay, everything with it, and a STUN binding request is
//! answered with the address that it came from.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::*;

use super::external::External;
use super::{PATIENCE, Stage, Way, drive};
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
    let outcome = compare(protocol, server, blocked, coturn.address).await;
    coturn.end().await;
    outcome
}

/// Listens and relays on the loopback interface alone, and writes to its own directory.
fn configuration(dir: &str, address: SocketAddr) -> String {
    let (ip, port, [user, password]) = (address.ip(), address.port(), ACCOUNT);
    format!(
        "listening-ip={ip}\nlistening-port={port}\nrelay-ip={ip}\nallow-loopback-peers\n\
         no-tls\nno-dtls\nno-cli\nno-rfc5780\nrelay-threads=1\n\
         lt-cred-mech\nrealm=rtbench\nuser={user}:{password}\n\
         log-file=stdout\npidfile={dir}/pid\nuserdb={dir}/db\n"
    )
}

async fn compare(
    protocol: &'static Protocol,
    server: &Server,
    blocked: &Link,
    coturn: SocketAddr,
) -> Result<Probe> {
    let stun = is_reflected(coturn).await.context("STUN")?;
    let relay = Rc::new(Relay {
        address: coturn,
        username: ACCOUNT[0].to_owned(),
        password: ACCOUNT[1].to_owned(),
        carried_bytes: Cell::new(0),
    });
    let stage = |way| Stage { protocol, server, way };
    let direct = deliveries(&stage(Way::default()), "turn-direct").await.context("the direct path")?;
    let link = Some(blocked.clone());
    let without = stage(Way { link: link.clone(), ..Way::default() });
    let without = deliveries(&without, "turn-blocked").await;
    let with = stage(Way { link, relay: Some(relay.clone()), ..Way::default() });
    let relayed = deliveries(&with, "turn-relayed").await;
    let carried = relay.carried_bytes.get();
    // What the relay is said to have carried is at least every payload, in and out.
    let carries = relayed.is_ok() && carried >= (2 * MESSAGES * PAYLOAD_BYTES) as u64;
    Ok(verdict(
        stun,
        median(&direct),
        without.is_err(),
        relayed.map(|times| median(&times)),
        carried,
        carries,
    ))
}

fn verdict(
    stun: bool,
    direct_ms: f64,
    blocks: bool,
    relayed_ms: Result<f64>,
    carried: u64,
    carries: bool,
) -> Probe {
    let detail = match &relayed_ms {
        Ok(relayed_ms) => format!(
            "{MESSAGES} of {MESSAGES} messages through coturn, which carried {carried} B; delivery p50 {relayed_ms:.2} ms \
             with the relay on the way from the publisher and on that to the subscriber, {direct_ms:.2} ms direct; without \
             it {} (emulated: a link that loses every datagram)",
            if blocks { "nothing arrives" } else { "messages arrive all the same" }
        ),
        Err(error) => format!("not through the relay: {error:#}"),
    };
    let stun_says = if stun { "answers with" } else { "does not answer with" };
    let number = |yes: bool| f64::from(u8::from(yes));
    let mut evidence = BTreeMap::from([
        ("relay_bytes".to_owned(), carried as f64),
        ("direct_ms".to_owned(), direct_ms),
        ("blocked_without".to_owned(), number(blocks)),
        ("stun_ok".to_owned(), number(stun)),
    ]);
    evidence.extend(relayed_ms.ok().map(|ms| ("relayed_ms".to_owned(), ms)));
    Probe {
        name: "turn".to_owned(),
        found: if carries && blocks && stun { "yes" } else { "no" }.to_owned(),
        evidence,
        detail: format!("{detail}; STUN {stun_says} the reflexive address"),
    }
}

/// How long each of the messages took from the publisher over the server to the subscriber, in ms.
async fn deliveries(stage: &Stage<'_>, topic: &str) -> Result<Vec<f64>> {
    let mut pair = stage.pair(topic, false).await?;
    let mut times = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        let begun = Instant::now();
        pair[0].outgoing = Some((format!("{number:0PAYLOAD_BYTES$}").into_bytes(), false));
        let arrived = drive(&mut pair, |pair| pair[1].mail.payloads.len() > number).await;
        ensure!(arrived, "message {number} did not arrive");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Whether a binding request is answered with the address that it came from (RFC 8489, section 3).
async fn is_reflected(server: SocketAddr) -> Result<bool> {
    /// Requests, in case one is lost.
    const TRIES: u32 = 3;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    let mut buffer = [0; 1500];
    for _ in 0..TRIES {
        let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        socket.send(&request).await?;
        let Ok(length) = timeout(PATIENCE.min(Duration::from_secs(1)), socket.recv(&mut buffer)).await else {
            continue;
        };
        let answer = Message::from_bytes(&buffer[..length?]).context("not a STUN message")?;
        let mapped = answer.attribute::<XorMappedAddress>().context("no mapped address")?;
        return Ok(mapped.addr(answer.transaction_id()) == socket.local_addr()?);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_works_only_if_it_is_needed_carries_and_stun_answers() {
        let found = |stun, blocks, carries| verdict(stun, 1.0, blocks, Ok(2.0), 9, carries).found;
        assert_eq!(found(true, true, true), "yes");
        for (stun, blocks, carries) in [(false, true, true), (true, false, true), (true, true, false)] {
            assert_eq!(found(stun, blocks, carries), "no");
        }
        let refused = verdict(true, 1.0, true, Err(anyhow::anyhow!("refused")), 0, false);
        assert!(refused.detail.starts_with("not through the relay: refused"));
    }
}
