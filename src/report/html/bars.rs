//! Stacked bars: what the bytes of a message are made of.

use super::markup::{Content, details, escape, table};
use super::scale::{Scale, Spacing};
use crate::number::short;

const WIDTH: f64 = 400.0;
const RIGHT: f64 = 46.0;
const TOP: f64 = 4.0;
const BOTTOM: f64 = 38.0;
/// A name above its bar, so that a long one takes nothing from the bar.
const ROW: f64 = 44.0;
const BAR: f64 = 18.0;

/// A bar.
pub(super) struct Bar {
    /// What it stands for.
    pub(super) name: String,
    /// Its parts, in the order of the chart's; absent is what was not measured or is not there.
    pub(super) parts: Vec<Option<f64>>,
}

impl Bar {
    fn total(&self) -> f64 {
        self.parts.iter().flatten().map(|part| part.max(0.0)).sum()
    }
}

/// Bars of the same parts.
pub(super) struct Bars {
    /// What they show.
    pub(super) title: String,
    /// What a reader should know of them; may be empty.
    pub(super) note: String,
    /// What is measured, with its unit.
    pub(super) axis: String,
    /// Names of the parts.
    pub(super) parts: &'static [&'static str],
    /// The bars.
    pub(super) bars: Vec<Bar>,
}

impl Bars {
    /// The bars, their legend and their table; nothing where there are none.
    pub(super) fn render(&self) -> String {
        if self.bars.is_empty() {
            return String::new();
        }
        format!(
            "<figure class=\"bars\"><figcaption><b>{}</b> <span class=\"faint\">{}</span></figcaption>\n{}{}{}</figure>\n",
            escape(&self.title),
            escape(&self.note),
            self.svg(),
            self.legend(),
            details("Numbers", &self.numbers(), false)
        )
    }

    fn svg(&self) -> String {
        let scale = Scale::new(Spacing::FromZero, self.bars.iter().map(Bar::total));
        let (bottom, right) = (TOP + ROW * self.bars.len() as f64 + 4.0, WIDTH - RIGHT);
        let height = bottom + BOTTOM;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}: {}\">\n",
            escape(&self.title),
            escape(&self.axis)
        );
        let x = |value: f64| 2.0 + scale.place(value).unwrap_or(0.0) * (right - 2.0);
        let (mut grid, mut labels) = (String::new(), String::new());
        for (i, tick) in scale.ticks().iter().enumerate() {
            grid += &format!("M{:.1} {TOP}V{bottom}", x(*tick));
            let class = if i == 0 { "" } else { "m" };
            let (x, y, text) = (x(*tick), bottom + 15.0, short(*tick));
            labels += &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{text}</text>");
        }
        out += &format!("<path class=\"grid\" d=\"{grid}\"/>{labels}\n");
        for (i, bar) in self.bars.iter().enumerate() {
            out += &self.bar(bar, TOP + ROW * i as f64, &x);
        }
        let (middle, y) = (right / 2.0, height - 6.0);
        out += &format!("<text class=\"t m\" x=\"{middle}\" y=\"{y}\">{}</text></svg>\n", escape(&self.axis));
        out
    }

    fn bar(&self, bar: &Bar, y: f64, x: &impl Fn(f64) -> f64) -> String {
        let top = y + 18.0;
        let mut out = format!("<text x=\"2\" y=\"{}\">{}</text>", y + 13.0, escape(&bar.name));
        let mut from = 0.0;
        for (i, part) in bar.parts.iter().enumerate() {
            let Some(value) = part.filter(|value| *value > 0.0) else { continue };
            let (left, width) = (x(from), x(from + value) - x(from));
            let place = format!("x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\"");
            out += &format!("<rect class=\"p{i}\" {place}/><rect fill=\"url(#h{i})\" {place}/>");
            from += value;
        }
        let (end, base) = (x(from) + 5.0, top + 13.5);
        out + &format!("<text x=\"{end:.1}\" y=\"{base}\">{}</text>\n", short(bar.total()))
    }

    fn legend(&self) -> String {
        let items = self.parts.iter().enumerate().map(|(i, part)| {
            format!(
                "<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\"><rect class=\"p{i}\" width=\"16\" height=\"12\"/>\
                 <rect fill=\"url(#h{i})\" width=\"16\" height=\"12\"/></svg>{}</li>",
                escape(part)
            )
        });
        format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
    }

    fn numbers(&self) -> String {
        let heads: Vec<&str> = [""].into_iter().chain(self.parts.iter().copied()).chain(["all"]).collect();
        let rows = self.bars.iter().map(|bar| {
            let parts = bar.parts.iter().map(|part| part.map_or(String::new(), short));
            [bar.name.clone()].into_iter().chain(parts).chain([short(bar.total())]).collect()
        });
        super::markup::paragraph("faint", &self.axis)
            + &table(Content::Figures, &heads, &rows.collect::<Vec<_>>())
    }
}

/// The hatches of the parts, once for the whole page: what colour says, they say, too.
pub(super) const HATCHES: &str = "<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\
<pattern id=\"h0\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"/>\
<pattern id=\"h1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path class=\"hatch\" d=\"M-1 1l2-2M0 6l6-6M5 7l2-2\"/></pattern>\
<pattern id=\"h2\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path class=\"hatch\" d=\"M3 0V6\"/></pattern>\
<pattern id=\"h3\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path class=\"hatch\" d=\"M2 3h2\"/></pattern>\
</defs></svg>\n";
