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
//! comments on a quiet event stream are the server's business and come every 15 s at the earliest: this box they do not
//! appease, one of 60 s they would.
//!
//! Blocked UDP is emulated, by a link that loses every datagram: it needs no rights, and it cannot hit others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::middlebox::{BUFFERING, IDLE, IDLE_TIMEOUT, Middlebox, PLAIN};
use super::{PATIENCE, Puppet, Stage, Way, drive, drive_for, external, relay};
use crate::fleet::server::{Server, ServerChoice};
use crate::host::timer::Timer;
use crate::measure::cell::Probe;
use crate::protocol::{Options, Protocol};
use crate::transport::link::{Link, LinkSpec};

/// Messages before and after the silence.
const BURST: usize = 5;

/// What a message may take longer than the slowest without a box; more is late.
const LATE: Duration = Duration::from_millis(250);

/// How long nothing is said between the bursts.
const SILENCE: Duration = Duration::from_millis(2500);

/// Size of what is sent after messages that are held back, in bytes, and how often.
const PUSH_BYTES: usize = 512;
const PUSHES: usize = 64;

/// How long a push is given to move something.
const PUSH_PATIENCE: Duration = Duration::from_millis(20);

/// The name of blocked UDP.
const UDP: &str = "udp-blocked";

/// What became of the messages through one box.
#[derive(Clone, Debug, Default)]
struct Passage {
    sent: usize,
    arrived: usize,
    /// Longest time from sending to arrival.
    worst: Duration,
    /// Reconnects that the protocol made, and polls that were asked again.
    cuts: u32,
    /// What ended it, or kept it from beginning.
    broken: Option<String>,
    /// Bytes that had to follow until something came that was held back.
    pushed_out_by: Option<usize>,
}

/// How a protocol fares with one box.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Works,
    Degrades(String),
    Fails(String),
}

/// Probes a protocol with every box, and one over datagrams with a relay. What needs a program that is not there is not
/// found out.
pub(super) async fn probe(
    protocol: &'static Protocol,
    choice: &ServerChoice,
    probes: &mut Vec<Probe>,
) -> Result<()> {
    if external::find("nginx").is_none() {
        return Ok(());
    }
    let mut server = Server::ready(choice).await?;
    // A link has a task of its own.
    let outcome = LocalSet::new().run_until(through_all(protocol, &server)).await;
    if let Some(process) = server.process.take() {
        process.end().await;
    }
    probes.extend(outcome.context("firewall")?);
    Ok(())
}

async fn through_all(protocol: &'static Protocol, server: &Server) -> Result<Vec<Probe>> {
    let mut found = Report::default();
    let plain = Trip { topic: "direct", hold: IDLE_TIMEOUT / 2, silence: Duration::ZERO };
    let direct = trip(&Stage { protocol, server, way: Way::default() }, &plain).await;
    let complete = direct.broken.is_none() && direct.arrived == 2 * BURST;
    ensure!(complete, "messages are missing even without a middlebox: {direct:?}");
    found.note("direct", &direct);
    for middlebox in [&PLAIN, &BUFFERING, &IDLE] {
        let silence = if middlebox.cuts_silence { SILENCE } else { Duration::ZERO };
        let box_trip = Trip { topic: middlebox.name, silence, ..plain };
        let passage = through(protocol, server, middlebox, &box_trip).await?;
        found.add(middlebox.name, &passage, judge(&passage, &direct), String::new());
    }
    if protocol.name == "long-poll" {
        let longer = Trip { topic: "longer", hold: 4 * IDLE_TIMEOUT, silence: SILENCE };
        let passage = through(protocol, server, &IDLE, &longer).await?;
        found.beside = format!("; with polls held longer than that, it {}", judge(&passage, &direct));
    }
    let mut blocked = None;
    if protocol.traits.peer_to_peer {
        let spec = LinkSpec { loss_percent: 100.0, ..LinkSpec::default() };
        blocked = Link::new(Timer::new()?, spec, 1);
        let way = Way { link: blocked.clone(), ..Way::default() };
        let passage = trip(&Stage { protocol, server, way }, &Trip { topic: UDP, ..plain }).await;
        let emulated = " (emulated: a link that loses every datagram)".to_owned();
        found.add(UDP, &passage, judge(&passage, &direct), emulated);
    }
    let mut probes = vec![found.probe()];
    if let Some(blocked) = blocked.filter(|_| external::find(relay::PROGRAM).is_some()) {
        probes.push(relay::probe(protocol, server, &blocked).await.context("relay")?);
    }
    Ok(probes)
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
    hold: Duration,
    silence: Duration,
}

async fn trip(stage: &Stage<'_>, how: &Trip) -> Passage {
    let peer_to_peer = stage.protocol.traits.peer_to_peer;
    let options = Options { hold: Some(how.hold), ..stage.options(peer_to_peer) };
    let topic = format!("firewall-{}", how.topic);
    let mut pair = stage.puppets(&topic, &options);
    let mut passage = Passage::default();
    if !drive(&mut pair, |pair| all_ready(pair) || any_ended(pair)).await {
        passage.broken = Some(format!("no subscription within {} s", PATIENCE.as_secs()));
        passage.pushed_out_by = push_out(stage, &topic, &mut pair).await;
    } else if !any_ended(&pair) {
        burst(&mut pair, &mut passage).await;
        drive_for(how.silence, &mut pair, |_| false).await;
        burst(&mut pair, &mut passage).await;
    }
    passage.cuts = pair.iter().map(|puppet| puppet.cuts + puppet.refused).sum();
    if let Some(failure) = pair.iter().find_map(|puppet| puppet.ended.as_ref()) {
        passage.broken = Some(failure.kind.to_string());
    }
    passage
}

fn all_ready(pair: &[Puppet]) -> bool {
    pair.iter().all(|puppet| puppet.ready)
}

fn any_ended(pair: &[Puppet]) -> bool {
    pair.iter().any(|puppet| puppet.ended.is_some())
}

fn arrived(pair: &[Puppet]) -> usize {
    pair[1].mail.payloads.iter().collect::<BTreeSet<_>>().len()
}

/// Messages one after the other, each awaited; one that does not come is the last.
async fn burst(pair: &mut [Puppet], passage: &mut Passage) {
    for _ in 0..BURST {
        if any_ended(pair) {
            break;
        }
        let begun = Instant::now();
        pair[0].outgoing = Some((format!("message {}", passage.sent).into_bytes(), false));
        passage.sent += 1;
        let goal = passage.sent;
        let came = drive(pair, |pair| arrived(pair) == goal || any_ended(pair)).await;
        passage.worst = passage.worst.max(begun.elapsed());
        if !came {
            break;
        }
    }
    passage.arrived = arrived(pair);
}

/// Bytes that must follow, on the straight way to the server, until the subscriber hears of its subscription.
async fn push_out(stage: &Stage<'_>, topic: &str, pair: &mut [Puppet]) -> Option<usize> {
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

fn judge(passage: &Passage, direct: &Passage) -> Outcome {
    let Passage { sent, arrived, worst, cuts, broken, pushed_out_by } = passage;
    let lost = sent - arrived;
    if let Some(why) = broken {
        let mut text = if *sent == 0 {
            format!("{why}, nothing arrives")
        } else {
            format!("{why} after {arrived} messages, and no more arrive")
        };
        if let Some(bytes) = pushed_out_by {
            text += &format!(": held back until {bytes} B have followed");
        }
        return Outcome::Fails(text);
    }
    if *arrived == 0 {
        return Outcome::Fails("nothing arrives".to_owned());
    }
    let late = worst.saturating_sub(direct.worst);
    let cut =
        (*cuts > 0).then(|| format!("cut and back by itself {cuts} times, {lost} of {sent} messages lost"));
    let lossy = (*cuts == 0 && lost > 0).then(|| format!("{lost} of {sent} messages lost"));
    let slow = (late > LATE).then(|| format!("up to {} ms late", late.as_millis()));
    let how: Vec<String> = [cut, lossy, slow].into_iter().flatten().collect();
    if how.is_empty() { Outcome::Works } else { Outcome::Degrades(how.join(", ")) }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Works => f.write_str("works"),
            Outcome::Degrades(how) => write!(f, "degrades ({how})"),
            Outcome::Fails(how) => write!(f, "fails ({how})"),
        }
    }
}

/// The results so far.
#[derive(Default)]
struct Report {
    outcomes: Vec<(&'static str, Outcome)>,
    lines: Vec<String>,
    beside: String,
    evidence: BTreeMap<String, f64>,
}

impl Report {
    fn add(&mut self, name: &'static str, passage: &Passage, outcome: Outcome, emulated: String) {
        self.lines.push(format!("{name}{emulated}: {outcome}"));
        self.note(name, passage);
        self.outcomes.push((name, outcome));
    }

    fn note(&mut self, name: &str, passage: &Passage) {
        let mut figure = |what: &str, value: f64| {
            self.evidence.insert(format!("{}_{what}", name.replace('-', "_")), value);
        };
        figure("sent", passage.sent as f64);
        figure("arrived", passage.arrived as f64);
        figure("worst_ms", passage.worst.as_secs_f64() * 1e3);
        figure("cuts", f64::from(passage.cuts));
        if let Some(bytes) = passage.pushed_out_by {
            figure("held_back_bytes", bytes as f64);
        }
    }

    fn probe(self) -> Probe {
        Probe {
            name: "firewall".to_owned(),
            found: word(&self.outcomes).to_owned(),
            evidence: self.evidence,
            detail: self.lines.join("; ") + &self.beside,
        }
    }
}

/// The guide's word, by the rule at the head of this file.
fn word(outcomes: &[(&str, Outcome)]) -> &'static str {
    let works = |outcome: &Outcome| *outcome == Outcome::Works;
    let blocked = |(name, outcome): &(&str, Outcome)| *name == UDP && matches!(outcome, Outcome::Fails(_));
    match outcomes {
        all if all.iter().any(blocked) => "yes",
        all if all.iter().all(|(_, outcome)| works(outcome)) => "no",
        all if all.iter().any(|(_, outcome)| works(outcome)) => "some",
        _ => "yes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(arrived: usize, cuts: u32, worst_ms: u64) -> Passage {
        let worst = Duration::from_millis(worst_ms);
        Passage { sent: 10, arrived, worst, cuts, ..Passage::default() }
    }

    #[test]
    fn what_is_as_good_as_direct_works_and_what_is_late_cut_or_lossy_degrades() {
        let direct = passage(10, 0, 100);
        let told = |passage: Passage| judge(&passage, &direct).to_string();
        assert_eq!(told(passage(10, 0, 350)), "works");
        assert_eq!(told(passage(10, 0, 351)), "degrades (up to 251 ms late)");
        assert_eq!(
            told(passage(9, 2, 1)),
            "degrades (cut and back by itself 2 times, 1 of 10 messages lost)"
        );
        assert_eq!(told(passage(9, 0, 1)), "degrades (1 of 10 messages lost)");
        assert_eq!(told(passage(0, 0, 1)), "fails (nothing arrives)");
        let broken = Passage { broken: Some("HTTP status 504".into()), ..passage(5, 0, 1) };
        assert_eq!(told(broken), "fails (HTTP status 504 after 5 messages, and no more arrive)");
    }

    #[test]
    fn the_word_follows_the_rule() {
        let fails = || Outcome::Fails(String::new());
        let degrades = || Outcome::Degrades(String::new());
        assert_eq!(word(&[("a", Outcome::Works), ("b", Outcome::Works)]), "no");
        assert_eq!(word(&[("a", Outcome::Works), ("b", degrades())]), "some");
        assert_eq!(word(&[("a", Outcome::Works), ("b", fails())]), "some");
        assert_eq!(word(&[("a", degrades()), ("b", fails())]), "yes");
        assert_eq!(word(&[("a", Outcome::Works), (UDP, fails())]), "yes");
    }
}
