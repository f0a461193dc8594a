#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::scenario;

fn steps(words: &str, slos: &[&str]) -> Result<Steps, ScenarioError> {
    let words = ["rtbench", "capacity"].into_iter().chain(words.split_whitespace());
    let Command::Capacity(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not capacity") };
    let mut scenario = scenario::locate(&args.scenario).unwrap().parse().unwrap();
    if let Some(rate) = args.workload.rate {
        scenario.load.rate = OneOrMany(vec![rate]);
    }
    let slos = slos.iter().map(|text| Slo::parse(text).unwrap()).collect();
    Steps::new(scenario, slos, &args, 7)
}

fn error(words: &str, slos: &[&str]) -> String {
    steps(words, slos).err().unwrap().to_string()
}

#[test]
fn groups_keep_their_size_and_an_audience_stays_one() {
    let groups = steps("broadcast", &["latency med<1s"]).unwrap();
    assert_eq!((groups.plan.from, groups.plan.quantum), (200.0, 10.0));
    let spec = groups.spec("sse", 400.0, false).unwrap();
    assert_eq!((spec.clients, spec.group, &*spec.id.to_string()), (400, 10, "capacity/sse/400"));
    let audience = steps("fanout", &["latency max<1s"]).unwrap();
    assert_eq!((audience.plan.quantum, audience.plan.least), (1.0, 2.0));
    let spec = audience.spec("sse", 3_000.0, true).unwrap();
    assert_eq!((spec.clients, spec.group, &*spec.id.to_string()), (3_000, 3_000, "capacity/sse/3000/again"));
}

#[test]
fn a_rate_varies_instead() {
    let rates = steps("echo --vary rate", &["lost count==0"]).unwrap();
    assert_eq!((rates.plan.from, rates.plan.least, rates.plan.max), (5.0, 0.009766, 100_000.0));
    let spec = rates.spec("websocket", 12.5, false).unwrap();
    assert_eq!(
        (spec.clients, spec.rate_per_s, &*spec.id.to_string()),
        (100, 12.5, "capacity/websocket/12.5per_s")
    );
    assert_eq!(steps("echo --vary rate --from 1/s --max 4/s", &[]).unwrap().plan.least, 1.0);
}

#[test]
fn windows_are_as_long_as_percentiles_need() {
    // 20 groups with an event a second each: a thousand events and a margin take 58 s.
    let p99 = steps("broadcast --rate 1/s --budget 1h", &["latency p(99)<1s"]).unwrap();
    let length = |load| p99.spec("sse", load, false).unwrap().duration_s;
    assert_eq!((length(200.0), length(2_000.0), length(20_000.0)), (57.906, 5.791, SHORTEST_S));
    assert_eq!(p99.plan.least, 200.0, "less would take longer than a default may");
    let given = steps("broadcast --rate 1/s -z 90s --budget 1h", &["latency p(99)<1s"]).unwrap();
    assert_eq!(given.spec("sse", 200.0, false).unwrap().duration_s, 90.0);
}

#[test]
fn the_default_asks_for_what_the_workload_can_tell() {
    let asked = |words: &str| steps(words, &[]).unwrap().slos[0].threshold.to_string();
    assert_eq!(asked("echo"), "latency: p(99)<200ms");
    assert_eq!(asked("broadcast --rate 1/s"), "latency: p(95)<200ms");
    assert_eq!(asked("fanout"), "latency: max<200ms");
    assert_eq!(steps("echo", &[]).unwrap().plan.least, 13.0, "1,158 events in 30 s at 5 a second");
}

#[test]
fn what_cannot_be_searched_is_said_with_what_to_do() {
    for (words, slos, message) in [
        ("echo --from 10 --max 5", &[][..], "--max: 5 is less than the start, 10 clients"),
        ("echo --from 5/s", &[], "--from: '5/s' is not a count"),
        ("echo --vary rate --from 10", &[], "--from: '10' is not a frequency"),
        ("echo --from 0", &[], "a search cannot start from 0"),
        ("broadcast --from 5", &[], "a group has 10 clients"),
        ("echo --resolution 0.1%", &[], "--resolution: from 1% to 100%"),
        ("broadcast -z 2s", &["latency p(99)<1s"], "a step of 2 s is too short"),
        ("fanout", &["latency p(99)<1s"], "needs 1000 distinct events, and 1,000 clients make 1.0 a second"),
        ("echo --budget 10s", &["lost count==0"], "or raise --budget"),
        ("idle -z 10min", &["lost count==0"], "shorten --duration"),
    ] {
        let said = error(words, slos);
        assert!(said.contains(message), "{words}: {said}");
    }
}
