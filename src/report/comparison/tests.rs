//! What a comparison looks like, and what must hold of its files.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::compare;
use crate::measure::cell::TrustLevel;
use crate::measure::run::{Run, RunKind};
use crate::measure::sample;
use crate::report::tests::{plain, run};
use crate::scenario::cell_id::Axis;

/// Seven repeats of two cells. The new side takes more CPU and frames larger, and one cell of it is degraded.
fn sides() -> [Run; 2] {
    [0, 1].map(|side| {
        let mut cells = Vec::new();
        for repeat in 0..7u32 {
            for protocol in ["websocket", "sse"] {
                // A spread of a few percent, other on each side.
                let jitter = f64::from((repeat * 5 + side * 3) % 7);
                let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / (100.0 + jitter)).collect();
                let cell = sample::cell(&format!("workload/{protocol}"));
                let cell = cell.latency_ms(&samples, 1_000).stream(if side == 0 { 2.0 } else { 3.0 }, 6.0);
                let cell = cell
                    .cpu_us(if protocol == "sse" { 50 } else { 40 + u64::from(side) * 8 } + jitter as u64);
                cells.push(
                    cell.with(|cell| {
                        cell.spec.repeat = repeat;
                        if protocol == "sse" && side == 1 && repeat == 2 {
                            cell.trust.level = TrustLevel::Degraded;
                            cell.trust.reasons.push("send lag p99 12 ms is above 10 ms".into());
                        }
                    })
                    .build(),
                );
            }
        }
        let mut run = run(RunKind::Scenario, &["rtbench", "run", "my load.toml"], cells);
        run.name = format!("20261124T081500Z-{}", ["base", "new"][side as usize]);
        run
    })
}

fn compared() -> Comparison {
    let [base, new] = sides();
    compare::compare(&[base], &[new], false).unwrap()
}

fn of(form: Form, comparison: &Comparison) -> String {
    let mut out = Vec::new();
    form.render(comparison, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn on_a_terminal() {
    let compared = compared();
    insta::assert_snapshot!("comparison_at_80", plain(&terminal::comparison(&compared, false, 80)));
    insta::assert_snapshot!("comparison_at_160", plain(&terminal::comparison(&compared, false, 160)));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 100, 160, 200] {
        for all in [false, true] {
            for line in plain(&terminal::comparison(&compared(), all, width)).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn all_shows_what_the_short_form_leaves_out() {
    let shown = |all| plain(&terminal::comparison(&compared(), all, 80));
    assert!(!shown(false).contains("duplicates") && shown(true).contains("duplicates"));
}

#[test]
fn as_files() {
    let compared = compared();
    insta::assert_snapshot!("comparison_md", of(Form::Markdown, &compared));
    let page = of(Form::Html, &compared);
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    insta::assert_snapshot!("comparison_html", format!("{head}<style/>{body}"));
}

#[test]
fn the_columns_hold_what_they_say() {
    let text = of(Form::Csv, &compared());
    let names: Vec<&str> = csv::columns().iter().map(|column| column.head.name).collect();
    assert_eq!(text.lines().next(), Some(names.join(",").as_str()));
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(Result::unwrap);
    let numbers =
        ["_median", "difference", "_low", "_high", "_percent", "p_adjusted", "_repeats", "repeats_needed"];
    for row in rows {
        for (name, value) in names.iter().zip(&row).filter(|(_, value)| !value.is_empty()) {
            let is_number = numbers.iter().any(|end| name.ends_with(end)) || *name == "p";
            assert_eq!(value.parse::<f64>().is_ok(), is_number, "{name} is {value}");
        }
    }
}

#[test]
fn the_page_fetches_nothing_runs_nothing_and_trusts_nobody() {
    let [base, mut new] = sides();
    let evil = "</pre></style><script>alert('x')</script>\"&";
    new.name = evil.into();
    new.file.command.push(evil.into());
    let mut both = [base, new];
    both.iter_mut()
        .flat_map(|run| &mut run.cells)
        .for_each(|cell| cell.spec.id.axes.push(Axis::Setting(evil.into())));
    let page = of(Form::Html, &compare::compare(&both[..1], &both[1..], false).unwrap());
    for forbidden in ["http://", "https://", "<script", "<iframe", "<img", "@import", "src=", "alert('"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "#{id}");
    }
}

#[test]
fn json_has_every_value_and_only_what_its_schema_says() {
    let document: serde_json::Value = serde_json::from_str(&of(Form::Json, &compared())).unwrap();
    let schema = crate::report::SCHEMAS.iter().find(|schema| schema.name == "comparison").unwrap();
    let schema: serde_json::Value = serde_json::from_str(schema.text).unwrap();
    for key in document.as_object().unwrap().keys() {
        assert!(schema["properties"].get(key).is_some(), "{key} is not in the schema");
    }
    let row = &document["cells"][0]["rows"][0];
    assert_eq!(row["base"]["values"].as_array().unwrap().len(), 7);
    for key in row.as_object().unwrap().keys() {
        assert!(schema["$defs"]["Row"]["properties"].get(key).is_some(), "{key} is not in the schema");
    }
}
