//! Reports of a hand-made run: what they look like, and what must hold of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::claim::matrix::COLUMNS;
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, FailureCount, Interval, Status, TrustLevel};
use crate::measure::run::{RunFile, RunStatus, ScenarioText, ThresholdText, Tool};
use crate::measure::sample;
use crate::measure::source::SourceCount;

/// A run whose matrix has every kind of verdict.
pub(super) fn matrix_run() -> Run {
    let mut cells = Vec::new();
    let quick: Vec<f64> = (0..2_000).map(|i| 0.2 + f64::from(i) / 10_000.0).collect();
    for (i, column) in COLUMNS.iter().enumerate() {
        let cpu_us = [90, 50, 30, 40, 5][i];
        let cell = sample::cell(&format!("workload/{}", column.protocol)).latency_ms(&quick, 2_000);
        cells.push(match column.protocol {
            "short-poll" => cell.polls(30_000, 10_000, 900).cpu_us(cpu_us).build(),
            "long-poll" => cell.polls(27_000, 0, 820).delivering(27_000).cpu_us(cpu_us).build(),
            "webrtc" => cell
                .datagrams(31_500, 16_000)
                .cpu_us(cpu_us)
                .with(|cell| {
                    cell.spec.peer_to_peer = true;
                    cell.server.as_mut().unwrap().published_bytes = Some(0);
                })
                .build(),
            "sse" => cell
                .stream(62.0, 900.0)
                .cpu_us(cpu_us)
                .with(|cell| cell.publisher_wire.exchanges = 3_500)
                .build(),
            _ => cell.stream(2.0, 6.0).cpu_us(cpu_us).build(),
        });
        for clients in [100, 500, 1_000] {
            let name = format!("memory/{}/{clients}", column.protocol);
            cells.push(sample::cell(&name).idle(clients, [2_000, 9_000, 10_000, 8_500, 1_000][i]).build());
        }
    }
    cells.push(
        sample::cell("minimal/long-poll")
            .polls(27_000, 0, 230)
            .delivering(27_000)
            .with(|c| c.spec.headers = "minimal".into())
            .build(),
    );
    cells.push(
        sample::cell("minimal/short-poll")
            .polls(30_000, 10_000, 230)
            .with(|c| c.spec.headers = "minimal".into())
            .build(),
    );
    cells.push(
        sample::cell("minimal/sse").stream(62.0, 0.0).with(|c| c.spec.headers = "minimal".into()).build(),
    );
    let uniform: Vec<f64> = (0..600).map(|i| 5_000.0 * (f64::from(i) + 0.5) / 600.0).collect();
    let polled = sample::cell("poll-latency/short-poll").polls(6_000, 5_400, 600).delivering(600);
    let polled = polled.latency_ms(&uniform, 600).with(|cell| {
        cell.spec.rate_per_s = 0.02;
        cell.server.as_mut().unwrap().lookups = Some(6_000);
    });
    cells.push(polled.build());
    for (protocol, found) in [
        ("short-poll", ["new each", "request/response", "no", "yes"]),
        ("long-poll", ["held open", "request/response", "no", "yes"]),
        ("websocket", ["persistent", "both", "yes", "no"]),
        ("sse", ["held open", "server to client", "no", "yes"]),
    ] {
        let cell = sample::cell(&format!("probe/{protocol}"));
        let names = ["connection", "direction", "binary", "reconnect"];
        let cell = names.iter().zip(found).fold(cell, |cell, (name, found)| cell.probe(name, found, ""));
        cells.push(cell.build());
    }
    run(RunKind::Matrix, &["rtbench", "matrix"], cells)
}

pub(super) fn run(kind: RunKind, command: &[&str], cells: Vec<Cell>) -> Run {
    let file = RunFile {
        schema_version: 1,
        tool: Tool { version: "0.1.0".into(), revision: None },
        kind,
        command: command.iter().map(|&word| word.into()).collect(),
        seed: 7,
        started: "2026-11-24T08:15:00Z".into(),
        finished: Some("2026-11-24T08:16:30Z".into()),
        host: HostFacts {
            os: "linux".into(),
            kernel: Some("6.1.0".into()),
            cpu_model: Some("Example CPU".into()),
            cores: Some(2),
            memory_bytes: Some(8_000_000_000),
            ..HostFacts::default()
        },
        scenario: ScenarioText { name: "matrix".into(), text: "[load]\nclients = 1000\n".into() },
        swept: Vec::new(),
        planned: Vec::new(),
        thresholds: Vec::new(),
        floor: None,
        gate: None,
        search: None,
        users: None,
        source: COLUMNS
            .iter()
            .zip([(120, 60, 2), (160, 70, 2), (210, 230, 4), (420, 110, 5), (1_300, 900, 5)])
            .map(|(column, (client_lines, server_lines, crates))| SourceCount {
                protocol: column.protocol.into(),
                client_lines,
                server_lines,
                dependencies: ["bytes", "http", "tokio", "hyper", "serde"][..crates]
                    .iter()
                    .map(|&c| c.into())
                    .collect(),
            })
            .collect(),
        status: RunStatus::Finished,
    };
    Run { name: "20261124T081500Z-matrix".into(), file, cells, warnings: Vec::new() }
}

/// A scenario's run with something wrong in it.
pub(super) fn troubled_run() -> Run {
    let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / 10.0).collect();
    let good = sample::cell("workload/sse").stream(62.0, 0.0).latency_ms(&samples, 1_000).cpu_us(20);
    let good = good.with(|cell| {
        cell.counts.lost = 27;
        cell.counts.delivered -= 27;
        cell.counts.received_in_window -= 27;
        cell.trust.level = TrustLevel::Degraded;
        cell.trust.reasons.push("send lag p99 12 ms is above 10 ms".into());
        cell.failures.push(FailureCount {
            phase: "receive".into(),
            kind: "connection reset".into(),
            count: 3,
            example: "client 17: connection reset by peer".into(),
        });
        cell.intervals = (1..=3)
            .map(|s| Interval {
                at_s: s.into(),
                delivered: 900,
                published: 100,
                connected: 1_000,
                ..Interval::default()
            })
            .collect();
        cell.intervals[1].p50_ns = Some(50_000_000);
    });
    let failed = sample::cell("workload/websocket")
        .with(|cell| cell.status = Status::Failed("the server died: out of memory".into()));
    let mut run = run(
        RunKind::Scenario,
        &["rtbench", "run", "my load.toml", "-c", "1k"],
        vec![good.build(), failed.build()],
    );
    let threshold = |subject: &str, expression: &str| ThresholdText::new(subject, expression);
    run.file.thresholds = vec![
        threshold("latency", "p(95)<200ms"),
        threshold("lost", "rate<0.01%"),
        threshold("latency", "p(99.9)<1s"),
    ];
    run.warnings.push("cells.jsonl:3: the last line is torn and was skipped".into());
    run
}

/// Two cells, measured three times each: the second repetition of one cell is slow and lost something, of the other it
/// failed.
pub(super) fn repeated_run() -> Run {
    let once = |repeat: u32| {
        let slower = [1.0, 5.0, 1.2][repeat as usize];
        let samples: Vec<f64> = (1..=1_000).map(|i| slower * f64::from(i) / 1_000.0).collect();
        let cell = |name: &str| sample::cell(name).latency_ms(&samples, 1_000).stream(2.0, 6.0);
        let cell =
            |name: &str| cell(name).with(|cell| cell.spec.repeat = repeat).cpu_us(20 + 3 * u64::from(repeat));
        let sse = cell("workload/sse").with(|cell| {
            if repeat == 1 {
                (cell.counts.lost, cell.counts.delivered) = (27, cell.counts.delivered - 27);
                cell.trust.level = TrustLevel::Degraded;
                cell.trust.reasons.push("send lag p99 12 ms is above 10 ms".into());
            }
        });
        let websocket = cell("workload/websocket").with(|cell| {
            if repeat == 1 {
                cell.status = Status::Failed("the server died".into());
            }
        });
        [sse.build(), websocket.build()]
    };
    let cells = (0..3).flat_map(once).collect();
    let mut run = run(RunKind::Scenario, &["rtbench", "run", "chat", "--repeat", "3"], cells);
    let threshold = |subject: &str, expression: &str| ThresholdText::new(subject, expression);
    run.file.thresholds = vec![threshold("latency", "p(95)<200ms"), threshold("lost", "count==0")];
    run
}

fn text(format: &dyn Format, run: &Run) -> String {
    let mut out = Vec::new();
    format.render(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(super) fn of(name: &str, run: &Run) -> String {
    text(find(name).unwrap(), run)
}

pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Rows of a CSV by column name.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_matrix_on_a_terminal() {
    let run = matrix_run();
    insta::assert_snapshot!("matrix_at_160", &plain(&terminal::matrix(&run, 160)));
    insta::assert_snapshot!("matrix_at_80", &plain(&terminal::matrix(&run, 80)));
}

#[test]
fn the_summary_on_a_terminal() {
    insta::assert_snapshot!("summary_at_80", plain(&terminal::summary(&troubled_run(), 80)));
    insta::assert_snapshot!("repeats_at_80", plain(&terminal::summary(&repeated_run(), 80)));
}

/// A repeated run and one that was measured later, of another seed and with one cell more and one less.
pub(super) fn two_runs() -> [Run; 2] {
    let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / 500.0).collect();
    let cell =
        |name: &str| sample::cell(name).latency_ms(&samples, 1_000).stream(2.0, 6.0).cpu_us(25).build();
    let cells = vec![cell("workload/sse"), cell("workload/a-protocol-with-a-long-name")];
    let mut later = run(RunKind::Scenario, &["rtbench", "run", "chat"], cells);
    later.name = "20261125T081500Z-chat".into();
    later.file.seed = 8;
    [repeated_run(), later]
}

#[test]
fn several_runs_on_a_terminal() {
    insta::assert_snapshot!("side_by_side_at_80", plain(&terminal::side_by_side(&two_runs(), 80)));
    let many: Vec<Run> = (0..9).map(|_| repeated_run()).collect();
    let bands = [80, 160, 400].map(|width| {
        let shown = plain(&terminal::side_by_side(&many, width));
        assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
        shown.matches("latency p99, ms").count()
    });
    assert!(
        bands[0] > bands[1] && bands[1] > bands[2] && bands[2] == 2,
        "one block for each cell: {bands:?}"
    );
}

#[test]
fn files_of_several_runs_have_the_layout_of_one() {
    let runs = two_runs();
    for name in ["cells.csv", "intervals.csv"] {
        let mut out = Vec::new();
        find(name).unwrap().several().unwrap()(&runs, &mut out).unwrap();
        let all = String::from_utf8(out).unwrap();
        let [first, second] = runs.each_ref().map(|run| of(name, run));
        let (head, rows) = second.split_once('\n').unwrap();
        assert_eq!(first.lines().next(), Some(head));
        assert_eq!(all, first.clone() + rows, "{name}");
    }
    assert!(find("hgrm").unwrap().several().is_none());
}

#[test]
fn the_files() {
    insta::assert_snapshot!("matrix_md", &of("markdown", &matrix_run()));
    insta::assert_snapshot!("summary_md", &of("markdown", &troubled_run()));
    insta::assert_snapshot!("matrix_csv", &of("matrix.csv", &matrix_run()));
    insta::assert_snapshot!("junit_xml", of("junit", &troubled_run()));
    insta::assert_snapshot!("cells_csv", of("cells.csv", &troubled_run()));
    insta::assert_snapshot!("intervals_csv", of("intervals.csv", &troubled_run()));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [80, 100, 130, 160, 200] {
        for run in [matrix_run(), troubled_run(), repeated_run()] {
            for line in plain(&(terminal::matrix(&run, width) + &terminal::summary(&run, width))).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn colour_only_repeats_what_marks_say() {
    let coloured = terminal::matrix(&matrix_run(), 160);
    assert!(coloured.contains("\u{1b}[32m") && coloured.contains("\u{1b}[33m"));
    for mark in ['✓', '✗', '≈', '·'] {
        assert!(plain(&coloured).contains(mark), "{mark}");
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for run in [matrix_run(), troubled_run()] {
        for format in ALL {
            assert_eq!(text(*format, &run), text(*format, &run), "{}", format.name());
        }
    }
}

#[test]
fn csv_columns_have_the_published_names() {
    let cells = of("cells.csv", &troubled_run());
    assert!(cells.starts_with(
        "run,cell,repeat,protocol,clients,connected,delivered,lost,duplicates,reordered,trust,"
    ));
    let matrix = of("matrix.csv", &matrix_run());
    assert_eq!(
        matrix.lines().next(),
        Some("feature,protocol,claimed,measured,unit,found,verdict,condition,run_status")
    );
    assert_eq!(rows(&matrix).len(), 55);
}

#[test]
fn repetitions_are_rows_and_files_of_their_own() {
    let run = repeated_run();
    let rows = rows(&of("cells.csv", &run));
    let named: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["cell"].as_str(), row["repeat"].as_str())).collect();
    assert_eq!(named[..3], [("workload/sse", "0"), ("workload/websocket", "0"), ("workload/sse", "1")]);
    assert!(rows.iter().all(|row| row["run"] == run.name));
    let dir = tempfile::tempdir().unwrap();
    find("hgrm").unwrap().save(&run, dir.path()).unwrap();
    for name in ["workload-sse.hgrm", "workload-sse-r1.hgrm", "workload-sse-r2.hgrm"] {
        assert!(dir.path().join(name).exists(), "{name}");
    }
}

#[test]
fn absent_is_empty_and_failed_cells_are_rows() {
    let rows = rows(&of("cells.csv", &troubled_run()));
    let (good, failed) = (&rows[0], &rows[1]);
    assert_eq!(
        (good["delivered"].as_str(), good["lost"].as_str(), good["trust"].as_str()),
        ("26973", "27", "degraded")
    );
    assert_eq!((good["response_p99_9_ms"].as_str(), good["wasted_percent"].as_str()), ("", ""));
    assert_eq!(failed["trust"], "invalid");
    assert_eq!((failed["clients"].as_str(), failed["delivered"].as_str()), ("1000", ""));
    assert_eq!(
        (failed["status"].as_str(), failed["trust_reasons"].as_str()),
        ("failed", "the server died: out of memory")
    );
}

#[test]
fn every_metric_is_a_column() {
    let rows = rows(&of("cells.csv", &troubled_run()));
    for metric in crate::measure::metric::ALL {
        assert!(rows[0].contains_key(metric.name), "{}", metric.name);
    }
}

#[test]
fn percentile_distributions_read_as_other_tools_write_them() {
    let text = of("hgrm", &troubled_run());
    assert!(text.starts_with("# workload/sse\n       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    let rows: Vec<Vec<f64>> = text
        .lines()
        .filter(|line| line.starts_with(' ') && !line.contains('V'))
        .map(|line| line.split_whitespace().map(|n| n.parse().unwrap()).collect())
        .collect();
    assert!(
        rows.windows(2)
            .all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1] && pair[0][2] <= pair[1][2])
    );
    let half = rows.iter().find(|row| row[1] == 0.5).unwrap();
    assert!((half[0] - 50.0).abs() < 0.1 && half[2] == 500.0 && half[3] == 2.0, "{half:?}");
    assert_eq!(rows.last().unwrap()[2], 1000.0);
    assert!(text.contains("#[Buckets = ") && text.contains("SubBuckets     =         2048]"));
    assert!(text.contains("Total count    =         1000]"));
}

#[test]
fn every_file_is_derived_and_the_run_reads_back() {
    let parent = tempfile::tempdir().unwrap();
    let run = matrix_run();
    let mut store = store::Store::create(parent.path(), "matrix", run.file.clone()).unwrap();
    for cell in &run.cells {
        store.append(cell).unwrap();
    }
    let dir = store.dir().to_owned();
    let run = store.finish(RunStatus::Finished).unwrap();
    let written = save(&run, &dir).unwrap();
    for name in ["run.json", "cells.csv", "intervals.csv", "matrix.csv", "matrix.md", "workload-sse.hgrm"] {
        assert!(written.contains(&dir.join(name)), "{name}");
    }
    let again = store::load(&dir).unwrap();
    assert_eq!(again.file, run.file);
    assert_eq!(of("json", &again), std::fs::read_to_string(dir.join("run.json")).unwrap());
}

#[test]
fn a_scenario_has_no_matrix() {
    let dir = tempfile::tempdir().unwrap();
    save(&troubled_run(), dir.path()).unwrap();
    assert!(!dir.path().join("matrix.csv").exists() && dir.path().join("cells.csv").exists());
}

#[test]
fn schemas_describe_what_is_written() {
    let schema = |name| {
        let schema = SCHEMAS.iter().find(|schema| schema.name == name).unwrap();
        serde_json::from_str::<serde_json::Value>(schema.text).unwrap()
    };
    let (run, cell) = (schema("run"), schema("cell"));
    let document: serde_json::Value = serde_json::from_str(&of("json", &matrix_run())).unwrap();
    for key in document.as_object().unwrap().keys() {
        assert!(run["properties"].get(key).is_some(), "{key} is not in the schema");
    }
    for key in document["cells"][0].as_object().unwrap().keys() {
        assert!(cell["properties"].get(key).is_some(), "{key} is not in the schema");
    }
}

#[test]
fn every_report_says_that_a_link_is_emulated() {
    let linked =
        |name: &str, link: &str| sample::cell(name).with(|cell| cell.spec.link = link.into()).build();
    let cells = vec![
        sample::cell("workload/sse").build(),
        linked("workload/sse@wan", "rtt=40ms,jitter=2ms,loss=0.1%,rate=100mbit"),
        linked("workload/sse@rtt=100ms", "rtt=100ms"),
    ];
    let mut matrix = Vec::new();
    let measured = run(RunKind::Matrix, &["rtbench", "matrix"], cells.clone());
    markdown::Page.render(&measured, &mut matrix).unwrap();
    let scenario = run(RunKind::Scenario, &["rtbench", "run"], cells);
    for text in [
        String::from_utf8(matrix).unwrap(),
        terminal::matrix(&measured, 400),
        terminal::summary(&scenario, 400),
    ] {
        let links =
            "Links: wan (rtt=40ms,jitter=2ms,loss=0.1%,rate=100mbit), rtt=100ms; emulated inside the clients";
        assert!(text.contains(links), "{text}");
    }
    let plain = run(RunKind::Scenario, &["rtbench", "run"], vec![sample::cell("workload/sse").build()]);
    assert!(!terminal::summary(&plain, 400).contains("emulated"));
}
