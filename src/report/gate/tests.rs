#![allow(clippy::unwrap_used)]

use super::*;
use crate::gate::judge::tests::{about, change, file, replicates};
use crate::gate::selftest::ARMS;
use crate::measure::cell::Cell;
use crate::report::{self, terminal, tests};

fn gate(cells: Vec<Cell>) -> Run {
    let command =
        ["rtbench", "gate", "--base-server", "old --port {port}", "--new-server", "new --port {port}"];
    let mut run = tests::run(RunKind::Gate, &command, cells);
    run.file.scenario.name = "gate".into();
    run.file.gate = Some(file(|_| {}));
    run
}

fn rendered(run: &Run, format: &str) -> String {
    let mut out = Vec::new();
    report::find(format).unwrap().render(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Slower by 3% and a byte longer: both tiers have something to say.
fn slower_and_longer() -> Run {
    let mut cells = replicates(8, about(1.03));
    for cell in cells.iter_mut().filter(|cell| cell.spec.id.side == Some(Side::New)) {
        cell.subscriber_wire.in_bytes += cell.counts.delivered_all;
    }
    gate(cells)
}

#[test]
fn a_gate_in_every_form() {
    let run = slower_and_longer();
    for width in [80, 160] {
        let text = tests::plain(&terminal::gate(&run, width));
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        insta::assert_snapshot!(format!("gate_at_{width}"), text);
    }
    insta::assert_snapshot!("gate_md", rendered(&run, "markdown"));
    insta::assert_snapshot!("gate_csv", rendered(&run, "gate.csv"));
    assert!(rendered(&run, "html").contains("framing_in_bytes_per_delivery is 3 B, was 2 B"));
    assert_eq!(rendered(&run, "junit").matches("<failure").count(), 1);
    // Eight replicates, two sides, six slices.
    assert_eq!(rendered(&run, "slices.csv").lines().count(), 1 + 8 * 2 * 6);
}

/// What the base does not agree on with itself, what a server did wrong, and what does not count.
#[test]
fn what_is_beside_the_figures_is_told_in_every_form() {
    let mut cells = replicates(9, about(1.0));
    let lose = |cell: &mut Cell| (cell.counts.lost, cell.counts.delivered) = (1, 26_999);
    change(&mut cells, Side::Base, |repeat| repeat == 2, lose);
    change(&mut cells, Side::New, |repeat| repeat == 4, lose);
    change(&mut cells, Side::Base, |repeat| repeat == 5, |cell| cell.host.steal_share = Some(0.4));
    let unsteady = gate(cells.clone());
    insta::assert_snapshot!("unsteady_at_80", tests::plain(&terminal::gate(&unsteady, 80)));
    insta::assert_snapshot!("unsteady_csv", rendered(&unsteady, "gate.csv"));
    assert!(rendered(&unsteady, "html").contains("agree with itself on delivered, lost, "));
    let corrupt = |cell: &mut Cell| cell.counts.corrupt = 12;
    change(&mut cells, Side::Base, |repeat| repeat == 7, corrupt);
    change(&mut cells, Side::New, |repeat| repeat > 6, corrupt);
    let broken = gate(cells);
    insta::assert_snapshot!("broken_md", rendered(&broken, "markdown"));
    assert!(rendered(&broken, "html").contains("Replicate 8, new: corrupted 12 payloads."));
    assert_eq!(
        rendered(&broken, "junit").matches("<error").count(),
        1,
        "a broken side is no test to be skipped"
    );
}

#[test]
fn a_cell_for_which_there_was_no_time_is_no_pass() {
    let mut run = gate(Vec::new());
    let asked = vec![crate::scenario::spec::CellSpec::example()];
    run.file.gate = Some(file(|file| file.cells = asked));
    let [judgement] = &judge::of(&run)[..] else { panic!("one cell was asked for") };
    assert_eq!((judgement.finding.outcome, judgement.replicates), (Outcome::Inconclusive, 0));
}

#[test]
fn a_selftest_is_added_up_by_change() {
    let mut cells = Vec::new();
    for (arm, ratio, gates) in [(&ARMS[0], 1.0, 3), (&ARMS[1], 1.05, 2)] {
        for gate in 1..=gates {
            let named = replicates(8, about(ratio)).into_iter().map(|mut cell| {
                let (side, id) = cell.spec.id.sided().unwrap();
                cell.spec.id = arm.cell(gate, id).on(side);
                cell
            });
            cells.extend(named);
        }
    }
    let mut run = gate(cells);
    run.file.gate = Some(file(|file| file.selftest = true));
    insta::assert_snapshot!("selftest_at_80", tests::plain(&terminal::gate(&run, 80)));
    insta::assert_snapshot!("selftest_csv", rendered(&run, "selftest.csv"));
    assert!(!report::find("html").unwrap().fits(&run), "hundreds of gates are no page");
}
