#![allow(clippy::unwrap_used)]

use super::*;
use crate::projection::work;

#[test]
fn all_protocols_carry_the_same_workload() {
    let plan = plan(Effort::Default, &Workload::default(), 1).unwrap();
    let cells = plan.waiting.iter().chain(&plan.working);
    let loads: Vec<_> = cells
        .filter(|cell| cell.id.is_of(kind::WORKLOAD))
        .map(|cell| {
            (cell.clients, cell.group, cell.publishers, cell.rate_per_s, cell.payload_bytes, cell.seed)
        })
        .collect();
    assert_eq!(loads.len(), crate::protocol::ALL.len());
    assert!(loads.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_full_matrix_measures_every_protocol_on_three_links_and_loopback() {
    let names = |effort, user: &Workload| -> Vec<(String, String)> {
        let plan = plan(effort, user, 1).unwrap();
        let cells = plan.waiting.iter().chain(&plan.working);
        let workloads = cells.filter(|cell| cell.id.is_of(kind::WORKLOAD));
        workloads.map(|cell| (cell.id.to_string(), cell.link.to_string())).collect()
    };
    let full = names(Effort::Full, &Workload::default());
    for protocol in crate::protocol::ALL {
        let has = |at: &str, link: &str| {
            full.contains(&(format!("workload/{}{at}", protocol.name), link.to_owned()))
        };
        assert!(has("", "loopback") && has("@lan", "rtt=1ms,jitter=0.2ms,rate=1gbit"), "{full:?}");
        assert!(has("@wan", "rtt=40ms,jitter=2ms,loss=0.1%,rate=100mbit"), "{full:?}");
        assert!(has("@rtt=100ms", "rtt=100ms"), "{full:?}");
        assert_eq!(has("@loopback", "loopback"), protocol.traits.polls && protocol.name == "short-poll");
    }
    assert!(names(Effort::Default, &Workload::default()).iter().all(|(name, _)| !name.contains('@')));
    let own = Workload { links: vec!["rtt=3s".parse().unwrap()], ..Workload::default() };
    assert!(names(Effort::Quick, &own).contains(&("workload/sse@rtt=3000ms".into(), "rtt=3000ms".into())));
}

#[test]
fn only_a_full_matrix_starts_browsers() {
    let browsers = |effort| {
        let plan = plan(effort, &Workload::default(), 1).unwrap();
        plan.probes.iter().filter(|cell| cell.id.is_of(kind::BROWSER)).count()
    };
    assert_eq!([Effort::Quick, Effort::Default, Effort::Full].map(browsers), [0, 0, 5]);
}

#[test]
fn a_linked_cell_leaves_time_between_messages_and_sees_enough_of_them() {
    let user = Workload { clients: Some(Count(20)), ..Workload::default() };
    let cell = linked(&user, "rtt=500ms".parse().unwrap(), "short-poll", 1).unwrap();
    assert_eq!((cell.rate_per_s, cell.short_poll.interval_s), (0.25, 4.0 * GOLDEN_SECTION));
    // A fresh poll takes two round trips.
    assert!(cell.short_poll.interval_s > 2.0 * 0.5);
    assert!(cell.duration_s * cell.rate_per_s * 2.0 >= LINKED_EVENTS);
}

/// Clients, turns per second as planned, and the window of a protocol's cost cells.
fn curve(effort: Effort, user: &Workload, protocol: &str) -> Vec<(u32, f64)> {
    let plan = plan(effort, user, 1).unwrap();
    let cells = plan.waiting.iter().chain(&plan.working).filter(|cell| cell.id.is_like(kind::COST, protocol));
    cells.map(|cell| (cell.clients, f64::from(cell.clients) * work::of(cell).turns_per_s)).collect()
}

#[test]
fn the_cost_of_many_rests_on_three_loads_about_theirs() {
    let user = Workload::default();
    let [fewer, more] = curve(Effort::Default, &user, "websocket")[..] else {
        panic!("two beside the workload")
    };
    assert_eq!((fewer.0, more.0), (1_170, 5_000));
    assert!((more.1 - 50_400.0).abs() < 1.0, "{more:?}");
    // However few there are.
    for users in [10, 200, 1_000, 3_000, 5_000, 20_000] {
        let user = Workload { users: Some(Count(users)), ..Workload::default() };
        for protocol in ["websocket", "sse", "long-poll"] {
            let mut loads: Vec<f64> =
                curve(Effort::Default, &user, protocol).iter().map(|load| load.1).collect();
            // With the workload's own.
            loads.push(1_440.0);
            loads.sort_by(f64::total_cmp);
            let apart = loads.windows(2).all(|pair| pair[1] > 1.4 * pair[0]);
            assert!(loads.len() >= 3 && apart, "{protocol}, {users} users: {loads:?}");
            let asked = f64::from(users) * 7.2;
            assert!(
                loads[loads.len() - 1] >= asked.min(50_000.0) * 0.69,
                "{protocol}, {users} users: {loads:?}"
            );
        }
    }
    // What hears a message a minute is measured at loads that a short window can see.
    let rare = Workload { rate: Some(PerSecond(1.0 / 60.0)), ..Workload::default() };
    let loads = curve(Effort::Default, &rare, "sse");
    assert_eq!(loads.len(), 3, "the workload's own cell has too little: {loads:?}");
    assert!(loads.iter().all(|(_, per_s)| *per_s >= 590.0), "{loads:?}");
    assert!(
        curve(Effort::Default, &user, "webrtc").is_empty() && curve(Effort::Quick, &user, "sse").is_empty()
    );
    assert!(curve(Effort::Default, &user, "short-poll").is_empty());
    let polls = curve(Effort::Full, &user, "short-poll");
    assert!(
        polls.len() >= 2 && polls.iter().all(|(_, per_s)| *per_s <= 410.0) && !polls.is_empty(),
        "{polls:?}"
    );
}

#[test]
fn a_full_matrix_measures_as_many_as_are_asked_for_once() {
    let direct = |effort, users| {
        let plan = plan(effort, &Workload { users, ..Workload::default() }, 1).unwrap();
        plan.working
            .into_iter()
            .filter(|cell| cell.id.is_of(kind::DIRECT))
            .map(|c| c.clients)
            .collect::<Vec<_>>()
    };
    assert_eq!(direct(Effort::Full, None), [10_000]);
    assert_eq!(direct(Effort::Full, Some(Count(20_000))), [20_000]);
    assert!(direct(Effort::Default, None).is_empty());
}

/// The scenario that is called the workload of the matrix is it.
#[test]
fn the_scenario_of_the_matrix_has_its_workload() {
    let scenario = crate::scenario::locate("broadcast").unwrap().parse().unwrap();
    let own = workload(&Workload::default(), 10.0, Headers::Browser);
    assert_eq!(scenario.load.rate, own.load.rate);
    assert_eq!((scenario.load.clients, scenario.load.payload), (own.load.clients, own.load.payload));
}

#[test]
fn whatever_is_published_has_the_time_to_be_fetched() {
    for effort in [Effort::Quick, Effort::Default, Effort::Full] {
        let plan = plan(effort, &Workload::default(), 1).unwrap();
        for cell in plan.waiting.iter().chain(&plan.working).filter(|cell| cell.rate_per_s > 0.0) {
            let polled = !cell.id.protocol.traits.polls || cell.drain_s >= cell.short_poll.interval_s;
            assert!(polled, "{}: {} s", cell.id, cell.drain_s);
        }
    }
}
