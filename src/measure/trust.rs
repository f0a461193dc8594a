//! Whether to believe a cell: every reason in words and figures. Pure.
//!
//! A check looks at one thing that the cell holds, against a limit that stands here. What the server does wrong is a result
//! and no doubt, unless it leaves nothing to measure; what the generator or the accounting does wrong is one.

mod cost;

use super::cell::{Cell, Status, Trust, TrustLevel};
use super::shortfall;
use crate::failure::Kind;
use crate::scenario::kinds::Pace;
use crate::stats::histogram;

/// Events that were due and not sent, as a share of all due: above this the load was not the one asked for.
const SHED_SHARE: f64 = 0.01;

/// Send lag beyond which a schedule was not kept, as a share of the time between two events of a publisher.
const LAG_SHARE: f64 = 0.5;

/// Smallest send lag that matters whatever the schedule, in ns.
const LAG_FLOOR_NS: f64 = 5e6;

/// Smallest lag of a worker's loop that matters, in ns.
const LOOP_LAG_FLOOR_NS: f64 = 10e6;

/// Lag of a worker's loop that matters, as a share of the median response.
const LOOP_LAG_SHARE: f64 = 0.1;

/// Share of one core beyond which a worker may have been the bottleneck.
const BUSY_SHARE: f64 = 0.9;

/// Share of the window that a worker ran or waited for a core, beyond which it hardly ever had nothing to do.
const DEMAND_SHARE: f64 = 0.95;

/// Share of one core from which that is the worker's own doing, and not that of its neighbours alone.
const OWN_SHARE: f64 = 0.5;

/// Share of the window that a worker may wait for a core.
const WAITING_SHARE: f64 = 0.1;

/// Share of all processor time that a hypervisor may take, and what is too much.
const STEAL_SHARE: [f64; 2] = [0.02, 0.25];

/// Send lags that a 99th percentile needs to say something here.
const FEWEST_SAMPLES: u64 = 100;

/// A reason not to believe a cell.
type Doubt = (TrustLevel, String);

/// Each says at most one thing.
static CHECKS: &[fn(&Cell) -> Option<Doubt>] = &[
    two_counts,
    from_the_future,
    shortage,
    busy,
    shed,
    send_lag,
    loop_lag,
    waiting,
    steal,
    shortfall,
    cut_off,
    listen_queue,
    cost::whose,
    cost::ticks,
    cost::unwaited,
    cost::untied,
];

/// Whether a cell is invalid for what the generator or the accounting did, so that none of its figures says anything. One in
/// which merely nothing arrived still tells who connected, and what was lost.
pub fn says_nothing(cell: &Cell) -> bool {
    let otherwise_invalid = || doubts(cell).any(|(level, _)| level == TrustLevel::Invalid);
    cell.trust.level == TrustLevel::Invalid && (nothing_arrived(cell).is_none() || otherwise_invalid())
}

fn doubts(cell: &Cell) -> impl Iterator<Item = Doubt> {
    CHECKS.iter().filter_map(move |check| check(cell))
}

/// Judges a cell by what it holds; the gravest reasons come first.
pub fn judge(cell: &Cell) -> Trust {
    // Last of its level: whatever else is wrong is why.
    let mut doubts: Vec<Doubt> = doubts(cell).chain(nothing_arrived(cell)).collect();
    doubts.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let level = doubts.first().map_or(TrustLevel::Ok, |(level, _)| *level);
    Trust { level, reasons: doubts.into_iter().map(|(_, reason)| reason).collect() }
}

fn invalid(reason: String) -> Option<Doubt> {
    Some((TrustLevel::Invalid, reason))
}

fn degraded(reason: String) -> Option<Doubt> {
    Some((TrustLevel::Degraded, reason))
}

fn two_counts(cell: &Cell) -> Option<Doubt> {
    let counts = &cell.counts;
    if counts.announced != counts.published && counts.announced > 0 {
        return invalid(format!(
            "the two counts disagree: publishers announced {} events and sent {}",
            counts.announced, counts.published
        ));
    }
    if counts.delivered + counts.lost == counts.expected {
        return None;
    }
    invalid(format!(
        "the two counts disagree: publishers say {} deliveries are owed, subscribers count {} delivered + {} lost",
        counts.expected, counts.delivered, counts.lost
    ))
}

fn from_the_future(cell: &Cell) -> Option<Doubt> {
    let negative = cell.counts.negative;
    (negative > 0)
        .then(|| (TrustLevel::Invalid, format!("{negative} deliveries from the future (clock error)")))
}

/// Where messages were to flow and none came, there is no latency, no rate and no cost of one, however quiet all else was.
fn nothing_arrived(cell: &Cell) -> Option<Doubt> {
    let silent = cell.spec.rate_per_s <= 0.0 && cell.spec.pace != Pace::Closed;
    // What arrives of the warm-up, far too late, still says what the server can do.
    let arrived = cell.counts.delivered + cell.counts.received_in_window > 0;
    if silent || !cell.put_load_on() || cell.status != Status::Finished || arrived {
        return None;
    }
    invalid(match cell.counts.expected {
        0 => format!(
            "nothing arrived, and nobody was owed anything: {} events were sent",
            cell.counts.published
        ),
        owed => format!("nothing arrived of {owed} deliveries that were owed"),
    })
}

/// The generator ran out of what every connection needs.
fn shortage(cell: &Cell) -> Option<Doubt> {
    let [descriptors, ports] = [Kind::NoDescriptors, Kind::NoPorts].map(|kind| {
        let kind = kind.to_string();
        cell.failures.iter().filter(|failure| failure.kind == kind).map(|failure| failure.count).sum::<u64>()
    });
    if descriptors > 0 {
        return invalid(format!(
            "the generator had no file descriptor free {descriptors} times: raise its limit, or use more workers"
        ));
    }
    if ports > 0 {
        return invalid(format!(
            "the generator had no local port free {ports} times: widen ip_local_port_range, or keep connections"
        ));
    }
    None
}

/// One that waits for a core as long as it runs is as much a bottleneck as one that runs all the time.
fn busy(cell: &Cell) -> Option<Doubt> {
    let ran = cell.generator.busiest_share.unwrap_or(0.0);
    // Where answers set the pace, one of the two ends is always busy; what the other costs is right all the same.
    let doubt = if cell.spec.pace == Pace::Closed { degraded } else { invalid };
    if ran > BUSY_SHARE {
        return doubt(format!(
            "workers used {:.0}% of a core (limit {:.0}%): the generator was the bottleneck",
            ran * 100.0,
            BUSY_SHARE * 100.0
        ));
    }
    let wanted = cell.generator.demand_share.filter(|&share| share > DEMAND_SHARE && ran > OWN_SHARE)?;
    doubt(format!(
        "a worker ran or waited for a core {:.0}% of the window (limit {:.0}%): the generator was the bottleneck",
        wanted * 100.0,
        DEMAND_SHARE * 100.0
    ))
}

/// Times without a subscription are in neither count, and must not look like a server that delivers everything.
fn cut_off(cell: &Cell) -> Option<Doubt> {
    let (excused, owed) = (cell.counts.excused, cell.counts.excused + cell.counts.expected);
    (excused > 0).then(|| {
        let text = "deliveries fell due while a client was cut off whose protocol does not resume";
        (TrustLevel::Degraded, format!("{excused} of {owed} {text}"))
    })
}

fn shed(cell: &Cell) -> Option<Doubt> {
    let (shed, due) = (cell.counts.shed, cell.counts.shed + cell.counts.published);
    if shed == 0 {
        return None;
    }
    let achieved = cell.counts.published as f64 / due as f64;
    let level = if achieved < 1.0 - SHED_SHARE { TrustLevel::Invalid } else { TrustLevel::Degraded };
    Some((
        level,
        format!(
            "{:.1}% of the offered load was achieved: {shed} of {due} events were due and could not be sent",
            achieved * 100.0
        ),
    ))
}

fn send_lag(cell: &Cell) -> Option<Doubt> {
    let samples = cell.send_lag.samples().filter(|samples| samples.len() >= FEWEST_SAMPLES)?;
    let lag_ns = histogram::at_quantile(&samples, 0.99) as f64;
    let limit_ns = (LAG_SHARE * 1e9 / cell.spec.rate_per_s.max(1e-9)).clamp(LAG_FLOOR_NS, 1e9);
    if lag_ns <= limit_ns {
        return None;
    }
    degraded(format!("send lag p99 is {:.1} ms (limit {:.1} ms)", lag_ns / 1e6, limit_ns / 1e6))
}

/// What a worker's loop is late, each of its clients is late; against seconds of poll latency that is nothing.
fn loop_lag(cell: &Cell) -> Option<Doubt> {
    let samples = cell.generator.loop_lag.samples().filter(|samples| samples.len() >= FEWEST_SAMPLES)?;
    let lag_ns = histogram::at_quantile(&samples, 0.99) as f64;
    let median_ns =
        cell.response.samples().map_or(0.0, |response| histogram::at_quantile(&response, 0.5) as f64);
    let limit_ns = LOOP_LAG_FLOOR_NS.max(LOOP_LAG_SHARE * median_ns);
    if lag_ns <= limit_ns {
        return None;
    }
    degraded(format!(
        "the workers' event loop came {:.1} ms late at p99 (limit {:.1} ms)",
        lag_ns / 1e6,
        limit_ns / 1e6
    ))
}

fn waiting(cell: &Cell) -> Option<Doubt> {
    let share = cell.generator.waiting_share.filter(|&share| share > WAITING_SHARE)?;
    // Workers of one core wait for each other, too.
    let who = if cell.generator.workers > 1 { "other workers or something else" } else { "something else" };
    degraded(format!(
        "a worker waited for a core {:.0}% of the window (limit {:.0}%): {who} ran on it",
        share * 100.0,
        WAITING_SHARE * 100.0
    ))
}

fn steal(cell: &Cell) -> Option<Doubt> {
    let [limit, too_much] = STEAL_SHARE;
    let share = cell.host.steal_share.filter(|&share| share > limit)?;
    let level = if share > too_much { TrustLevel::Invalid } else { TrustLevel::Degraded };
    Some((
        level,
        format!(
            "the hypervisor took {:.1}% of the processor time (limit {:.0}%)",
            share * 100.0,
            limit * 100.0
        ),
    ))
}

fn shortfall(cell: &Cell) -> Option<Doubt> {
    degraded(shortfall::of(cell)?)
}

/// A connection that the listen queue had no place for is tried again by the kernel after a second.
fn listen_queue(cell: &Cell) -> Option<Doubt> {
    let overflows = cell.host.listen_overflows.filter(|&count| count > 0)?;
    degraded(format!(
        "a listen queue of this host overflowed {overflows} times, which costs a second each: raise somaxconn, or ramp slower"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::cell::FailureCount;
    use crate::measure::sample;

    fn quiet() -> Cell {
        let mut cell = sample::cell("workload/websocket").latency_ms(&[1.0; 1_000], 1_000).build();
        cell.send_lag = sample::distribution(&[0.05; 1_000], 1_000);
        cell.generator.loop_lag = sample::distribution(&[0.05; 1_000], 1_000);
        cell
    }

    fn of(change: impl FnOnce(&mut Cell)) -> Trust {
        let mut cell = quiet();
        change(&mut cell);
        judge(&cell)
    }

    #[test]
    fn a_quiet_cell_has_nothing_against_it() {
        let trust = judge(&quiet());
        assert_eq!((trust.level, trust.reasons.len()), (TrustLevel::Ok, 0), "{:?}", trust.reasons);
    }

    /// The proof that a fault in the counting itself shows: of 27,000 deliveries one is not counted, or one twice.
    #[test]
    fn one_miscounted_delivery_makes_the_two_counts_disagree() {
        for change in [-1, 1] {
            let trust = of(|cell| cell.counts.delivered = cell.counts.delivered.wrapping_add_signed(change));
            assert_eq!(trust.level, TrustLevel::Invalid);
            assert!(trust.reasons[0].contains("27000 deliveries are owed"), "{:?}", trust.reasons);
        }
        let honest_loss = of(|cell| (cell.counts.delivered, cell.counts.lost) = (26_990, 10));
        assert_eq!(honest_loss.level, TrustLevel::Ok, "loss that both sides see is a result");
    }

    #[test]
    fn each_disturbance_is_named_with_its_figure() {
        type Change = fn(&mut Cell);
        let failure = |kind: Kind| FailureCount {
            phase: "connect".into(),
            kind: kind.to_string(),
            count: 7,
            example: String::new(),
        };
        let (no_ports, no_descriptors) = (failure(Kind::NoPorts), failure(Kind::NoDescriptors));
        let cases: &[(TrustLevel, &str, Change)] = &[
            (TrustLevel::Invalid, "97% of a core", |c| c.generator.busiest_share = Some(0.97)),
            (TrustLevel::Invalid, "98% of the window", |c| {
                (c.generator.busiest_share, c.generator.demand_share) = (Some(0.6), Some(0.98));
            }),
            (TrustLevel::Invalid, "90.0% of the offered load", |c| {
                (c.counts.published, c.counts.shed) = (2_700, 300);
            }),
            (TrustLevel::Degraded, "99.9% of the offered load", |c| c.counts.shed = 3),
            (TrustLevel::Degraded, "send lag p99 is 600", |c| {
                c.send_lag = sample::distribution(&[600.0; 200], 200);
            }),
            (TrustLevel::Degraded, "20.0 ms late", |c| {
                c.generator.loop_lag = sample::distribution(&[20.0; 200], 200);
            }),
            (TrustLevel::Degraded, "waited for a core 30%", |c| c.generator.waiting_share = Some(0.3)),
            (TrustLevel::Degraded, "took 5.0%", |c| c.host.steal_share = Some(0.05)),
            (TrustLevel::Invalid, "took 40.0%", |c| c.host.steal_share = Some(0.4)),
            (TrustLevel::Degraded, "only 990 of 1000", |c| c.counts.connected = 990),
            (TrustLevel::Degraded, "overflowed 12 times", |c| c.host.listen_overflows = Some(12)),
            (TrustLevel::Degraded, "3 of 1000 clients were cut short", |c| c.counts.cut_short = 3),
            (TrustLevel::Invalid, "nothing arrived of 27000 deliveries", |c| {
                (c.counts.delivered, c.counts.received_in_window, c.counts.lost) = (0, 0, 27_000);
            }),
            (TrustLevel::Invalid, "nothing arrived, and nobody was owed anything: 3000 events", |c| {
                (c.counts.delivered, c.counts.received_in_window, c.counts.expected) = (0, 0, 0);
            }),
            (TrustLevel::Invalid, "2 deliveries from the future", |c| c.counts.negative = 2),
        ];
        for (level, words, change) in cases {
            let trust = of(change);
            assert_eq!(trust.level, *level, "{words}");
            assert!(trust.reasons.len() == 1 && trust.reasons[0].contains(words), "{words}: {trust:?}");
        }
        for (failure, words) in [(no_ports, "no local port free 7"), (no_descriptors, "descriptor free 7")] {
            let trust = of(|cell| cell.failures.push(failure));
            assert!(trust.level == TrustLevel::Invalid && trust.reasons[0].contains(words), "{trust:?}");
        }
    }

    #[test]
    fn a_busy_generator_is_no_surprise_where_answers_set_the_pace() {
        let trust = of(|cell| {
            cell.spec.pace = Pace::Closed;
            cell.generator.busiest_share = Some(0.97);
        });
        assert_eq!(trust.level, TrustLevel::Degraded);
    }

    #[test]
    fn lag_of_the_loop_is_held_against_what_was_measured() {
        let trust = of(|cell| {
            cell.response = sample::distribution(&[2_500.0; 200], 200);
            cell.generator.loop_lag = sample::distribution(&[20.0; 200], 200);
        });
        assert_eq!(trust.level, TrustLevel::Ok, "20 ms are nothing to a poll latency of 2.5 s");
    }

    #[test]
    fn the_gravest_reason_stands_first() {
        let trust = of(|cell| {
            cell.counts.connected = 999;
            cell.generator.busiest_share = Some(1.0);
            cell.counts.shed = 1;
        });
        assert!(trust.reasons[0].contains("bottleneck") && trust.reasons.len() == 3, "{trust:?}");
    }
}
