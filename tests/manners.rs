//! What the program does when those around it go away or stand still: who reads what it prints, whoever started it, its own file,
//! the server that it asks.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{Background, assert_exit, cells, rtbench, run_dir, signal, text, wait_for};

const TWO: &str = "about = \"Two cells\"\n[load]\nprotocols = [\"websocket\", \"sse\"]\nclients = 6\nrate = \"20/s\"\nwarmup = \"100ms\"\n\
                   duration = \"1s\"\ndrain = \"1s\"\n";

/// A scenario's file in a directory of its own.
fn scenario(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// Somebody who has read enough.
fn gone() -> PipeWriter {
    pipe().unwrap().1
}

#[test]
fn whoever_does_not_read_ends_no_measurement() {
    let (_dir, path) = scenario(TWO);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let (unread, mut stuck) = pipe().unwrap();
    stuck.write_all(&[b'.'; 64 << 10]).unwrap();
    let cases: [(&str, Stdio, Stdio, i32); 4] = [
        ("both closed", gone().into(), gone().into(), 0),
        ("a full error stream", Stdio::null(), full().into(), 0),
        ("a full output", full().into(), Stdio::null(), 4),
        ("an error stream that nobody reads", Stdio::null(), stuck.into(), 0),
    ];
    let measure = |(case, out, err, code): (&str, Stdio, Stdio, i32)| {
        let results = tempfile::tempdir().unwrap();
        let mut command = rtbench();
        command.args(["run", &path, "-z", "300ms", "--out"]).arg(results.path()).stdout(out).stderr(err);
        assert_eq!(command.status().unwrap().code(), Some(code), "{case}");
        let dir = run_dir(results.path()).unwrap();
        assert_eq!(cells(&dir).len(), 2, "{case}");
        assert!(dir.join("report.html").exists(), "{case}");
    };
    // Side by side: most of it is waiting.
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| measure(case));
        }
    });
    drop(unread);
}

#[test]
fn whoever_does_not_read_ends_no_other_verb() {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/results/reference-matrix");
    for args in [
        &["--help"][..],
        &["list"],
        &["man"],
        &["completions", "bash"],
        &["report", reference],
        &["report", reference, "--format", "cells.csv", "-o", "-"],
        &["claims", reference],
        &["claims", reference, "-o", "-"],
        &["gate", "--plan"],
        &["serve", "--stdin-guard"],
    ] {
        let status = rtbench().args(args).stdin(Stdio::piped()).stdout(gone()).stderr(gone()).status();
        assert_eq!(status.unwrap().code(), Some(0), "{args:?}");
    }
    let wrong = rtbench().args(["report", "./nowhere"]).stdout(gone()).stderr(gone()).status().unwrap();
    assert_eq!(wrong.code(), Some(2));
}

/// Starts the two cells, and comes back when one is saved and the other under way.
fn between_two_cells(command: Command) -> Background {
    let run = Background::of(command);
    wait_for("the first cell", || (!run.cells().is_empty()).then_some(()));
    wait_for("a server", || run.children("serve").first().copied());
    run
}

fn running(path: &str) -> Command {
    let mut command = rtbench();
    command.args(["run", path]);
    command
}

#[test]
fn a_run_that_was_killed_is_unfinished_in_every_format() {
    let (_dir, path) = scenario(TWO);
    let mut run = between_two_cells(running(&path));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let killed = run_dir(run.out.path()).unwrap();
    let killed = killed.to_str().unwrap();
    let report = |args: &[&str]| {
        let output = program::run(&[&["report", killed], args].concat());
        assert_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    for format in ["json", "cells.csv", "intervals.csv", "markdown", "html", "hgrm", "junit"] {
        let words = if format == "json" { "\"running\"" } else { "unfinished" };
        assert!(report(&["--format", format, "-o", "-"]).contains(words), "{format}");
    }
    assert!(report(&[]).contains("this run is unfinished"), "on a terminal");
    let junit = report(&["--format", "junit", "-o", "-"]);
    assert!(junit.contains("errors=\"2\"") && junit.contains("not measured"), "{junit}");
    // One that came to its end, and options behind the runs.
    let whole = tempfile::tempdir().unwrap();
    let seed = fs::read_to_string(Path::new(killed).join("run.json")).unwrap();
    let seed: serde_json::Value = serde_json::from_str(&seed).unwrap();
    let seed = seed["seed"].to_string();
    let out = whole.path().to_str().unwrap();
    assert_exit(
        &program::run(&["run", &path, "-p", "websocket", "--quiet", "--seed", &seed, "--out", out]),
        0,
    );
    let whole = run_dir(whole.path()).unwrap();
    let compare = ["compare", whole.to_str().unwrap(), "--", killed, "--format", "comparison.csv,markdown"];
    let output = program::run(&compare);
    assert_exit(&output, 3);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(",unfinished\n") && told.contains("this run is unfinished"), "{}", text(&output));
}

/// What a program does by default when its terminal is closed; these tests may themselves have been started by `nohup`.
fn hearing_of_it(mut command: Command, action: libc::sighandler_t) -> Command {
    // SAFETY: between fork and exec there is one system call.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGHUP, action);
            Ok(())
        });
    }
    command
}

#[test]
fn a_terminal_that_is_closed_ends_a_run_with_its_reports() {
    let (_dir, path) = scenario(TWO);
    let run = between_two_cells(hearing_of_it(running(&path), libc::SIG_DFL));
    signal(run.child.id(), libc::SIGHUP);
    let (output, out) = run.output();
    assert_exit(&output, 130);
    assert!(text(&output).contains("this run is unfinished: it was interrupted"), "{}", text(&output));
    assert!(run_dir(out.path()).unwrap().join("cells.csv").exists());
}

#[test]
fn a_run_that_is_to_outlive_its_terminal_does() {
    let (_dir, path) = scenario(TWO);
    // As `nohup` does.
    let run = between_two_cells(hearing_of_it(running(&path), libc::SIG_IGN));
    signal(run.child.id(), libc::SIGHUP);
    assert_exit(&run.output().0, 0);
}

#[test]
fn a_program_that_is_replaced_in_mid_run_goes_on_as_it_was() {
    let (dir, path) = scenario(TWO);
    let program = dir.path().join("rtbench");
    fs::copy(env!("CARGO_BIN_EXE_rtbench"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["run", &path]).stdin(Stdio::null());
    let run = Background::of(command);
    wait_for("a server", || run.children("serve").first().copied());
    let other = dir.path().join("other");
    fs::write(&other, "not a program").unwrap();
    fs::rename(&other, &program).unwrap();
    let (output, out) = run.output();
    assert_exit(&output, 0);
    let cells = cells(&run_dir(out.path()).unwrap());
    assert_eq!(cells[1]["status"], "finished", "{}", text(&output));
    assert_eq!(cells[1]["server"]["processes"][0]["name"], "rtbench", "it is called by its own name");
}

/// Hands on whatever comes to a server, but for questions for its counters, which are never answered.
fn in_front_of(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hand_on = |mut from: TcpStream, mut to: TcpStream| {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let swallowed = buffer[..read].starts_with(b"GET /stats");
            if !swallowed && to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).unwrap();
            let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || hand_on(client, server));
            std::thread::spawn(move || hand_on(back, forth));
        }
    });
    address
}

/// Each message takes longer than the drain. A question that is not answered must not give it that time.
#[test]
fn a_server_that_does_not_tell_its_counters_holds_up_no_deadline() {
    let mut server =
        rtbench().args(["serve", "--fault", "delay=1500ms"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line)
        .unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let target = format!("http://{}", in_front_of(ready["ready"]["http"].as_str().unwrap().parse().unwrap()));
    let (_dir, path) = scenario(&TWO.replace("drain = \"1s\"", "drain = \"400ms\""));
    let out = tempfile::tempdir().unwrap();
    let args = ["run", &path, "-p", "websocket", "--quiet", "--target", &target, "--out"];
    let output = rtbench().args(args).arg(out.path()).output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_exit(&output, 1);
    let cell = cells(&run_dir(out.path()).unwrap()).remove(0);
    let [lost, expected] = ["lost", "expected"].map(|name| cell["counts"][name].as_u64().unwrap());
    assert!(2 * lost > expected, "{lost} of {expected} are late: {}", text(&output));
}

#[test]
fn an_argument_may_be_no_text() {
    let (_dir, path) = scenario(TWO);
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join(OsStr::from_bytes(b"r\xffsults"));
    let output = rtbench().args(["run", &path, "-p", "sse", "--quiet", "--out"]).arg(&out).output().unwrap();
    assert_exit(&output, 0);
    let file = fs::read_to_string(run_dir(&out).unwrap().join("run.json")).unwrap();
    assert!(file.contains("r\u{fffd}sults"), "{file}");
    let output = rtbench().arg(OsStr::from_bytes(b"r\xffn")).output().unwrap();
    assert_exit(&output, 2);
}

#[test]
fn a_terminal_on_which_nothing_can_be_drawn_gets_lines() {
    let (_dir, path) = scenario(TWO);
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both pointers are to live integers, and the others may be null.
    assert_eq!(unsafe { libc::openpty(&mut ours, &mut theirs, none, none.cast(), none.cast()) }, 0);
    // SAFETY: both are open and nobody else's.
    let (mut ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let out = tempfile::tempdir().unwrap();
    let mut command = rtbench();
    command.args(["run", &path, "-p", "sse", "--out"]).arg(out.path()).env("TERM", "dumb");
    let mut run = command.stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    // Nobody else may hold the terminal's other end.
    drop(command);
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    // Its end is an error here.
    while let Ok(read @ 1..) = ours.read(&mut buffer) {
        said.extend_from_slice(&buffer[..read]);
    }
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("[1/1] sse: 6 clients") && said.contains("delivered"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

/// What `gate` says of two commands, in the exact tier.
fn gate(base: &str, new: &str) -> (std::process::Output, Vec<serde_json::Value>) {
    let out = tempfile::tempdir().unwrap();
    let args = ["gate", "--tier", "exact", "-c", "4", "--base-server", base, "--new-server", new, "--out"];
    let output = rtbench().args(args).arg(out.path()).output().unwrap();
    let cells = run_dir(out.path()).map_or(Vec::new(), |dir| cells(&dir));
    (output, cells)
}

#[test]
fn a_command_is_whatever_a_shell_takes() {
    const RTBENCH: &str = env!("CARGO_BIN_EXE_rtbench");
    let (output, cells) =
        gate(&format!("A=b {RTBENCH} serve"), &format!("cd / && ulimit -n 512; {RTBENCH} serve 2>/dev/null"));
    assert_exit(&output, 0);
    assert!(cells.len() >= 4, "{}", text(&output));
    for cell in cells {
        let server = &cell["server"];
        assert!(server["cpu_ns"].as_u64().is_some_and(|ns| ns > 0), "its cost is read: {server}");
        assert!(server["unread"].is_null(), "{server}");
        assert_eq!(server["process_count"], 1, "the shell has given way: {server}");
    }
}

#[test]
fn a_server_that_does_not_say_that_it_is_ready_is_told_how_it_may_be() {
    let (output, _) = gate("echo Listening on port 80; exec sleep 60", "exec sleep 60");
    assert_exit(&output, 4);
    let said = text(&output);
    assert!(said.contains("not a Ready line: Listening on port 80") && said.contains("--ready"), "{said}");
}
