//! What a sweep makes of a scenario, and what it refuses.
#![allow(clippy::unwrap_used)]

use super::*;

const FILE: &str = r#"
about = "A chat"
[load]
protocols = ["short-poll", "websocket"]
clients = 20
group = 20
rate = "1/s"
duration = "1s"
[thresholds]
latency = ["p(95)<1s"]
"#;

fn planned(sweeps: &[&str]) -> Result<Vec<CellSpec>, String> {
    let source = Source { name: "chat".into(), origin: "chat.toml".into(), text: FILE.into() };
    let sweeps: Vec<Sweep> = sweeps.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let sweeps = merged(&sweeps).map_err(|error| error.to_string())?;
    let variants = variants(&source, &sweeps).map_err(|error| error.to_string())?;
    assert!(variants.iter().all(|variant| variant.scenario.thresholds.len() == 1), "thresholds stay");
    let cells = cells(&variants, 7).map_err(|error| error.to_string())?;
    Ok(cells.into_iter().map(|cell| cell.spec).collect())
}

fn names(sweeps: &[&str]) -> Vec<String> {
    planned(sweeps).unwrap().into_iter().map(|cell| cell.id.to_string()).collect()
}

#[test]
fn a_value_of_one_protocol_makes_cells_of_that_protocol_alone() {
    let cells = planned(&["poll=1s,5s,30s"]).unwrap();
    let named: Vec<(String, f64)> =
        cells.iter().map(|cell| (cell.id.to_string(), cell.short_poll.interval_s)).collect();
    let named: Vec<(&str, f64)> = named.iter().map(|(name, s)| (&**name, *s)).collect();
    assert_eq!(
        named[..3],
        [("short-poll/poll=1s", 1.0), ("short-poll/poll=5s", 5.0), ("short-poll/poll=30s", 30.0)]
    );
    assert_eq!((named.len(), named[3].0), (4, "websocket"));
}

#[test]
fn sweeps_multiply_and_links_stay_at_the_end_of_names() {
    let found = names(&[
        "short_poll.keep_alive=true,false",
        "headers=minimal,browser",
        "link=loopback;rtt=40ms,loss=1%",
    ]);
    assert_eq!(found.len(), 16);
    assert_eq!(found[0], "short-poll/keep_alive=true/headers=minimal@loopback");
    assert_eq!(found[3], "short-poll/keep_alive=true/headers=browser@rtt=40ms,loss=1%");
    assert!(found[8..].iter().all(|name| name.starts_with("websocket/")), "{found:?}");
}

#[test]
fn what_is_a_list_in_the_file_becomes_one() {
    let cells = planned(&["clients=10,1k", "load.payload=100B,1KB", "protocol=sse"]).unwrap();
    let names: Vec<String> = cells.iter().map(|c| c.id.to_string()).collect();
    let found: Vec<(&str, u32, u32, u32)> =
        cells.iter().zip(&names).map(|(c, name)| (&**name, c.clients, c.payload_bytes, c.group)).collect();
    assert_eq!(
        found,
        [
            ("sse/10/100B", 10, 100, 10),
            ("sse/10/1000B", 10, 1000, 10),
            ("sse/1000/100B", 1000, 100, 1000),
            ("sse/1000/1000B", 1000, 1000, 1000),
        ],
        "a group that was everybody stays everybody"
    );
}

#[test]
fn a_key_may_come_twice_and_a_single_value_may_hold_commas() {
    assert_eq!(
        names(&["hold=1s", "hold=2s", "protocol=long-poll"]),
        ["long-poll/hold=1s", "long-poll/hold=2s"]
    );
    let one = planned(&["link=rtt=40ms,loss=1%;", "protocol=sse"]).unwrap();
    assert_eq!((one.len(), &*one[0].link.to_string()), (1, "rtt=40ms,loss=1%"));
}

#[test]
fn values_are_what_they_look_like() {
    let cells = planned(&["protocol=webrtc", "webrtc.max_retransmits=0,2", "webrtc.ordered=false"]).unwrap();
    let found: Vec<_> = cells.iter().map(|cell| (cell.webrtc.max_retransmits, cell.webrtc.ordered)).collect();
    assert_eq!(found, [(Some(0), false), (Some(2), false)]);
    assert_eq!(cells[1].id.to_string(), "webrtc/max_retransmits=2/ordered=false");
}

#[test]
fn a_ramp_in_a_name_is_no_further_part_of_it() {
    assert_eq!(names(&["ramp=100/s,1k/s"])[0], "short-poll/ramp=100per_s");
}

#[test]
fn what_is_wrong_names_the_key_and_what_would_be_right() {
    for (sweep, messages) in [
        ("poll", vec!["KEY=V1,V2"]),
        ("poll=", vec!["short_poll.interval has no value"]),
        ("pol=1s", vec!["there is no key 'pol'", "poll", "webrtc.ordered"]),
        (
            "short_pol.interval=1s",
            vec!["--sweep short_pol.interval=1s", "unknown field `short_pol`", "short_poll"],
        ),
        ("short_poll.intervall=1s", vec!["unknown field `intervall`", "`interval`"]),
        ("poll=1s,5 parsecs", vec!["short_poll.interval=5 parsecs", "a time such as 250ms"]),
        ("poll=0s", vec!["with poll=0s", "short_poll.interval must be above zero"]),
        ("clients=many", vec!["load.clients=many", "a count such as 5000"]),
        ("load.binary=maybe", vec!["load.binary=maybe", "boolean"]),
        ("about.x=1", vec!["'about' is no section"]),
        ("thresholds.latency=1", vec!["change nothing"]),
        ("protocol=pigeon", vec!["there is no protocol 'pigeon'"]),
        ("link=rtt=40ms,loss=1%", vec!["separate the values by ';'"]),
        ("poll=1s,1s", vec!["1s stands there twice"]),
        ("clients=1k,1000", vec!["two cells would be 'short-poll/1000'"]),
        ("webrtc.ordered=true,false", vec!["only webrtc heeds it"]),
    ] {
        let error = planned(&[sweep]).unwrap_err();
        for message in messages {
            assert!(error.contains(message), "{sweep}: {error}");
        }
    }
}
