//! The verdicts of a gate.

use super::markup::{Content, paragraph, section, table};
use crate::gate::judge::{self, Judgement};
use crate::measure::run::Run;
use crate::report::gate::{FIGURE_HEADS, mark, power_of, remarks, rows, sentence};

/// Nothing for another run.
pub(super) fn gate(run: &Run) -> String {
    let blocks: String = judge::of(run).iter().map(block).collect();
    if blocks.is_empty() { blocks } else { section("gate", "Gate", &blocks) }
}

fn block(judgement: &Judgement) -> String {
    let Judgement { cell, finding, replicates, exact, .. } = judgement;
    let (mark, word) = (mark(finding.outcome), finding.outcome.word());
    let mut out = paragraph("", &format!("{mark} {cell}: {word}. {}.", finding.why));
    out += &table(Content::Figures, &FIGURE_HEADS, &rows(judgement));
    let counted = format!("{replicates} replicates; {} exact metrics agree.", exact.agree);
    let power = power_of(judgement).map(|power| sentence(&power) + ".");
    out += &[Some(counted), power]
        .into_iter()
        .flatten()
        .map(|text| paragraph("faint", &text))
        .collect::<String>();
    out + &remarks(judgement).map(|remark| paragraph("", &(sentence(&remark) + "."))).collect::<String>()
}
