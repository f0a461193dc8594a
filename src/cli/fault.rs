//! The defects that the reference server can be given, one table: `serve --fault`, `--server-fault` of the verbs that start
//! it, and the help of both.

use std::str::FromStr;
use std::time::Duration;

use reference_server::Faults;

use crate::protocol::Protocol;
use crate::scenario::ScenarioError;
use crate::scenario::spec::CellSpec;
use crate::unit::{Bytes, Count, Seconds};

/// A kind of defect.
struct Kind {
    name: &'static str,
    /// What stands behind the equals sign, for help.
    size: &'static str,
    /// What it does, in one line.
    about: &'static str,
    /// Gives the server so much of it.
    set: fn(&mut Faults, &str) -> Result<(), String>,
    /// Why a protocol does not feel it, where it does not.
    misses: fn(&Protocol) -> Option<&'static str>,
}

#[rustfmt::skip]
static KINDS: &[Kind] = &[
    Kind { name: "framing", size: "N", about: "N more bytes of framing for each delivered message", misses: fixed_framing, set: |faults, size| put(&mut faults.framing_bytes, bytes(size)) },
    Kind { name: "delay", size: "TIME", about: "each message is held this long before it is delivered", misses: none, set: |faults, size| put(&mut faults.delay, time(size)) },
    Kind { name: "ballast", size: "SIZE", about: "each connection holds this much more memory", misses: none, set: |faults, size| put(&mut faults.ballast_bytes, bytes(size)) },
    Kind { name: "drop", size: "N", about: "one in N messages vanishes", misses: none, set: |faults, size| put(&mut faults.drop_one_in, one_in(size)) },
    Kind { name: "duplicate", size: "N", about: "one in N messages is delivered twice", misses: none, set: |faults, size| put(&mut faults.duplicate_one_in, one_in(size)) },
    Kind { name: "swap", size: "N", about: "one in N messages changes places with the next of its topic", misses: none, set: |faults, size| put(&mut faults.swap_one_in, one_in(size)) },
    Kind { name: "corrupt", size: "N", about: "one in N messages is delivered with a byte changed", misses: none, set: |faults, size| put(&mut faults.corrupt_one_in, one_in(size)) },
    Kind { name: "reject", size: "N", about: "one in N messages is refused (503; a channel is closed)", misses: none, set: |faults, size| put(&mut faults.reject_one_in, one_in(size)) },
    Kind { name: "refuse-binary", size: "1", about: "binary messages are refused (415; a channel is closed)", misses: none, set: |faults, size| put(&mut faults.refuse_binary, one(size)) },
    Kind { name: "spin", size: "TIME", about: "this much CPU is burnt for each delivered message", misses: none, set: |faults, size| put(&mut faults.spin, time(size)) },
    Kind { name: "cut", size: "N", about: "a connection is cut once it has delivered N messages", misses: none, set: |faults, size| put(&mut faults.cut_after, at_least_one(size).map(Some)) },
    Kind { name: "refuse", size: "N", about: "N connections may subscribe or poll on; later ones get 503", misses: none, set: |faults, size| put(&mut faults.refuse_after, count(size).map(|n| Some(n.into()))) },
    Kind { name: "answer-delay", size: "TIME", about: "a publish request is acted on at once and answered this much later", misses: unanswered, set: |faults, size| put(&mut faults.answer_delay, time(size)) },
];

fn none(_: &Protocol) -> Option<&'static str> {
    None
}

fn fixed_framing(protocol: &Protocol) -> Option<&'static str> {
    (protocol.name == "webrtc").then_some("the framing of a data channel cannot grow")
}

fn unanswered(protocol: &Protocol) -> Option<&'static str> {
    protocol.traits.in_band.then_some("what is published there is not answered")
}

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn parsed<T: FromStr<Err: ToString>>(size: &str) -> Result<T, String> {
    size.parse().map_err(|error: T::Err| error.to_string())
}

fn count(size: &str) -> Result<u32, String> {
    Ok(parsed::<Count>(size)?.0)
}

fn at_least_one(size: &str) -> Result<u32, String> {
    count(size).and_then(|n| if n > 0 { Ok(n) } else { Err("it must be 1 or more".to_owned()) })
}

fn one_in(size: &str) -> Result<Option<u64>, String> {
    Ok(Some(at_least_one(size)?.into()))
}

fn one(size: &str) -> Result<bool, String> {
    if size == "1" { Ok(true) } else { Err("it is on (1), or left out".to_owned()) }
}

fn bytes(size: &str) -> Result<usize, String> {
    Ok(parsed::<Bytes>(size)?.0 as usize)
}

fn time(size: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(parsed::<Seconds>(size)?.0))
}

/// One `--fault`.
#[derive(Clone)]
pub struct Fault {
    /// As written, to be handed on.
    pub text: String,
    kind: &'static Kind,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (name, size) = text.split_once('=').ok_or("a fault is written KIND=SIZE, e.g. delay=10ms")?;
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("there is no fault '{name}'; see `rtbench serve --help`"))?;
        (kind.set)(&mut Faults::default(), size)?;
        Ok(Fault { text: text.to_owned(), kind })
    }
}

/// A server with all of them.
pub(crate) fn faults(list: &[Fault]) -> Faults {
    let mut faults = Faults::default();
    for fault in list {
        if let Some((_, size)) = fault.text.split_once('=') {
            // It was understood when it was parsed.
            let _ = (fault.kind.set)(&mut faults, size);
        }
    }
    faults
}

/// The kinds, for `--help`.
pub fn help() -> String {
    let mut help = String::from(
        "A defect of known size, to prove that a measurement notices it; may be repeated. What happens to \
         messages happens to events and to echoes, on every protocol; N is 1 or more:",
    );
    for Kind { name, size, about, .. } in KINDS {
        help += &format!("\n  {:<18}{about}", format!("{name}={size}"));
    }
    help
}

/// Why this cell does not feel the fault, where it does not.
fn missed(fault: &Fault, spec: &CellSpec) -> Option<&'static str> {
    if spec.webrtc.peer_to_peer {
        return Some("its clients connect to each other, and no message passes the server");
    }
    (fault.kind.misses)(spec.id.protocol)
}

/// A cell that does not feel a fault.
pub(crate) struct Unfelt<'a> {
    fault: &'a Fault,
    spec: &'a CellSpec,
    why: &'static str,
}

impl Unfelt<'_> {
    /// For people, of a cell or of all cells of its protocol.
    fn say(&self, of: &str) -> String {
        format!("{} does nothing to {of}: {}", self.fault.text, self.why)
    }

    /// As a note beside other cells.
    pub(crate) fn note(&self) -> String {
        format!("note: {}", self.say(&self.spec.id.to_string()))
    }
}

/// Faults that some of these cells do not feel; of each protocol the first.
pub(crate) fn unfelt<'a>(faults: &'a [Fault], specs: impl Iterator<Item = &'a CellSpec>) -> Vec<Unfelt<'a>> {
    let mut all: Vec<Unfelt<'a>> = Vec::new();
    for spec in specs {
        for fault in faults {
            let known = |other: &Unfelt<'_>| {
                other.fault.text == fault.text && other.spec.id.protocol.name == spec.id.protocol.name
            };
            if let Some(why) = missed(fault, spec).filter(|_| !all.iter().any(known)) {
                all.push(Unfelt { fault, spec, why });
            }
        }
    }
    all
}

/// Refuses faults that some of these cells do not feel: a run with one would seem to be one without.
///
/// # Errors
/// There is such a cell.
pub(crate) fn check<'a>(
    faults: &'a [Fault],
    specs: impl Iterator<Item = &'a CellSpec>,
) -> Result<(), ScenarioError> {
    let unfelt = unfelt(faults, specs);
    if unfelt.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = unfelt.iter().map(|unfelt| unfelt.say(unfelt.spec.id.protocol.name)).collect();
    Err(ScenarioError::Invalid(format!(
        "--server-fault {}; choose other protocols with -p, or for data channels webrtc.topology = \"server\"",
        told.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Each kind with a size that it takes.
    fn examples() -> Vec<String> {
        let size = |kind: &Kind| match kind.size {
            "TIME" => "10ms",
            "SIZE" => "4KiB",
            "1" => "1",
            _ => "3",
        };
        KINDS.iter().map(|kind| format!("{}={}", kind.name, size(kind))).collect()
    }

    #[test]
    fn each_kind_sets_something_and_stands_in_help_in_the_servers_readme_and_in_the_tests() {
        let readme = include_str!("../../reference-server/README.md");
        let measured = include_str!("../../tests/known_faults.rs");
        let none = format!("{:?}", Faults::default());
        for (text, kind) in examples().iter().zip(KINDS) {
            let fault: Fault = text.parse().unwrap();
            assert_ne!(format!("{:?}", faults(&[fault])), none, "{text}");
            assert!(help().contains(&format!("  {}={} ", kind.name, kind.size)), "{text}");
            assert!(readme.contains(&format!("| `{}={}` |", kind.name, kind.size)), "{text}");
            assert!(measured.contains(&format!("&[\"{}=", kind.name)), "{text} is on no protocol");
        }
    }

    #[test]
    fn what_is_no_fault_is_told() {
        let told = |text: &str| text.parse::<Fault>().err().unwrap();
        assert_eq!(told("delay"), "a fault is written KIND=SIZE, e.g. delay=10ms");
        assert_eq!(told("late=1s"), "there is no fault 'late'; see `rtbench serve --help`");
        assert_eq!(told("drop=0"), "it must be 1 or more");
        assert!(told("delay=10").starts_with("'10' is not a time"), "{}", told("delay=10"));
        assert_eq!(told("refuse-binary=0"), "it is on (1), or left out");
        assert!("refuse=0".parse::<Fault>().is_ok(), "nobody is let in");
    }

    #[test]
    fn what_a_cell_does_not_feel_is_told_once() {
        let spec = |protocol: &str, peer_to_peer| {
            let mut spec = crate::measure::sample::cell(&format!("workload/{protocol}")).build().spec;
            spec.webrtc.peer_to_peer = peer_to_peer;
            spec
        };
        let all: Vec<Fault> = examples().iter().map(|text| text.parse().unwrap()).collect();
        let told = |spec: CellSpec| unfelt(&all, [&spec, &spec].into_iter()).len();
        assert_eq!(told(spec("webrtc", true)), KINDS.len(), "peers");
        assert_eq!(told(spec("webrtc", false)), 2, "framing, answer-delay");
        assert_eq!(told(spec("websocket", false)), 1, "answer-delay");
        for protocol in ["short-poll", "long-poll", "sse"] {
            assert_eq!(told(spec(protocol, false)), 0, "{protocol}");
        }
        let (drop, peers) = (["drop=10".parse().unwrap()], spec("webrtc", true));
        let note = unfelt(&drop, [&peers].into_iter())[0].note();
        assert!(note.starts_with("note: drop=10 does nothing to workload/webrtc: its clients"), "{note}");
        let message = check(&drop, [&peers].into_iter()).unwrap_err().to_string();
        let begins = "--server-fault drop=10 does nothing to webrtc: its clients connect to each other";
        assert!(message.starts_with(begins), "{message}");
    }
}
