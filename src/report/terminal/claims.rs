//! The claims and their verdicts, section by section.

use super::{faint, heading, paint, wrap};
use crate::guide::all_claims::Entry;
use owo_colors::OwoColorize;

/// The entries as text. What is not measured says which command measures it.
pub fn claims(entries: &[Entry], width: usize) -> String {
    let mut out = String::new();
    let mut section = "";
    for entry in entries {
        let claim = entry.answer.claim;
        if claim.guide_section != section {
            section = &claim.guide_section;
            out += &heading(section);
        }
        let mark = entry.answer.verdict.mark();
        let text = wrap(&format!("  {mark} "), &line(entry), width);
        out += &paint(mark, &text);
    }
    let count = |word: &str| entries.iter().filter(|entry| entry.answer.verdict.word() == word).count();
    out += &format!(
        "\n{} claims: {} reproduced, {} not reproduced, {} depend, {} not measured\n",
        entries.len(),
        count("reproduced"),
        count("not reproduced"),
        count("depends"),
        count("not measured")
    );
    out += &format!("{}\n", "✓ reproduced  ✗ not reproduced  ≈ depends  · not measured".style(faint()));
    out
}

fn line(entry: &Entry) -> String {
    let answer = &entry.answer;
    let mut text = format!("{}: {}", answer.claim.id, answer.claim.claim);
    text += " → ";
    text += if answer.measured.is_empty() { answer.verdict.word() } else { &answer.measured };
    if !answer.condition.is_empty() {
        text += &format!(" ({})", answer.condition);
    }
    if answer.verdict.word() == "not measured" && !entry.measured_by.is_empty() {
        text += &format!("; measure it: {}", entry.measured_by);
    }
    text
}
