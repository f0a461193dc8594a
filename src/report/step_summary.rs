//! The summary of a GitHub Actions step: Markdown that is appended to a file which the runner names.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::say;

/// The variable that names the file.
const VARIABLE: &str = "GITHUB_STEP_SUMMARY";

/// A file that is larger, in bytes, is dropped by the runner as a whole.
const MOST_BYTES: u64 = 1 << 20;

/// What stands where a summary was cut.
const CUT: &str = "\n\nThe rest did not fit into this summary; it is whole in the run's directory.";

/// Appends Markdown to the summary of the CI step, if there is one. That it cannot be written is a warning: what was
/// measured lies elsewhere.
pub fn step_summary(markdown: &str) {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return };
    let path = Path::new(&path);
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| {
        let room = MOST_BYTES.saturating_sub(file.metadata()?.len() + 1);
        // One write, so that what another program appends meanwhile does not stand in its middle.
        file.write_all(format!("{}\n", cut(markdown, room as usize)).as_bytes())
    });
    if let Err(error) = written {
        say::line(format!(
            "warning: {VARIABLE} {}: {error}; the summary of this step is missing",
            path.display()
        ));
    }
}

/// As many whole lines as there is room for, in bytes.
fn cut(markdown: &str, room: usize) -> Cow<'_, str> {
    if markdown.len() <= room {
        return markdown.into();
    }
    let room = room.saturating_sub(CUT.len());
    let fits = markdown.match_indices('\n').map(|(at, _)| at).take_while(|&at| at <= room).last();
    match fits {
        Some(end) => format!("{}{CUT}", &markdown[..end]).into(),
        None => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_between_two_lines() {
        let (line, room) = ("| a row, mü |\n", CUT.len() + 40);
        let long = line.repeat(100);
        let short = cut(&long, room);
        assert!(short.len() <= room && short.ends_with(CUT), "{short}");
        assert_eq!(short.trim_end_matches(CUT), format!("{0}{1}", line, line.trim_end()));
        assert_eq!(cut(&long, long.len()), long);
        assert_eq!(cut(&long, 3), "", "there is no room for anything");
    }
}
