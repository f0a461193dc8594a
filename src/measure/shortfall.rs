//! What a user asked for and did not get. One rule for every verb: thresholds fail by it, verdicts do not lean on such a
//! cell, and neither comparison nor gate takes its figures for those of the load that was asked for.

use super::cell::{Cell, Status, TrustLevel};

/// What is missing of the clients of a cell that was measured, in words and figures; `None` where all that were asked for
/// connected and stayed to the end.
pub fn of(cell: &Cell) -> Option<String> {
    if !cell.put_load_on() || cell.status != Status::Finished {
        return None;
    }
    let (counts, clients) = (&cell.counts, cell.spec.clients);
    let missing = u64::from(clients) > counts.connected;
    let missing = missing.then(|| format!("only {} of {clients} clients connected", counts.connected));
    let cut =
        (counts.cut_short > 0).then(|| format!("{} of {clients} clients were cut short", counts.cut_short));
    let parts: Vec<String> = missing.into_iter().chain(cut).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why the figures of a cell are not those of the load that was asked for, in words that may follow its name; `None` if they are.
pub fn why_unusable(cell: &Cell) -> Option<String> {
    match (&cell.status, cell.trust.level) {
        (Status::Failed(reason), _) => Some(format!("failed: {reason}")),
        (Status::Interrupted, _) => Some("was interrupted".to_owned()),
        (Status::Finished, TrustLevel::Invalid) => {
            Some(format!("is invalid: {}", cell.trust.reasons.join("; ")))
        }
        (Status::Finished, _) => {
            of(cell).map(|missing| format!("had another load than was asked for: {missing}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn who_did_not_come_and_who_did_not_stay_is_told() {
        let of = |connected: u64, cut_short: u64| {
            let cell = sample::cell("workload/sse").with(|cell| {
                (cell.counts.connected, cell.counts.cut_short) = (connected, cut_short);
            });
            super::of(&cell.build())
        };
        assert_eq!(of(1_000, 0), None);
        assert_eq!(of(990, 0).as_deref(), Some("only 990 of 1000 clients connected"));
        assert_eq!(of(1_000, 3).as_deref(), Some("3 of 1000 clients were cut short"));
        assert_eq!(
            of(990, 3).as_deref(),
            Some("only 990 of 1000 clients connected, 3 of 1000 clients were cut short")
        );
        let probe = Cell::empty(sample::cell("probe/sse").build().spec, 0.0);
        assert_eq!(super::of(&probe), None, "a probe puts no load on");
    }
}
