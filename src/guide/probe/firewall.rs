//! How a protocol fares with what stands between real clients and servers.
//!
//! Two bursts of messages go from a publisher to a subscriber through each middlebox, signalling and publishing
//! included, and once without any for comparison. Through a box a protocol
//!
//! - **works** if everything arrives about as soon as without it, over the connections that it began with;
//! - **degrades** if delivery goes on by what the protocol itself does, but late, after a cut, or with losses;
//! - **fails** if nothing arrives, or delivery ends.
//!
//! The guide has three words for firewall issues. By the rule that was fixed before anything was measured,
//!
//! - `no` is a protocol that works through every box;
//! - `some` is one that degrades or fails through at least one box and works through another;
//! - `yes` is one that works through none, or whose messages do not arrive where UDP is blocked.
//!
//! What is short elsewhere is short here: the box that cuts silence does so after a second instead of nginx's 60 s, and a
//! poll is held for half of that, as 30 s are under 60. A held poll that outlasts the box is told beside the result. The
//! comments on a quiet event stream are the server's business: they come every 15 to 30 s, in time for nginx's default
//! and too late for this box.
//!
//! Blocked UDP is emulated, by a link that loses every datagram: it needs no rights, and it cannot hit others.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::task::LocalSet;

use outcome::{Passage, Report, UDP, judge};

use super::middlebox::{BUFFERING, IDLE, IDLE_TIMEOUT, Middlebox, PLAIN};
use super::probe_client::{Arrival, ProbeClient, drive, drive_for, failure, pass};
use super::{PATIENCE, Stage, Way, relay};
use crate::fleet::server::{Server, ServerChoice};
use crate::host::programs;
use crate::host::timer::Timer;
use crate::measure::cell::Probe;
use crate::protocol::{Options, Protocol};
use crate::transport::link::{Link, LinkSpec};

mod outcome;

/// Messages before and after the silence.
const BURST: usize = 5;

/// How long nothing is said between the bursts.
const SILENCE: Duration = Duration::from_millis(2500);

/// Size of what is sent after messages that are held back, in bytes, and how often.
const PUSH_BYTES: usize = 512;
const PUSHES: usize = 64;

/// What is said of blocked UDP.
const EMULATED: &str = " (emulated: a link that loses every datagram)";

/// How long a push is given to move something.
const PUSH_PATIENCE: Duration = Duration::from_millis(20);

/// Probes a protocol with every box, and one over datagrams with a relay. What needs a program that is not there is not
/// found out.
pub(super) async fn probe(
    protocol: &'static Protocol,
    choice: &ServerChoice,
    probes: &mut Vec<Probe>,
) -> Result<()> {
    let mut server = Server::ready(choice).await?;
    // A link has a task of its own.
    let outcome = LocalSet::new().run_until(probe_all(protocol, &server, probes)).await;
    if let Some(process) = server.process.take() {
        process.end().await;
    }
    outcome
}

async fn probe_all(protocol: &'static Protocol, server: &Server, probes: &mut Vec<Probe>) -> Result<()> {
    let spec = LinkSpec { loss_percent: 100.0, ..LinkSpec::default() };
    let blocked = Link::new(Timer::new()?, spec, 1).filter(|_| protocol.traits.peer_to_peer);
    if programs::find("nginx").is_some() {
        probes.push(through_all(protocol, server, blocked.as_ref()).await.context("firewall")?);
    }
    if let Some(blocked) = blocked.filter(|_| programs::find(relay::PROGRAM).is_some()) {
        probes.push(relay::probe(protocol, server, &blocked).await.context("relay")?);
    }
    Ok(())
}

async fn through_all(protocol: &'static Protocol, server: &Server, blocked: Option<&Link>) -> Result<Probe> {
    let mut found = Report::default();
    let straight = Trip { topic: "direct", hold: IDLE_TIMEOUT / 2, silence: Duration::ZERO };
    let direct = without_box(protocol, server, &straight).await?;
    found.note("direct", &direct);
    for middlebox in [&PLAIN, &BUFFERING, &IDLE] {
        let silence = if middlebox.cuts_silence { SILENCE } else { Duration::ZERO };
        let box_trip = Trip { topic: middlebox.name, silence, ..straight };
        let passage = through(protocol, server, middlebox, &box_trip).await?;
        // Between two TCP connections that both stand a box can be late, and lose nothing.
        let lost =
            passage.cuts == 0 && passage.broken.is_none() && (1..passage.sent).contains(&passage.arrived);
        ensure!(!lost, "messages are missing that {} did not hold back: {passage:?}", middlebox.name);
        found.add(middlebox.name, middlebox.note, &passage, judge(&passage, &direct));
    }
    if protocol.name == "long-poll" {
        let longer = Trip { topic: "longer", hold: 4 * IDLE_TIMEOUT, silence: SILENCE };
        let passage = through(protocol, server, &IDLE, &longer).await?;
        found.beside =
            format!("; polls held for longer than the silence it bears: {}", judge(&passage, &direct));
    }
    if blocked.is_some() {
        let way = Way { link: blocked.cloned(), ..Way::default() };
        let passage = trip(&Stage { protocol, server, way }, &Trip { topic: UDP, ..straight }).await;
        found.add(UDP, EMULATED, &passage, judge(&passage, &direct));
    }
    // What failed meanwhile failed for the box, and not because the server does not deliver any more.
    without_box(protocol, server, &Trip { topic: "direct-again", ..straight }).await?;
    Ok(found.probe())
}

/// Without any box, where everything has to arrive.
async fn without_box(protocol: &'static Protocol, server: &Server, how: &Trip) -> Result<Passage> {
    let direct = trip(&Stage { protocol, server, way: Way::default() }, how).await;
    let complete = direct.broken.is_none() && direct.arrived == 2 * BURST && direct.cuts == 0;
    ensure!(complete, "messages are missing even without a middlebox: {direct:?}");
    Ok(direct)
}

async fn through(
    protocol: &'static Protocol,
    server: &Server,
    middlebox: &Middlebox,
    how: &Trip,
) -> Result<Passage> {
    let nginx = middlebox.before(server).await?;
    let way = Way { proxy: Some(nginx.address), ..Way::default() };
    let passage = trip(&Stage { protocol, server, way }, how).await;
    nginx.end().await;
    Ok(passage)
}

/// One way of sending the messages.
#[derive(Clone, Copy)]
struct Trip {
    topic: &'static str,
    /// Of a long poll.
    hold: Duration,
    /// Between the bursts.
    silence: Duration,
}

async fn trip(stage: &Stage<'_>, how: &Trip) -> Passage {
    let peer_to_peer = stage.protocol.traits.peer_to_peer;
    let options = Options { hold: Some(how.hold), ..stage.options(peer_to_peer) };
    let topic = format!("firewall-{}", how.topic);
    let mut pair = stage.clients(&topic, &options);
    let mut passage = Passage::default();
    if !drive(&mut pair, |pair| all_ready(pair) || any_ended(pair)).await {
        passage.broken = Some(format!("no subscription within {} s", PATIENCE.as_secs()));
        passage.pushed_out_by = push_out(stage, &topic, &mut pair).await;
    } else if !any_ended(&pair) {
        burst(&mut pair, &mut passage).await;
        drive_for(how.silence, &mut pair, |_| false).await;
        burst(&mut pair, &mut passage).await;
    }
    passage.cuts = pair.iter().map(|client| client.cuts + client.refused).sum();
    if let Some(failure) = failure(&pair) {
        passage.broken = Some(failure.kind.to_string());
    }
    passage
}

fn all_ready(pair: &[ProbeClient]) -> bool {
    pair.iter().all(|client| client.ready)
}

fn any_ended(pair: &[ProbeClient]) -> bool {
    failure(pair).is_some()
}

/// Messages one after the other, each awaited; one that does not come is the last.
async fn burst(pair: &mut [ProbeClient], passage: &mut Passage) {
    for _ in 0..BURST {
        if any_ended(pair) {
            break;
        }
        let message = format!("message {}", passage.sent);
        let (arrival, took) = pass(pair, message.as_bytes(), false).await;
        passage.sent += 1;
        passage.worst = passage.worst.max(took);
        if arrival != Arrival::Unchanged {
            break;
        }
        passage.arrived += 1;
    }
}

/// Bytes that must follow, on the straight way to the server, until the subscriber hears of its subscription.
async fn push_out(stage: &Stage<'_>, topic: &str, pair: &mut [ProbeClient]) -> Option<usize> {
    if !pair[0].ready {
        return None;
    }
    for push in 1..=PUSHES {
        stage.server.post(&format!("/topics/{topic}"), vec![b'x'; PUSH_BYTES]).await.ok()?;
        if drive_for(PUSH_PATIENCE, pair, all_ready).await {
            return Some(push * PUSH_BYTES);
        }
    }
    None
}
