//! The commit, which the program reports. Reads files only, and starts no process.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RTBENCH_REVISION");
    if let Some(revision) = env::var("RTBENCH_REVISION").ok().or_else(revision) {
        println!("cargo::rustc-env=RTBENCH_REVISION={revision}");
    }
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
