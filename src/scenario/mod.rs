//! What to measure: the file a person writes, and the plan made of it.

use std::path::{Path, PathBuf};

pub mod cell_id;
pub mod file;
pub mod headers;
pub mod kinds;
pub mod plan;
pub mod spec;
pub mod sweep;
pub mod turns;

pub use file::Scenario;

/// A scenario that comes with the program; the same text lies in `scenarios/`.
pub struct Builtin {
    /// Its name on the command line.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! builtins {
    ($($name:literal),* $(,)?) => {
        &[$(Builtin { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

/// Every scenario that comes with the program.
pub static BUILTINS: &[Builtin] =
    builtins!["broadcast", "crowd", "echo", "fanout", "gate", "idle", "lossy", "million", "poll-latency"];

/// Where a scenario's text came from, and the text: what errors point into and results keep verbatim.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name on the command line: a built-in, or the file's stem.
    pub name: String,
    /// What errors show as the place.
    pub origin: String,
    /// The text, verbatim.
    pub text: String,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a path nor a built-in.
    #[error("there is no built-in scenario '{0}'; there are: {1}. A path needs a '/' or ends in .toml")]
    UnknownBuiltin(String, String),
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The text is not a scenario; already rendered with file, line and column.
    #[error("{0}")]
    Invalid(String),
}

/// Finds a scenario: with a `/` or `.toml` the argument is a path, else a built-in's name.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn locate(argument: &str) -> Result<Source, ScenarioError> {
    if argument.contains('/') || argument.ends_with(".toml") {
        let path = Path::new(argument);
        let text = std::fs::read_to_string(path).map_err(|e| ScenarioError::Unreadable(path.into(), e))?;
        let name = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy().into_owned());
        return Ok(Source { name, origin: argument.to_owned(), text });
    }
    match BUILTINS.iter().find(|builtin| builtin.name == argument) {
        Some(builtin) => Ok(Source {
            name: builtin.name.to_owned(),
            origin: format!("scenarios/{}.toml", builtin.name),
            text: builtin.text.to_owned(),
        }),
        None => {
            let names: Vec<_> = BUILTINS.iter().map(|builtin| builtin.name).collect();
            Err(ScenarioError::UnknownBuiltin(argument.to_owned(), names.join(", ")))
        }
    }
}

impl Source {
    /// A scenario as results keep it.
    pub fn kept(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), origin: name.to_owned(), text: text.to_owned() }
    }

    /// Reads the text as a scenario.
    ///
    /// # Errors
    /// With the file, line and column, and the line itself.
    pub fn parse(&self) -> Result<Scenario, ScenarioError> {
        toml::from_str(&self.text).map_err(|error| self.invalid(error.message(), error.span()))
    }

    /// An error that points into the text.
    pub fn invalid(&self, message: &str, span: Option<std::ops::Range<usize>>) -> ScenarioError {
        use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
        let title = Level::ERROR.primary_title(message);
        let group = match span {
            Some(span) => {
                let end = span.end.min(self.text.len());
                let span = span.start.min(end)..end;
                let snippet = Snippet::source(&self.text).path(&self.origin);
                title.element(snippet.annotation(AnnotationKind::Primary.span(span)))
            }
            None => Group::with_title(title),
        };
        ScenarioError::Invalid(Renderer::plain().render(&[group]).to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn with_link(link: &str) -> Result<Scenario, ScenarioError> {
        let source = locate("lossy").unwrap();
        let text = source.text.replace("link = \"rtt=50ms,loss=1%\"", &format!("link = {link}"));
        assert_ne!(text, source.text);
        Source { text, ..source }.parse()
    }

    #[test]
    fn every_built_in_scenario_makes_cells() {
        for builtin in BUILTINS {
            let scenario = locate(builtin.name).unwrap().parse().unwrap();
            assert!(!plan::cells(&scenario, 1).unwrap().is_empty(), "{}", builtin.name);
        }
    }

    /// Whatever a file says, it is planned or refused in words.
    #[test]
    fn fuzz_scenarios() {
        let right: Vec<&[u8]> = BUILTINS.iter().map(|builtin| builtin.text.as_bytes()).collect();
        crate::fuzz::fuzz(&right, |input, _| {
            let source = Source::kept("fuzz", &String::from_utf8_lossy(input));
            match source.parse() {
                Ok(scenario) => drop(plan::cells(&scenario, 1)),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        });
    }

    #[test]
    fn fuzz_thresholds_and_links() {
        let right: [&[u8]; 5] = [
            b"latency p(95)<200ms",
            b"lost rate<=0.1%",
            b"server_cpu_percent value < 80%",
            b"rtt=50ms,jitter=5ms,loss=1%,rate=10mbit",
            b"poll=1s,5s,30s",
        ];
        crate::fuzz::fuzz(&right, |input, _| {
            let text = String::from_utf8_lossy(input);
            let (subject, expression) = text.split_once(' ').unwrap_or((&text, ""));
            let _ = crate::measure::threshold::Threshold::parse(subject, expression);
            let _ = text.parse::<sweep::Sweep>();
            if let Ok(link) = text.parse::<crate::transport::link::LinkSpec>() {
                assert!(!link.label().is_empty());
            }
        });
    }

    #[test]
    fn a_list_of_links_makes_a_cell_for_each_and_names_it() {
        let named = |link: &str| -> Vec<(String, String)> {
            let cells = plan::cells(&with_link(link).unwrap(), 1).unwrap();
            cells.into_iter().map(|cell| (cell.id.to_string(), cell.link.to_string())).collect()
        };
        assert_eq!(named("\"rtt=0.05s\"")[0], ("websocket".into(), "rtt=50ms".into()));
        let many = named("[\"loopback\", \"rtt=7ms, loss=1%\", \"lan\"]");
        let names: Vec<&str> = many.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..3], ["websocket@loopback", "websocket@rtt=7ms,loss=1%", "websocket@lan"]);
        assert_eq!(names[3..], ["webrtc@loopback", "webrtc@rtt=7ms,loss=1%", "webrtc@lan"]);
        assert_eq!(many[4].1, "rtt=7ms,loss=1%");
    }

    #[test]
    fn a_link_that_is_none_is_shown_in_its_place() {
        let error = with_link("[\"lan\", \"5g\"]").unwrap_err().to_string();
        assert!(
            error.contains("there is no link '5g'") && error.contains("scenarios/lossy.toml:"),
            "{error}"
        );
    }
}
