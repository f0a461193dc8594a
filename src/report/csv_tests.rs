//! What readers of CSV files rely on.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use super::csv_column::{self, Column, Head};
use super::csv_files::{self, Sheet};
use crate::measure::sample;

/// A value that says "write what the code says now", as for other snapshots.
fn updates() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always")
}

/// Where the columns of a version are kept.
fn kept(sheet: &Sheet, version: u32) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/csv_column");
    dir.join(format!("{}.{version}", sheet.file))
}

fn written_down(sheet: &Sheet) -> String {
    let line = |Head { name, kind, unit, .. }: Head| {
        format!("{name} {} {unit}", kind.word()).trim_end().to_owned() + "\n"
    };
    (sheet.heads)().into_iter().map(line).collect()
}

/// The version of a file is a promise: whoever breaks it makes another. Nothing overwrites an old one.
#[test]
fn columns_change_only_with_their_version() {
    for sheet in csv_files::ALL {
        let path = kept(sheet, sheet.version);
        let now = written_down(sheet);
        if updates() && !path.exists() {
            fs::write(&path, &now).unwrap();
        }
        let promised = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            promised == now,
            "the columns of {} are not those of its version {}: raise the version in src/report/csv_column.rs and run \
             this test with INSTA_UPDATE=always.\npromised:\n{promised}\nnow:\n{now}",
            sheet.file,
            sheet.version
        );
        for older in 1..sheet.version {
            let old = fs::read_to_string(kept(sheet, older)).unwrap();
            assert_ne!(old, now, "{}: version {} changes nothing", sheet.file, sheet.version);
        }
    }
}

#[test]
fn the_readme_of_the_results_documents_every_column() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let marker = "<!-- From here on: `rtbench list columns`. -->\n";
    let (own, documented) = readme.split_once(marker).unwrap();
    let now = csv_files::markdown();
    if updates() {
        fs::write(&path, format!("{own}{marker}{now}")).unwrap();
        return;
    }
    assert!(documented == now, "results/README.md is behind: run this test with INSTA_UPDATE=always");
}

#[test]
fn names_are_snake_case_and_unique_and_say_their_unit() {
    for sheet in csv_files::ALL {
        let heads = (sheet.heads)();
        for (i, head) in heads.iter().enumerate() {
            assert!(heads[i + 1..].iter().all(|other| other.name != head.name), "{} twice", head.name);
            assert!(head.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            let word = match head.unit {
                "" => continue,
                "%" => "_percent",
                "B" | "B/s" => "bytes",
                "1/s" => "_per_s",
                "ns" => "_ns",
                "us" | "us/s" => "_us",
                "ms" => "_ms",
                "s" => "_s",
                unit => panic!("{}: unknown unit {unit}", head.name),
            };
            assert!(head.name.contains(word), "{} of {} is in {}", head.name, sheet.file, head.unit);
        }
    }
}

#[test]
fn a_number_looks_like_one_whatever_its_value() {
    let number = [Column::number("n", "", "", |value: &Option<f64>| *value)];
    let whole = [Column::whole("n", "", "", |value: &Option<f64>| *value)];
    let written = |columns: &[Column<Option<f64>>], value| {
        let mut out = Vec::new();
        csv_column::write(columns, [value], &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().nth(1).unwrap().to_owned()
    };
    for (value, text) in
        [(30.0, "30.0"), (0.5, "0.5"), (-2.0, "-2.0"), (1e-7, "0.0000001"), (1e16, "10000000000000000.0")]
    {
        assert_eq!(written(&number, Some(value)), text);
    }
    assert_eq!(written(&whole, Some(4_000_000.0)), "4000000");
    for absent in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        assert_eq!((written(&number, absent), written(&whole, absent)), ("\"\"".into(), "\"\"".into()));
    }
}

#[test]
fn a_text_is_never_taken_for_an_empty_field() {
    let columns = [Column::text("t", "", |text: &&str| (*text).to_owned())];
    let mut out = Vec::new();
    csv_column::write(&columns, ["N/A", "null", "nano", ""], &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "t\n(N/A)\n(null)\nnano\n\"\"\n");
}

#[test]
fn whole_metrics_are_whole() {
    let cells = [
        sample::cell("workload/short-poll").polls(30_001, 10_000, 900).cpu_us(7).build(),
        sample::cell("workload/webrtc").datagrams(31_501, 16_001).latency_ms(&[0.7; 2_000], 2_000).build(),
        sample::cell("memory/sse/300").idle(300, 1_234).build(),
    ];
    for metric in crate::measure::metric::ALL.iter().filter(|metric| metric.is_whole()) {
        for value in cells.iter().filter_map(|cell| metric.value(cell)) {
            assert_eq!(value.fract(), 0.0, "{}", metric.name);
        }
    }
}
