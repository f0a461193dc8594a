//! Not a test, but the last that `cargo test` runs: which tests could not run on this machine, and what they need. Other tests run
//! in the order of their names, and what a runner of tests prints is its own, so this is a program by itself.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn main() {
    // Others ask what tests there are.
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    let list = missing::list();
    if let Ok(text) = fs::read_to_string(&list) {
        print!("{}", told(&text));
        fs::remove_file(&list).unwrap();
    }
    forget_others(list.parent().unwrap());
}

/// What is missing, with the tests that need it.
fn told(list: &str) -> String {
    let mut needs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for line in list.lines() {
        let fields: Vec<&str> = line.splitn(3, '\t').collect();
        needs.entry((fields[0], fields[1])).or_default().insert(fields[2]);
    }
    let tests: BTreeSet<&str> = needs.values().flatten().copied().collect();
    let mut text = format!("\nNOT TESTED on this machine: {}\n", tests.len());
    for ((what, advice), tests) in &needs {
        text += &format!("  {what} is missing ({advice})\n");
        text.extend(tests.iter().map(|test| format!("    {test}\n")));
    }
    text + "RTBENCH_FORBID_SKIP=1 makes each of them a failure.\n"
}

/// Lists of runs that ended before they came here.
fn forget_others(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(missing::LIST));
        if of.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
