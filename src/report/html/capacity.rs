//! A search for a capacity: how far the server goes, the curve, and the projection.

use super::cell_groups::{grid, look, title};
use super::chart::{Axis, Chart, Series};
use super::markup::{Content, escape, paragraph, section, table};
use super::scale::Spacing;
use super::tables::value;
use crate::capacity::curve::Curve;
use crate::capacity::search::Vary;
use crate::report::capacity::{figure_heads, heads, projected, rows};

/// The section; nothing for a run that searched nothing.
pub(super) fn capacity(curves: &[Curve<'_>]) -> String {
    let begun: Vec<&Curve<'_>> = curves.iter().filter(|curve| !curve.steps.is_empty()).collect();
    if begun.is_empty() {
        return String::new();
    }
    let mut body = grid(&[
        chart(&begun, "99th percentile over load", "latency, 99th percentile (ms)", "response_p99_ms"),
        chart(&begun, "Deliveries over load", "deliveries per second (1/s)", "delivered_per_s"),
        chart(&begun, "Server CPU over load", "server CPU (% of one core)", "server_cpu_percent"),
    ]);
    for curve in begun {
        body += &block(curve);
    }
    section("capacity", "Capacity", &body)
}

fn chart(curves: &[&Curve<'_>], name: &str, axis: &str, of: &str) -> String {
    let series: Vec<Series> = curves
        .iter()
        .map(|curve| {
            let steps = curve.steps.iter();
            let mut points: Vec<(f64, f64)> =
                steps.filter_map(|step| Some((step.load, value(step.cell, of)?))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = title(curve.protocol).to_owned();
            Series { name, style: look(curve.protocol), points, fit: None }
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let varied = curves.first().map_or("load", |curve| match curve.plan.vary {
        Vary::Clients => "clients",
        Vary::Rate => "events per second of each publisher (1/s)",
    });
    let loads = series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let x = Axis::new(varied, Spacing::LogIfWide, loads);
    Chart::new(name, (axis, Spacing::LogIfWide), x, series).render()
}

fn block(curve: &Curve<'_>) -> String {
    let heads = heads(curve.plan.vary).map(|[top, bottom]| format!("{top} {bottom}").trim().to_owned());
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let steps: Vec<Vec<String>> = rows(curve).into_iter().map(|(_, row)| row.to_vec()).collect();
    let mut out = format!("<h3>{}</h3>\n", escape(title(curve.protocol)));
    out += &paragraph("", &curve.headline());
    out += &table(Content::Figures, &heads, &steps);
    if let Some((rows, sentences)) = projected(curve) {
        out += &format!("<h3>Projected for {}, for one server</h3>\n", escape(title(curve.protocol)));
        out += &table(Content::Figures, &figure_heads(), &rows);
        out += &sentences.iter().map(|sentence| paragraph("faint", sentence)).collect::<String>();
    }
    out
}
