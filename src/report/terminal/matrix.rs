//! The comparison matrix: a table where there is room for five columns, else a block for each row.

use comfy_table::{
    ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle, Width,
};
use owo_colors::OwoColorize;

use super::{conditions, doubts, faint, heading, origin, pad, paint, strong, style_of, wrap};
use crate::guide::column::COLUMNS;
use crate::guide::matrix::{Matrix, MatrixCell, MatrixRow};
use crate::guide::verdict::Verdict;
use crate::guide::{cost, other_claims};
use crate::measure::run::Run;
use crate::number::short;
use crate::projection::Projection;
use crate::report::projection;

/// Columns from which the table is readable.
const TABLE_WIDTH: usize = 130;

/// Width of the column of features.
const FEATURE_WIDTH: usize = 17;

/// The matrix of a run with everything below it, at most `width` characters wide.
pub fn matrix(run: &Run, width: usize) -> String {
    let matrix = Matrix::of(run);
    let mut notes = Notes::default();
    let mut out =
        format!("\n{}\n", "Comparison matrix: what the guide claims → what was measured".style(strong()));
    out += &legend();
    out +=
        &if width >= TABLE_WIDTH { table(&matrix, width, &mut notes) } else { blocks(&matrix, &mut notes) };
    out += &tally(&matrix);
    out += &notes.render(width);
    out += &claims(run, width);
    out += &costs(run, width);
    out += &super::summary::thresholds(run, width, |line| line.passed != Some(true));
    out += &conditions(run, width);
    out += &doubts(run, width);
    out + &origin(run, width)
}

fn legend() -> String {
    let words =
        [('✓', "reproduced"), ('✗', "not reproduced"), ('≈', "depends, see the note"), ('·', "not measured")];
    let words = words.map(|(mark, word)| format!("{} {word}", paint(mark, &mark.to_string())));
    format!("{}\n\n", words.join("   "))
}

/// Notes under the table. Equal ones share a number.
#[derive(Default)]
struct Notes {
    texts: Vec<String>,
}

impl Notes {
    fn number(&mut self, text: &str) -> String {
        let known = self.texts.iter().position(|known| known == text);
        let index = known.unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        format!("[{}]", index + 1)
    }

    /// The mark behind a cell: what is reproduced needs no explaining here, and is explained in the files.
    fn of(&mut self, cell: &MatrixCell) -> String {
        match cell.verdict {
            Verdict::Reproduced => String::new(),
            _ => format!(" {}", self.number(&cell.condition)),
        }
    }

    fn of_row(&mut self, row: &MatrixRow) -> String {
        if row.note.is_empty() { String::new() } else { format!(" {}", self.number(&row.note)) }
    }

    fn render(&self, width: usize) -> String {
        let notes = self.texts.iter().enumerate();
        let notes = notes.map(|(i, text)| wrap(&format!("{:>5} ", format!("[{}]", i + 1)), text, width));
        notes.collect::<String>().style(faint()).to_string()
    }
}

fn measured(cell: &MatrixCell) -> &str {
    if cell.measured.is_empty() { cell.verdict.word() } else { &cell.measured }
}

fn table(matrix: &Matrix, width: usize, notes: &mut Notes) -> String {
    const STYLE: TableStyle = TableStyle::new()
        .header_lines(ContentLineStyle::none().junction('│'))
        .header_separator(LineStyle::none().fill('━').junction('┿'))
        .content_lines(ContentLineStyle::none().junction('│'))
        .row_separator(LineStyle::none().fill('─').junction('┼'))
        .bottom_border(LineStyle::none().fill('─').junction('┴'));
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header([""].into_iter().chain(COLUMNS.iter().map(|column| column.title)));
    for row in &matrix.rows {
        let mut fields = vec![row.feature.to_owned() + &notes.of_row(row)];
        fields.extend(row.cells.iter().map(|cell| {
            let (mark, note) = (cell.verdict.mark(), notes.of(cell));
            format!("{mark} {}{note}\n  → {}", cell.claimed, measured(cell))
        }));
        table.add_row(fields);
    }
    let column = (width - FEATURE_WIDTH - COLUMNS.len()) / COLUMNS.len();
    let widths = std::iter::once(FEATURE_WIDTH).chain(std::iter::repeat_n(column, COLUMNS.len()));
    table.set_constraints(
        widths.map(|w| ColumnConstraint::Absolute(Width::Fixed(u16::try_from(w).unwrap_or(u16::MAX)))),
    );
    paint_table(table.lines().map(|line| line.trim_end().to_owned()))
}

/// Colours a drawn table: each cell in the colour of its mark, down to the line that ends it.
fn paint_table(lines: impl Iterator<Item = String>) -> String {
    let mut styles = vec![None; COLUMNS.len() + 1];
    let mut out = String::new();
    for (i, line) in lines.enumerate() {
        if line.starts_with(['─', '━']) {
            styles.fill(None);
            out += &line.style(faint()).to_string();
        } else {
            let fields: Vec<String> = line
                .split('│')
                .zip(&mut styles)
                .map(|(field, style)| {
                    *style = field.trim_start().chars().next().and_then(style_of).or(*style);
                    match style {
                        Some(style) => field.style(*style).to_string(),
                        None if i == 0 => field.style(strong()).to_string(),
                        None => field.to_owned(),
                    }
                })
                .collect();
            out += &fields.join(&"│".style(faint()).to_string());
        }
        out.push('\n');
    }
    out
}

fn blocks(matrix: &Matrix, notes: &mut Notes) -> String {
    let mut out = String::new();
    for row in &matrix.rows {
        out += &format!("{}{}\n", row.feature.style(strong()), notes.of_row(row));
        for (cell, column) in row.cells.iter().zip(&COLUMNS) {
            let mark = cell.verdict.mark();
            let claim = pad(&cell.claimed, 16);
            let line = format!("{mark} {claim} → {}{}", measured(cell), notes.of(cell));
            out += &format!("  {} {}\n", pad(column.title, 14), paint(mark, &line));
        }
    }
    out
}

fn tally(matrix: &Matrix) -> String {
    let count = |word: &str| matrix.cells().filter(|cell| cell.verdict.word() == word).count();
    format!(
        "\n{} cells: {} reproduced, {} not reproduced, {} depend, {} not measured\n",
        matrix.cells().count(),
        count("reproduced"),
        count("not reproduced"),
        count("depends"),
        count("not measured")
    )
}

fn claims(run: &Run, width: usize) -> String {
    let mut out = heading("Further claims");
    for answer in other_claims::answers(&run.cells) {
        let mark = answer.verdict.mark();
        let measured = if answer.measured.is_empty() { answer.verdict.word() } else { &answer.measured };
        let condition =
            if answer.condition.is_empty() { String::new() } else { format!(" ({})", answer.condition) };
        let text = format!("{}: {} → {measured}{condition}", answer.claim.subject, answer.claim.claim);
        out += &paint(mark, &wrap(&format!("  {mark} "), &text, width));
    }
    out
}

fn costs(run: &Run, width: usize) -> String {
    let (costs, drift) = cost::of(run);
    let Some(first) = costs.first() else { return String::new() };
    let what =
        format!("What {} such users cost, projected: {}", short(first.users), projection::workload(&costs));
    let mut out = heading(&what);
    let title =
        |name: &str| COLUMNS.iter().find(|column| column.protocol == name).map_or("", |c| c.title).to_owned();
    let row =
        |cost: &Projection| std::iter::once(title(&cost.protocol)).chain(projection::row(cost)).collect();
    let rows: Vec<Vec<String>> = costs.iter().map(row).collect();
    let heads: Vec<&str> = std::iter::once("").chain(projection::HEADS).collect();
    out += &figures(&heads, &rows);
    for cost in &costs {
        out += &format!("  {}\n", title(&cost.protocol));
        for line in &cost.arithmetic {
            out += &wrap("      ", line, width).style(faint()).to_string();
        }
    }
    out + &wrap("  ", &crate::projection::basis(drift), width)
}

/// A table whose columns are as wide as what is in them.
pub(super) fn figures(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.chain([heads[i].chars().count()]).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.enumerate().map(|(i, cell)| format!("{cell:>width$}", width = width(i)));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  "))
    };
    let mut out = line(&mut heads.iter().copied()).style(faint()).to_string();
    for row in rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}
