//! The summary of a GitHub Actions step: Markdown that is appended to a file which the runner names.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The variable that names the file.
const VARIABLE: &str = "GITHUB_STEP_SUMMARY";

/// Appends Markdown to the summary of the CI step, if there is one. That it cannot be written is a warning: what was
/// measured lies elsewhere.
pub fn step_summary(markdown: &str) {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return };
    let path = Path::new(&path);
    let file = OpenOptions::new().append(true).create(true).open(path);
    // One write, so that what another program appends meanwhile does not stand in its middle.
    let written = file.and_then(|mut file| file.write_all(format!("{markdown}\n").as_bytes()));
    if let Err(error) = written {
        eprintln!("warning: {VARIABLE} {}: {error}; the summary of this step is missing", path.display());
    }
}
