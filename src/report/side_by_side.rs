//! Several runs side by side: which cells are the same, and what of them is shown. Whether a difference is one is not judged.

use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::scenario::cell_id::CellId;

/// A metric that runs are looked at by: its title with the unit, its name, and the factor to that unit.
pub(super) struct Headline {
    pub(super) title: &'static str,
    pub(super) metric: &'static str,
    factor: f64,
}

const fn headline(title: &'static str, metric: &'static str, factor: f64) -> Headline {
    Headline { title, metric, factor }
}

/// What stands of each cell beside its trust.
pub(super) const HEADLINES: [Headline; 9] = [
    headline("latency mean, ms", "response_mean_ms", 1.0),
    headline("latency p50, ms", "response_p50_ms", 1.0),
    headline("latency p99, ms", "response_p99_ms", 1.0),
    headline("delivered per s", "delivered_per_s", 1.0),
    headline("lost", "lost", 1.0),
    headline("B beyond payload", "overhead_bytes_per_delivery", 1.0),
    headline("B in IP packets", "ip_bytes_per_delivery", 1.0),
    headline("server CPU us per delivery", "server_cpu_us_per_delivery", 1.0),
    headline("server KB per client", "server_memory_bytes_per_client", 1e-3),
];

/// A cell, in every run that has it.
pub(super) struct Side<'a> {
    /// Which.
    pub(super) id: &'a CellId,
    /// One for each run, in their order.
    pub(super) in_runs: Vec<Option<Repeats<'a>>>,
}

/// The cells of all runs in the order in which their names come up.
pub(super) fn sides(runs: &[Run]) -> Vec<Side<'_>> {
    let mut sides: Vec<Side<'_>> = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        for repeats in Repeats::of(&run.cells) {
            let known = sides.iter().position(|side| side.id == repeats.id());
            let at = known.unwrap_or_else(|| {
                sides.push(Side { id: repeats.id(), in_runs: vec![None; runs.len()] });
                sides.len() - 1
            });
            sides[at].in_runs[place] = Some(repeats);
        }
    }
    sides
}

impl Side<'_> {
    /// Rows of figures, one column for each run: trust, then the headlines that any run has. What is not there is `-`.
    pub(super) fn rows(&self) -> Vec<(&'static str, Vec<String>)> {
        let trust = |repeats: &Option<Repeats<'_>>| repeats.as_ref().map_or("-".to_owned(), trust_words);
        let mut rows = vec![("trust", self.in_runs.iter().map(trust).collect::<Vec<_>>())];
        for headline in &HEADLINES {
            let figure = |repeats: &Option<Repeats<'_>>| {
                let range = repeats.as_ref()?.median_range(headline.metric)?;
                Some(super::median_with_range(&range, headline.factor))
            };
            let figures: Vec<Option<String>> = self.in_runs.iter().map(figure).collect();
            if figures.iter().any(Option::is_some) {
                let shown = figures.into_iter().map(|figure| figure.unwrap_or_else(|| "-".to_owned()));
                rows.push((headline.title, shown.collect()));
            }
        }
        rows
    }
}

/// `ok`, or of several repetitions `2 ok, 1 invalid`.
fn trust_words(repeats: &Repeats<'_>) -> String {
    let counted = super::terminal::trust_counts(repeats);
    match &counted[..] {
        [(word, _)] => (*word).to_owned(),
        counted => {
            counted.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        }
    }
}

/// What columns call a run: `A` to `Z`, then numbers.
pub(super) fn letter(place: usize) -> String {
    match u8::try_from(place) {
        Ok(place @ 0..26) => char::from(b'A' + place).to_string(),
        _ => (place + 1).to_string(),
    }
}

/// What is not the same in all runs and makes their figures hard to compare; nothing where all agree.
pub(super) fn differences(runs: &[Run]) -> Option<String> {
    type Said = fn(&Run) -> String;
    let facts: [(&str, Said); 6] = [
        ("scenario", |run| format!("{}\0{}", run.file.scenario.name, run.file.scenario.text)),
        ("swept values", |run| format!("{:?}", run.file.swept)),
        ("seed", |run| run.file.seed.to_string()),
        ("host", |run| run.file.host.summary()),
        ("rtbench's version", |run| format!("{:?}", run.file.tool)),
        ("cells", |run| {
            let cells = Repeats::of(&run.cells);
            cells.iter().map(|repeats| repeats.id().to_string()).collect::<Vec<_>>().join("\0")
        }),
    ];
    let differs = |said: Said| runs.windows(2).any(|pair| said(&pair[0]) != said(&pair[1]));
    let names: Vec<&str> = facts.iter().filter(|(_, said)| differs(*said)).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| format!("Not the same in all runs: {}.", names.join(", ")))
}

/// What figures stand for, and what is not judged.
pub(super) const NOTE: &str = "Of cells that were measured several times medians, with the range in brackets. Differences are shown, not judged.";
