//! `rtbench capacity` on servers whose capacity is known: by arithmetic, or by a defect of known size.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::path::Path;

use program::{Background, assert_exit, cells, run, run_dir, signal, text, wait_for};

/// Each client sends five messages a second and gets them back; a step takes half a second.
const ECHO: &str = r#"
about = "A short echo"
[load]
protocols = ["websocket"]
pattern = "echo"
clients = 20
rate = "5/s"
warmup = "100ms"
duration = "1s"
drain = "5s"
"#;

struct Scene {
    _dir: tempfile::TempDir,
    scenario: String,
    out: String,
}

fn scene(scenario: &str) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, scenario).unwrap();
    let at = |path: &Path| path.to_string_lossy().into_owned();
    let (scenario, out) = (at(&path), at(&dir.path().join("out")));
    Scene { _dir: dir, scenario, out }
}

impl Scene {
    fn capacity(&self, args: &str) -> std::process::Output {
        let args = ["capacity", &self.scenario, "--out", &self.out].into_iter().chain(args.split('|'));
        run(&args.collect::<Vec<_>>())
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(run_dir(Path::new(&self.out)).unwrap().join(name)).unwrap()
    }

    /// Columns of `capacity.csv`, one vector for each step.
    fn steps<const N: usize>(&self, names: [&str; N]) -> Vec<[String; N]> {
        let text = self.file("capacity.csv");
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let heads = rows.headers().unwrap().clone();
        let at = names.map(|name| heads.iter().position(|head| head == name).unwrap());
        rows.records().map(|row| row.unwrap()).map(|row| at.map(|at| row[at].to_owned())).collect()
    }
}

#[test]
fn a_limit_that_arithmetic_sets_is_found_and_kept() {
    let scene = scene(ECHO);
    let output = scene.capacity("--slo|clients value<=70|-z|200ms|--max|1k");
    assert_exit(&output, 0);
    let said = text(&output);
    assert!(said.contains("websocket: 68 clients hold; 74 do not: clients value<=70: 74"), "{said}");
    assert!(said.contains("server cores withheld: "), "what is known too badly is not printed: {said}");
    let tried: Vec<_> = scene.steps(["clients", "verdict"]).into_iter().map(|step| step.join(" ")).collect();
    // Whatever does not hold is measured twice.
    let want = "20 held,40 held,80 broken,80 broken,57 held,68 held,74 broken,74 broken";
    assert_eq!(tried.join(","), want);
    assert_eq!(cells(&run_dir(Path::new(&scene.out)).unwrap()).len(), 8);
    assert!(scene.file("capacity.md").contains("68 clients hold"));
    assert_eq!(scene.file("projection.csv").lines().count(), 4, "three figures of the guide");
    let again = run(&["report", "latest", "--results", &scene.out]);
    assert_exit(&again, 0);
    assert!(text(&again).contains("68 clients hold"), "{}", text(&again));
}

#[test]
fn a_rate_is_searched_as_well() {
    let scene = scene(ECHO);
    let output = scene.capacity("-c|10|--vary|rate|--from|8/s|--max|16/s|--slo|lost count==0|-z|500ms");
    assert_exit(&output, 0);
    assert!(text(&output).contains("at least 16 events/s of each publisher"), "{}", text(&output));
    assert_eq!(scene.steps(["rate_per_s", "verdict"]), [["8.0", "held"], ["16.0", "held"]]);
}

#[test]
fn a_server_that_burns_a_known_time_has_a_known_limit() {
    let pairs = ECHO.replace("pattern = \"echo\"", "group = 2").replace("5/s", "10/s");
    let scene = scene(&pairs);
    // 20 ms for each of ten messages a second of each pair: ten clients take all of the server's one thread, and what
    // twenty bring takes twice the window, so that the last of it is late by as much as the window is long.
    let fault = "--server-fault|spin=20ms|--from|2|--max|80|--resolution|50%";
    let output = scene.capacity(&format!("{fault}|--slo|latency max<500ms|-z|1s"));
    assert_exit(&output, 0);
    for [clients, verdict] in scene.steps(["clients", "verdict"]) {
        assert!(clients.parse::<u32>().unwrap() < 20 || verdict != "held", "{}", text(&output));
    }
}

#[test]
fn not_even_the_least_may_hold() {
    let scene = scene(ECHO);
    let output = scene.capacity("--slo|clients value<=5|--from|20|-z|200ms");
    assert_exit(&output, 1);
    assert!(text(&output).contains("not even 20 clients hold"), "{}", text(&output));
    assert_eq!(scene.steps(["cell"]), [["capacity/websocket/20"], ["capacity/websocket/20/again"]]);
}

#[test]
fn what_is_asked_wrongly_is_marked() {
    let scene = scene(ECHO);
    for (args, message) in [
        ("--slo|latncy p(99)<1s", "^^^^^^"),
        ("--slo|latency", "a subject and a condition"),
        ("--from|many", "--from: 'many' is not a count"),
        ("-p|pigeon", "there is no protocol 'pigeon'"),
        ("--slo|latency p(99)<1s|-z|1s", "is too short"),
    ] {
        let output = scene.capacity(args);
        assert_exit(&output, 2);
        assert!(text(&output).contains(message), "{args}: {}", text(&output));
    }
}

#[test]
fn a_target_that_is_not_there_is_the_surroundings_fault() {
    let scene = scene(ECHO);
    let output = scene.capacity("--target|http://127.0.0.1:1|--slo|lost count==0");
    assert_exit(&output, 4);
    assert!(text(&output).contains("could not be measured"), "{}", text(&output));
}

#[test]
fn an_interrupt_keeps_the_curve_so_far() {
    let scene = scene(ECHO);
    let args = ["capacity", &scene.scenario, "--slo", "lost count==0", "-z", "1s"];
    let run = Background::start(&args);
    wait_for("the first step", || (!run.cells().is_empty()).then_some(()));
    signal(run.child.id(), libc::SIGINT);
    let (output, out) = run.output();
    assert_exit(&output, 130);
    assert!(text(&output).contains("interrupted"), "{}", text(&output));
    let curve = std::fs::read_to_string(run_dir(out.path()).unwrap().join("capacity.csv")).unwrap();
    assert!(curve.contains("capacity/websocket/20,"), "{curve}");
}
