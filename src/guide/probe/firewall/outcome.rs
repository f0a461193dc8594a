//! What the passage through a box comes to, and what all of them together: the rule of `firewall`, and nothing measured.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::measure::cell::Probe;

/// What a message may take longer than the slowest without a box; more is late.
const LATE: Duration = Duration::from_millis(250);

/// The name of blocked UDP.
pub(super) const UDP: &str = "udp-blocked";

/// What became of the messages through one box.
#[derive(Clone, Debug, Default)]
pub(super) struct Passage {
    pub(super) sent: usize,
    pub(super) arrived: usize,
    /// Longest time from sending to arrival.
    pub(super) worst: Duration,
    /// Reconnects that the protocol made, and polls that were asked again.
    pub(super) cuts: u32,
    /// What ended it, or kept it from beginning.
    pub(super) broken: Option<String>,
    /// Bytes that had to follow until something came that was held back.
    pub(super) pushed_out_by: Option<usize>,
}

/// How a protocol fares with one box.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Works,
    Degrades(String),
    Fails(String),
}

/// By the rule at the head of `firewall`; `direct` is the passage without any box.
pub(super) fn judge(passage: &Passage, direct: &Passage) -> Outcome {
    let Passage { sent, arrived, worst, cuts, broken, pushed_out_by } = passage;
    let lost = sent - arrived;
    if let Some(why) = broken {
        let mut text = if *sent == 0 {
            format!("{why}, nothing arrives")
        } else {
            format!("{why} after {arrived} messages, and no more arrive")
        };
        if let Some(bytes) = pushed_out_by {
            text += &format!(": held back until {bytes} B have followed");
        }
        return Outcome::Fails(text);
    }
    if *arrived == 0 {
        return Outcome::Fails("nothing arrives".to_owned());
    }
    let late = worst.saturating_sub(direct.worst);
    let cut =
        (*cuts > 0).then(|| format!("cut and back by itself {cuts} times, {lost} of {sent} messages lost"));
    let lossy = (*cuts == 0 && lost > 0).then(|| format!("{lost} of {sent} messages lost"));
    let slow = (late > LATE).then(|| format!("up to {} ms late", late.as_millis()));
    let how: Vec<String> = [cut, lossy, slow].into_iter().flatten().collect();
    if how.is_empty() { Outcome::Works } else { Outcome::Degrades(how.join(", ")) }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Works => f.write_str("works"),
            Outcome::Degrades(how) => write!(f, "degrades ({how})"),
            Outcome::Fails(how) => write!(f, "fails ({how})"),
        }
    }
}

/// The results so far.
#[derive(Default)]
pub(super) struct Report {
    outcomes: Vec<(&'static str, Outcome)>,
    lines: Vec<String>,
    /// What is told behind the results.
    pub(super) beside: String,
    evidence: BTreeMap<String, f64>,
}

impl Report {
    /// A box, what is to be said of it, and its result.
    pub(super) fn add(&mut self, name: &'static str, note: &str, passage: &Passage, outcome: Outcome) {
        self.lines.push(format!("{name}{note}: {outcome}"));
        self.note(name, passage);
        self.outcomes.push((name, outcome));
    }

    /// The figures of a passage.
    pub(super) fn note(&mut self, name: &str, passage: &Passage) {
        let mut figure = |what: &str, value: f64| {
            self.evidence.insert(format!("{}_{what}", name.replace('-', "_")), value);
        };
        figure("sent", passage.sent as f64);
        figure("arrived", passage.arrived as f64);
        if passage.arrived > 0 {
            figure("worst_ms", passage.worst.as_secs_f64() * 1e3);
        }
        figure("cuts", f64::from(passage.cuts));
        if let Some(bytes) = passage.pushed_out_by {
            figure("held_back_bytes", bytes as f64);
        }
    }

    pub(super) fn probe(self) -> Probe {
        Probe {
            name: "firewall".to_owned(),
            found: word(&self.outcomes).to_owned(),
            evidence: self.evidence,
            detail: self.lines.join("; ") + &self.beside,
        }
    }
}

/// The guide's word, by the same rule.
fn word(outcomes: &[(&str, Outcome)]) -> &'static str {
    let works = |outcome: &Outcome| *outcome == Outcome::Works;
    let blocked = |(name, outcome): &(&str, Outcome)| *name == UDP && matches!(outcome, Outcome::Fails(_));
    match outcomes {
        all if all.iter().any(blocked) => "yes",
        all if all.iter().all(|(_, outcome)| works(outcome)) => "no",
        all if all.iter().any(|(_, outcome)| works(outcome)) => "some",
        _ => "yes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(arrived: usize, cuts: u32, worst_ms: u64) -> Passage {
        let worst = Duration::from_millis(worst_ms);
        Passage { sent: 10, arrived, worst, cuts, ..Passage::default() }
    }

    #[test]
    fn what_is_as_good_as_direct_works_and_what_is_late_cut_or_lossy_degrades() {
        let direct = passage(10, 0, 100);
        let told = |passage: Passage| judge(&passage, &direct).to_string();
        assert_eq!(told(passage(10, 0, 350)), "works");
        assert_eq!(told(passage(10, 0, 351)), "degrades (up to 251 ms late)");
        assert_eq!(
            told(passage(9, 2, 1)),
            "degrades (cut and back by itself 2 times, 1 of 10 messages lost)"
        );
        assert_eq!(told(passage(9, 0, 1)), "degrades (1 of 10 messages lost)");
        assert_eq!(told(passage(0, 0, 1)), "fails (nothing arrives)");
        let broken = Passage { broken: Some("HTTP status 504".into()), ..passage(5, 0, 1) };
        assert_eq!(told(broken), "fails (HTTP status 504 after 5 messages, and no more arrive)");
    }

    #[test]
    fn the_word_follows_the_rule() {
        let fails = || Outcome::Fails(String::new());
        let degrades = || Outcome::Degrades(String::new());
        assert_eq!(word(&[("a", Outcome::Works), ("b", Outcome::Works)]), "no");
        assert_eq!(word(&[("a", Outcome::Works), ("b", degrades())]), "some");
        assert_eq!(word(&[("a", Outcome::Works), ("b", fails())]), "some");
        assert_eq!(word(&[("a", degrades()), ("b", fails())]), "yes");
        assert_eq!(word(&[("a", Outcome::Works), (UDP, fails())]), "yes");
    }
}
