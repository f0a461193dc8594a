#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::cell::Interval;
use crate::measure::sample;
use crate::protocol::find;
use crate::scenario::kinds::Pattern;
use proptest::prelude::*;

const STEADY: Drift = Drift { deviation: 0.05, freedom: 100 };

fn points(mut us: impl FnMut(f64) -> f64) -> Vec<Point> {
    [1_440.0, 7_200.0, 36_000.0].map(|per_s| Point { per_s, us: us(per_s) }).into()
}

/// A turn that takes 8 us, and 28 us of a wake-up that is shared the more of them there are.
fn falling(per_s: f64) -> f64 {
    8.0 + 28.0 / (1.0 + per_s / 20_000.0)
}

/// 10 s of websocket at a load that grows with clients, and what they cost: 2 KB of memory each, 480 B each event.
fn cell(clients: u32, us: f64) -> Cell {
    let n = u64::from(clients);
    let cell = sample::cell(&format!("cost/websocket/{clients}")).with(|cell| {
        (cell.spec.clients, cell.spec.rate_per_s, cell.measured_s) = (clients, 8.0, 10.0);
        let (published, delivered) = (n / 10 * 80, n / 10 * 9 * 80);
        cell.counts.connected = n;
        (cell.counts.published_all, cell.counts.published) = (published, published);
        (cell.counts.received_in_window, cell.counts.delivered_all) = (delivered, delivered);
        cell.counts.delivered_all_bytes = delivered * 100;
        (cell.subscriber_wire.ip_in_bytes, cell.subscriber_wire.ip_out_bytes) =
            (delivered * 154, delivered * 52);
        cell.publisher_wire.ip_out_bytes = published * 210;
        let server = cell.server.as_mut().unwrap();
        server.cpu_ns = Some((delivered as f64 * us * 1e3) as u64);
        server.memory_empty_bytes = Some(1_000_000);
        server.memory_idle_bytes = Some(1_000_000 + n * 2_000);
        server.memory_after_bytes = Some(1_000_000 + n * 2_000 + published * 480);
        let second = |i: u64| Interval {
            at_s: i as f64,
            published: published / 10,
            server_resident_bytes: Some(20_000_000 + published / 10 * i * 480),
            ..Interval::default()
        };
        cell.intervals = (1..=10).map(second).collect();
    });
    cell.build()
}

fn project(cells: &[Cell], users: f64, drift: Drift) -> Projection {
    let cells: Vec<&Cell> = cells.iter().collect();
    let question = Question { cells: &cells, like: &cells[0].spec, drift, keeps: Some(reference_limits()) };
    question.on_enough_servers(users)
}

#[test]
fn cost_falls_with_load_and_is_not_that_of_one_point() {
    let cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, falling(f64::from(n) * 7.2))).into();
    let projection = project(&cells, 9_000.0, Drift { deviation: 0.03, ..STEADY });
    assert_eq!(projection.servers, 1.0);
    let cores = projection.cores.value().unwrap();
    let truth = 64_800.0 * falling(64_800.0) / 1e6;
    assert!(cores.bounds.low < truth && truth < cores.bounds.high, "{truth} in {cores:?}");
    assert!(cores.half_width() <= WIDEST);
    // By the first cell alone it would have been 2.2.
    assert!(cores.bounds.high < 1.4, "{cores:?}");
    assert_eq!(projection.measured_per_s, Some([1_440.0, 36_000.0]));
}

#[test]
fn memory_has_its_history_and_bytes_have_all_layers() {
    let cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, 10.0)).into();
    let projection = project(&cells, 10_000.0, STEADY);
    let memory = projection.memory_bytes.value().unwrap();
    let truth = 1e6 + 10_000.0 * 2_000.0 + 1_000.0 * 457.0 * 480.0;
    assert!((memory.value / truth - 1.0).abs() < 1e-6, "{memory:?} for {truth}");
    let network = projection.network_bytes_per_s.value().unwrap();
    assert!((network.value - (72_000.0 * 206.0 + 8_000.0 * 210.0)).abs() < 1.0, "{network:?}");
    let line = projection.arithmetic.iter().find(|line| line.contains("kept")).unwrap();
    assert!(
        line.contains("1,000 topics x 457 events kept x 480 B (payload 100 B), full after 57.1 s"),
        "{line}"
    );
}

/// Three times as many events as are kept make memory grow no further: by its growth one would take a third.
#[test]
fn a_full_history_does_not_tell_what_an_event_takes() {
    let mut cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, 10.0)).into();
    cells[0].counts.published_all = 20 * 3 * 1_024;
    for second in &mut cells[0].intervals {
        (second.published, second.server_resident_bytes) = (20 * 307, Some(30_000_000));
    }
    let memory = |cells: &[Cell]| project(cells, 10_000.0, STEADY).memory_bytes;
    let truth = 1e6 + 10_000.0 * 2_000.0 + 1_000.0 * 457.0 * 480.0;
    assert!((memory(&cells).value().unwrap().value / truth - 1.0).abs() < 1e-6);
    cells.iter_mut().for_each(|cell| cell.counts.published_all = 10_000_000);
    let Projected::Withheld(why) = memory(&cells) else { panic!("printed") };
    assert!(why.contains("none more was kept"), "{why}");
}

/// They are sent back and not kept; what memory grew by meanwhile is no history.
#[test]
fn echoes_on_their_own_connection_have_no_history() {
    let mut cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, 10.0)).into();
    for cell in &mut cells {
        (cell.spec.pattern, cell.spec.group) = (Pattern::Echo, 1);
        let server = cell.server.as_mut().unwrap();
        server.memory_after_bytes = server.memory_idle_bytes;
    }
    let memory = project(&cells, 10_000.0, STEADY).memory_bytes.value().unwrap();
    assert!((memory.value / 21e6 - 1.0).abs() < 1e-6, "{memory:?}");
    // By POST they go to a topic each.
    cells.iter_mut().for_each(|cell| cell.spec.id.protocol = find("sse").unwrap());
    assert_eq!(work::of(&cells[0].spec).topics, 1.0);
}

#[test]
fn what_is_known_too_badly_or_from_too_few_loads_is_withheld() {
    let cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, 20.0)).into();
    let Projected::Withheld(why) = project(&cells, 10_000.0, Drift { deviation: 0.3, ..STEADY }).cores else {
        panic!("printed")
    };
    assert!(why.ends_with("25% is the widest that is printed"), "{why}");
    let two = project(&cells[..2], 10_000.0, STEADY);
    assert_eq!(two.cores.value(), None);
    assert!(two.arithmetic[0].ends_with("kept up with, and there are 2"), "{:?}", two.arithmetic);
    let cells: Vec<&Cell> = cells.iter().collect();
    let question = Question { cells: &cells, like: &cells[0].spec, drift: STEADY, keeps: None };
    assert_eq!(question.on(10_000.0, 1.0).memory_bytes.value(), None, "a server of others");
}

#[test]
fn a_server_that_did_not_keep_up_is_no_point() {
    assert_eq!(point(&cell(5_000, 26.0)), None, "36,000 x 26 us is 94% of a core");
    assert!(point(&cell(5_000, 24.0)).is_some());
}

#[test]
fn more_than_a_core_takes_more_servers() {
    let cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, 20.0)).into();
    let projection = project(&cells, 40_000.0, STEADY);
    // 288,000/s x 20 us are 5.8 cores.
    assert_eq!(projection.servers, 6.0);
    let cores = projection.cores.value().unwrap();
    assert!((0.85..=1.0).contains(&cores.value), "{cores:?}");
}

#[test]
fn the_direct_measurement_stands_beside_it() {
    let cells: Vec<Cell> = [200, 1_000, 5_000].map(|n| cell(n, falling(f64::from(n) * 7.2))).into();
    let projection = project(&cells, 6_000.0, STEADY).beside(&cell(6_000, falling(43_200.0)));
    assert!(projection.direct_cores.is_some_and(|cores| (cores - 0.7285).abs() < 1e-2), "{projection:?}");
    assert!(projection.arithmetic.last().unwrap().ends_with("within the range"));
    // Of a machine that gave out there is no figure.
    let mut short_of = cell(6_000, 10.0);
    short_of.counts.received_in_window /= 2;
    let projection = project(&cells, 6_000.0, STEADY).beside(&short_of);
    assert_eq!(projection.direct_cores, None);
    assert!(projection.arithmetic.last().unwrap().ends_with("50% of the load, so no figure"));
}

#[test]
fn silence_has_a_price() {
    let mut spec = sample::cell("workload/sse").build().spec;
    spec.rate_per_s = 1.0 / 60.0;
    let near = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-6, "{got} for {want}");
    // Of periods of 15 s e^(-1/4) are silent, and a comment breaks the silence of the next.
    let silent = (-0.25f64).exp();
    near(work::of(&spec).turns_per_s, 0.9 * (1.0 / 60.0 + silent / (1.0 + silent) / 15.0));
    spec.id.protocol = find("long-poll").unwrap();
    // Of polls held 30 s, e^(-1/2) end with nothing.
    near(work::of(&spec).turns_per_s, 0.9 / 60.0 / (1.0 - (-0.5f64).exp()));
    spec.rate_per_s = 0.0;
    near(work::of(&spec).turns_per_s, 0.9 / 30.0);
    (spec.id.protocol, spec.rate_per_s) = (find("short-poll").unwrap(), 1.0);
    near(work::of(&spec).turns_per_s, 0.9 / 5.0);
    assert_eq!(work::of(&spec).messages_per_s, 0.9);
}

/// What long runs of 2,000 users over 120 s at a message a minute counted, of which short windows see nothing: comments by their
/// acknowledgements, and polls that were held for nothing.
#[test]
fn long_runs_confirm_the_arithmetic_of_silence() {
    let mut spec = sample::cell("workload/sse").build().spec;
    spec.rate_per_s = 1.0 / 60.0;
    let within =
        |got: f64, measured: f64| assert!((got / measured - 1.0).abs() < 0.1, "{got} for {measured}");
    let sse = work::of(&spec);
    within((sse.turns_per_s - sse.messages_per_s) * 2_000.0 * 120.0, 5_985.0);
    spec.id.protocol = find("long-poll").unwrap();
    // Polls begin with the run, so that the first holds end late in it.
    within(work::of(&spec).turns_per_s * 2_000.0 * 120.0, 8_559.0);
}

#[test]
fn drift_is_learned_from_more_points_than_a_curve_takes() {
    let quiet = curve::drift(&[points(falling)]);
    assert_eq!(quiet.freedom, curve::drift(&[]).freedom, "three points fit always");
    let apart = |factor: f64| {
        let mut twice = points(falling);
        twice.extend(points(|per_s| falling(per_s) * factor));
        twice
    };
    let [calm, wild] = [1.02, 1.4].map(|factor| curve::drift(&[apart(factor), apart(factor), apart(factor)]));
    assert!(calm.deviation < quiet.deviation && wild.deviation > 0.12, "{calm:?} {wild:?}");
}

/// A deviate of the normal distribution, from one of the uniform.
fn normal(uniform: f64) -> f64 {
    match uniform {
        u if u < 0.5 => -crate::stats::normal::deviate(u.max(1e-9)),
        u => crate::stats::normal::deviate((1.0 - u).max(1e-9)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of cells that drift, one more lies within the printed range about as often as it says: 19 of 20 times, whatever the curve.
    #[test]
    fn ranges_hold_what_they_promise(share in 0.0..1.0f64, knee in 2_000.0..200_000.0f64, seed in 0u64..1_000_000) {
        let truth = |per_s: f64| 40.0 * (1.0 - share + share / (1.0 + per_s / knee));
        let mut state = seed;
        let mut noise = || {
            // A linear congruential generator is random enough for this.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (normal((state >> 11) as f64 / (1u64 << 53) as f64) * STEADY.deviation).exp()
        };
        let mut held = 0;
        for _ in 0..40 {
            let measured = points(|per_s| truth(per_s) * noise());
            let next = truth(72_000.0) * noise();
            let range = curve::predict(&measured, 72_000.0, STEADY).unwrap().bounds;
            held += u32::from(range.low <= next && next <= range.high);
        }
        prop_assert!(held >= 31, "{held} of 40 with share {share} and knee {knee}");
    }
}
