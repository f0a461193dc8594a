//! What must hold of the page, whatever the run.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::measure::cell::{FailureCount, Interval};
use crate::measure::run::{Run, RunKind};
use crate::measure::{sample, store};
use crate::report::capacity_tests::search;
use crate::report::find;
use crate::report::tests::{matrix_run, of, repeated_run, run, troubled_run, two_runs};
use crate::scenario::cell_id::Kind;

/// A run of two protocols with everything that a chart can show.
fn small_run() -> Run {
    let cell = |protocol: &str, slower: f64| {
        let samples: Vec<f64> = (1..=1_000).map(|i| slower * f64::from(i) / 100.0).collect();
        sample::cell(protocol).latency_ms(&samples, 1_000).cpu_us(20).with(|cell| {
            let ns = |ms: f64| Some((ms * slower * 1e6) as u64);
            cell.intervals = (1_u32..=3)
                .map(|s| Interval {
                    at_s: s.into(),
                    published: 100,
                    delivered: 900,
                    connected: 1_000,
                    p50_ns: ns(5.0),
                    p99_ns: ns(9.0),
                    server_cpu_ns: Some(18_000_000),
                    server_resident_bytes: Some(20_000_000 + u64::from(s) * 100_000),
                    generator_resident_bytes: Some(60_000_000),
                    ..Interval::default()
                })
                .collect();
        })
    };
    let cells = vec![
        cell("websocket", 0.1).stream(2.0, 6.0).build(),
        cell("short-poll", 20.0).polls(30_000, 10_000, 900).build(),
    ];
    run(RunKind::Scenario, &["rtbench", "run", "chat"], cells)
}

fn reference() -> Run {
    store::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results/reference-matrix")).unwrap()
}

fn page(run: &Run) -> String {
    of("html", run)
}

#[test]
fn a_small_run() {
    let page = page(&small_run());
    // The style sheet changes with every look at it, and is no result.
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    insta::assert_snapshot!("small_run", format!("{head}<style/>{body}"));
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    for run in [matrix_run(), troubled_run(), small_run(), search(), reference()] {
        let page = page(&run);
        for forbidden in ["http://", "https://", "<script", "<iframe", "<img", "@import", "javascript:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        let loads = ["src=", "url(", "<link"].map(|what| page.matches(what).count());
        let own =
            ["", "url(#h", "<link rel=\"icon\" href=\"data:,\">"].map(|what| page.matches(what).count());
        assert_eq!((loads[0], loads[1], loads[2]), (0, own[1], own[2]));
    }
}

#[test]
fn every_chart_has_its_numbers() {
    for run in [matrix_run(), small_run(), repeated_run(), search(), reference()] {
        let page = page(&run);
        let figures: Vec<&str> =
            page.split("<figure").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect();
        assert!(!figures.is_empty());
        for figure in figures {
            assert!(figure.contains("<summary>Numbers</summary>") && figure.contains("<table"), "{figure}");
            assert!(figure.contains("role=\"img\" aria-label=") && !figure.contains("NaN"), "{figure}");
        }
    }
}

#[test]
fn elements_are_closed_and_links_lead_somewhere() {
    for run in [matrix_run(), troubled_run(), small_run(), repeated_run(), search(), reference()] {
        let page = page(&run);
        for element in
            ["details", "table", "section", "figure", "svg", "div", "ul", "li", "tr", "td", "p", "dl"]
        {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "#{id}");
        }
    }
}

#[test]
fn what_others_wrote_stays_text() {
    let evil = "</pre></style><script>alert('x')</script>\"&";
    let mut run = troubled_run();
    run.file.command.push(evil.into());
    run.file.scenario.name = evil.into();
    run.file.scenario.text = evil.into();
    run.file.host.cpu_model = Some(evil.into());
    run.warnings.push(evil.into());
    let cell = &mut run.cells[0];
    cell.spec.id.kind = Some(Kind(evil.into()));
    cell.trust.reasons.push(evil.into());
    let [phase, kind, example] = [evil; 3].map(str::to_owned);
    cell.failures.push(FailureCount { phase, kind, count: 1, example });
    let page = page(&run);
    assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn a_plain_run_has_no_matrix_and_says_what_was_asked() {
    let plain = page(&troubled_run());
    assert!(!plain.contains("id=\"matrix\"") && !plain.contains("id=\"cost\""));
    for text in [
        "rtbench run &#39;my load.toml&#39; -c 1k",
        "clients = 1000",
        "send lag p99 12 ms is above 10 ms",
        "client 17: connection reset by peer",
        "the server died: out of memory",
        "the last line is torn",
        "p(95)&lt;200ms",
        "Example CPU",
    ] {
        assert!(plain.contains(text), "{text}");
    }
}

#[test]
fn a_matrix_has_every_claim_with_its_evidence() {
    let page = page(&matrix_run());
    assert_eq!(page.matches("<td><details><summary>").count(), 55);
    assert!(page.contains("<a href=\"#cell-workload-sse\">workload/sse</a>"), "evidence leads to its cell");
    assert!(page.contains("Of 55 claims of the matrix: "));
}

#[test]
fn slopes_are_fitted_where_client_counts_differ() {
    let page = page(&matrix_run());
    assert!(page.contains("<h3>Over clients</h3>"));
    assert!(page.contains("<td>9 KB per client</td>"), "long polling's memory");
    assert!(!self::page(&small_run()).contains("<h3>Over clients</h3>"));
}

#[test]
fn repetitions_are_one_line_of_a_chart_and_all_in_the_tables() {
    let page = page(&repeated_run());
    for text in [
        "<h2>Repeats</h2>",
        "<b>99th percentile by repeat</b>",
        "<td>0.6 (0.5–2.5)</td>",
        "of repeats the one in the middle",
        "id=\"cell-workload-sse-r2\"",
        "2 cells, measured up to 3 times: ",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let curve = page.split("<b>Latency by percentile</b>").nth(1).unwrap().split("</figure>").next().unwrap();
    assert_eq!(curve.matches("<li>").count(), 2, "two lines for six cells: {curve}");
    assert!(!self::page(&small_run()).contains("Repeats"));
}

#[test]
fn several_runs_stand_side_by_side() {
    let mut out = Vec::new();
    find("html").unwrap().several().unwrap()(&two_runs(), &mut out).unwrap();
    let page = String::from_utf8(out).unwrap();
    for text in [
        "rtbench: 2 runs side by side",
        "Not the same in all runs: seed, cells.",
        "<h3>workload/websocket</h3>",
        "<th scope=\"row\">latency p99, ms</th><td>1.19 (0.99–4.95)</td><td>1.98</td>",
        "<th scope=\"row\">latency p99, ms</th><td>-</td><td>1.98</td>",
        "20261125T081500Z-chat",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<script") && !page.contains("NaN"));
    assert_eq!(page.matches("<figure").count(), 3);
}

#[test]
fn a_search_shows_how_far_the_server_goes() {
    let page = page(&search());
    for text in [
        "<b>99th percentile over load</b>",
        "websocket",
        "Must hold: latency p(99)&lt;200ms",
        "Projected for SSE",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("id=\"thresholds\""), "that a limit was crossed is the point of a search");
}

#[test]
fn a_run_without_cells_is_a_page() {
    let page = page(&run(RunKind::Scenario, &["rtbench", "run"], Vec::new()));
    assert!(page.contains("Nothing was measured.") && page.ends_with("</html>\n"));
}

#[test]
fn the_reference_matrix_stays_below_a_megabyte() {
    let size = page(&reference()).len();
    assert!(size < 1_000_000, "{size} bytes");
}
