//! The comparison matrix as a picture (SVG): one file, no script, no font of its own, light and dark.

use std::io::{self, Write};

use super::{Format, command_line, is_matrix};
use crate::guide::column::COLUMNS;
use crate::guide::matrix::{self, MatrixCell};
use crate::guide::verdict::Verdict;
use crate::measure::run::Run;

/// The matrix without its notes.
pub(super) struct Picture;

const WIDTH: usize = 1360;
const FEATURE_WIDTH: usize = 150;
const COLUMN_WIDTH: usize = (WIDTH - FEATURE_WIDTH - 20) / COLUMNS.len();
const HEAD_HEIGHT: usize = 84;
const ROW_HEIGHT: usize = 52;

/// Colours that the colour-blind can tell apart (Okabe and Ito), and marks for everybody.
const STYLE: &str = "\
    svg { font: 14px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --paper: #ffffff;
      --yes: #00694d; --no: #b34700; --if: #0060a0; }
    @media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --faint: #9198a1; --line: #3d444d; --paper: #0d1117;
      --yes: #2bc596; --no: #ff8a3d; --if: #6cb6ff; } }
    .paper { fill: var(--paper) } text { fill: var(--ink) } .faint { fill: var(--faint); font-size: 12px } .strong { font-weight: 600 }
    .line { stroke: var(--line) } .yes { fill: var(--yes) } .no { fill: var(--no) } .if { fill: var(--if) } .open { fill: var(--faint) }";

impl Format for Picture {
    fn name(&self) -> &'static str {
        "matrix.svg"
    }

    fn about(&self) -> &'static str {
        "The comparison matrix as a picture"
    }

    fn fits(&self, run: &Run) -> bool {
        is_matrix(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("matrix.svg")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let matrix = matrix::Matrix::of(run);
        let height = HEAD_HEIGHT + ROW_HEIGHT * matrix.rows.len() + 44;
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">"#
        )?;
        writeln!(out, "<title>Comparison matrix: what the guide claims and what was measured</title>")?;
        writeln!(out, "<style>{STYLE}</style>")?;
        writeln!(out, r#"<rect class="paper" width="{WIDTH}" height="{height}"/>"#)?;
        let legend = "what the guide claims, and below it what was measured:  ✓ reproduced   ✗ not reproduced   ≈ depends   · not measured";
        text(out, 12, 28, "strong", "Comparison matrix")?;
        text(out, 30 + FEATURE_WIDTH, 28, "faint", legend)?;
        for (i, column) in COLUMNS.iter().enumerate() {
            text(out, column_x(i), 66, "strong", column.title)?;
        }
        for (i, row) in matrix.rows.iter().enumerate() {
            let y = HEAD_HEIGHT + ROW_HEIGHT * i;
            writeln!(out, r#"<line class="line" x1="12" x2="{}" y1="{y}" y2="{y}"/>"#, WIDTH - 12)?;
            text(out, 12, y + 32, "strong", row.feature)?;
            for (j, cell) in row.cells.iter().enumerate() {
                self::cell(out, column_x(j), y, cell)?;
            }
        }
        let unfinished = if run.unfinished().is_some() { "UNFINISHED · " } else { "" };
        let (command, started) = (command_line(run), &run.file.started);
        let source = format!("{unfinished}{command} · {started} · {}", run.file.host.summary());
        text(out, 12, height - 16, "faint", &source)?;
        writeln!(out, "</svg>")
    }
}

fn column_x(index: usize) -> usize {
    12 + FEATURE_WIDTH + COLUMN_WIDTH * index
}

fn cell(out: &mut dyn Write, x: usize, y: usize, cell: &MatrixCell) -> io::Result<()> {
    let class = match cell.verdict {
        Verdict::Reproduced => "yes",
        Verdict::NotReproduced { .. } => "no",
        Verdict::Depends { .. } => "if",
        Verdict::NotMeasured { .. } => "open",
    };
    let measured = if cell.measured.is_empty() { cell.verdict.word() } else { &cell.measured };
    text(out, x, y + 21, "faint", &cell.claimed)?;
    text(out, x, y + 41, class, &format!("{} {measured}", cell.verdict.mark()))
}

fn text(out: &mut dyn Write, x: usize, y: usize, class: &str, text: &str) -> io::Result<()> {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(out, r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#)
}
