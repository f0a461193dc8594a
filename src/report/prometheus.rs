//! A run as Prometheus reads it while it goes on: text format 0.0.4, base units, a label for each cell.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::measure::cell::{Cell, Interval};
use crate::measure::metric::{self, Metric};
use crate::scenario::spec::CellSpec;

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known of the cells that run and of those that have ended.
#[derive(Default)]
pub struct Exposition {
    running: BTreeMap<Labels, Live>,
    /// Values of `metric::ALL`, in their order.
    ended: BTreeMap<Labels, Vec<Option<f64>>>,
}

/// What tells the series of a cell from those of others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    cell: String,
    protocol: String,
    repeat: u32,
}

/// A cell under way.
#[derive(Default)]
struct Live {
    connected: u64,
    published: u64,
    delivered: u64,
    failures: u64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
}

type Reading = fn(&Live) -> Option<f64>;

/// What is told of a cell under way: name, type, help, value.
#[rustfmt::skip]
static LIVE: &[(&str, &str, &str, Reading)] = &[
    ("rtbench_live_connected_clients", "gauge", "Clients connected now, of the cell that runs", |l| Some(l.connected as f64)),
    ("rtbench_live_published_total", "counter", "Events sent in its window so far", |l| Some(l.published as f64)),
    ("rtbench_live_delivered_total", "counter", "Deliveries received in its window so far", |l| Some(l.delivered as f64)),
    ("rtbench_live_failures_total", "counter", "Failures of its clients so far", |l| Some(l.failures as f64)),
    ("rtbench_live_response_p50_seconds", "gauge", "Receipt minus due time in the last second, median", |l| seconds(l.p50_ns)),
    ("rtbench_live_response_p99_seconds", "gauge", "Receipt minus due time in the last second, 99th percentile", |l| seconds(l.p99_ns)),
];

fn seconds(ns: Option<u64>) -> Option<f64> {
    ns.map(|ns| ns as f64 / 1e9)
}

/// Units of the table of metrics in base units: the word in a name, what it becomes, and the factor.
const BASE_UNITS: &[(&str, &str, &str, f64)] = &[
    ("ms", "_ms", "_seconds", 1e-3),
    ("us", "_us", "_seconds", 1e-6),
    ("s", "_s", "_seconds", 1.0),
    ("%", "_percent", "_ratio", 1e-2),
    ("1/s", "_per_s", "_per_second", 1.0),
    ("B/s", "_per_s", "_per_second", 1.0),
];

/// Name of a metric's series, and what its values are multiplied by.
fn series(metric: &Metric) -> (String, f64) {
    let base = BASE_UNITS.iter().find(|(unit, ..)| *unit == metric.unit);
    let renamed = base.and_then(|(_, word, base, factor)| {
        let (before, after) = metric.name.rsplit_once(word)?;
        Some((format!("rtbench_cell_{before}{base}{after}"), *factor))
    });
    renamed.unwrap_or_else(|| (format!("rtbench_cell_{}", metric.name), 1.0))
}

impl Labels {
    fn of(spec: &CellSpec) -> Labels {
        Labels { cell: spec.id.to_string(), protocol: spec.id.protocol.name.to_owned(), repeat: spec.repeat }
    }
}

impl Exposition {
    /// A cell begins, or clients of it connect; both counts are so far.
    pub fn connecting(&mut self, spec: &CellSpec, connected: u64, failures: u64) {
        let live = self.running.entry(Labels::of(spec)).or_default();
        (live.connected, live.failures) = (connected, failures);
    }

    /// A second of a cell's window is over.
    pub fn second(&mut self, spec: &CellSpec, second: &Interval) {
        let live = self.running.entry(Labels::of(spec)).or_default();
        live.connected = second.connected;
        live.published += second.published;
        live.delivered += second.delivered;
        live.failures = second.failures_so_far;
        (live.p50_ns, live.p99_ns) = (second.p50_ns, second.p99_ns);
    }

    /// A cell has ended. Its metrics are read here, between cells, and not whenever somebody asks.
    pub fn end(&mut self, cell: &Cell) {
        let labels = Labels::of(&cell.spec);
        self.running.remove(&labels);
        self.ended.insert(labels, metric::ALL.iter().map(|metric| metric.value(cell)).collect());
    }

    /// Everything that is known now.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let about = "The program that measures; always 1";
        head(&mut out, "rtbench_build_info", "gauge", about);
        let _ = writeln!(out, "rtbench_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        for (name, kind, about, read) in LIVE {
            let values = self.running.iter().filter_map(|(labels, live)| Some((labels, read(live)?)));
            family(&mut out, name, kind, about, values);
        }
        for (index, metric) in metric::ALL.iter().enumerate() {
            let (name, factor) = series(metric);
            let values = self.ended.iter().filter_map(|(labels, all)| Some((labels, all[index]? * factor)));
            family(&mut out, &name, "gauge", metric.about, values);
        }
        out
    }
}

/// A metric family with all its series; nothing where there is none.
fn family<'a>(
    out: &mut String,
    name: &str,
    kind: &str,
    about: &str,
    values: impl Iterator<Item = (&'a Labels, f64)>,
) {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    head(out, name, kind, about);
    for (Labels { cell, protocol, repeat }, value) in values {
        let (cell, protocol) = (escape(cell), escape(protocol));
        // Writing to a string does not fail.
        let _ =
            writeln!(out, "{name}{{cell=\"{cell}\",protocol=\"{protocol}\",repeat=\"{repeat}\"}} {value}");
    }
}

fn head(out: &mut String, name: &str, kind: &str, about: &str) {
    let about = about.replace('\\', r"\\").replace('\n', r"\n");
    let _ = writeln!(out, "# HELP {name} {about}\n# TYPE {name} {kind}");
}

/// The value of a label as the format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;
    use crate::scenario::cell_id::Kind;

    #[test]
    fn every_metric_has_a_name_of_its_own_in_base_units() {
        let mut names: Vec<String> = metric::ALL.iter().map(|metric| series(metric).0).collect();
        for name in &names {
            let scaled = ["_ms", "_us", "_s", "_percent"];
            let words = |word: &&str| name.ends_with(word) || name.contains(&format!("{word}_per_"));
            assert!(!scaled.iter().any(words), "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), metric::ALL.len());
        let said = |name: &str| metric::find(name).map(series);
        assert_eq!(
            said("server_cpu_us_per_delivery"),
            Some(("rtbench_cell_server_cpu_seconds_per_delivery".into(), 1e-6))
        );
        assert_eq!(said("response_p99_9_ms"), Some(("rtbench_cell_response_p99_9_seconds".into(), 1e-3)));
        assert_eq!(said("connect_s"), Some(("rtbench_cell_connect_seconds".into(), 1.0)));
    }

    #[test]
    fn a_cell_runs_and_ends_under_its_own_labels() {
        let mut exposition = Exposition::default();
        let cell = sample::cell("workload/sse")
            .with(|cell| cell.spec.id.kind = Some(Kind::new("a\\b\"c\nd")))
            .build();
        let labels = r#"{cell="a\\b\"c\nd/sse",protocol="sse",repeat="0"}"#;
        exposition.connecting(&cell.spec, 7, 2);
        let second = Interval {
            connected: 9,
            published: 3,
            delivered: 27,
            failures: 1,
            failures_so_far: 4,
            ..Interval::default()
        };
        exposition.second(&cell.spec, &Interval { p99_ns: Some(1_500_000), ..second.clone() });
        exposition.second(&cell.spec, &second);
        let text = exposition.text();
        for (name, value) in
            [("connected_clients", 9), ("published_total", 6), ("delivered_total", 54), ("failures_total", 4)]
        {
            assert!(text.contains(&format!("\nrtbench_live_{name}{labels} {value}\n")), "{text}");
        }
        // The last second had no sample.
        assert!(!text.contains("p99") && !text.contains("rtbench_cell_"), "{text}");
        exposition.end(&cell);
        let text = exposition.text();
        assert!(text.contains(&format!("\nrtbench_cell_delivered{labels} 27000\n")), "{text}");
        assert!(text.contains(&format!("\nrtbench_cell_lost_ratio{labels} 0\n")), "{text}");
        assert!(!text.contains("rtbench_live_"), "{text}");
    }
}
