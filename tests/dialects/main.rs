//! Dialects that are not the built-in one: that the seam carries them, and that nothing of the built-in one is outside it.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod framed;
mod lines;
mod upgrading;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use rtbench::protocol::{Dialect, Seat};

/// The same seat at a server that speaks `dialect`.
fn speaking(seat: Seat, dialect: impl Dialect + 'static) -> Seat {
    Seat { dialect: Rc::new(dialect), ..seat }
}

/// What only the built-in contract calls so.
const WORDS: &[&str] = &[
    "rtbench-cursor",
    "rtbench-missed",
    "netstring",
    "/poll",
    "/sse",
    "/ws",
    "/rtc",
    "/topics",
    "topic=",
    "publish=",
    "echo=1",
    "after=",
    "wait=",
    "{\\\"op\\\":",
    "{\"op\":",
    "\"base64\"",
    "\"missed\"",
    "application/sdp",
    "application/octet-stream",
];

#[test]
fn only_the_contracts_own_file_knows_its_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for folder in ["protocol", "transport", "client", "fleet/worker"] {
        look_through(&root.join(folder), &mut found);
    }
    assert!(found.is_empty(), "words of the contract outside protocol/contract.rs:\n{}", found.join("\n"));
    let contract = fs::read_to_string(root.join("protocol/contract.rs")).unwrap();
    assert!(contract.contains(WORDS[0]), "nothing would be found anywhere");
}

fn look_through(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            look_through(&path, found);
        } else if name != "contract.rs" && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Tests stand at the end of their files, and may say what a server says.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.split("#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests {").next().unwrap();
            let lines =
                code.lines().filter(|line| WORDS.iter().any(|word| line.to_lowercase().contains(word)));
            found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
}
