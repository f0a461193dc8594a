//! Testing one crate of the workspace after all of it builds no dependency anew: each would be built with the same features.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that tests of `which` are built from, each with its features.
fn built(which: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--offline", "--edges=normal,build,dev", "--prefix=none", "--format={p} {f}"];
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(tree.iter().chain(which))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").trim_end().to_owned()).collect()
}

#[test]
fn each_crate_is_tested_with_the_features_of_the_workspace() {
    let all = built(&["--workspace"]);
    for package in ["rtbench", "reference-server"] {
        let own = built(&["--package", package]);
        let others: Vec<_> = own.difference(&all).collect();
        // Mended by a line in the dev-dependencies of the package.
        assert!(others.is_empty(), "{package} alone builds these with other features: {others:#?}");
    }
}
