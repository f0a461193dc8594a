//! What must hold at each step, from `--slo`, the scenario, or by default.

use crate::measure::run::{self, ThresholdText};
use crate::measure::threshold::{Place, Threshold};
use crate::scenario::{ScenarioError, Source};

/// A threshold with the text that it was read from, which results keep.
pub(super) struct Slo {
    /// As written.
    pub(super) text: ThresholdText,
    /// As read.
    pub(super) threshold: Threshold,
}

/// What the first of these can be told in a step of bearable length must hold where nothing else is asked:
/// nine receipts of one event are not nine samples, so a workload of few events has no 99th percentile.
const DEFAULT_LATENCY: [&str; 4] = ["p(99)<200ms", "p(95)<200ms", "p(90)<200ms", "max<200ms"];

impl Slo {
    /// Reads `SUBJECT EXPRESSION`, with white space or a colon between.
    ///
    /// # Errors
    /// The text with a mark below the part that is wrong.
    pub(super) fn parse(text: &str) -> Result<Slo, ScenarioError> {
        let source = Source { name: "--slo".into(), origin: "--slo".into(), text: text.into() };
        let start = text.len() - text.trim_start().len();
        let end = text[start..].find(|c: char| c.is_whitespace() || c == ':').map(|at| start + at);
        let Some(end) = end else {
            let message =
                "an SLO is a subject and a condition, such as 'latency p(99)<200ms' or 'lost count==0'";
            return Err(source.invalid(message, Some(start..text.len())));
        };
        let (subject, rest) = (&text[start..end], &text[end..]);
        let expression = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
        let offset = text.len() - expression.len();
        Threshold::parse(subject, expression).map(Slo::of).map_err(|error| {
            let offset = if error.place == Place::Subject { start } else { offset };
            source.invalid(&error.message, Some(offset + error.span.start..offset + error.span.end))
        })
    }

    /// One that has been read.
    pub(super) fn of(threshold: Threshold) -> Slo {
        let text = ThresholdText {
            by_default: threshold.by_default,
            ..ThresholdText::new(&threshold.subject, &threshold.expression)
        };
        Slo { text, threshold }
    }

    /// These, and beside them what every run must keep to.
    pub(super) fn with_defaults(asked: Vec<Slo>) -> Vec<Slo> {
        let texts = run::with_defaults(asked.into_iter().map(|slo| slo.text).collect());
        // All have been read before, or are the program's own.
        texts.iter().filter_map(|text| text.read().ok()).map(Slo::of).collect()
    }

    /// The default: the strictest that `is_tellable` within a step.
    pub(super) fn default(is_tellable: impl Fn(&Threshold) -> bool) -> Vec<Slo> {
        let read = |text: &&str| Threshold::parse("latency", text).ok();
        let latency = DEFAULT_LATENCY.iter().filter_map(read).find(is_tellable);
        latency.into_iter().map(Slo::of).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn subject_and_condition_stand_side_by_side() {
        for text in ["latency p(99)<200ms", " latency: p(99)<200ms", "latency:p(99)<200ms"] {
            let slo = Slo::parse(text).unwrap();
            assert_eq!((&*slo.text.subject, &*slo.text.expression), ("latency", "p(99)<200ms"), "{text}");
        }
        assert_eq!(Slo::parse("lost count == 0").unwrap().text.expression, "count == 0");
    }

    #[test]
    fn what_is_wrong_is_marked() {
        for (text, message, marked) in [
            ("latency", "a subject and a condition", "^^^^^^^"),
            ("latncy p(99)<1s", "'latncy' is no metric", "^^^^^^"),
            ("latency p(199)<1s", "'p(199)' does not belong here", "        ^^^^^^"),
        ] {
            let error = Slo::parse(text).err().unwrap().to_string();
            assert!(error.contains(message) && error.contains(&format!("| {marked}")), "{error}");
        }
    }

    #[test]
    fn the_default_is_the_strictest_that_can_be_told() {
        let texts = |most: u64| {
            let slos = Slo::default(|threshold| threshold.events_needed() <= most);
            slos.into_iter().map(|slo| slo.threshold.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(texts(1_000), ["latency: p(99)<200ms"]);
        assert_eq!(texts(150), ["latency: p(90)<200ms"]);
        assert_eq!(texts(5), ["latency: max<200ms"]);
    }
}
