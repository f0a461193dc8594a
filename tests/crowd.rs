//! More clients than a process may hold, in small: a hard limit of 200 descriptors stands for one of 20,000.
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::Output;

use program::{Background, assert_exit, cells, rtbench, run_dir, signal, text};
use serde_json::Value;

/// Descriptors that this program and its children may hold.
const LIMIT: libc::rlimit = libc::rlimit { rlim_cur: 200, rlim_max: 200 };

/// Runs with few descriptors.
fn cramped(args: &[&str]) -> (Output, Vec<Value>) {
    let out = tempfile::tempdir().unwrap();
    let mut command = rtbench();
    command.args(args).arg("--quiet").arg("--out").arg(out.path());
    // SAFETY: between fork and exec there is one system call, on a constant.
    unsafe {
        command.pre_exec(|| match libc::setrlimit(libc::RLIMIT_NOFILE, &LIMIT) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let output = command.output().unwrap();
    let cells = run_dir(out.path()).map_or(Vec::new(), |dir| cells(&dir));
    (output, cells)
}

#[test]
fn groups_are_spread_over_processes_and_everything_is_added_up() {
    // Over SSE a publisher keeps what it has published on, which may be more than one where an answer took long.
    for (protocol, connections) in [("websocket", 300..=300), ("sse", 300..=450)] {
        let (output, cells) =
            cramped(&["run", "broadcast", "-c", "300", "-q", "5/s", "-z", "2s", "-p", protocol]);
        assert_exit(&output, 0);
        let [cell] = &cells[..] else { panic!("{}", text(&output)) };
        assert_eq!((&cell["server"]["servers"], &cell["generator"]["workers"]), (&3.into(), &3.into()));
        let counted = cell["server"]["connections"].as_u64().unwrap();
        assert!(connections.contains(&counted), "{counted} by the servers' own counts");
        let counts = &cell["counts"];
        assert_eq!((&counts["connected"], &counts["lost"]), (&300.into(), &0.into()));
        assert!(counts["delivered"] == counts["expected"] && counts["delivered"].as_u64() > Some(0));
        // Each event reaches all nine of its group, and so has a spread.
        assert_eq!(cell["spread"]["count"], counts["published"]);
        // No second holds the CPU of more than its own time.
        let cpu_ns = |second: &Value| second["server_cpu_ns"].as_u64().unwrap();
        let [first, last] = &cell["intervals"].as_array().unwrap()[..] else { panic!("two seconds") };
        let total_ns = cell["server"]["cpu_ns"].as_u64().unwrap();
        assert!(cpu_ns(first) > 0 && cpu_ns(last) < total_ns, "{first} {last} {total_ns}");
    }
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_started() {
    let (output, cells) = cramped(&["run", "fanout", "-c", "300", "-p", "websocket"]);
    assert_exit(&output, 4);
    let said = text(&output);
    assert!(said.contains("a group of 300 clients needs 300 descriptors in one process"), "{said}");
    assert!(said.contains("raise the hard limit") && cells.is_empty(), "{said}");
}

#[test]
fn one_who_stops_a_crowd_gets_what_was_measured_without_waiting_for_good_byes() {
    let mut run =
        Background::start(&["run", "broadcast", "-c", "3k", "-q", "1/s", "-z", "60s", "-p", "websocket"]);
    let mut lines = BufReader::new(run.child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("messages/s")), "the load begins");
    std::thread::spawn(move || lines.count());
    signal(run.child.id(), libc::SIGINT);
    let (output, out) = run.output();
    assert_exit(&output, 130);
    let cell = cells(&run_dir(out.path()).unwrap()).remove(0);
    let counts = &cell["counts"];
    assert_eq!((&cell["status"], &counts["lost"]), (&"interrupted".into(), &0.into()), "{counts}");
    assert!(counts["delivered"].as_u64() > Some(0), "{counts}");
    assert_eq!(counts["delivered"], counts["expected"], "every worker has reported");
}

#[test]
fn meshes_connect_at_the_pace_of_the_machine() {
    // 900 peer connections, each with handshakes to compute at both ends: at once, none would be ready when the patience of
    // all is over. A group alone takes a fraction of it.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meshes.toml");
    let scenario = "about = \"meshes\"\n[load]\nprotocols = \"webrtc\"\nclients = 200\ngroup = 10\n\
                    rate = \"1/s\"\nwarmup = \"0s\"\nduration = \"1s\"\n[connect]\ntimeout = \"4s\"\n";
    std::fs::write(&path, scenario).unwrap();
    let out = dir.path().join("results");
    let output = rtbench().arg("run").arg(&path).arg("--out").arg(&out).output().unwrap();
    let cells = cells(&run_dir(&out).unwrap());
    let counts = &cells[0]["counts"];
    assert_eq!((&counts["connected"], &counts["lost"]), (&200.into(), &0.into()), "{}", text(&output));
    assert_eq!(counts["delivered"], 180, "{}", text(&output));
}
