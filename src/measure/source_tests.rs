//! Whether the committed counts are those of the source.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use super::super::count_lines;

/// The modules of each protocol: at the client, at the server. A module is a file, or a file and the directory of
/// its name. What every protocol uses is left out, and so are the transports, which belong to measuring.
const MODULES: &[(&str, &[&str], &[&str])] = &[
    ("short-poll", &["short_poll", "poll", "publish"], &["short_poll", "poll"]),
    ("long-poll", &["long_poll", "poll", "publish"], &["long_poll", "poll"]),
    ("websocket", &["websocket"], &["websocket", "channel"]),
    ("sse", &["sse", "stream", "publish"], &["sse"]),
    ("webrtc", &["webrtc"], &["webrtc", "channel"]),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CLIENT: &str = "src/protocol";
const SERVER: &str = "reference-server/src/protocol";

#[test]
fn the_counts_are_those_of_the_source() {
    let counted = source_counts();
    assert!(counted == super::COUNTS, "src/measure/source_counts.json should be:\n{counted}");
}

#[test]
fn every_protocol_of_the_guide_is_counted_at_both_ends() {
    let counts = super::counts();
    assert!(counts.iter().all(|count| count.lines().is_some()), "{counts:?}");
    let names: Vec<String> = counts.into_iter().map(|count| count.protocol).collect();
    assert_eq!(names, ["short-poll", "long-poll", "websocket", "sse", "webrtc"]);
}

/// The table that `source.rs` includes, as JSON.
fn source_counts() -> String {
    let mut crates = dependencies("Cargo.toml");
    crates.extend(dependencies("reference-server/Cargo.toml"));
    crates.sort();
    crates.dedup();
    // The server is the other end, not something a protocol needs.
    crates.retain(|name| name != "reference_server");
    let crates: Vec<&str> = crates.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    for (protocol, client, server) in MODULES {
        let client = sources(CLIENT, client);
        let server = sources(SERVER, server);
        let lines =
            |sources: &[String]| sources.iter().map(|source| count_lines::lines(source)).sum::<usize>();
        let named = count_lines::crates_used(&[&client[..], &server[..]].concat().join("\n"), &crates);
        let (client, server) = (lines(&client), lines(&server));
        // Names of protocols and crates need no escaping, so Rust's debug form is JSON.
        rows.push(format!(
            r#"{{"protocol": {protocol:?}, "client_lines": {client}, "server_lines": {server}, "dependencies": {named:?}}}"#
        ));
    }
    format!("[\n{}\n]\n", rows.join(",\n"))
}

/// The text of every file of the modules; one that does not exist has none.
fn sources(root: &str, modules: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    for module in modules {
        let path = Path::new(ROOT).join(root).join(module);
        read_module(&path.with_extension("rs"), &mut texts);
    }
    texts
}

/// Reads a file and the modules in the directory of its name, without those that only tests have.
fn read_module(file: &Path, texts: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    let only_tests = count_lines::test_modules(&text);
    texts.push(text);
    let Ok(entries) = fs::read_dir(file.with_extension("")) else { return };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !only_tests.contains(&name) {
            read_module(file, texts);
        }
    }
}

/// Names of the crates in a manifest's `[dependencies]`, as code writes them.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(manifest)).unwrap();
    let section = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('['));
    let names = entries.filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(|name| name.replace('-', "_"))
        .collect()
}
