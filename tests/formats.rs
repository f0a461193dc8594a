//! What other programs read: CI systems a run's JUnit file and summary, Prometheus a run under way, everybody old runs.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use program::{Background, assert_exit, rtbench, run, run_dir, text, wait_for};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results/reference-matrix");

fn printed(dir: &str, format: &str) -> String {
    let output = run(&["report", dir, "--format", format, "--out", "-"]);
    assert_exit(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn old_runs_are_there_in_every_format() {
    let begins = [
        ("json", "{"),
        ("cells.csv", "run,cell,repeat,protocol,"),
        ("intervals.csv", "run,cell,repeat,protocol,at_s,"),
        ("matrix.csv", "feature,protocol,"),
        ("claims.csv", "id,section,"),
        ("markdown", "# Comparison matrix\n"),
        ("junit", "<?xml "),
        ("hgrm", "# workload/"),
        ("html", "<!doctype html>"),
    ];
    for (format, begin) in begins {
        let text = printed(REFERENCE, format);
        assert!(text.starts_with(begin), "{format}: {}", text.chars().take(200).collect::<String>());
    }
}

/// A run of the reference matrix's first cells as if it had been a scenario's, with names that no format likes.
fn nasty_run(dir: &Path) {
    let mut file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{REFERENCE}/run.json")).unwrap()).unwrap();
    file.as_object_mut().unwrap().remove("cells");
    file["kind"] = "scenario".into();
    file["scenario"]["name"] = NAMES[0].into();
    file["command"] = serde_json::json!(["rtbench", "run", NAMES[1]]);
    let threshold =
        |subject: &str, expression: &str| serde_json::json!({ "subject": subject, "expression": expression });
    file["thresholds"] = serde_json::json!([
        threshold("latency", "max<1us"),
        threshold("latency", "max>1us"),
        threshold("latency", "p(99.999)<1h")
    ]);
    fs::write(dir.join("run.json"), file.to_string()).unwrap();
    let cells = fs::read_to_string(format!("{REFERENCE}/cells.jsonl")).unwrap();
    let cells = cells.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let measured = cells.filter(|cell| cell["response"]["count"].as_u64() > Some(0));
    let lines = measured.zip(NAMES).enumerate().map(|(index, (mut cell, name))| {
        cell["spec"]["name"] = name.into();
        if index == 2 {
            cell["status"] = serde_json::json!({ "failed": name });
        }
        cell.to_string() + "\n"
    });
    fs::write(dir.join("cells.jsonl"), lines.collect::<String>()).unwrap();
}

const NAMES: [&str; 4] =
    ["a<b>&\"c\"'d'", "]]> & <!-- \u{1}\u{2} --", "<failed> Zoë 🦀\nsecond \"line\"", "plain"];

/// Prints what an XML parser of another house finds: the suite's attributes, its properties, and each test with its outcome.
const ELEMENT_TREE: &str = "
import json, sys, xml.etree.ElementTree as tree
(suite,) = tree.parse(sys.stdin.buffer).getroot()
outcome = lambda case: [(e.tag, e.get('message'), e.text) for e in case]
print(json.dumps({
    'suite': suite.attrib,
    'properties': {p.get('name'): p.get('value') for p in suite.find('properties')},
    'cases': [[c.get('classname'), c.get('name'), outcome(c)] for c in suite.iter('testcase')],
}))
";

#[test]
fn junit_is_read_by_another_parser_whatever_the_names() {
    let dir = tempfile::tempdir().unwrap();
    nasty_run(dir.path());
    let xml = printed(dir.path().to_str().unwrap(), "junit");
    let Some(read) = python(ELEMENT_TREE, &xml) else { return };
    let suite = &read["suite"];
    assert_eq!(suite["name"], "rtbench a<b>&\"c\"'d'");
    let counts =
        ["tests", "failures", "errors", "skipped"].map(|name| suite[name].as_str().unwrap().to_owned());
    assert_eq!(counts, ["12", "3", "3", "3"]);
    assert!(read["properties"]["seed"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(read["properties"]["command"], "rtbench run ']]> & <!-- \u{fffd}\u{fffd} --'");
    let cases = read["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().step_by(3).map(|case| case[0].as_str().unwrap()).collect();
    let shown =
        ["a<b>&\"c\"'d'", "]]> & <!-- \u{fffd}\u{fffd} --", "<failed> Zoë 🦀 second \"line\"", "plain"];
    assert_eq!(names, shown);
    let outcome = |case: usize| cases[case][2][0][0].as_str();
    assert_eq!([0, 1, 2].map(outcome), [Some("failure"), None, Some("skipped")]);
    assert_eq!([6, 7, 8].map(outcome), [Some("error"); 3]);
    let says = cases[0][2][0][1].as_str().unwrap();
    assert!(says.starts_with("latency max<1us: measured ") && says.ends_with(" ms"), "{says}");
}

#[test]
fn claims_are_no_tests_but_cells_are() {
    let xml = printed(REFERENCE, "junit");
    let Some(read) = python(ELEMENT_TREE, &xml) else { return };
    let cells = fs::read_to_string(format!("{REFERENCE}/cells.jsonl")).unwrap().lines().count();
    assert_eq!(read["cases"].as_array().unwrap().len(), cells);
    assert!(read["cases"].as_array().unwrap().iter().all(|case| case[1] == "measured"));
}

/// Runs a script on a text; nothing where there is no Python.
fn python(script: &str, input: &str) -> Option<serde_json::Value> {
    if missing::python() {
        return None;
    }
    let python =
        Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = python.unwrap();
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{input}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

const SMALL: [&str; 11] =
    ["run", "echo", "-c", "4", "-z", "500ms", "-q", "20/s", "-p", "websocket", "--quiet"];

#[test]
fn a_ci_step_gets_a_summary_and_a_run_survives_that_it_does_not() {
    let out = tempfile::tempdir().unwrap();
    let summary = out.path().join("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let results = out.path().join("results");
    let small = |summary: &Path| {
        rtbench().args(SMALL).arg("--out").arg(&results).env("GITHUB_STEP_SUMMARY", summary).output().unwrap()
    };
    // Too few events for the percentile of the threshold.
    assert_exit(&small(&summary), 3);
    let written = fs::read_to_string(&summary).unwrap();
    assert!(written.starts_with("before\n# echo\n\n| cell |"), "{written}");
    assert!(written.contains("| websocket | 4 of 4 |") && written.contains("## Thresholds"), "{written}");
    let saved = fs::read_to_string(run_dir(&results).unwrap().join("summary.md")).unwrap();
    assert_eq!(written, format!("before\n{saved}\n"));
    let output = small(&out.path().join("nowhere/summary.md"));
    assert_exit(&output, 3);
    assert!(text(&output).contains("the summary of this step is missing"), "{}", text(&output));
}

/// One scrape by hand: head and body.
fn scrape(address: &str, request: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// Series and values of a text, which must be as format 0.0.4 says: help and type once and before the samples of their family,
/// each family in one piece, no series twice.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let (mut helped, mut typed) = ("", ("", ""));
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').unwrap().0;
            assert!(known.insert(helped), "{helped} in two pieces");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            typed = kind.split_once(' ').unwrap();
            assert_eq!(typed.0, helped);
            assert!(["gauge", "counter"].contains(&typed.1), "{line}");
            assert_eq!(typed.1 == "counter", typed.0.ends_with("_total"), "{line}");
        } else {
            let (id, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = id.strip_suffix('}').unwrap().split_once('{').unwrap();
            assert_eq!(name, typed.0, "a sample without its type: {line}");
            assert!(
                name.starts_with("rtbench_") && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            );
            check_labels(labels);
            assert!(series.insert(id.to_owned(), value.parse().unwrap()).is_none(), "{id} twice");
        }
    }
    series
}

fn check_labels(labels: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{labels}");
        let mut escaped = false;
        let end = value.find(|c| match (escaped, c) {
            (true, _) => {
                assert!(['\\', '"', 'n'].contains(&c), "{labels}");
                escaped = false;
                false
            }
            (false, '\\') => {
                escaped = true;
                false
            }
            (false, c) => c == '"',
        });
        rest = &value[end.unwrap() + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[test]
fn prometheus_reads_a_run_under_way() {
    let args = [
        "run",
        "echo",
        "-c",
        "4",
        "-z",
        "2s",
        "-q",
        "50/s",
        "-p",
        "websocket,sse",
        "--prometheus",
        "127.0.0.1:0",
        // The address is told all the same: nobody could guess it.
        "--quiet",
    ];
    let mut background = Background::start(&args);
    let mut lines = BufReader::new(background.child.stderr.take().unwrap()).lines();
    let url = lines.find_map(|line| line.unwrap().strip_prefix("metrics: ").map(str::to_owned)).unwrap();
    // Read on, so that the program never waits for its reader.
    let reader = std::thread::spawn(move || lines.map(Result::unwrap).collect::<Vec<_>>());
    let address =
        url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap().to_owned();
    let live = r#"{cell="websocket",protocol="websocket",repeat="0"}"#;
    let under_way = wait_for("deliveries", || {
        let (head, body) = scrape(&address, GET)?;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
        let series = parse(&body);
        let delivered = series.get(&format!("rtbench_live_delivered_total{live}"));
        delivered.is_some_and(|&count| count > 0.0).then_some(series)
    });
    assert_eq!(under_way[&format!("rtbench_live_connected_clients{live}")], 4.0);
    let ended = wait_for("the first cell's end", || {
        let series = parse(&scrape(&address, GET)?.1);
        series.contains_key(&format!("rtbench_cell_delivered{live}")).then_some(series)
    });
    assert!(!ended.contains_key(&format!("rtbench_live_delivered_total{live}")));
    let (head, _) = scrape(&address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (head, _) =
        scrape(&address, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    let (output, out) = background.output();
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{:?}", reader.join());
    let mut rows = csv::Reader::from_path(run_dir(out.path()).unwrap().join("cells.csv")).unwrap();
    let row: BTreeMap<String, String> = rows.deserialize().next().unwrap().unwrap();
    for (series, column, factor) in [
        ("delivered", "delivered", 1.0),
        ("response_p50_seconds", "response_p50_ms", 1e-3),
        ("server_cpu_seconds_per_delivery", "server_cpu_us_per_delivery", 1e-6),
        ("lost_ratio", "lost_percent", 1e-2),
    ] {
        let (scraped, written) =
            (ended[&format!("rtbench_cell_{series}{live}")], row[column].parse::<f64>().unwrap());
        assert!(
            (scraped - written * factor).abs() <= 1e-12 * written.abs(),
            "{series}: {scraped}, {written}"
        );
    }
}

#[test]
fn an_address_that_is_taken_is_told_before_anything_is_measured() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let out = tempfile::tempdir().unwrap();
    let args = ["run", "echo", "--out", out.path().to_str().unwrap(), "--prometheus"];
    let output = run(&[&args[..], &[&address]].concat());
    assert_exit(&output, 4);
    assert!(
        text(&output).contains(&format!("cannot listen on {address} for --prometheus")),
        "{}",
        text(&output)
    );
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "no directory was made");
    assert_exit(&run(&[&args[..], &["nonsense"]].concat()), 2);
}
