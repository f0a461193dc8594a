//! Probes of what only one protocol has: kinds of messages, named events, modes of a channel.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::probe_client::{Arrival, because, pass};
use super::{MESSAGES, PATIENCE, Stage, found, open};
use crate::host::capture::Wiretap;
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
        let (arrival, _) = pass(&mut pair, TEXT, false).await;
        ensure!(arrival == Arrival::Unchanged, "the text did not arrive{}", because(&pair));
        self.server.post("/topics/probe-control", TEXT.to_vec()).await?;
        let unseen = |why: String| {
            let needs = format!("a sight of all packets on the loopback device: {why}");
            Ok(Some(open("encrypted", BTreeMap::new(), needs)))
        };
        let seen = match wiretap.search(TEXT) {
            Ok(seen) => seen,
            Err(error) => return unseen(error.to_string()),
        };
        let control = seen.readable_segments > 0 || self.server.tls.is_some();
        if !control || seen.datagrams == 0 {
            return unseen(format!("{seen:?}"));
        }
        let word = if seen.readable_datagrams == 0 { "yes" } else { "no" };
        let evidence = BTreeMap::from([
            ("datagrams".to_owned(), seen.datagrams as f64),
            ("readable_datagrams".to_owned(), seen.readable_datagrams as f64),
            ("readable_segments_of_control".to_owned(), seen.readable_segments as f64),
        ]);
        let detail = format!(
            "the text could be read in {} of {} datagrams on the wire; a plain POST of it beside them was read in {} segments",
            seen.readable_datagrams, seen.datagrams, seen.readable_segments
        );
        Ok(Some(found("encrypted", word, evidence, detail)))
    }

    /// Text and binary come back as what they were, a ping is answered with its own bytes, a close with a close
    /// (RFC 6455, sections 5.5 and 5.6). Spoken by the library itself, without the client under test.
    async fn types(&self) -> Result<Probe> {
        let text = Frame::text("text: \u{e9}\u{1F600}");
        let binary = Frame::binary((0..=255u8).collect::<Vec<u8>>());
        let ping = Frame::Ping("rtbench".into());
        // Without it the others would say nothing.
        let plain = self.answer_to(text.clone()).await?;
        ensure!(plain == Some(text), "not even a plain text comes back as it was: {plain:?}");
        let mut works = vec![("text", true)];
        for (name, sent, expected) in
            [("binary", binary.clone(), binary), ("ping", ping, Frame::Pong("rtbench".into()))]
        {
            works.push((name, self.answer_to(sent).await.is_ok_and(|answer| answer == Some(expected))));
        }
        let closed = self.answer_to(Frame::Close(None)).await;
        works.push(("close", matches!(closed, Ok(Some(Frame::Close(_))))));
        Ok(verdict("types", works, "came back as what it was sent as, or was answered as it should be"))
    }

    /// What the echo answers to a frame, on a connection of its own: one kind refused must not cost the next.
    async fn answer_to(&self, frame: Frame) -> Result<Option<Frame>> {
        let stream = TcpStream::connect(self.server.address).await?;
        let url = format!("ws://{}/ws?echo=1", self.server.address);
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        socket.send(frame).await?;
        loop {
            match timeout(PATIENCE, socket.next()).await.context("no answer")?.transpose()? {
                // A pong that nobody asked for is no answer (RFC 6455, section 5.5.3).
                Some(Frame::Pong(unasked)) if unasked.is_empty() => {}
                answer => return Ok(answer),
            }
        }
    }

    /// A text and a binary event of one stream, each under a name of its own. The text has to arrive; a binary one that the
    /// server does not take says nothing of names.
    async fn named_events(&self) -> Result<Probe> {
        let topic = "probe-named";
        let url = format!("http://{}/sse?topic={topic}", self.server.address);
        let client = control::client(self.server.address, None).build()?;
        let mut stream = client.get(url).send().await?.error_for_status()?;
        let publish = format!("http://{}/topics/{topic}", self.server.address);
        let post = async |media: &str, body: Vec<u8>| {
            client.post(&publish).header("Content-Type", media).body(body).send().await
        };
        let mut read = Vec::new();
        post("text/plain", b"plain".to_vec()).await?.error_for_status()?;
        let plain = appears(&mut stream, &mut read, "event: message\ndata: plain\n\n").await?;
        ensure!(plain, "not even a plain text arrives under its name");
        let answer = post("application/octet-stream", vec![0, 13, 255]).await?;
        if let Err(refused) = answer.error_for_status_ref() {
            let needs = format!("a server that takes binary events: {refused}");
            return Ok(open("named-events", BTreeMap::new(), needs));
        }
        let binary = appears(&mut stream, &mut read, "event: base64\ndata: AA3/\n\n").await?;
        Ok(verdict("named-events", vec![("message", true), ("base64", binary)], "arrived under its own name"))
    }

    /// Each kind of channel between two peers, ten messages over each. Nothing is lost on loopback, so what the modes
    /// do about loss is not in this.
    async fn modes(&self) -> Result<Probe> {
        let mut works = Vec::new();
        for (number, (ordered, max_retransmits)) in MODES.into_iter().enumerate() {
            let options = Options { ordered, max_retransmits, ..self.options(true) };
            let name = match (ordered, max_retransmits) {
                (true, None) => "reliable-ordered",
                (true, Some(_)) => "unreliable-ordered",
                (false, None) => "reliable-unordered",
                (false, Some(_)) => "unreliable-unordered",
            };
            let carried = self.carries(&format!("probe-mode-{number}"), &options).await;
            // The first is what every channel is by default: without it the others say nothing.
            if number == 0 {
                carried.as_ref().map_err(|error| anyhow!("{name}: {error:#}"))?;
            }
            works.push((name, carried.is_ok()));
        }
        Ok(verdict("modes", works, "carried 10 messages between two peers, without loss on the way"))
    }

    /// Ten messages between two peers, each once.
    async fn carries(&self, topic: &str, options: &Options) -> Result<()> {
        let mut pair = self.pair_with(topic, options).await?;
        for message in 0..MESSAGES {
            let (arrival, _) = pass(&mut pair, format!("message {message}").as_bytes(), false).await;
            ensure!(arrival == Arrival::Unchanged, "message {message} did not arrive{}", because(&pair));
        }
        let came = pair[1].mail.payloads.len();
        ensure!(came == MESSAGES, "{came} messages came of {MESSAGES}");
        Ok(())
    }
}

/// Reads on until this text is there, for as long as patience lasts.
async fn appears(stream: &mut reqwest::Response, read: &mut Vec<u8>, text: &str) -> Result<bool> {
    let text = text.as_bytes();
    loop {
        if read.windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
        match timeout(PATIENCE, stream.chunk()).await {
            Ok(Ok(Some(chunk))) => read.extend_from_slice(&chunk),
            Ok(Ok(None)) | Err(_) => return Ok(false),
            Ok(Err(error)) => bail!(error),
        }
    }
}

/// Yes if all of it works.
fn verdict(name: &str, works: Vec<(&'static str, bool)>, did: &str) -> Probe {
    let failed: Vec<&str> = works.iter().filter(|(_, works)| !works).map(|(name, _)| *name).collect();
    let all: Vec<&str> = works.iter().map(|(name, _)| *name).collect();
    let evidence: BTreeMap<String, f64> =
        works.iter().map(|(name, works)| ((*name).to_owned(), f64::from(u8::from(*works)))).collect();
    let word = if failed.is_empty() { "yes" } else { "no" };
    let detail = match failed.is_empty() {
        true => format!("{}: each {did}", all.join(", ")),
        false => format!("not so: {}", failed.join(", ")),
    };
    found(name, word, evidence, detail)
}
