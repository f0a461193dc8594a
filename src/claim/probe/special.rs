//! Probes of what only one protocol has: kinds of messages, named events, modes of a channel.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{MESSAGES, PATIENCE, Stage, drive};
use crate::host::wiretap::Wiretap;
use crate::measure::cell::Probe;
use crate::protocol::Options;
use crate::transport::control;

/// The four kinds of data channels: in order or not, and how often a lost message is sent again.
const MODES: [(bool, Option<u16>); 4] = [(true, None), (true, Some(0)), (false, None), (false, Some(0))];

impl Stage<'_> {
    /// The probes that only this protocol has.
    pub(super) async fn special(&self) -> Result<Vec<Probe>> {
        Ok(match self.protocol.name {
            "websocket" => vec![self.types().await.context("types")?],
            "sse" => vec![self.named_events().await.context("named events")?],
            "webrtc" => {
                let modes = self.modes().await.context("modes")?;
                let encrypted = self.encrypted().await.context("encrypted")?;
                std::iter::once(modes).chain(encrypted).collect()
            }
            _ => Vec::new(),
        })
    }

    /// A text between two peers, looked for in every packet on the wire, and the same text in a plain POST, to know that
    /// it would have been found. Nothing without the right to listen.
    async fn encrypted(&self) -> Result<Option<Probe>> {
        const TEXT: &[u8] = b"rtbench: whoever can read this on the wire has found no encryption";
        let Ok(wiretap) = Wiretap::start() else { return Ok(None) };
        let mut pair = self.pair("probe-encrypted", true).await?;
        pair[0].outgoing = Some((TEXT.to_vec(), false));
        let arrived = drive(&mut pair, |pair| !pair[1].mail.payloads.is_empty()).await;
        ensure!(arrived && pair[1].mail.payloads[0] == TEXT, "the text did not arrive");
        self.server.post("/topics/probe-control", TEXT.to_vec()).await?;
        let seen = wiretap.search(TEXT)?;
        let control = seen.readable_segments > 0 || self.server.tls.is_some();
        ensure!(control && seen.datagrams > 0, "the packets could not be seen: {seen:?}");
        let found = if seen.readable_datagrams == 0 { "yes" } else { "no" };
        Ok(Some(Probe {
            name: "encrypted".to_owned(),
            found: found.to_owned(),
            evidence: BTreeMap::from([
                ("datagrams".to_owned(), seen.datagrams as f64),
                ("readable_datagrams".to_owned(), seen.readable_datagrams as f64),
                ("readable_segments_of_control".to_owned(), seen.readable_segments as f64),
            ]),
            detail: format!(
                "the text could be read in {} of {} datagrams on the wire; a plain POST of it beside them was read in {} segments",
                seen.readable_datagrams, seen.datagrams, seen.readable_segments
            ),
        }))
    }

    /// Text and binary come back as what they were, a ping is answered with its own bytes, a close with a close
    /// (RFC 6455, sections 5.5 and 5.6). Spoken by the library itself, without the client under test.
    async fn types(&self) -> Result<Probe> {
        let text = Frame::text("text: \u{e9}\u{1F600}");
        let binary = Frame::binary((0..=255u8).collect::<Vec<u8>>());
        let ping = Frame::Ping("rtbench".into());
        let mut works = Vec::new();
        for (name, sent, expected) in [
            ("text", text.clone(), text),
            ("binary", binary.clone(), binary),
            ("ping", ping, Frame::Pong("rtbench".into())),
        ] {
            works.push((name, self.answer_to(sent).await? == Some(expected)));
        }
        let closed = self.answer_to(Frame::Close(None)).await?;
        works.push(("close", matches!(closed, Some(Frame::Close(_)) | None)));
        Ok(verdict("types", works, "came back as what it was sent as, or was answered as it should be"))
    }

    /// What the echo answers to a frame, on a connection of its own: one kind refused must not cost the next.
    async fn answer_to(&self, frame: Frame) -> Result<Option<Frame>> {
        let stream = TcpStream::connect(self.server.address).await?;
        let url = format!("ws://{}/ws?echo=1", self.server.address);
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        socket.send(frame).await?;
        Ok(timeout(PATIENCE, socket.next()).await.context("no answer")?.transpose()?)
    }

    /// A text and a binary event of one stream, each under a name of its own.
    async fn named_events(&self) -> Result<Probe> {
        let topic = "probe-named";
        let url = format!("http://{}/sse?topic={topic}", self.server.address);
        let client = control::client(self.server.address, None).build()?;
        let mut stream = client.get(url).send().await?.error_for_status()?;
        let publish = format!("http://{}/topics/{topic}", self.server.address);
        let mut accepted = Vec::new();
        for (name, media, body) in [
            ("message", "text/plain", b"plain".to_vec()),
            ("base64", "application/octet-stream", vec![0, 13, 255]),
        ] {
            let request = client.post(&publish).header("Content-Type", media).body(body);
            accepted.push((name, request.send().await?.status().is_success()));
        }
        let mut read = Vec::new();
        let has = |read: &[u8], name: &str| {
            let line = format!("event: {name}\n");
            read.windows(line.len()).any(|window| window == line.as_bytes())
        };
        // What was refused need not be waited for.
        while accepted.iter().any(|(name, accepted)| *accepted && !has(&read, name)) {
            match timeout(PATIENCE, stream.chunk()).await {
                Ok(Ok(Some(chunk))) => read.extend_from_slice(&chunk),
                Ok(Ok(None)) | Err(_) => break,
                Ok(Err(error)) => bail!(error),
            }
        }
        let works = accepted.into_iter().map(|(name, _)| (name, has(&read, name))).collect();
        Ok(verdict("named-events", works, "arrived under its own name"))
    }

    /// Each kind of channel between two peers, ten messages over each. Nothing is lost on loopback, so what the modes
    /// do about loss is not in this.
    async fn modes(&self) -> Result<Probe> {
        let mut works = Vec::new();
        for (number, (ordered, max_retransmits)) in MODES.into_iter().enumerate() {
            let options = Options { ordered, max_retransmits, ..self.options(true) };
            let mut pair = self.pair_with(&format!("probe-mode-{number}"), &options).await?;
            for message in 0..MESSAGES {
                pair[0].outgoing = Some((format!("message {message}").into_bytes(), false));
                let arrived = drive(&mut pair, |pair| pair[1].mail.payloads.len() > message).await;
                ensure!(arrived, "message {message} did not arrive in mode {number}");
            }
            let name = match (ordered, max_retransmits) {
                (true, None) => "reliable-ordered",
                (true, Some(_)) => "unreliable-ordered",
                (false, None) => "reliable-unordered",
                (false, Some(_)) => "unreliable-unordered",
            };
            works.push((name, pair[1].mail.payloads.len() == MESSAGES));
        }
        Ok(verdict("modes", works, "carried 10 messages between two peers, without loss on the way"))
    }
}

/// Yes if all of it works.
fn verdict(name: &str, works: Vec<(&'static str, bool)>, did: &str) -> Probe {
    let failed: Vec<&str> = works.iter().filter(|(_, works)| !works).map(|(name, _)| *name).collect();
    let all: Vec<&str> = works.iter().map(|(name, _)| *name).collect();
    let evidence: BTreeMap<String, f64> =
        works.iter().map(|(name, works)| ((*name).to_owned(), f64::from(u8::from(*works)))).collect();
    Probe {
        name: name.to_owned(),
        found: if failed.is_empty() { "yes" } else { "no" }.to_owned(),
        evidence,
        detail: match failed.is_empty() {
            true => format!("{}: each {did}", all.join(", ")),
            false => format!("not so: {}", failed.join(", ")),
        },
    }
}
