//! What a user asked for and did not get is a failure, whatever else looks well: servers that refuse, cut, corrupt or answer late,
//! over every protocol of the table, by the exit code and in the files that a CI job keeps.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::path::Path;
use std::process::Output;

use program::{assert_exit, cells, run, run_dir, text};
use rtbench::measure::cell::{Cell, TrustLevel};
use rtbench::protocol::{ALL, Protocol};

/// What came of a run of one protocol: its output, its cell, its JUnit file.
struct Measured {
    output: Output,
    cell: Cell,
    junit: String,
}

/// Measures broadcast in groups of 10 against the reference server with a fault; `more` ends the scenario.
fn measure(protocol: &Protocol, fault: &str, more: &str) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("broken.toml");
    let text = format!(
        "about = \"A broken server\"\n[load]\nprotocols = [\"{}\"]\nclients = 20\ngroup = 10\nrate = \"4/s\"\n\
         warmup = \"0s\"\nduration = \"3s\"\ndrain = \"2s\"\n[http]\nheaders = \"minimal\"\n[short_poll]\n\
         interval = \"100ms\"\n[webrtc]\ntopology = \"server\"\n[connect]\ntimeout = \"5s\"\n{more}",
        protocol.name
    );
    std::fs::write(&scenario, text).unwrap();
    let results = dir.path().join("results");
    let output = run(&[
        "run",
        &path(&scenario),
        "--seed",
        "5",
        "--quiet",
        "--server-fault",
        fault,
        "--out",
        &path(&results),
    ]);
    let dir = run_dir(&results).unwrap_or_else(|| panic!("{}", program::text(&output)));
    let cell = serde_json::from_value(cells(&dir).remove(0)).unwrap();
    Measured { output, cell, junit: std::fs::read_to_string(dir.join("junit.xml")).unwrap() }
}

/// Does it for every protocol, side by side: most of it is waiting.
fn each(test: impl Fn(&'static Protocol) + Sync) {
    std::thread::scope(|scope| {
        let running: Vec<_> = ALL.iter().map(|protocol| scope.spawn(|| test(protocol))).collect();
        running.into_iter().for_each(|one| one.join().unwrap());
    });
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Measured {
    /// A threshold that nobody had to ask for failed, and every place says so.
    #[track_caller]
    fn fails(&self, threshold: &str) {
        let name = &self.cell.spec.id.protocol.name;
        assert_exit(&self.output, 1);
        let told = text(&self.output);
        assert!(told.contains(&format!("{threshold} does not hold")), "{name}: --quiet says it: {told}");
        let test = format!("<testcase classname=\"{name}\" name=\"{threshold}\"");
        let failed = self.junit.split(&test).nth(1).is_some_and(|rest| {
            rest.split("</testcase>").next().is_some_and(|test| test.contains("<failure"))
        });
        assert!(failed, "{name}: {}", self.junit);
    }
}

#[test]
fn clients_that_a_server_refuses_fail_the_run() {
    each(|protocol| {
        let measured = measure(protocol, "refuse=5", "");
        let counts = &measured.cell.counts;
        // Who asks again and again is let in once, and may then be refused at every question.
        let threshold = if protocol.traits.exchanges { "lost count==0" } else { "connected rate==100%" };
        assert!(counts.connected < 20 || counts.lost > 0, "{}: {counts:?}", protocol.name);
        measured.fails(threshold);
        if protocol.traits.exchanges {
            return;
        }
        let loose = measure(
            protocol,
            "refuse=5",
            "[thresholds]\nconnected = [\"rate>=10%\"]\nlost = [\"rate<=100%\"]\n",
        );
        assert_exit(&loose.output, 0);
    });
}

#[test]
fn clients_that_a_server_cuts_fail_the_run_unless_their_protocol_makes_up_for_it() {
    each(|protocol| {
        let measured = measure(protocol, "cut=3", "");
        let counts = &measured.cell.counts;
        match protocol.traits.resumes {
            true => assert_eq!(counts.cut_short, 0, "{}: {counts:?}", protocol.name),
            // Datagrams that no longer come are no cut for some seconds: what is due is owed, and lost.
            false if protocol.traits.peer_to_peer => measured.fails("lost count==0"),
            false => {
                assert_eq!(counts.cut_short, 18, "{}: each subscriber: {counts:?}", protocol.name);
                measured.fails("cut_short count==0");
                assert_ne!(measured.cell.trust.level, TrustLevel::Ok);
                let back = measure(protocol, "cut=3", "reconnect = \"backoff\"\n");
                assert!(back.cell.counts.excused > 0, "{}: {:?}", protocol.name, back.cell.counts);
                back.fails("cut_short count==0");
            }
        }
    });
}

#[test]
fn corrupt_payloads_are_the_servers_result() {
    each(|protocol| {
        let measured = measure(protocol, "corrupt=4", "");
        let counts = &measured.cell.counts;
        assert!(counts.corrupt > 0 && counts.lost == counts.corrupt, "{}: {counts:?}", protocol.name);
        measured.fails("corrupt count==0");
        assert_ne!(measured.cell.trust.level, TrustLevel::Invalid, "{:?}", measured.cell.trust.reasons);
    });
}

/// The wait for an answer is the server's: the events go out when they are due, none is taken back, and nothing is doubted.
#[test]
fn a_publish_that_is_answered_late_is_sent_counted_and_waited_for() {
    each(|protocol| {
        // What is in band is not answered, and comes late instead.
        let late = if protocol.traits.in_band { "delay=1500ms" } else { "answer-delay=1500ms" };
        let Measured { output, cell, .. } = measure(protocol, late, "");
        assert_exit(&output, 0);
        let (name, counts) = (protocol.name, &cell.counts);
        assert_eq!((counts.published, counts.announced), (24, 24), "{name}: {counts:?}");
        assert_eq!((counts.delivered, counts.expected), (216, 216), "{name}: {counts:?}");
        assert_eq!((counts.shed, counts.held_back, counts.unanswered), (0, 0, 0), "{name}: {counts:?}");
        assert!(cell.send_lag.max_ns < 1_000_000_000, "{name}: {:?}", cell.send_lag);
        let answered = cell.answer.count;
        if protocol.traits.in_band {
            assert_eq!(answered, 0, "{name}");
        } else {
            assert!(answered == 24 && cell.answer.min_ns >= 1_500_000_000, "{name}: {:?}", cell.answer);
        }
        assert_ne!(cell.trust.level, TrustLevel::Invalid, "{name}: {:?}", cell.trust.reasons);
    });
}

/// More than one client's connections can wait for: what does not go out is held back by the server, and fails the run.
#[test]
fn what_a_slow_server_keeps_from_being_sent_is_not_the_generators_fault() {
    each(|protocol| {
        if protocol.traits.in_band {
            return;
        }
        let measured = measure(protocol, "answer-delay=6s", "");
        let (name, counts) = (protocol.name, &measured.cell.counts);
        assert_eq!(counts.published + counts.held_back, 24, "{name}: {counts:?}");
        assert!(counts.held_back > 0 && counts.shed == 0, "{name}: {counts:?}");
        assert_eq!(counts.delivered + counts.lost, counts.expected, "{name}: {counts:?}");
        measured.fails("held_back count==0");
        assert_ne!(
            measured.cell.trust.level,
            TrustLevel::Invalid,
            "{name}: {:?}",
            measured.cell.trust.reasons
        );
    });
}
