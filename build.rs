//! Two facts about the source that the program reports: the size of each protocol's modules, and the commit.
//! Reads files only, and starts no process.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/measure/count_lines.rs"]
mod count_lines;

/// The modules of each protocol: at the client, at the server. A module is a file, or a file and the directory of
/// its name. What every protocol uses is left out, and so are the transports, which belong to measuring.
const MODULES: &[(&str, &[&str], &[&str])] = &[
    ("short-poll", &["short_poll", "poll", "publish"], &["short_poll", "poll"]),
    ("long-poll", &["long_poll", "poll", "publish"], &["long_poll", "poll"]),
    ("websocket", &["websocket"], &["websocket", "channel"]),
    ("sse", &["sse", "stream", "publish"], &["sse"]),
    ("webrtc", &["webrtc"], &["webrtc", "channel"]),
];

const CLIENT: &str = "src/protocol";
const SERVER: &str = "reference-server/src/protocol";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CLIENT}");
    println!("cargo::rerun-if-changed={SERVER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("source_counts.json"), source_counts()).expect("cargo's OUT_DIR can be written");
    println!("cargo::rerun-if-env-changed=RTBENCH_REVISION");
    if let Some(revision) = env::var("RTBENCH_REVISION").ok().or_else(revision) {
        println!("cargo::rustc-env=RTBENCH_REVISION={revision}");
    }
}

/// The table that `src/measure/source.rs` includes, as JSON.
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
        let path = Path::new(root).join(module);
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
    println!("cargo::rerun-if-changed={manifest}");
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let section = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('['));
    let names = entries.filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// The commit that is checked out, from git's own files; `None` outside of a repository.
fn revision() -> Option<String> {
    let mut git = PathBuf::from(".git");
    if git.is_file() {
        // A work tree: the file says where its part of the repository is.
        git = PathBuf::from(fs::read_to_string(&git).ok()?.strip_prefix("gitdir:")?.trim());
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        // Only of files that exist: cargo would run this again at every build for one that does not.
        println!("cargo::rerun-if-changed={}", path.display());
        Some(text.trim().to_owned())
    };
    let head = read(git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return Some(head) };
    let common =
        fs::read_to_string(git.join("commondir")).map_or(git.clone(), |common| git.join(common.trim()));
    if common.join(name).is_file() {
        return read(common.join(name));
    }
    let packed = read(common.join("packed-refs"))?;
    let line = packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
    line.map(str::to_owned)
}
