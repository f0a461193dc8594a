//! A real browser runs a protocol with its own API: it is started on the server's `/browser` page, which subscribes,
//! publishes, and reports to a topic what came back.

use std::collections::BTreeMap;

use super::probe_client::{Arrival, because, drive, drive_for, pass};
use super::{
    Duration, Probe, Protocol, Rc, Result, Server, ServerChoice, Stage, Way, anyhow, ensure, found, open,
};
use crate::host::programs;
use crate::protocol;
use crate::quote;
use crate::transport::control;

mod process;

use process::{Browser, Program};

/// How long a browser may take from its start to its report. The page itself gives up before.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the page says of its visit.
#[derive(serde::Deserialize)]
struct Report {
    ok: bool,
    /// Why not, if the browser said.
    error: String,
    /// `navigator.userAgent`
    agent: String,
    counts: BTreeMap<String, f64>,
}

/// Runs the protocol in the browser at hand; without one nothing is found. For SSE also counts how many streams it holds.
/// A message of our own clients has to arrive before and after: else it is the server that does not run it.
pub(super) async fn probe(
    protocol: &'static Protocol,
    choice: &ServerChoice,
    probes: &mut Vec<Probe>,
) -> Result<()> {
    let Some(program) = Program::find(&programs::places()) else { return Ok(()) };
    let mut server = Server::ready(choice).await?;
    let outcome = async {
        delivers(protocol, &server, "before").await?;
        let report = visit(&program, &server, protocol.name).await?;
        delivers(protocol, &server, "after").await?;
        probes.push(runs(protocol, &program, report));
        if protocol.name == "sse" {
            let six = six(&program, visit(&program, &server, "sse-six").await?)?;
            delivers(protocol, &server, "after-six").await?;
            probes.push(six);
        }
        Ok(())
    };
    let outcome = outcome.await;
    if let Some(process) = server.process.take() {
        process.end().await;
    }
    outcome
}

/// Whether a message of our own clients arrives.
async fn delivers(protocol: &'static Protocol, server: &Server, when: &str) -> Result<()> {
    let stage = Stage { protocol, server, way: Way::default() };
    let mut pair = stage.pair(&format!("browser-{when}"), false).await?;
    let (arrival, _) = pass(&mut pair, b"plain text", false).await;
    ensure!(arrival == Arrival::Unchanged, "not even a plain text arrives{}", because(&pair));
    Ok(())
}

/// Starts the browser on the page and waits for its report.
async fn visit(program: &Program, server: &Server, page: &str) -> Result<Report> {
    let topic: Rc<str> = format!("browser-{page}-report").into();
    let polling =
        protocol::find("long-poll").ok_or_else(|| anyhow!("there are no polls to read a report with"))?;
    let stage = Stage { protocol: polling, server, way: Way::default() };
    let mut mailbox = [stage.client(&topic, 1, &stage.options(false))];
    ensure!(drive(&mut mailbox, |mailbox| mailbox[0].ready).await, "the report cannot be waited for");
    let origin = control::origin(server.address, server.tls.as_ref());
    let url = format!("{origin}/browser?protocol={page}&topic=browser-{page}&report={topic}");
    let browser = Browser::start(program, &url)?;
    drive_for(PATIENCE, &mut mailbox, |mailbox| !mailbox[0].mail.payloads.is_empty()).await;
    let final_lines = browser.final_lines();
    browser.end().await;
    let report = mailbox[0].mail.payloads.first().ok_or_else(|| {
        anyhow!("{} reported nothing within {PATIENCE:?}; its last words: {final_lines}", program.name)
    })?;
    let Report { ok, error, agent, counts } = serde_json::from_slice(report)?;
    Ok(Report { ok, error: quote::line(&error), agent: quote::line(&agent), counts })
}

/// Whether it ran, in the guide's word for it: what one browser did can only support it.
fn runs(protocol: &Protocol, program: &Program, report: Report) -> Probe {
    // Plain requests are older than the APIs of the others.
    let word = if matches!(protocol.name, "short-poll" | "long-poll") { "all" } else { "modern" };
    let count = |name: &str| report.counts.get(name).copied().unwrap_or_default();
    let who = title(program, &report.agent);
    let detail = match report.ok {
        true => format!("{who} ran it: {} of {} messages unchanged", count("unchanged"), count("sent")),
        false if report.error.is_empty() => format!(
            "{who} got {} of {} messages back, {} of them unchanged",
            count("received"),
            count("sent"),
            count("unchanged")
        ),
        false => format!("{who} did not run it: {}", report.error),
    };
    let word = if report.ok { word } else { "no" };
    found("browser", word, report.counts, format!("{detail}; other browsers were not tried"))
}

/// How many streams to one host were open at a time. That it was the browser who waited is seen by the others, which open
/// once those are closed: a server that lets in so many and no more would look the same without.
fn six(program: &Program, report: Report) -> Result<Probe> {
    let who = title(program, &report.agent);
    ensure!(report.ok, "{who} opened no stream: {}", report.error);
    let count = |name: &str| report.counts.get(name).copied().unwrap_or_default();
    let (asked, connections, later) = (count("asked"), count("connections"), count("opened_later"));
    if connections + later < asked {
        let needs = format!(
            "a server that lets all {asked} streams in, one after the other: {who} got {connections}, and {later} more behind those"
        );
        return Ok(open("six", report.counts, needs));
    }
    let detail = format!(
        "{who} held {connections} of {asked} streams to one host on HTTP/1.1; {later} more opened once those were closed"
    );
    Ok(found("six", &connections.to_string(), report.counts, detail))
}

/// Name and version: `Chromium 142`.
fn title(program: &Program, agent: &str) -> String {
    let version = agent.split_once("Chrome/").and_then(|(_, rest)| rest.split('.').next());
    format!("{} {}", program.name, version.unwrap_or("of an unknown version"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0 Safari/537.36";

    fn probed(name: &str, report: &str) -> (String, String) {
        let mut report: Report = serde_json::from_str(report).unwrap();
        report.agent = AGENT.to_owned();
        let program = Program { path: "/usr/bin/chromium".into(), name: "Chromium" };
        let probe = runs(protocol::find(name).unwrap(), &program, report);
        (probe.found, probe.detail)
    }

    #[test]
    fn what_ran_is_the_guides_word_and_the_browser_is_named() {
        let ran = r#"{"ok":true,"error":"","agent":"","counts":{"sent":5,"received":5,"unchanged":5}}"#;
        let detail = "Chromium 156 ran it: 5 of 5 messages unchanged; other browsers were not tried";
        for (name, word) in
            [("short-poll", "all"), ("long-poll", "all"), ("sse", "modern"), ("webrtc", "modern")]
        {
            assert_eq!(probed(name, ran), (word.to_owned(), detail.to_owned()), "{name}");
        }
    }

    #[test]
    fn streams_that_the_server_refused_are_not_those_that_the_browser_held_back() {
        let counted = |counts: &str| {
            let text = format!(r#"{{"ok":true,"error":"","agent":"","counts":{{{counts}}}}}"#);
            let program = Program { path: "/usr/bin/chromium".into(), name: "Chromium" };
            six(&program, serde_json::from_str(&text).unwrap()).unwrap().found
        };
        assert_eq!(counted(r#""asked":10,"connections":6,"opened_later":4"#), "6");
        assert_eq!(counted(r#""asked":10,"connections":10,"opened_later":0"#), "10");
        assert_eq!(counted(r#""asked":10,"connections":6,"opened_later":0"#), "", "nobody knows who refused");
    }

    #[test]
    fn what_did_not_run_is_no_and_says_why() {
        let refused = r#"{"ok":false,"error":"Error: 404","agent":"","counts":{}}"#;
        let (found, detail) = probed("sse", refused);
        assert_eq!(found, "no");
        assert!(detail.starts_with("Chromium 156 did not run it: Error: 404;"), "{detail}");
        let lost = r#"{"ok":false,"error":"","agent":"","counts":{"sent":5,"received":4,"unchanged":3}}"#;
        let (_, detail) = probed("sse", lost);
        assert!(
            detail.starts_with("Chromium 156 got 4 of 5 messages back, 3 of them unchanged;"),
            "{detail}"
        );
    }
}
