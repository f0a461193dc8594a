#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn all_protocols_carry_the_same_workload() {
    let plan = plan(Effort::Default, &Workload::default(), 1).unwrap();
    let cells = plan.waiting.iter().chain(&plan.working);
    let loads: Vec<_> = cells
        .filter(|cell| cell.name.starts_with("workload/"))
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
        let workloads = cells.filter(|cell| cell.name.starts_with("workload/"));
        workloads.map(|cell| (cell.name.clone(), cell.link.clone())).collect()
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
        plan.probes.iter().filter(|cell| cell.name.starts_with("browser/")).count()
    };
    assert_eq!([Effort::Quick, Effort::Default, Effort::Full].map(browsers), [0, 0, 5]);
}

#[test]
fn a_linked_cell_leaves_time_between_messages_and_sees_enough_of_them() {
    let user = Workload { clients: Some(Count(20)), ..Workload::default() };
    let cell = linked(&user, "rtt=500ms".parse().unwrap(), "short-poll", 1).unwrap();
    assert_eq!((cell.rate_per_s, cell.poll_interval_s), (0.25, 4.0 * GOLDEN_SECTION));
    // A fresh poll takes two round trips.
    assert!(cell.poll_interval_s > 2.0 * 0.5);
    assert!(cell.duration_s * cell.rate_per_s * 2.0 >= LINKED_EVENTS);
}
