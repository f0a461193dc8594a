//! `rtbench compare` over run directories: its figures against an independent computation, and all that it refuses.
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use program::{assert_exit, run, text};
use rtbench::host::interference::Interference;
use rtbench::measure::cell::{Cell, ServerCost, TrustLevel};
use rtbench::measure::run::{RunFile, RunKind, RunStatus, ScenarioText};
use rtbench::measure::store::Store;
use rtbench::scenario::cell_id::CellId;
use rtbench::scenario::kinds::Headers;
use rtbench::scenario::spec::CellSpec;

/// What eight repeats measured: the first four in one run, the others in a second.
struct Observed {
    connect_s: [f64; 8],
    cpu_ns: [u64; 8],
    memory_bytes: [u64; 8],
    steal_share: [f64; 8],
    reordered: [u64; 8],
    framing_bytes: u64,
}

const BASE: Observed = Observed {
    connect_s: [0.512, 0.498, 0.530, 0.505, 0.521, 0.495, 0.540, 0.509],
    cpu_ns: [10_100_000, 10_450_000, 9_900_000, 10_220_000, 10_330_000, 9_870_000, 10_010_000, 10_560_000],
    memory_bytes: [
        14_000_000, 14_004_096, 14_000_000, 14_008_192, 14_004_096, 14_000_000, 14_012_288, 14_004_096,
    ],
    steal_share: [0.01, 0.02, 0.0, 0.015, 0.005, 0.0, 0.03, 0.0125],
    reordered: [0, 0, 1, 0, 0, 2, 0, 0],
    framing_bytes: 2,
};

const NEW: Observed = Observed {
    connect_s: [0.561, 0.549, 0.590, 0.535, 0.572, 0.555, 0.601, 0.528],
    cpu_ns: [10_210_000, 10_470_000, 9_950_000, 10_390_000, 10_350_000, 9_820_000, 10_110_000, 10_700_000],
    memory_bytes: [
        14_004_096, 14_008_192, 14_008_192, 14_012_288, 14_004_096, 14_016_384, 14_012_288, 14_000_000,
    ],
    steal_share: [0.0, 0.01, 0.0, 0.02, 0.0, 0.005, 0.025, 0.0],
    reordered: [0, 1, 0, 0, 0, 0, 0, 3],
    framing_bytes: 3,
};

impl Observed {
    fn cell(&self, i: usize) -> Cell {
        let spec = CellSpec { repeat: i as u32 % 4, seed: 7, ..CellSpec::example() };
        let mut cell = Cell::empty(spec, 0.0);
        cell.measured_s = 1.0;
        cell.connect_s = self.connect_s[i];
        let counts = &mut cell.counts;
        (counts.connected, counts.published, counts.expected, counts.delivered) = (20, 200, 1_800, 1_800);
        (counts.delivered_all, counts.delivered_all_bytes) = (1_000, 100_000);
        (counts.published_all, counts.published_all_bytes) = (200, 20_000);
        counts.received_in_window = 1_000;
        counts.reordered = self.reordered[i];
        cell.subscriber_wire.in_bytes = 1_000 * (100 + self.framing_bytes);
        cell.publisher_wire.out_bytes = 200 * 106;
        cell.server = Some(ServerCost {
            cpu_ns: Some(self.cpu_ns[i]),
            memory_idle_bytes: Some(self.memory_bytes[i]),
            ..ServerCost::default()
        });
        cell.host = Interference { steal_share: Some(self.steal_share[i]), ..Interference::default() };
        cell
    }

    /// Two runs of four repeats each.
    fn runs(&self, parent: &Path, name: &str) -> Vec<String> {
        let run = |range: std::ops::Range<usize>, name: String| {
            store(parent, &name, range.map(|i| self.cell(i)).collect(), |_| {})
        };
        vec![run(0..4, format!("{name}1")), run(4..8, format!("{name}2"))]
    }
}

/// Writes a run, and says where.
fn store(parent: &Path, name: &str, cells: Vec<Cell>, change: impl FnOnce(&mut RunFile)) -> String {
    let text = ScenarioText { name: "chat".into(), text: String::new() };
    let mut file = RunFile::begin(RunKind::Scenario, vec!["rtbench".into(), "run".into()], 7, text);
    file.started = "2026-11-24T08:15:00Z".into();
    change(&mut file);
    let mut store = Store::create(parent, name, file).unwrap();
    cells.iter().for_each(|cell| store.append(cell).unwrap());
    let dir = store.dir().to_str().unwrap().to_owned();
    store.finish(RunStatus::Finished).unwrap();
    dir
}

/// `rtbench compare`, with what comes before the runs, and the runs of both sides.
fn compare(options: &[&str], base: &[String], new: &[String]) -> Output {
    let runs = base.iter().map(String::as_str).chain(["--"]).chain(new.iter().map(String::as_str));
    run(&["compare"].into_iter().chain(options.iter().copied()).chain(runs).collect::<Vec<_>>())
}

/// The rows of a `comparison.csv`, by metric.
fn rows(csv: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    rows.map(|row| (row["metric"].clone(), row)).collect()
}

fn compared(dir: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let (base, new) = (BASE.runs(dir, "base"), NEW.runs(dir, "new"));
    let output = compare(&["--format", "comparison.csv"], &base, &new);
    assert_exit(&output, 0);
    rows(&String::from_utf8(output.stdout).unwrap())
}

/// What numpy 2.4.6 and scipy 1.17.1 make of the arrays above: the two medians (`numpy.median`); the median of all 64
/// differences and those of ranks 14 and 51, which are what the distribution of U for 8 and 8 (counted out with
/// itertools) leaves at 2.5%; the same three of logarithms, as percent (`numpy.expm1`), where a ratio means something; p by
/// `scipy.stats.mannwhitneyu(new, base, method=PermutationMethod(n_resamples=20000))`, which visits all 12,870 ways; and p
/// after Holm's method over these nine, by hand.
#[rustfmt::skip]
const EXPECTED: [(&str, &[f64], f64, f64); 9] = [
    ("connect_s", &[0.5105, 0.558, 0.04750000000000004, 0.02300000000000002, 0.07099999999999995, 9.148237270202017, 4.554455445544553, 13.396226415094336], 0.0010878010878010878, 0.007614607614607615),
    ("connects_per_s", &[39.177615422396855, 35.843329960977016, -3.2153913546755106, -4.7534165181224, -1.6998130205677384, -8.381479627156141, -11.813643926788654, -4.356060606060647], 0.0010878010878010878, 0.007614607614607615),
    ("server_cpu_us_per_delivery", &[10.16, 10.280000000000001, 0.07000000000000028, -0.22000000000000064, 0.370000000000001, 0.6956192541640479, -2.129719264278831, 3.663366336633679], 0.6453768453768454, 1.0),
    ("server_cpu_percent", &[1.016, 1.028, 0.007000000000000006, -0.02200000000000002, 0.037000000000000144], 0.6453768453768454, 1.0),
    ("server_memory_idle_bytes", &[14004096.0, 14008192.0, 4096.0, 0.0, 8192.0, 0.02924858555676511, 0.0, 0.058514285714272675], 0.14716394714716395, 0.7358197358197358),
    ("host_steal_percent", &[1.125, 0.25, -0.5, -1.5, 0.5], 0.38477078477078475, 1.0),
    ("reordered", &[0.0, 0.0, 0.0, 0.0, 1.0], 1.0, 1.0),
    ("overhead_bytes_per_delivery", &[2.0, 3.0, 1.0, 1.0, 1.0, 50.00000000000002, 50.00000000000002, 50.00000000000002], 0.0001554001554001554, 0.0013986013986013986),
    ("all_bytes_per_delivery", &[123.2, 124.2, 1.0, 1.0, 1.0, 0.8116883116882609, 0.8116883116882609, 0.8116883116882609], 0.0001554001554001554, 0.0013986013986013986),
];

#[test]
fn every_figure_agrees_with_scipy() {
    let dir = tempfile::tempdir().unwrap();
    let rows = compared(dir.path());
    for (metric, figures, p, adjusted) in EXPECTED {
        let columns = [
            "base_median",
            "new_median",
            "difference",
            "difference_low",
            "difference_high",
            "difference_percent",
            "difference_low_percent",
            "difference_high_percent",
        ];
        let expected =
            columns.into_iter().zip(figures.iter().copied()).chain([("p", p), ("p_adjusted", adjusted)]);
        for (column, expected) in expected {
            let found: f64 = rows[metric][column].parse().unwrap();
            assert!(
                (found - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
                "{metric} {column}: {found} for {expected}"
            );
        }
        let has_percent = !rows[metric]["difference_percent"].is_empty();
        assert_eq!(has_percent, figures.len() == 8, "{metric} has a ratio that means something");
    }
}

#[test]
fn verdicts_follow_the_adjusted_p_and_the_direction() {
    let dir = tempfile::tempdir().unwrap();
    let rows = compared(dir.path());
    let told = |metric: &str| {
        let row = &rows[metric];
        [&row["tier"], &row["verdict"], &row["p_adjusted"]].map(String::as_str)
    };
    assert_eq!(told("connect_s")[..2], ["noisy", "worse"]);
    assert_eq!(told("connects_per_s")[..2], ["noisy", "worse"], "less of what shall be more");
    assert_eq!(told("server_cpu_us_per_delivery")[..2], ["noisy", "unproven"]);
    assert_eq!(told("framing_in_bytes_per_delivery"), ["exact", "changed", ""]);
    assert_eq!(told("delivered"), ["exact", "equal", ""]);
    assert_eq!(told("reordered")[..2], ["noisy", "unproven"], "an exact metric whose repeats disagree");
    assert_eq!(rows["framing_in_bytes_per_delivery"]["difference"], "1.0");
    assert_eq!(rows["framing_in_bytes_per_delivery"]["p"], "");
    let needed = |metric: &str| rows[metric]["repeats_needed"].clone();
    assert!(needed("server_cpu_us_per_delivery").parse::<u64>().unwrap() > 8);
    assert_eq!((needed("connect_s"), needed("delivered")), (String::new(), String::new()));
    // The other way round the same is better.
    let (base, new) = (NEW.runs(dir.path(), "base"), BASE.runs(dir.path(), "new"));
    let output = compare(&["--format", "comparison.csv"], &base, &new);
    let swapped = self::rows(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(swapped["connect_s"]["verdict"], "better");
    assert_eq!(swapped["connects_per_s"]["verdict"], "better");
}

#[test]
fn two_runs_of_one_repeat_prove_nothing_and_say_how_many_would() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] =
        [("a", &BASE), ("b", &NEW)].map(|(name, side)| store(dir.path(), name, vec![side.cell(0)], |_| {}));
    let output = run(&["compare", &a, &b]);
    assert_exit(&output, 0);
    let shown = text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!shown.contains("adjusted 1") && shown.contains("~ ≥6"), "{shown}");
    assert!(shown.contains("≠ changed"), "exact metrics need no repeats: {shown}");
    assert!(shown.contains("which takes at least 6 repeats a side"), "{shown}");
    let latest = run(&["compare", &a, "latest", "--results", dir.path().to_str().unwrap()]);
    assert_exit(&latest, 0);
}

/// Compares the base with a changed copy of its cells and file; must be refused with this code and these words.
#[track_caller]
fn refused(
    options: &[&str],
    code: i32,
    words: &[&str],
    cell: impl Fn(&mut Cell),
    file: impl FnOnce(&mut RunFile),
) -> String {
    let dir = tempfile::tempdir().unwrap();
    let base = store(dir.path(), "base", vec![BASE.cell(0), BASE.cell(1)], |_| {});
    let mut cells = vec![NEW.cell(0), NEW.cell(1)];
    cells.iter_mut().for_each(cell);
    let new = store(dir.path(), "new", cells, file);
    let output = compare(options, &[base], &[new]);
    assert_exit(&output, code);
    let shown = text(&output);
    for word in words {
        assert!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(word), "{word} in {shown}");
    }
    shown
}

#[test]
fn what_is_not_the_same_experiment_is_refused_with_every_difference() {
    let same = |_: &mut Cell| {};
    refused(
        &[],
        2,
        &["no cell in common", "websocket (scenario chat)", "sse (scenario other)"],
        |cell| cell.spec.id = CellId::of(rtbench::protocol::find("sse").unwrap()),
        |file| file.scenario.name = "other".into(),
    );
    refused(&[], 2, &["seed: 7 in", "8 in", "--seed"], same, |file| file.seed = 8);
    let shown = refused(
        &[],
        2,
        &["clients: 20 in", ", 30 in", "in_flight: not set in", ", 4 in", "(cell websocket)"],
        |cell| {
            cell.spec.clients = 30;
            cell.spec.in_flight = Some(4);
        },
        |_| {},
    );
    assert_eq!(
        shown.matches("\n  - ").count(),
        2,
        "each difference once, however many repeats have it: {shown}"
    );
    refused(&[], 2, &["host, cpu_model: ", "Other CPU", "--across-hosts"], same, |file| {
        file.host.cpu_model = Some("Other CPU".into())
    });
}

#[test]
fn own_headers_are_part_of_the_experiment() {
    let with = |line: &str| {
        let text = rtbench::scenario::locate("echo").unwrap().text;
        let custom = format!("[http]\nheaders = \"custom\"\ncustom = [\"{line}\"]\n");
        text.split("[http]").next().unwrap().to_owned() + &custom
    };
    let dir = tempfile::tempdir().unwrap();
    let mut cell = BASE.cell(0);
    cell.spec.http.headers = Headers::Custom;
    let runs = ["Cookie: a=b", "Cookie: a=c", "Cookie: a=b"]
        .map(|line| store(dir.path(), "run", vec![cell.clone()], |file| file.scenario.text = with(line)));
    let output = run(&["compare", &runs[0], &runs[1]]);
    assert_exit(&output, 2);
    assert!(text(&output).contains("http.custom: [\"Cookie: a=b\"] in"), "{}", text(&output));
    assert_exit(&run(&["compare", &runs[0], &runs[2]]), 0);
}

#[test]
fn what_cannot_be_believed_is_not_compared() {
    use rtbench::measure::cell::Status;
    let shown = refused(
        &[],
        3,
        &["is not compared, because it cannot be believed", "is invalid: two counts disagree"],
        |cell| {
            cell.trust.level = TrustLevel::Invalid;
            cell.trust.reasons = vec!["two counts disagree".into()];
        },
        |_| {},
    );
    assert!(!shown.contains("server_cpu"), "{shown}");
    refused(
        &[],
        3,
        &["failed: the server died"],
        |cell| cell.status = Status::Failed("the server died".into()),
        |_| {},
    );
    refused(&[], 3, &["was interrupted"], |cell| cell.status = Status::Interrupted, |_| {});
}

#[test]
fn degraded_cells_are_compared_and_flagged() {
    let degrade = |cell: &mut Cell| {
        cell.trust.level = TrustLevel::Degraded;
        cell.trust.reasons = vec!["send lag".into()];
    };
    refused(
        &[],
        0,
        &[
            "! degraded",
            "! server_cpu_us_per_delivery",
            "degraded in 2 of 2 repeats of new, the worst by send lag",
        ],
        degrade,
        |_| {},
    );
    let csv = refused(&["--format", "comparison.csv"], 0, &[], degrade, |_| {});
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",ok,degraded,same,finished")), "{csv}");
}

#[test]
fn another_host_is_labelled_in_every_output() {
    let other = |file: &mut RunFile| file.host.kernel = Some("0.0.1".into());
    for format in ["markdown", "html", "json", "comparison.csv"] {
        let shown = refused(&["--across-hosts", "--format", format], 0, &[], |_| {}, other);
        let label = match format {
            "json" => "\"other_value\": \"0.0.1\"",
            "comparison.csv" => ",different,finished\n",
            _ => "ACROSS HOSTS",
        };
        assert!(shown.contains(label), "{format}: {shown}");
    }
    refused(&["--across-hosts"], 0, &["ACROSS HOSTS", "0.0.1"], |_| {}, other);
}

#[test]
fn a_reboot_is_no_other_host() {
    let rebooted = |file: &mut RunFile| {
        file.host.steal_s = Some(12_345.0);
        file.host.nofile_soft = Some(17);
        file.host.memory_bytes = file.host.memory_bytes.map(|bytes| bytes - 4_096);
    };
    refused(&[], 0, &["Outcome"], |_| {}, rebooted);
}

#[test]
fn the_grammar_takes_two_runs_or_two_sets() {
    let dir = tempfile::tempdir().unwrap();
    let (base, new) = (BASE.runs(dir.path(), "base"), NEW.runs(dir.path(), "new"));
    let three = run(&["compare", &base[0], &base[1], &new[0]]);
    assert_exit(&three, 2);
    assert!(text(&three).contains("BASE... -- NEW..."), "{}", text(&three));
    let twice = compare(&[], &base, &[base[0].clone()]);
    assert_exit(&twice, 2);
    assert!(text(&twice).contains("named twice"), "{}", text(&twice));
    assert_exit(&run(&["compare", &base[0]]), 2);
    assert_exit(&run(&["compare", &base[0], "/nowhere"]), 2);
    assert_exit(&run(&["compare", "--format", "pdf", &base[0], &new[0]]), 2);
    assert_exit(&compare(&[], &base, &new[..1]), 0);
}

#[test]
fn files_go_where_they_shall() {
    let dir = tempfile::tempdir().unwrap();
    let (base, new) = (BASE.runs(dir.path(), "base"), NEW.runs(dir.path(), "new"));
    let out = dir.path().join("out");
    let output = compare(&["-o", out.to_str().unwrap()], &base, &new);
    assert_exit(&output, 0);
    for name in ["comparison.csv", "comparison.md", "comparison.html", "comparison.json"] {
        assert!(text(&output).contains(name) && out.join(name).is_file(), "{name}");
    }
    let csv = std::fs::read(out.join("comparison.csv")).unwrap();
    assert_eq!(compare(&["--format", "comparison.csv", "-o", "-"], &base, &new).stdout, csv);
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("comparison.json")).unwrap()).unwrap();
    assert_eq!(json["cells"][0]["rows"][0]["base"]["values"].as_array().unwrap().len(), 8);
}
