//! The program as its user meets it: messages, exit codes, files, and what is left behind when something dies.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use program::{Background, assert_exit, cells, lives, run, run_dir, signal, text, wait_for};

fn scenario(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    (dir, path)
}

const SMALL: &str = r#"
about = "A small one"
[load]
protocols = ["websocket", "sse"]
clients = 20
rate = "20/s"
warmup = "200ms"
duration = "2s"
drain = "2s"
"#;

#[test]
fn what_is_wrong_with_a_scenario_is_shown_in_its_place() {
    let cases = [
        ("rate = \"20/s\"", "rat = \"20/s\"", "unknown field `rat`", ":6:1"),
        ("clients = 20", "clients = \"20 apples\"", "a count such as 5000", ":5:11"),
        ("duration = \"2s\"", "duration = \"2 parsecs\"", "a time such as 250ms", ":8:12"),
        ("[load]", "[load", "", ":3:6"),
        ("drain = \"2s\"", "drain = \"2s\"\n[thresholds]\nlatency = [\"p(95)>>2\"]", "", ":11:"),
    ];
    for (good, bad, message, place) in cases {
        let (_dir, path) = scenario(&SMALL.replace(good, bad));
        let output = run(&["run", &path]);
        assert_exit(&output, 2);
        let text = text(&output);
        assert!(text.contains(message), "{bad}: {text}");
        assert!(text.contains(&format!("{path}{place}")), "{bad}: {text}");
    }
}

#[test]
fn processors_are_kept_awake_while_it_measures_or_the_user_learns_why_not() {
    let (_dir, path) = scenario(SMALL);
    let out = tempfile::tempdir().unwrap();
    let out_dir = out.path().to_str().unwrap();
    let output =
        run(&["run", &path, "-p", "sse", "-z", "200ms", "--quiet", "--keep-awake", "--out", out_dir]);
    // The right to it is an administrator's, and not every kernel can.
    if output.status.code() == Some(4) {
        return assert!(text(&output).contains("--keep-awake"), "{}", text(&output));
    }
    assert_exit(&output, 0);
    let file = std::fs::read_to_string(run_dir(out.path()).unwrap().join("run.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["host"]["wake_limit_us"], 0);
}

#[test]
fn what_cannot_be_planned_is_said_in_words() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_string_lossy().into_owned();
    for (args, message) in [
        (vec!["run", "broadcast", "-p", "pigeon"], "there is no protocol 'pigeon'"),
        (vec!["run", "nothing"], "there is no built-in scenario 'nothing'"),
        (vec!["run", "./nothing.toml"], "cannot read ./nothing.toml"),
        (vec!["run", "broadcast", "--payload", "10B"], "cannot hold the envelope"),
        (vec!["run", "broadcast", "-c", "0"], "load.clients must be above zero"),
        (vec!["run", "broadcast", "--target", "ftp://x"], "is not a target"),
        (vec!["run", "broadcast", "--target", "http://127.0.0.1:80/app"], "is not a target"),
        (vec!["run", "broadcast", "--target", "http://127.0.0.1:99999"], "is not a target"),
        (vec!["run", "broadcast", "-c", "many"], "a count such as"),
        (vec!["run", "broadcast", "-z", "9999999h"], "up to a year"),
        (vec!["run", "broadcast", "--headers", "custom"], "custom headers need lines"),
        (vec!["matrix", "--headers", "custom"], "choose minimal or browser"),
        (vec!["report", "./nowhere"], "cannot read ./nowhere"),
    ] {
        let mut args = args;
        args.extend(["--out", &out]);
        let output = run(&args);
        assert_exit(&output, 2);
        assert!(text(&output).contains(message), "{args:?}: {}", text(&output));
    }
}

#[test]
fn thresholds_decide_the_exit_code() {
    let with = |latency: &str| {
        let (_dir, path) =
            scenario(&format!("{SMALL}[thresholds]\nlatency = [\"{latency}\"]\nlost = [\"rate<=0%\"]\n"));
        let out = tempfile::tempdir().unwrap();
        run(&["run", &path, "-z", "1s", "--out", &out.path().to_string_lossy()])
    };
    let held = with("p(50)<5s");
    assert_exit(&held, 0);
    assert!(text(&held).contains('✓'), "{}", text(&held));
    let failed = with("p(50)<1ns");
    assert_exit(&failed, 1);
    assert!(text(&failed).contains('✗'), "{}", text(&failed));
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_is_measured() {
    let output = run(&["run", "echo", "--out", "/proc/nowhere"]);
    assert_exit(&output, 4);
    assert!(text(&output).contains("/proc/nowhere"), "{}", text(&output));
}

#[test]
fn a_target_that_is_not_there_is_told() {
    let out = tempfile::tempdir().unwrap();
    // Port 1 of loopback: nobody listens there.
    let args = ["run", "echo", "-p", "websocket", "--target", "http://127.0.0.1:1", "--out"];
    let output = run(&[&args[..], &[&out.path().to_string_lossy()]].concat());
    assert_exit(&output, 4);
    assert!(text(&output).contains("is it running?"), "{}", text(&output));
}

#[test]
fn a_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["serve", "--bind", &taken.local_addr().unwrap().to_string()]);
    assert_exit(&output, 4);
    assert!(text(&output).contains("choose another port"), "{}", text(&output));
}

#[test]
fn a_guard_that_nobody_holds_is_refused() {
    let output = run(&["serve", "--bind", "127.0.0.1:0", "--stdin-guard"]);
    assert_exit(&output, 4);
    assert!(text(&output).contains("which is no pipe"), "{}", text(&output));
}

/// A second thread, however idle, makes every system call of the others dearer.
#[cfg(target_os = "linux")]
#[test]
fn workers_and_servers_are_one_thread_each() {
    let (_dir, path) = scenario(SMALL);
    let (_run, worker, server) = second_cell_under_way(&path);
    for pid in [worker, server] {
        assert_eq!(std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(), 1);
    }
}

/// Starts two cells, and comes back when the first is on disk and the second has its processes.
fn second_cell_under_way(path: &str) -> (Background, u32, u32) {
    let run = Background::start(&["run", path, "--workers", "2"]);
    wait_for("the first cell", || (!run.cells().is_empty()).then_some(()));
    let worker = wait_for("a worker", || run.children("worker").first().copied());
    let server = wait_for("a server", || run.children("serve").first().copied());
    (run, worker, server)
}

#[test]
fn a_killed_worker_or_server_fails_its_cell_and_nothing_else() {
    let (_dir, path) = scenario(SMALL);
    for kill_worker in [true, false] {
        let (run, worker, server) = second_cell_under_way(&path);
        let (workers, servers) = (run.children("worker"), run.children("serve"));
        signal(if kill_worker { worker } else { server }, libc::SIGKILL);
        let (output, out) = run.output();
        assert_exit(&output, 4);
        let who = if kill_worker { "worker" } else { "the server" };
        let said = text(&output);
        assert!(said.contains(who) && said.contains("was killed by signal 9"), "{said}");
        let cells = cells(&run_dir(out.path()).unwrap());
        assert_eq!(cells[0]["status"], "finished");
        assert!(cells[1]["status"]["failed"].is_string(), "{}", cells[1]["status"]);
        for pid in workers.into_iter().chain(servers) {
            wait_for("every process to be gone", || (!lives(pid)).then_some(()));
        }
    }
}

#[test]
fn an_interrupt_keeps_what_was_measured_and_leaves_nobody_behind() {
    let (_dir, path) = scenario(SMALL);
    let (run, worker, server) = second_cell_under_way(&path);
    signal(run.child.id(), libc::SIGINT);
    let (output, out) = run.output();
    assert_exit(&output, 130);
    let dir = run_dir(out.path()).unwrap();
    let cells = cells(&dir);
    assert_eq!(cells[0]["status"], "finished");
    assert_eq!(cells[1]["status"], "interrupted");
    assert!(dir.join("cells.csv").exists(), "the reports are written all the same");
    assert!(!lives(worker) && !lives(server));
}

#[test]
fn nobody_outlives_a_killed_coordinator() {
    let (_dir, path) = scenario(SMALL);
    let (mut run, _, _) = second_cell_under_way(&path);
    // Two workers and a server, of which one may only just be starting.
    let children = wait_for("all of its children", || {
        let children = [run.children("worker"), run.children("serve")].concat();
        (children.len() >= 3).then_some(children)
    });
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    for pid in children {
        wait_for("every child to be gone", || (!lives(pid)).then_some(()));
    }
    assert_eq!(run.cells()[0]["status"], "finished");
}

#[test]
fn the_number_of_workers_does_not_change_the_schedule() {
    let digests = ["1", "4"].map(|workers| {
        let out = tempfile::tempdir().unwrap();
        let args = [
            "run",
            "broadcast",
            "-c",
            "40",
            "-z",
            "1s",
            "-q",
            "20/s",
            "-p",
            "websocket",
            "--seed",
            "7",
            "--workers",
        ];
        let output = run(&[&args[..], &[workers, "--out", &out.path().to_string_lossy()]].concat());
        assert_exit(&output, 0);
        let cell = cells(&run_dir(out.path()).unwrap()).remove(0);
        assert_eq!(cell["generator"]["workers"].to_string(), workers);
        assert!(cell["counts"]["published"].as_u64().unwrap() > 0);
        assert_eq!(cell["server"]["connections"], 40, "the server's own count");
        cell["schedule_digest"].as_str().unwrap().to_owned()
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn every_table_can_be_listed_and_a_scenario_dumped_and_run_from_its_dump() {
    let listed = run(&["list"]);
    assert_exit(&listed, 0);
    for word in ["short-poll", "webrtc", "broadcast", "ws-frame", "response_p50_ms", "cells.csv"] {
        assert!(text(&listed).contains(word), "{word}");
    }
    let dumped = run(&["list", "--dump", "echo"]);
    assert_exit(&dumped, 0);
    let (_dir, path) = scenario(&String::from_utf8(dumped.stdout).unwrap());
    let out = tempfile::tempdir().unwrap();
    let args = ["run", &path, "-c", "4", "-z", "1s", "-q", "100/s", "-p", "websocket", "--quiet", "--out"];
    let output = run(&[&args[..], &[&out.path().to_string_lossy()]].concat());
    assert_exit(&output, 0);
    assert_eq!(text(&output), "", "--quiet is quiet");
}

#[test]
fn results_are_printed_in_the_format_asked_for() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_string_lossy().into_owned();
    let small = ["run", "echo", "-c", "4", "-z", "1s", "-p", "websocket", "--quiet", "--out", &out];
    let output = run(&[&small[..], &["--format", "cells.csv"]].concat());
    // Twenty events are too few for the 95th percentile of its threshold, and that is neither held nor failed.
    assert_exit(&output, 3);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("run,cell,") && printed.lines().count() == 2, "{printed}");
    let told = String::from_utf8(output.stderr).unwrap();
    let why = "rtbench: websocket: latency p(95)<200ms cannot be told: it needs 200 distinct events";
    assert!(told.starts_with(why) && told.lines().count() == 1, "--quiet tells what went wrong: {told}");
    let output = run(&["report", "latest", "--results", &out, "--format", "cells.csv", "--out", "-"]);
    assert_eq!(text(&output), printed);
    for (args, message) in [
        (["run", "echo", "--format", "morse"], "there is no format 'morse'"),
        (["report", "latest", "--format", "morse"], "there is no format 'morse'"),
        (["report", "latest", "--format", "matrix.csv"], "has nothing for the format 'matrix.csv'"),
    ] {
        let place = if args[0] == "run" { "--out" } else { "--results" };
        let output = run(&[&args[..], &[place, &out]].concat());
        assert_exit(&output, 2);
        assert!(text(&output).contains(message), "{args:?}: {}", text(&output));
    }
    let copy = format!("{out}/copy");
    assert_exit(&run(&["report", "latest", "--results", &out, "--out", &copy]), 0);
    assert_eq!(std::fs::read_to_string(format!("{copy}/cells.csv")).unwrap(), printed);
}

#[test]
fn schemas_are_printed_by_name() {
    for name in ["scenario", "run", "cell"] {
        let output = run(&["list", "--schema", name]);
        assert_exit(&output, 0);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["properties"].is_object(), "{name}");
    }
    assert_exit(&run(&["list", "--schema", "dream"]), 2);
}

#[test]
fn completions_and_the_manual_name_every_verb() {
    for args in [&["completions", "bash"][..], &["man"]] {
        let output = run(args);
        assert_exit(&output, 0);
        for verb in ["matrix", "run", "serve", "list", "report"] {
            assert!(text(&output).contains(verb), "{args:?} lacks {verb}");
        }
    }
}
