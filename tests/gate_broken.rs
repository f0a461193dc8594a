//! The gate and servers that break: what the new side does wrong is its result.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use program::{assert_exit, cells, rtbench, run_dir, text};

const RTBENCH: &str = env!("CARGO_BIN_EXE_rtbench");

/// Whether a missing program is a failure; `.ci/run` sets it.
const FORBID_SKIP: &str = "RTBENCH_FORBID_SKIP";

/// A few clients that echo, or one that publishes to three.
fn scenario(dir: &Path, pattern: &str) -> String {
    let text = format!(
        "about = \"a few\"\n\n[load]\nprotocols = [\"websocket\"]\npattern = \"{pattern}\"\nclients = 4\ngroup = {}\nrate = \"200/s\"\n\
         payload = \"100B\"\nduration = \"200ms\"\ndrain = \"1s\"\n\n[connect]\ntimeout = \"1s\"\n",
        if pattern == "echo" { 1 } else { 4 }
    );
    let path = dir.join(format!("{pattern}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

struct Gate {
    out: tempfile::TempDir,
    output: Output,
}

impl Gate {
    fn run(pattern: &str, sides: [&str; 2], args: &[&str]) -> Gate {
        let out = tempfile::tempdir().unwrap();
        let results = out.path().join("results");
        let scenario = scenario(out.path(), pattern);
        let output = rtbench()
            .args(["gate", &scenario, "-z", "200ms", "--tier", "exact", "--quiet", "--out"])
            .arg(&results)
            .args(["--base-server", sides[0], "--new-server", sides[1]])
            .args(args)
            .output()
            .unwrap();
        Gate { out, output }
    }

    /// One of which every replicate counts: on a machine that is too busy some do not, and then what is planned for one of
    /// them comes to nothing.
    fn undisturbed(run: impl Fn(&Path) -> Gate) -> Gate {
        for _ in 0..10 {
            let memory = tempfile::tempdir().unwrap();
            let gate = run(memory.path());
            if !gate.file("gate.md").contains("not counted") {
                return gate;
            }
        }
        panic!("this machine has no time for a few messages");
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(run_dir(&self.out.path().join("results")).unwrap().join(name)).unwrap()
    }

    fn replicates(&self) -> usize {
        cells(&run_dir(&self.out.path().join("results")).unwrap()).len() / 2
    }
}

fn sound() -> String {
    format!("{RTBENCH} serve")
}

/// The same, broken in some way on its way to the clients.
fn broken(how: &str) -> String {
    format!("python3 {}/tests/gate/broken.py {how} {RTBENCH} serve --stdin-guard", env!("CARGO_MANIFEST_DIR"))
}

/// A server that has a fault when it is started for the `nth` time, from 0; and what remembers how often it was.
fn at_start(memory: &Path, nth: usize, fault: &str) -> String {
    std::fs::create_dir(memory).unwrap();
    let (memory, serve) = (memory.display(), sound());
    format!(
        "sh -c 'n=$(ls {memory} | wc -l); touch {memory}/$n; if [ $n = {nth} ]; then exec {fault}; fi; exec {serve}'"
    )
}

fn losing(one_in: u32) -> String {
    format!("{} --fault drop={one_in}", sound())
}

fn python_is_missing() -> bool {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    let missing = python.is_err();
    assert!(!missing || std::env::var_os(FORBID_SKIP).is_none_or(|value| value != "1"), "python3 is missing");
    if missing {
        eprintln!("SKIPPED: python3 is missing");
    }
    missing
}

#[test]
fn a_side_that_corrupts_payloads_fails_also_where_nobody_minds_inconclusive_ones() {
    if python_is_missing() {
        return;
    }
    let gate = Gate::run("echo", [&sound(), &broken("corrupt")], &["--inconclusive", "warn"]);
    assert_exit(&gate.output, 1);
    assert!(gate.said().contains("new: corrupted "), "{}", gate.said());
    assert!(gate.file("gate.md").contains("replicate 1, new: corrupted"), "{}", gate.file("gate.md"));
    assert!(gate.file("junit.xml").contains("<failure"), "{}", gate.file("junit.xml"));
}

#[test]
fn nobody_calls_it_green_where_both_sides_corrupt_payloads() {
    if python_is_missing() {
        return;
    }
    let gate = Gate::run("echo", [&broken("corrupt"), &broken("corrupt")], &["--inconclusive", "warn"]);
    assert_exit(&gate.output, 3);
    assert!(gate.said().contains("both sides are broken"), "{}", gate.said());
    assert!(gate.file("junit.xml").contains("<error"), "{}", gate.file("junit.xml"));
    // Of a base that is broken alone, that is said, and nothing is proven.
    let gate = Gate::run("echo", [&broken("corrupt"), &sound()], &[]);
    assert_exit(&gate.output, 3);
    assert!(gate.said().contains("base: corrupted "), "{}", gate.said());
}

#[test]
fn a_side_that_turns_clients_away_fails() {
    if python_is_missing() {
        return;
    }
    let gate = Gate::run("echo", [&sound(), &broken("refuse")], &[]);
    assert_exit(&gate.output, 1);
    assert!(gate.said().contains("new: only 2 of 4 clients connected"), "{}", gate.said());
}

#[test]
fn a_side_that_dies_under_load_fails_and_the_base_is_measured_to_its_end() {
    if python_is_missing() {
        return;
    }
    let gate = Gate::run("echo", [&sound(), &broken("die")], &["--inconclusive", "warn"]);
    assert_exit(&gate.output, 1);
    let said = gate.said();
    assert!(said.contains("new: the server") && said.contains("ended with exit code 1 in mid-run"), "{said}");
    assert!(said.contains("its last words: out of luck"), "{said}");
    let base = cells(&run_dir(&gate.out.path().join("results")).unwrap());
    let finished = |cell: &&serde_json::Value| cell["status"] == "finished";
    assert_eq!(base.iter().filter(finished).count(), 2, "the base lived through both replicates");
    // A death that may have come from outside is no proof when it comes once; here it comes again.
    let gate = Gate::run("echo", [&sound(), &broken("kill")], &[]);
    assert_exit(&gate.output, 1);
    assert_eq!(gate.replicates(), 2);
    // A base that dies proves nothing, and is told.
    let gate = Gate::run("echo", [&broken("die"), &sound()], &["--budget", "8s"]);
    assert_exit(&gate.output, 3);
    assert!(gate.said().contains("base: the server"), "{}", gate.said());
}

/// The base loses one message in one replicate: that must not let a side pass that loses half in each.
#[test]
fn one_lost_message_of_the_base_is_no_licence_to_lose_half() {
    let gate = Gate::undisturbed(|memory| {
        let base = at_start(&memory.join("base"), 1, &losing(60));
        Gate::run("broadcast", [&base, &losing(2)], &[])
    });
    assert_exit(&gate.output, 1);
    // The first two replicates settle it only where the base agrees with itself.
    assert!(gate.said().contains("lost is"), "{}", gate.said());
    assert_eq!(gate.replicates(), 5, "{}", gate.said());
    assert!(gate.said().contains("worse in every replicate (p = 0.4%)"), "{}", gate.said());
}

#[test]
fn what_the_base_loses_now_and_then_the_new_side_may_lose_too_and_that_is_named() {
    let gate = Gate::undisturbed(|memory| {
        let [base, new] =
            [("base", 0), ("new", 2)].map(|(side, nth)| at_start(&memory.join(side), nth, &losing(60)));
        Gate::run("broadcast", [&base, &new], &[])
    });
    assert_exit(&gate.output, 0);
    assert_eq!(gate.replicates(), 5);
    assert!(gate.file("gate.md").contains("nothing is seen to be worse"), "{}", gate.file("gate.md"));
    assert!(gate.file("gate.csv").contains("lost,,exact,decides,5"), "{}", gate.file("gate.csv"));
}

#[test]
fn a_server_whose_port_was_taken_is_started_on_another() {
    let memory = tempfile::tempdir().unwrap();
    let taken = "sh -c \"echo the address is in use >&2; exit 98\"";
    let line = at_start(&memory.path().join("new"), 1, taken)
        .replace(&format!("exec {}'", sound()), &format!("exec {} --bind 127.0.0.1:{{port}}'", sound()));
    let gate = Gate::run("echo", [&sound(), &line], &[]);
    assert_exit(&gate.output, 0);
    assert_eq!(
        std::fs::read_dir(memory.path().join("new")).unwrap().count(),
        3,
        "two replicates, one of them twice"
    );
}

/// The server does not notice, or does not mind, that its port is another's: what answers there is not what was started.
#[test]
fn a_server_whose_port_a_stranger_took_is_started_on_another() {
    if python_is_missing() {
        return;
    }
    let memory = tempfile::tempdir().unwrap();
    let stranger = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gate/stranger.py");
    let taken = format!("sh -c \"(setsid python3 {stranger} {{port}} 20 >/dev/null 2>&1 &); exec sleep 60\"");
    let line = at_start(&memory.path().join("new"), 0, &taken)
        .replace(&format!("exec {}'", sound()), &format!("exec {} --bind 127.0.0.1:{{port}}'", sound()));
    let base = format!("{} --bind 127.0.0.1:{{port}}", sound());
    let gate = Gate::run("echo", [&base, &line], &["--ready", "http://127.0.0.1:{port}/healthz"]);
    assert_exit(&gate.output, 0);
    assert_eq!(
        std::fs::read_dir(memory.path().join("new")).unwrap().count(),
        3,
        "two replicates, one of them twice"
    );
}

#[test]
fn a_stranger_that_answers_is_not_taken_for_the_server() {
    let mut stranger = rtbench()
        .args(["serve", "--stdin-guard"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stranger.stdout.take().unwrap()), &mut line)
        .unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}/healthz", ready["ready"]["http"].as_str().unwrap());
    let gate = Gate::run("echo", ["sleep 60", "sleep 60"], &["--ready", &url]);
    assert_exit(&gate.output, 4);
    assert!(gate.said().contains("another process answers at"), "{}", gate.said());
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
}

/// What GitHub shows beside a change goes to the error stream: standard output may be a report.
#[test]
fn annotations_go_to_the_error_stream() {
    let out = tempfile::tempdir().unwrap();
    let output = rtbench()
        .env("GITHUB_ACTIONS", "true")
        .args([
            "gate",
            &scenario(out.path(), "echo"),
            "-z",
            "50ms",
            "--tier",
            "exact",
            "--format",
            "gate.csv",
            "--out",
        ])
        .arg(out.path().join("results"))
        .args(["--base-server", &sound(), "--new-server", &format!("{} --fault framing=1B", sound())])
        .output()
        .unwrap();
    assert_exit(&output, 1);
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(stdout.starts_with("cell,verdict,") && !stdout.contains("::error"), "{stdout}");
    assert!(stderr.contains("::error title=rtbench gate::websocket: regression: framing_in"), "{stderr}");
}

/// A base that is broken is no baseline; without `--quiet` or with, that is said.
#[test]
fn a_broken_base_is_not_saved() {
    if python_is_missing() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let output = rtbench()
        .args([
            "gate",
            &scenario(out.path(), "echo"),
            "-z",
            "100ms",
            "--quiet",
            "--save-baseline",
            "main",
            "--out",
        ])
        .arg(out.path())
        .args(["--base-server", &broken("corrupt")])
        .output()
        .unwrap();
    assert_exit(&output, 3);
    assert!(text(&output).contains("was not saved: replicate 1: corrupted"), "{}", text(&output));
    assert!(!out.path().join("baselines/main").exists());
}
