//! Every claim of the guide with its verdict from the runs at hand.

use super::evidence::{Evidence, speaks};
use super::matrix::Matrix;
use super::other_claims::Answer;
use super::{all, claim_table};
use crate::measure::cell::Cell;
use crate::measure::repeats::Repeats;
use crate::measure::run::{Run, RunKind};

/// A claim, what the runs say about it, and where that comes from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Claim and verdict.
    pub answer: Answer,
    /// The runs that it rests on; empty if none.
    pub run: String,
    /// The command that measures it; empty if this version has none.
    pub measured_by: &'static str,
}

/// The verdicts of `runs`, the newest last: of several cells of one name the newest that can be used counts.
pub fn entries(runs: &[Run]) -> Vec<Entry> {
    let (names, cells): (Vec<&str>, Vec<Cell>) = gather(runs).into_iter().unzip();
    let source = runs.iter().rev().map(|run| run.file.source.as_slice()).find(|source| !source.is_empty());
    let source = source.unwrap_or_default();
    let evidence = Evidence::new(&cells, source);
    let matrix = Matrix::from_parts(&cells, source);
    let entry = |claim| {
        let (answer, measured_by) = claim_table::answer(claim, &evidence, &matrix);
        let of_cell = |(run, cell): (&&'_ str, &Cell)| {
            cell.spec.id.is_mentioned_in(&answer.evidence).then(|| (*run).to_owned())
        };
        let mut from: Vec<String> = names.iter().zip(&cells).filter_map(of_cell).collect();
        from.sort_unstable();
        from.dedup();
        Entry { run: from.join(" "), answer, measured_by }
    };
    all().iter().map(entry).collect()
}

/// Cells of all runs under the names by which claims know them, each with its run. All repetitions of a cell come from one
/// run.
fn gather(runs: &[Run]) -> Vec<(&str, Cell)> {
    let mut gathered: Vec<(&str, Vec<Cell>)> = Vec::new();
    let any_speaks = |cells: &[Cell]| cells.iter().any(speaks);
    for run in runs {
        for repeats in Repeats::of(&run.cells) {
            let cells: Vec<Cell> = repeats.cells().iter().map(|cell| named(run, cell)).collect();
            match gathered.iter_mut().find(|(_, known)| known[0].spec.id == cells[0].spec.id) {
                Some(known) if any_speaks(&cells) || !any_speaks(&known.1) => *known = (&run.name, cells),
                Some(_) => {}
                None => gathered.push((&run.name, cells)),
            }
        }
    }
    gathered.into_iter().flat_map(|(run, cells)| cells.into_iter().map(move |cell| (run, cell))).collect()
}

/// The cell under the name by which claims know it.
fn named(run: &Run, cell: &Cell) -> Cell {
    let mut cell = cell.clone();
    if run.file.kind == RunKind::Scenario {
        cell.spec.id = cell.spec.id.with_kind(run.file.scenario.name.clone());
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::cell::{Status, TrustLevel};
    use crate::measure::run::{RunFile, ScenarioText};
    use crate::measure::sample;

    fn run(name: &str, kind: RunKind, scenario: &str, cells: Vec<Cell>) -> Run {
        let text = ScenarioText { name: scenario.into(), text: String::new() };
        let file = RunFile::begin(kind, vec!["rtbench".into()], 7, text);
        Run { name: name.into(), file, cells, warnings: Vec::new() }
    }

    fn entry<'a>(entries: &'a [Entry], id: &str) -> &'a Entry {
        entries.iter().find(|entry| entry.answer.claim.id == id).expect("every claim has an entry")
    }

    #[test]
    fn every_claim_has_an_entry_also_without_runs() {
        let entries = entries(&[]);
        assert_eq!(entries.len(), all().len());
        assert!(
            entries.iter().all(|entry| entry.answer.verdict.word() == "not measured" && entry.run.is_empty())
        );
        assert_eq!(entry(&entries, "ws-rtt").measured_by, "rtbench matrix --full");
    }

    #[test]
    fn the_newest_usable_cell_counts_and_is_named() {
        let framing = |bytes: f64| sample::cell("workload/websocket").stream(bytes, 6.0);
        let damages: [fn(&mut Cell); 3] = [
            |cell| cell.trust.level = TrustLevel::Invalid,
            |cell| cell.status = Status::Interrupted,
            |cell| cell.counts.connected = 999,
        ];
        for damage in damages {
            let runs = [
                run("first", RunKind::Matrix, "matrix", vec![framing(4.0).build()]),
                run("second", RunKind::Matrix, "matrix", vec![framing(2.0).build()]),
                run("third", RunKind::Matrix, "matrix", vec![framing(9.0).with(damage).build()]),
            ];
            let entries = entries(&runs);
            let frame = entry(&entries, "ws-frame");
            assert_eq!((frame.answer.value, frame.run.as_str()), (Some(2.0), "second"));
            assert_eq!(frame.answer.verdict.word(), "reproduced");
        }
    }

    #[test]
    fn a_newer_crowd_that_came_short_is_the_answer() {
        let crowd = |came: u64| {
            let cell = sample::cell("idle/websocket").idle(10_000, 2_000);
            cell.with(|cell| cell.counts.connected = came).build()
        };
        let runs = [
            run("all", RunKind::Matrix, "matrix", vec![crowd(10_000)]),
            run("fewer", RunKind::Matrix, "matrix", vec![crowd(9_000)]),
        ];
        let word = |runs: &[Run]| entry(&entries(runs), "ws-capacity").answer.verdict.word();
        assert_eq!((word(&runs[..1]), word(&runs)), ("reproduced", "not reproduced"));
    }

    #[test]
    fn claims_and_matrix_judge_a_run_alike() {
        let damages: [fn(&mut Cell); 4] = [
            |_| {},
            |cell| cell.status = Status::Interrupted,
            |cell| cell.counts.cut_short = 1,
            |cell| cell.counts.delivered = 0,
        ];
        for (damage, word) in
            damages.iter().zip(["reproduced", "not measured", "not measured", "not measured"])
        {
            let cell = sample::cell("workload/websocket").stream(2.0, 6.0).with(damage).build();
            let run = run("one", RunKind::Matrix, "matrix", vec![cell]);
            let matrix = Matrix::of(&run);
            let in_matrix = matrix.cells().find(|cell| cell.claim == "matrix-ws-overhead").expect("a cell");
            let entries = entries(std::slice::from_ref(&run));
            let in_book = &entry(&entries, "matrix-ws-overhead").answer;
            assert_eq!((in_matrix.verdict.word(), in_book.verdict.word()), (word, word));
        }
    }

    #[test]
    fn repetitions_come_from_one_run() {
        let framing = |bytes: f64, repeat: u32| {
            sample::cell("workload/websocket")
                .stream(bytes, 6.0)
                .with(|cell| cell.spec.repeat = repeat)
                .build()
        };
        let runs = [
            run("thrice", RunKind::Matrix, "matrix", (0..3).map(|repeat| framing(9.0, repeat)).collect()),
            run("once", RunKind::Matrix, "matrix", vec![framing(2.0, 0)]),
        ];
        let entries = entries(&runs);
        let frame = entry(&entries, "ws-frame");
        assert_eq!((frame.answer.value, frame.run.as_str()), (Some(2.0), "once"));
    }

    #[test]
    fn a_scenarios_cells_are_known_by_its_name() {
        let cell = sample::cell("websocket")
            .latency_ms(&[3.0; 2_000], 2_000)
            .with(|cell| cell.spec.id.protocol = crate::protocol::find("websocket").expect("a protocol"));
        let entries = entries(&[run("echoed", RunKind::Scenario, "echo", vec![cell.build()])]);
        let rtt = entry(&entries, "ws-rtt");
        assert_eq!((rtt.run.as_str(), rtt.answer.verdict.word()), ("echoed", "depends"));
    }

    #[test]
    fn the_longest_poll_is_taken_off_the_longest_latency() {
        let cell = |largest_ms: f64| {
            let cell = sample::cell("poll-latency/short-poll").latency_ms(&[2_000.0, largest_ms], 2);
            cell.with(|cell| cell.exchange = sample::distribution(&[3.0, 20.0], 2)).build()
        };
        let verdict = |largest_ms| {
            let entries = entries(&[run("r", RunKind::Matrix, "matrix", vec![cell(largest_ms)])]);
            entry(&entries, "sp-latency-max").answer.verdict.word()
        };
        assert_eq!((verdict(5_019.0), verdict(5_021.0)), ("reproduced", "not reproduced"));
    }
}
