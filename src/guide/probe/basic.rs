//! What every protocol is asked: how it connects, who may begin, whether it carries binary, what it does about a cut. Each
//! says what it saw only if the thing really happened: a plain text message has to arrive first, and a word that a broken
//! server would bring about as well is not said.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};

use super::probe_client::{Arrival, ProbeClient, because, drive, drive_for, failure, pass};
use super::{MESSAGES, PATIENCE, Probe, RECOVERY, Stage, Way, found, open};
use crate::protocol;

/// A text message that no protocol has trouble with.
const PLAIN: &str = "plain text";

impl Stage<'_> {
    /// Ten messages, one after the other: what was opened, asked and passed on for each?
    pub(super) async fn connection_and_direction(&self) -> Result<[Probe; 2]> {
        let mut pair = self.pair("probe-connection", true).await?;
        let before = self.server.stats(PATIENCE).await.published_bytes;
        let (opened, exchanges) = (pair[1].meter.connections.get(), pair[1].meter.exchanges.get());
        let published_before = pair[0].publish_meter.exchanges.get();
        for number in 0..MESSAGES {
            let message = format!("message {number}");
            let (arrival, _) = pass(&mut pair, message.as_bytes(), false).await;
            ensure!(
                arrival == Arrival::Unchanged,
                "{message} did not arrive as it was sent{}",
                because(&pair)
            );
        }
        let per_message = |count: u64| count as f64 / MESSAGES as f64;
        let seen = Traffic {
            connections: per_message(pair[1].meter.connections.get() - opened),
            requests: per_message(pair[1].meter.exchanges.get() - exchanges),
            publish_requests: per_message(pair[0].publish_meter.exchanges.get() - published_before),
            through_server: {
                let after = self.server.stats(PATIENCE).await.published_bytes;
                before.zip(after).and_then(|(before, after)| after.checked_sub(before))
            },
        };
        Ok([seen.connection(self.protocol.traits.peer_to_peer), seen.direction()])
    }

    /// All 256 byte values in one message that is sent as binary, behind a text that arrives.
    pub(super) async fn binary(&self) -> Result<Probe> {
        let mut pair = self.pair("probe-binary", false).await?;
        let (arrival, _) = pass(&mut pair, PLAIN.as_bytes(), false).await;
        ensure!(arrival == Arrival::Unchanged, "not even a plain text arrives{}", because(&pair));
        let sent: Vec<u8> = (0..=255).collect();
        let wire_before = pair[1].meter.wire_in_bytes.get();
        let (arrival, _) = pass(&mut pair, &sent, true).await;
        // A server that says everything twice makes no message larger.
        let copies = pair[1].mail.payloads.iter().filter(|payload| **payload == sent).count().max(1) as u64;
        let wire_bytes = (pair[1].meter.wire_in_bytes.get() - wire_before) / copies;
        let figure = |yes: bool| f64::from(u8::from(yes));
        let evidence = BTreeMap::from([
            ("sent_bytes".to_owned(), sent.len() as f64),
            ("unchanged".to_owned(), figure(arrival == Arrival::Unchanged)),
            ("changed".to_owned(), figure(arrival == Arrival::Changed)),
            ("wire_in_bytes".to_owned(), wire_bytes as f64),
        ]);
        let became = match arrival {
            Arrival::Unchanged => "arrived unchanged".to_owned(),
            Arrival::Changed => "arrived changed".to_owned(),
            Arrival::Nothing => format!("did not arrive{}", because(&pair)),
        };
        Ok(match (self.protocol.traits.binary, arrival) {
            (true, Arrival::Unchanged) => {
                found("binary", "yes", evidence, format!("256 byte values {became} in a binary message"))
            }
            (true, _) => found("binary", "no", evidence, format!("256 byte values {became}, a text did")),
            (false, Arrival::Unchanged) => found(
                "binary",
                "no",
                evidence,
                format!(
                    "256 byte values arrived ({wire_bytes} B on the wire), but the protocol itself knows no binary message"
                ),
            ),
            // That this protocol carries no binary is not said by a server that takes none.
            (false, _) => open(
                "binary",
                evidence,
                format!("a server that takes binary: a text arrived, and 256 byte values {became}"),
            ),
        })
    }

    /// Connections are cut; three messages before, three during: does delivery go on by what the protocol itself does? A
    /// poller that a cut does not hurt watches whether the server has the messages at all.
    pub(super) async fn reconnect(&self) -> Result<Probe> {
        let topic: Rc<str> = "probe-reconnect".into();
        let polling = protocol::find("short-poll").context("there are no polls to watch with")?;
        let watch = Stage { protocol: polling, server: self.server, way: Way::default() };
        let options = self.options(false);
        let mut both = [self.client(&topic, 1, &options), watch.client(&topic, 1, &options)];
        let ready = |both: &[ProbeClient]| both.iter().all(|client| client.ready);
        let ready = drive(&mut both, |both| ready(both) || failure(both).is_some()).await && ready(&both);
        ensure!(ready, "the clients did not get ready{}", because(&both));
        self.publish(&topic, 0..3).await?;
        let all = |both: &[ProbeClient], numbers: std::ops::Range<u32>| {
            let count = numbers.len();
            both.iter().all(|client| came(client, numbers.clone()) == count)
        };
        let arrived = drive(&mut both, |both| all(both, 0..3) || both[1].ended.is_some()).await;
        ensure!(arrived && all(&both, 0..3), "nothing arrived before the cut{}", because(&both));
        let opened = both[0].meter.connections.get();
        self.server.post("/cut", Vec::new()).await?;
        self.publish(&topic, 3..6).await?;
        let recovered = |both: &[ProbeClient]| both[0].ended.is_some() || came(&both[0], 3..6) == 3;
        drive_for(RECOVERY, &mut both, recovered).await;
        // The one that watches has what it needs by now, or after a little patience.
        let watched = drive(&mut both, |both| came(&both[1], 0..6) == 6).await;
        Ok(Recovery {
            ended: both[0].ended.as_ref().map(ToString::to_string),
            after: came(&both[0], 3..6),
            cuts: both[0].cuts,
            opened: both[0].meter.connections.get() - opened,
            watched,
        }
        .probe())
    }

    async fn publish(&self, topic: &str, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers {
            self.server.post(&format!("/topics/{topic}"), message(number).into_bytes()).await?;
        }
        Ok(())
    }
}

fn message(number: u32) -> String {
    format!("message {number}")
}

/// How many of these messages have come, each counted once.
fn came(client: &ProbeClient, numbers: std::ops::Range<u32>) -> usize {
    let has =
        |number: &u32| client.mail.payloads.iter().any(|payload| *payload == message(*number).as_bytes());
    numbers.filter(has).count()
}

/// What was done for each of some messages, all of which arrived.
struct Traffic {
    /// Connections that the receiver opened.
    connections: f64,
    /// Requests of the receiver.
    requests: f64,
    /// Requests of the sender.
    publish_requests: f64,
    /// Bytes of payload in all; `None` if the server does not say.
    through_server: Option<u64>,
}

impl Traffic {
    fn evidence(&self) -> BTreeMap<String, f64> {
        let mut evidence = BTreeMap::from([
            ("connections_per_message".to_owned(), self.connections),
            ("requests_per_message".to_owned(), self.requests),
            ("publish_requests_per_message".to_owned(), self.publish_requests),
            ("messages".to_owned(), MESSAGES as f64),
        ]);
        let through =
            self.through_server.map(|bytes| ("payload_bytes_through_server".to_owned(), bytes as f64));
        evidence.extend(through);
        evidence
    }

    fn connection(&self, may_be_peers: bool) -> Probe {
        let word = match self.through_server {
            None if may_be_peers => {
                let needs = "a server that counts the payload which passes it".to_owned();
                return open("connection", self.evidence(), needs);
            }
            Some(0) if may_be_peers => "P2P",
            _ if self.connections >= 1.0 => "new each",
            _ if self.connections > 0.0 => {
                let needs = format!(
                    "connections that last: {:.1} were opened for each of {MESSAGES} messages",
                    self.connections
                );
                return open("connection", self.evidence(), needs);
            }
            _ if self.publish_requests == 0.0 => "persistent",
            _ => "held open",
        };
        let detail = format!(
            "{:.1} connections opened per delivered message; payload through the server: {} B",
            self.connections,
            self.through_server.map_or("unknown".to_owned(), |bytes| bytes.to_string())
        );
        found("connection", word, self.evidence(), detail)
    }

    fn direction(&self) -> Probe {
        let word = match (self.requests == 0.0, self.publish_requests == 0.0) {
            (true, true) => "both",
            (true, false) => "server to client",
            (false, _) => "request/response",
        };
        let detail = format!(
            "{:.1} requests of the receiver and {:.1} of the sender per message",
            self.requests, self.publish_requests
        );
        found("direction", word, self.evidence(), detail)
    }
}

/// What followed a cut behind the third of six messages.
struct Recovery {
    /// What ended the subscriber.
    ended: Option<String>,
    /// Of the three messages behind the cut, those that came.
    after: usize,
    /// Cuts that the protocol itself noticed and mended.
    cuts: u32,
    /// Connections opened since.
    opened: u64,
    /// Another client has all six.
    watched: bool,
}

impl Recovery {
    fn probe(self) -> Probe {
        let lost = 3 - self.after.min(3);
        let evidence = BTreeMap::from([
            ("lost".to_owned(), lost as f64),
            ("received_after_cut".to_owned(), self.after as f64),
            ("cuts_seen".to_owned(), f64::from(self.cuts)),
        ]);
        let goes_on = self.after > 0 && self.ended.is_none();
        if !self.watched {
            let needs = "a server that delivers behind a cut: a client that was not cut misses messages, too";
            return open("reconnect", evidence, needs.to_owned());
        }
        if goes_on && self.cuts == 0 && self.opened == 0 {
            return open("reconnect", evidence, "a server that cuts: nothing was cut".to_owned());
        }
        let detail = match &self.ended {
            Some(failure) => format!("ended by the cut ({failure}); {lost} of 6 messages lost"),
            // RFC 9112, section 9.3.1: a client may send an idempotent request again when a reused connection breaks.
            None if self.cuts == 0 && self.opened > 0 => {
                format!("the HTTP client asked again on a new connection, {lost} of 6 messages lost")
            }
            None => format!("{} cuts seen, {lost} of 6 messages lost", self.cuts),
        };
        found("reconnect", if goes_on { "yes" } else { "no" }, evidence, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_a_word_only_if_what_was_seen_fits_one() {
        let seen = |connections, publish_requests, through_server, peers| {
            Traffic { connections, requests: 0.0, publish_requests, through_server }.connection(peers).found
        };
        assert_eq!(seen(1.0, 1.0, Some(90), false), "new each");
        assert_eq!(seen(0.0, 1.0, Some(90), false), "held open");
        assert_eq!(seen(0.0, 0.0, Some(90), false), "persistent");
        assert_eq!(seen(0.0, 0.0, Some(0), true), "P2P");
        assert_eq!(seen(0.0, 0.0, Some(90), true), "persistent", "peers that talk over the server");
        assert_eq!(seen(0.0, 0.0, Some(0), false), "persistent", "a server that counts nothing");
        assert_eq!(seen(0.0, 0.0, None, true), "", "nobody knows what the server carried");
        assert_eq!(seen(0.3, 1.0, Some(90), false), "", "cut and opened again");
    }

    #[test]
    fn a_recovery_is_told_if_there_was_a_cut_and_the_server_went_on() {
        let told = |ended: Option<&str>, after, cuts, opened, watched| {
            let ended = ended.map(str::to_owned);
            Recovery { ended, after, cuts, opened, watched }.probe().found
        };
        assert_eq!(told(None, 3, 1, 1, true), "yes");
        assert_eq!(told(None, 3, 0, 1, true), "yes", "asked again on a new connection");
        assert_eq!(told(Some("reset"), 0, 0, 0, true), "no");
        assert_eq!(told(None, 0, 0, 0, true), "no", "cut off without knowing");
        assert_eq!(told(None, 3, 0, 0, true), "", "nothing was cut");
        for (ended, after, cuts) in [(Some("reset"), 0, 0), (None, 0, 1), (None, 2, 1)] {
            assert_eq!(told(ended, after, cuts, 1, false), "", "the server lost them");
        }
    }
}
