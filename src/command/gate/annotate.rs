//! What failed and what was not proven, on the error stream; on GitHub in the form that it shows beside a change.

use super::is_open;
use crate::cli::Inconclusive;
use crate::gate::judge::{Judgement, Outcome};
use crate::say;

/// How grave a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
        }
    }
}

/// Says it. Without `--quiet` the report has told errors already.
pub(super) fn tell(judgements: &[Judgement], inconclusive: Inconclusive, quiet: bool) {
    let on_github = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
    for (level, text) in judgements.iter().flat_map(|judgement| remarks(judgement, inconclusive)) {
        if on_github {
            say::line(command(level, &text));
        } else if quiet || level == Level::Warning {
            say::line(format!("rtbench: {}: {text}", level.word()));
        }
    }
}

/// What is to be said of a cell.
fn remarks(judgement: &Judgement, inconclusive: Inconclusive) -> Vec<(Level, String)> {
    let Judgement { cell, finding, broken, .. } = judgement;
    let broken = broken.iter().map(|why| (Level::Error, format!("{cell}: {why}")));
    let verdict = match finding.outcome {
        Outcome::Pass => None,
        Outcome::Regression => Some((Level::Error, "regression")),
        Outcome::Inconclusive if is_open(judgement, inconclusive) => Some((Level::Error, "inconclusive")),
        Outcome::Inconclusive => Some((Level::Warning, "not proven")),
    };
    let verdict = verdict.map(|(level, word)| (level, format!("{cell}: {word}: {}", finding.why)));
    broken.chain(verdict).collect()
}

/// A command to GitHub's runner. In its data these signs would end it, or begin another.
fn command(level: Level, text: &str) -> String {
    let escaped = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::{} title=rtbench gate::{escaped}", level.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_said_last_does_not_end_a_command() {
        assert_eq!(
            command(Level::Error, "echo: regression: 3% lost\r\n::error::no"),
            "::error title=rtbench gate::echo: regression: 3%25 lost%0D%0A::error::no"
        );
    }
}
