//! A chart of lines: inline SVG, a legend in words, and its numbers as a table.

use super::markup::{Content, details, escape, table};
use super::scale::{Scale, Spacing};
use crate::number::short;

/// Looks that differ in colour, dash and mark; the style sheet has the colours.
pub(super) const STYLES: usize = 8;

/// Small enough that a phone shows the texts as they are, and a page has two or three side by side.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 236.0;
const LEAST_LEFT: f64 = 50.0;
/// Widest that a digit of a label is in any of the page's fonts, and a comma or a point.
const DIGIT: f64 = 7.7;
const POINT: f64 = 3.9;
/// Between a label and the axis.
const LABEL_GAP: f64 = 5.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 38.0;

/// Marks on one line; more would hide it.
const MARKS: usize = 8;

/// A line of a chart.
pub(super) struct Series {
    /// What it shows.
    pub(super) name: String,
    /// Which look it has, from 0.
    pub(super) style: usize,
    /// Its points, x rising.
    pub(super) points: Vec<(f64, f64)>,
    /// The ends of a straight line fitted to the points, which then stand alone.
    pub(super) fit: Option<[(f64, f64); 2]>,
}

/// An axis.
pub(super) struct Axis {
    /// What lies on it, with its unit.
    pub(super) title: String,
    /// How.
    pub(super) scale: Scale,
    /// A value of it in words.
    pub(super) label: fn(f64) -> String,
}

impl Axis {
    /// An axis of numbers.
    pub(super) fn new(title: &str, spacing: Spacing, values: impl Iterator<Item = f64>) -> Axis {
        Axis { title: title.to_owned(), scale: Scale::new(spacing, values), label: short }
    }
}

/// A chart of lines.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// What a reader should know of it; may be empty.
    pub(super) note: String,
    /// The horizontal axis.
    pub(super) x: Axis,
    /// The vertical axis.
    pub(super) y: Axis,
    /// The lines.
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// A chart whose vertical axis is made for its lines.
    pub(super) fn new(title: &str, y: (&str, Spacing), x: Axis, series: Vec<Series>) -> Chart {
        let values: Vec<f64> = series
            .iter()
            .flat_map(|line| line.points.iter().chain(line.fit.iter().flatten()))
            .map(|(_, y)| *y)
            .collect();
        let y = Axis::new(y.0, y.1, values.into_iter());
        Chart { title: title.to_owned(), note: String::new(), x, y, series }
    }

    /// The chart, its legend and its table; nothing where there are no points.
    pub(super) fn render(&self) -> String {
        if self.series.iter().all(|line| line.points.is_empty()) {
            return String::new();
        }
        let note = match self.note.is_empty() {
            true => String::new(),
            false => format!(" <span class=\"faint\">{}</span>", escape(&self.note)),
        };
        format!(
            "<figure class=\"chart\"><figcaption><b>{}</b>{note}</figcaption>\n{}{}{}</figure>\n",
            escape(&self.title),
            self.svg(),
            self.legend(),
            details("Numbers", &self.numbers(), false)
        )
    }

    fn svg(&self) -> String {
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {} over {}\">\n",
            escape(&self.title),
            escape(&self.y.title),
            escape(&self.x.title)
        );
        out += &self.axes();
        for line in &self.series {
            out += &self.line(line);
        }
        out + "</svg>\n"
    }

    fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let (x, y) = (self.x.scale.place(x)?, self.y.scale.place(y)?);
        let left = self.left();
        Some((left + x * (WIDTH - left - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)))
    }

    /// Where the vertical axis stands: a million has long labels.
    fn left(&self) -> f64 {
        let labels = self.y.scale.ticks().iter().map(|tick| (self.y.label)(*tick));
        let width = |label: String| {
            label.chars().map(|c| if c.is_ascii_digit() { DIGIT } else { POINT }).sum::<f64>()
        };
        labels.map(width).fold(LEAST_LEFT, |left, width| left.max(width.round() + LABEL_GAP))
    }

    fn axes(&self) -> String {
        let (left, right, bottom) = (self.left(), WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut out = String::new();
        let (mut grid, mut labels) = (String::new(), String::new());
        for tick in self.y.scale.ticks() {
            let y = bottom - self.y.scale.place(*tick).unwrap_or(0.0) * (bottom - TOP);
            grid += &format!("M{left} {y:.1}H{right}");
            let text = (self.y.label)(*tick);
            labels +=
                &format!("<text class=\"e\" x=\"{}\" y=\"{:.1}\">{text}</text>", left - LABEL_GAP, y + 4.0);
        }
        // Labels that would run into each other are left out, from the second on.
        let mut free_from = 0.0;
        for tick in self.x.scale.ticks() {
            let x = left + self.x.scale.place(*tick).unwrap_or(0.0) * (right - left);
            let text = (self.x.label)(*tick);
            let half = text.chars().count() as f64 * 3.5;
            let at = x.min(WIDTH - half);
            grid += &format!("M{x:.1} {bottom}v4");
            if at - half >= free_from {
                labels += &format!("<text class=\"m\" x=\"{at:.1}\" y=\"{}\">{text}</text>", bottom + 16.0);
                free_from = at + half + 6.0;
            }
        }
        out += &format!(
            "<path class=\"grid\" d=\"{grid}\"/><path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>\n"
        );
        let titles =
            [("", 2.0, 12.0, &self.y.title), ("m", (left + right) / 2.0, HEIGHT - 5.0, &self.x.title)];
        for (class, x, y, title) in titles {
            labels += &format!("<text class=\"t {class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(title));
        }
        out + &labels + "\n"
    }

    fn line(&self, line: &Series) -> String {
        let style = line.style % STYLES;
        let path = |points: &[(f64, f64)]| {
            let placed = points.iter().filter_map(|point| self.place(*point));
            placed.enumerate().fold(String::new(), |path, (i, (x, y))| {
                path + &format!("{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" })
            })
        };
        let joined = line.fit.as_ref().map_or_else(|| path(&line.points), |ends| path(ends));
        let every = if line.fit.is_some() { 1 } else { line.points.len().div_ceil(MARKS).max(1) };
        // Lines that share their x carry their marks side by side.
        let first = if line.fit.is_some() { 0 } else { style % every };
        let marks = line.points.iter().skip(first).step_by(every).filter_map(|point| self.place(*point));
        let marks: String = marks.map(|(x, y)| mark(style, x, y)).collect();
        format!("<path class=\"l s{style}\" d=\"{joined}\"/><path class=\"k s{style}\" d=\"{marks}\"/>\n")
    }

    fn legend(&self) -> String {
        let items = self.series.iter().map(|line| {
            let style = line.style % STYLES;
            format!(
                "<li><svg viewBox=\"0 0 28 12\" aria-hidden=\"true\"><path class=\"l s{style}\" d=\"M0 6H28\"/>\
                 <path class=\"k s{style}\" d=\"{}\"/></svg>{}</li>",
                mark(style, 14.0, 6.0),
                escape(&line.name)
            )
        });
        format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
    }

    /// A row for each x, a column for each line.
    fn numbers(&self) -> String {
        let heads: Vec<&str> =
            [self.x.title.as_str()].into_iter().chain(self.series.iter().map(|s| s.name.as_str())).collect();
        let mut xs: Vec<f64> = self.series.iter().flat_map(|line| line.points.iter().map(|p| p.0)).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup_by(|a, b| (self.x.label)(*a) == (self.x.label)(*b));
        let rows: Vec<Vec<String>> = xs.iter().map(|x| self.row(*x)).collect();
        let unit = super::markup::paragraph("faint", &self.y.title);
        unit + &table(Content::Figures, &heads, &rows)
    }

    fn row(&self, x: f64) -> Vec<String> {
        let label = (self.x.label)(x);
        let value = |line: &Series| {
            let point = line.points.iter().find(|point| (self.x.label)(point.0) == label);
            point.map_or(String::new(), |(_, y)| short(*y))
        };
        [label.clone()].into_iter().chain(self.series.iter().map(value)).collect()
    }
}

/// The mark of a look, around a point.
fn mark(style: usize, x: f64, y: f64) -> String {
    match style {
        0 => format!("M{:.1} {y:.1}a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", x - 3.0),
        1 => format!("M{:.1} {:.1}h5.4v5.4h-5.4z", x - 2.7, y - 2.7),
        2 => format!("M{x:.1} {:.1}l3.6 6.2h-7.2z", y - 3.9),
        3 => format!("M{x:.1} {:.1}l3.7 3.7l-3.7 3.7l-3.7-3.7z", y - 3.7),
        4 => format!("M{x:.1} {:.1}l3.6-6.2h-7.2z", y + 3.9),
        5 => format!("M{:.1} {:.1}h2v-2h2v2h2v2h-2v2h-2v-2h-2z", x - 3.0, y - 1.0),
        6 => format!("M{:.1} {:.1}h2v6h-2z", x - 1.0, y - 3.0),
        _ => format!("M{:.1} {:.1}h6v2h-6z", x - 3.0, y - 1.0),
    }
}
