//! JUnit XML, as CI systems show it: a suite for the run, a test for each cell and threshold.
//!
//! A threshold that did not hold is a failure, one that nobody can tell is skipped, and a cell that was not measured is an error. Where
//! nothing was asked of a cell, it is one test: that it was measured and can be believed. Claims of the guide are no tests, and a step
//! of a search for a capacity is expected to break: there each protocol is one. A run that did not come to its end has a test for each cell that is missing, and
//! one for itself.

use std::io::{self, Write};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Format, command_line};
use crate::capacity::curve::{self, Curve};
use crate::capacity::search::Ending;
use crate::gate::judge::{self, Judgement, Outcome};
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::run::{Run, RunKind, RunStatus};
use crate::measure::{threshold, trust};
use crate::number::with_unit;

/// A suite for the run.
pub(super) struct Junit;

/// One test.
struct Test {
    /// The cell, or the protocol of a search.
    class: String,
    name: String,
    /// Length of what was measured, in seconds.
    time_s: f64,
    result: Result<(), Trouble>,
}

/// Why a test did not pass.
struct Trouble {
    element: Element,
    /// For machines, a word.
    kind: &'static str,
    /// For people.
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Failure,
    Error,
    Skipped,
}

impl Element {
    fn word(self) -> &'static str {
        match self {
            Element::Failure => "failure",
            Element::Error => "error",
            Element::Skipped => "skipped",
        }
    }
}

fn trouble<T>(element: Element, kind: &'static str, message: String) -> Result<T, Trouble> {
    Err(Trouble { element, kind, message })
}

impl Format for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn about(&self) -> &'static str {
        "JUnit XML: a test per cell and threshold, for CI systems"
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("junit.xml")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let tests = tests(run);
        let count = |element| tests.iter().filter(|test| is(test, element)).count();
        let attributes = [
            ("name", format!("rtbench {}", run.file.scenario.name)),
            ("package", "rtbench".to_owned()),
            ("id", "0".to_owned()),
            // Without a zone, as readers of the format want it; it is UTC.
            ("timestamp", run.file.started.trim_end_matches('Z').to_owned()),
            ("hostname", "localhost".to_owned()),
            ("tests", tests.len().to_string()),
            ("failures", count(Element::Failure).to_string()),
            ("errors", count(Element::Error).to_string()),
            ("skipped", count(Element::Skipped).to_string()),
            ("time", seconds(length_s(run))),
        ];
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>")?;
        writeln!(out, "  <testsuite{}>\n    <properties>", attribute_list(&attributes))?;
        for (name, value) in properties(run) {
            let attributes = [("name", name.to_owned()), ("value", value)];
            writeln!(out, "      <property{}/>", attribute_list(&attributes))?;
        }
        writeln!(out, "    </properties>")?;
        tests.iter().try_for_each(|test| write_test(test, out))?;
        writeln!(
            out,
            "    <system-out></system-out>\n    <system-err>{}</system-err>",
            text(&run.warnings.join("\n"))
        )?;
        writeln!(out, "  </testsuite>\n</testsuites>")
    }
}

fn is(test: &Test, element: Element) -> bool {
    test.result.as_ref().is_err_and(|trouble| trouble.element == element)
}

fn write_test(test: &Test, out: &mut dyn Write) -> io::Result<()> {
    let attributes = attribute_list(&[
        ("classname", test.class.clone()),
        ("name", test.name.clone()),
        ("time", seconds(test.time_s)),
    ]);
    let Err(trouble) = &test.result else {
        return writeln!(out, "    <testcase{attributes}/>");
    };
    let word = trouble.element.word();
    let kind = (trouble.element != Element::Skipped).then(|| ("type", trouble.kind.to_owned()));
    let says: Vec<_> = kind.into_iter().chain([("message", trouble.message.clone())]).collect();
    writeln!(out, "    <testcase{attributes}>")?;
    writeln!(out, "      <{word}{}>{}</{word}>", attribute_list(&says), text(&trouble.message))?;
    writeln!(out, "    </testcase>")
}

fn properties(run: &Run) -> Vec<(&'static str, String)> {
    let file = &run.file;
    let mut properties = vec![
        ("run", run.name.clone()),
        ("command", command_line(run)),
        ("seed", file.seed.to_string()),
        ("host", file.host.summary()),
        ("rtbench", file.tool.version.clone()),
    ];
    properties.extend(file.tool.revision.clone().map(|revision| ("revision", revision)));
    properties
}

fn tests(run: &Run) -> Vec<Test> {
    let mut tests = of_kind(run);
    if let Some(words) = run.unfinished() {
        // Whoever interrupts a run knows; of one that was killed nobody else would tell.
        let element = match run.file.status {
            RunStatus::Interrupted => Element::Skipped,
            _ => Element::Error,
        };
        let test = |class: &str, name: &str, why: String| Test {
            class: class.to_owned(),
            name: name.to_owned(),
            time_s: 0.0,
            result: trouble(element, run.ending(), why),
        };
        tests.extend(
            run.unmeasured()
                .iter()
                .map(|label| test(label, "measured", "not measured: the run ended before".to_owned())),
        );
        tests.push(test("run", "came to its end", words));
    }
    tests
}

fn of_kind(run: &Run) -> Vec<Test> {
    if run.file.kind == RunKind::Capacity {
        return curve::of(run).iter().map(of_curve).collect();
    }
    if run.file.kind == RunKind::Gate {
        return judge::of(run).iter().map(of_judgement).collect();
    }
    let repeated = run.cells.iter().any(|cell| cell.spec.repeat > 0);
    let mut tests = Vec::new();
    for cell in &run.cells {
        let class = match repeated {
            true => format!("{} (repeat {})", cell.spec.id, cell.spec.repeat),
            false => cell.spec.id.to_string(),
        };
        let time_s = cell.measured_s;
        let test = |name, result| Test { class: class.clone(), name, time_s, result };
        let outcomes: Vec<_> = run.file.thresholds.iter().filter_map(|t| t.evaluate(cell)).collect();
        // A cell that is invalid may keep to all that was asked of it.
        if outcomes.is_empty() || (cell.trust.level == TrustLevel::Invalid && !trust::says_nothing(cell)) {
            tests.push(test("measured".to_owned(), of_cell(cell)));
        }
        tests.extend(outcomes.iter().map(|outcome| {
            let name = format!("{} {}", outcome.subject, outcome.expression);
            test(name, of_threshold(cell, outcome))
        }));
    }
    tests
}

/// Whether a change made the cell worse.
fn of_judgement(judgement: &Judgement) -> Test {
    let why = judgement.finding.why.clone();
    let result = match judgement.finding.outcome {
        Outcome::Pass => Ok(()),
        Outcome::Regression => trouble(Element::Failure, "regression", why),
        Outcome::Inconclusive => match &judgement.broken {
            Some(remark) => trouble(Element::Error, "failed", remark.to_string()),
            // It has seen the new side broken, which is no test to be skipped.
            None if judgement.finding.wrong => trouble(Element::Error, "broken", why),
            None => trouble(Element::Skipped, "inconclusive", why),
        },
    };
    Test { class: judgement.cell.to_string(), name: "no regression".to_owned(), time_s: 0.0, result }
}

/// Whether the cell was measured and can be believed.
fn of_cell(cell: &Cell) -> Result<(), Trouble> {
    match (&cell.status, cell.trust.level) {
        (Status::Failed(reason), _) => trouble(Element::Error, "failed", reason.clone()),
        (_, TrustLevel::Invalid) => trouble(Element::Failure, "invalid", cell.trust.reasons.join("; ")),
        (Status::Interrupted, _) => trouble(Element::Skipped, "interrupted", "interrupted".to_owned()),
        (Status::Finished, _) => Ok(()),
    }
}

fn of_threshold(cell: &Cell, outcome: &threshold::Outcome) -> Result<(), Trouble> {
    let why = outcome.why.clone().unwrap_or_default();
    match (outcome.passed, &cell.status, cell.trust.level) {
        (Some(true), ..) => Ok(()),
        (Some(false), ..) => {
            let measured = outcome.measured.map_or(String::new(), |value| with_unit(value, outcome.unit));
            let asked = format!("{} {}", outcome.subject, outcome.expression);
            trouble(Element::Failure, "threshold", format!("{asked}: measured {}", measured.trim()))
        }
        (None, Status::Failed(_), _) => trouble(Element::Error, "failed", why),
        (None, _, TrustLevel::Invalid) => trouble(Element::Error, "invalid", why),
        (None, ..) => trouble(Element::Skipped, "inconclusive", why),
    }
}

/// Whether the search of a protocol found how far the server goes.
fn of_curve(curve: &Curve<'_>) -> Test {
    let says = curve.headline();
    let result = match curve.outcome {
        curve::Outcome::Ended(Ending::Found | Ending::AtMax) => Ok(()),
        curve::Outcome::Ended(Ending::NoneHolds) => trouble(Element::Failure, "none-holds", says),
        curve::Outcome::Ended(Ending::Failed) => trouble(Element::Error, "failed", says),
        curve::Outcome::Ended(Ending::Untold) | curve::Outcome::OutOfTime | curve::Outcome::Interrupted => {
            trouble(Element::Skipped, "inconclusive", says)
        }
    };
    let time_s = curve.steps.iter().map(|step| step.cell.measured_s).sum();
    Test { class: "capacity".to_owned(), name: curve.protocol.to_owned(), time_s, result }
}

/// From the run's start to its end; of one that was killed, what its cells measured.
fn length_s(run: &Run) -> f64 {
    let parse = |time: &String| OffsetDateTime::parse(time, &Rfc3339).ok();
    let ends = parse(&run.file.started).zip(run.file.finished.as_ref().and_then(parse));
    let measured = || run.cells.iter().map(|cell| cell.measured_s).sum();
    ends.map_or_else(measured, |(start, end)| (end - start).as_seconds_f64())
}

fn seconds(seconds: f64) -> String {
    // The sum of nothing is -0.
    format!("{:.3}", seconds.max(0.0) + 0.0)
}

fn attribute_list(attributes: &[(&str, String)]) -> String {
    attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", attribute(value))).collect()
}

/// What stands in an attribute: one line without spaces at its ends, as the format wants names.
fn attribute(value: &str) -> String {
    text(&value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text that every XML reader takes for itself. What no XML can hold becomes U+FFFD.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\n' | '\t' => safe.push(c),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(c),
        }
    }
    safe
}
