//! The program against servers that bend the contract, or do not speak it at all.
#![allow(clippy::unwrap_used)]

#[path = "support/bent.rs"]
mod bent;
#[path = "support/program.rs"]
mod program;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use bent::{Answers, Bends, Bent, Request, answer};
use program::{Background, assert_exit, cells, rtbench, run_dir, text};
use serde_json::Value;

fn scenario(dir: &Path, load: &str, more: &str) -> String {
    let path = dir.join("scenario.toml");
    let text = format!("about = \"a bent server\"\n[load]\nwarmup = \"0s\"\n{load}\n{more}");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// A run of a scenario against a server, and its cells.
fn load(server: &Bent, load: &str, more: &str) -> (Output, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let path = scenario(dir.path(), load, more);
    let out = dir.path().join("results");
    let output =
        rtbench().args(["run", &path, "--target", &server.url(), "--out"]).arg(&out).output().unwrap();
    let cells = run_dir(&out).map_or(Vec::new(), |dir| cells(&dir));
    (output, cells)
}

fn only_healthy(request: &Request) -> Option<Vec<u8>> {
    (!request.line.contains("/healthz")).then(|| answer("404 Not Found", "", "\x1b[1mno such page\n"))
}

#[test]
fn a_target_that_speaks_something_else_is_named_by_its_first_answer() {
    let server = Bent::start(Bends { answer: Some(only_healthy), ..Bends::default() });
    for (protocols, pattern, asked) in [
        ("sse", "broadcast", "GET /sse?topic=g0"),
        ("long-poll", "broadcast", "GET /poll?topic=g0"),
        ("short-poll", "broadcast", "GET /poll?topic=g0"),
        ("websocket", "echo", "GET /ws?echo=1"),
        ("webrtc", "echo", "POST /rtc?echo=1"),
        ("webrtc", "broadcast", "GET /poll?topic=sig.g0."),
    ] {
        let load_text = format!(
            "protocols = \"{protocols}\"\npattern = \"{pattern}\"\nclients = 50\nrate = \"1/s\"\nduration = \"1s\"\n"
        );
        // As long as a ramp of one in ten minutes would take, if nobody looked.
        let (output, cells) =
            load(&server, &load_text, "[connect]\ntimeout = \"10min\"\nramp = \"1000/s\"\n");
        assert_exit(&output, 4);
        let reason = cells[0]["status"]["failed"].as_str().unwrap();
        assert!(reason.starts_with(asked), "{reason}");
        let told = " answered 404: this server does not speak the contract (it said: no such page)";
        assert!(reason.ends_with(told), "{reason}");
        assert!(text(&output).contains("does not speak the contract"), "{}", text(&output));
    }
}

#[test]
fn a_target_without_its_health_is_quoted_too() {
    let answers: [(Answers, &str); 2] = [
        (
            |_| Some(answer("404 Not Found", "", "nginx")),
            "GET /healthz answered 404: this server does not speak the contract (it said: nginx)",
        ),
        (
            |_| Some(answer("308 Moved", "Location: https://example.org/\r\n", "")),
            "GET /healthz answered 308, see https://example.org/: this server does not speak the contract",
        ),
    ];
    for (answer, told) in answers {
        let server = Bent::start(Bends { answer: Some(answer), ..Bends::default() });
        let (output, cells) = load(
            &server,
            "clients = 2\ngroup = 2\nprotocols = \"sse\"\nrate = \"1/s\"\nduration = \"1s\"\n",
            "",
        );
        assert_exit(&output, 4);
        let reason = cells[0]["status"]["failed"].as_str().unwrap();
        assert!(reason.starts_with(told), "{reason}");
    }
}

#[test]
fn a_server_at_its_limit_is_no_stranger() {
    fn full(request: &Request) -> Option<Vec<u8>> {
        (!request.line.contains("/healthz")).then(|| answer("503 Service Unavailable", "", "full\n"))
    }
    let server = Bent::start(Bends { answer: Some(full), ..Bends::default() });
    let load_text =
        "protocols = \"websocket\"\npattern = \"echo\"\nclients = 3\nrate = \"1/s\"\nduration = \"1s\"\n";
    let (output, cells) = load(&server, load_text, "[connect]\ntimeout = \"2s\"\n");
    assert_exit(&output, 4);
    let reason = cells[0]["status"]["failed"].as_str().unwrap();
    assert!(
        reason.starts_with("no client could connect (") && reason.contains("answered 503: full"),
        "{reason}"
    );
}

#[test]
fn compressed_answers_are_counted_as_what_they_say() {
    for protocol in ["sse", "long-poll", "short-poll"] {
        let server = Bent::start(Bends { gzip: true, ..Bends::default() });
        let load_text = format!(
            "protocols = \"{protocol}\"\nclients = 6\ngroup = 6\nrate = \"10/s\"\npayload = \"2KB\"\nduration = \"1s\"\n"
        );
        let (output, cells) = load(&server, &load_text, "[short_poll]\ninterval = \"200ms\"\n");
        assert_exit(&output, 0);
        let counts = &cells[0]["counts"];
        let delivered = counts["delivered"].as_u64().unwrap();
        assert_eq!(
            (delivered, counts["lost"].as_u64().unwrap()),
            (server.taken() as u64 * 5, 0),
            "{protocol}"
        );
        // What is padding in an event is next to nothing on the wire, where bytes are counted.
        let wire = cells[0]["subscriber_wire"]["in_bytes"].as_u64().unwrap();
        assert!(wire < delivered * 2_000 / 2, "{protocol}: {wire} B for {delivered} events of 2 KB");
    }
}

#[test]
fn a_subprotocol_that_the_scenario_asks_for_is_spoken() {
    let server = Bent::start(Bends { subprotocol: Some("chat.v1"), ..Bends::default() });
    let load_text =
        "protocols = \"websocket\"\npattern = \"echo\"\nclients = 3\nrate = \"5/s\"\nduration = \"1s\"\n";
    let custom = "[http]\nheaders = \"custom\"\ncustom = [\"Sec-WebSocket-Protocol: chat.v1\"]\n";
    let (output, cells) = load(&server, load_text, custom);
    assert_exit(&output, 0);
    assert_eq!((&cells[0]["counts"]["connected"], &cells[0]["counts"]["lost"]), (&3.into(), &0.into()));
    let (output, _) = load(&server, load_text, &custom.replace("chat.v1", "chat.v2"));
    assert_exit(&output, 4);
    assert!(
        text(&output).contains("answered 400: this server does not speak the contract (it said: speak"),
        "{}",
        text(&output)
    );
    let (output, _) =
        load(&server, load_text, &custom.replace("Sec-WebSocket-Protocol: chat.v1", "Accept-Encoding: br"));
    assert_exit(&output, 2);
    assert!(
        text(&output).contains("'Accept-Encoding: br': answers compressed by br cannot be read"),
        "{}",
        text(&output)
    );
}

/// What a server that is gone for half a second took, and what of it each subscriber got.
fn restarted(protocol: &str, refuses: bool, more: &str) -> (u64, u64) {
    let server = Bent::start(Bends::default());
    let dir = tempfile::tempdir().unwrap();
    let load_text = format!(
        "protocols = \"{protocol}\"\nclients = 4\ngroup = 4\nrate = \"20/s\"\nduration = \"3s\"\ndrain = \"4s\"\n"
    );
    let path = scenario(dir.path(), &load_text, more);
    let run = Background::start(&["run", &path, "--target", &server.url()]);
    server.await_events(10);
    server.pause(refuses, Duration::from_millis(500));
    let (output, out) = run.output();
    let cells = cells(&run_dir(out.path()).unwrap());
    assert_eq!(cells[0]["status"], "finished", "{}", text(&output));
    let delivered = cells[0]["counts"]["delivered"].as_u64().unwrap();
    assert_eq!(cells[0]["counts"]["duplicates"], 0, "{protocol}");
    (server.taken() as u64, delivered / 3)
}

#[test]
fn clients_of_a_server_that_was_restarted_get_all_that_it_took() {
    let backoff = "[connect]\nreconnect = \"backoff\"\n";
    let cases = [
        ("sse", false, ""),
        ("sse", true, backoff),
        ("long-poll", false, ""),
        ("long-poll", true, ""),
        ("short-poll", true, "[short_poll]\ninterval = \"300ms\"\n"),
        // By the standard, another status than 200 ends an event stream for good.
        ("sse", true, ""),
    ];
    let all = std::thread::scope(|scope| {
        let runs =
            cases.map(|(protocol, refuses, more)| scope.spawn(move || restarted(protocol, refuses, more)));
        runs.map(|run| run.join().unwrap())
    });
    for ((protocol, refuses, more), (taken, got)) in cases.into_iter().zip(all) {
        assert!((30..60).contains(&taken), "{protocol}: {taken} events of 60 were taken");
        let ends = protocol == "sse" && refuses && more.is_empty();
        assert!(if ends { got < taken } else { got == taken }, "{protocol}, {refuses}: {got} of {taken}");
    }
}

#[test]
fn a_debug_page_is_one_clean_line_in_every_output() {
    fn page(request: &Request) -> Option<Vec<u8>> {
        let line = "<li>\x1b]0;owned\x07\x1b[2J a=ice-pwd:Secret12345 <code>File \"app.py\"</code></li>\n";
        let page =
            format!("<!DOCTYPE html>\n<title>\x1b[31mError\x1b[0m at /rtc</title>\n{}", line.repeat(2_000));
        request
            .line
            .contains("/rtc")
            .then(|| answer("500 Internal Server Error", "Content-Type: text/html\r\n", page))
    }
    let server = Bent::start(Bends { answer: Some(page), ..Bends::default() });
    let dir = tempfile::tempdir().unwrap();
    let load_text =
        "protocols = \"webrtc\"\npattern = \"echo\"\nclients = 2\nrate = \"1/s\"\nduration = \"1s\"\n";
    let path = scenario(dir.path(), load_text, "[connect]\ntimeout = \"1s\"\n");
    let (out, summary) = (dir.path().join("results"), dir.path().join("summary.md"));
    let output = rtbench()
        .args(["run", &path, "--target", &server.url(), "--out"])
        .arg(&out)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_exit(&output, 4);
    let reason = "POST /rtc?echo=1 answered 500: a page, Error at /rtc";
    assert!(text(&output).replace("\n    ", " ").contains(reason), "{}", text(&output));
    let files = std::fs::read_dir(run_dir(&out).unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.chain([summary]).filter(|path| path.is_file());
    let texts = files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    for (name, text) in texts.chain([("the terminal".to_owned(), text(&output))]) {
        assert!(!text.contains(['\x1b', '\x07']) && !text.contains("\\u001b"), "{name}: {text}");
        assert!(!text.contains("Secret") && !text.contains("app.py"), "{name}: {text}");
        assert!(text.len() < 100_000, "{name}: {} bytes", text.len());
    }
}
