//! Reports of a hand-made run: what they look like, and what must hold of them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::run::RunStatus;
use crate::measure::sample;
use crate::protocol::{self, Protocol};

mod fixtures;

pub(in crate::report) use fixtures::*;

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
    let linked = |name: &str, link: &str| {
        sample::cell(name).with(|cell| cell.spec.link = link.parse().unwrap()).build()
    };
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

#[test]
fn a_protocol_without_a_column_of_the_guide_is_told_in_every_form() {
    let sixth: &'static Protocol = Box::leak(Box::new(Protocol { name: "json-lines", ..protocol::ALL[0] }));
    let mut run = matrix_run();
    assert!(!of("markdown", &run).contains("Not in the matrix"));
    run.cells[0].spec.id.protocol = sixth;
    let told = "Not in the matrix: json-lines: the guide has no column for it";
    for text in [plain(&terminal::matrix(&run, 200)), of("markdown", &run), of("html", &run)] {
        assert!(text.contains(told), "{text}");
    }
}
