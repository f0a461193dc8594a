//! The verdicts of a gate.

use super::markup::{Content, paragraph, section, table};
use crate::gate::judge::{self, Judgement};
use crate::measure::run::Run;
use crate::report::gate::{FIGURE_HEADS, mark, rows};

/// Nothing for another run.
pub(super) fn gate(run: &Run) -> String {
    let blocks: String = judge::of(run).iter().map(block).collect();
    if blocks.is_empty() { blocks } else { section("gate", "Gate", &blocks) }
}

fn block(judgement: &Judgement) -> String {
    let Judgement { cell, finding, replicates, untrusted, exact, .. } = judgement;
    let (mark, word) = (mark(finding.outcome), finding.outcome.word());
    let mut out = paragraph("", &format!("{mark} {cell}: {word}. {}.", finding.why));
    out += &table(Content::Figures, &FIGURE_HEADS, &rows(judgement));
    let counted = format!("{replicates} replicates; {} exact metrics agree.", exact.agree);
    out += &paragraph("faint", &counted);
    out + &untrusted.iter().map(|doubt| paragraph("", &format!("Not counted: {doubt}."))).collect::<String>()
}
