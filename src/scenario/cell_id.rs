//! Which cell of a run it is, in types. The name that people read is made here and nowhere else, and only here are the
//! names of older records, which had nothing else, taken apart.

use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::Protocol;
use crate::transport::link::LinkSpec;

/// Unique in a run, but for repetitions of the same cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellId {
    /// On which of two servers that are compared.
    pub side: Option<Side>,
    /// What the cell is for, where that is not the scenario itself.
    pub kind: Option<Kind>,
    /// What its clients speak.
    pub protocol: &'static Protocol,
    /// What tells it from other cells of its kind and protocol.
    pub axes: Vec<Axis>,
    /// Its kind is all of its name, in a record that somebody else wrote.
    pub is_nameless: bool,
}

/// One of two servers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// What it is compared with.
    Base,
    /// What changed.
    New,
}

impl Side {
    /// Both, in the order of reports.
    pub const BOTH: [Side; 2] = [Side::Base, Side::New];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Side::Base => "base",
            Side::New => "new",
        }
    }
}

/// What a cell is for, e.g. `memory`. A word of whoever planned it: the core only hands it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Kind(pub Cow<'static, str>);

impl Kind {
    /// The kind of this name.
    pub const fn new(name: &'static str) -> Kind {
        Kind(Cow::Borrowed(name))
    }
}

/// A value of one of the things that a run varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// How many: clients, or what else its kind counts.
    Count(u32),
    /// Events per second of each publisher.
    RatePerS(f64),
    /// Size of an event's payload, in bytes.
    PayloadBytes(u32),
    /// A key of the scenario with the value that was swept over, as typed.
    Setting(String),
    /// Not the first measurement at this place of a search.
    Again,
    /// The emulated network.
    Link(LinkSpec),
}

/// Which cell is asked for: one of a kind and protocol without any axes but these.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    /// What it is for.
    pub kind: &'a str,
    /// Name of its protocol.
    pub protocol: &'a str,
    /// Its axes.
    pub axes: &'a [Axis],
}

impl CellId {
    /// The only cell of a protocol.
    pub const fn of(protocol: &'static Protocol) -> CellId {
        CellId { side: None, kind: None, protocol, axes: Vec::new(), is_nameless: false }
    }

    /// Another kind of cell, with the same axes.
    pub fn with_kind(mut self, kind: impl Into<Cow<'static, str>>) -> CellId {
        self.kind = Some(Kind(kind.into()));
        self
    }

    /// One more axis.
    pub fn with(mut self, axis: Axis) -> CellId {
        self.axes.push(axis);
        self
    }

    /// The same on one of two servers.
    pub fn on(mut self, side: Side) -> CellId {
        self.side = Some(side);
        self
    }

    /// What was measured on either side, if it is a side's.
    pub fn sided(&self) -> Option<(Side, CellId)> {
        let side = self.side?;
        Some((side, CellId { side: None, ..self.clone() }))
    }

    /// Whether it is of this kind.
    pub fn is_of(&self, kind: &str) -> bool {
        self.side.is_none() && self.kind.as_ref().is_some_and(|own| own.0 == kind)
    }

    /// Whether it is of this kind and protocol, whatever its axes.
    pub fn is_like(&self, kind: &str, protocol: &str) -> bool {
        self.is_of(kind) && self.protocol.name == protocol
    }

    /// Whether it is the one that is asked for.
    pub fn is(&self, which: Which<'_>) -> bool {
        self.is_like(which.kind, which.protocol) && self.axes == which.axes
    }

    /// Whether this is its name.
    pub fn is_named(&self, word: &str) -> bool {
        self.to_string() == word
    }

    /// Whether a text names it, itself or with what it begins with and a `*`.
    pub fn is_mentioned_in(&self, text: &str) -> bool {
        let name = self.to_string();
        text.split([' ', ',']).any(|word| {
            let begins = |start: &str| !start.is_empty() && name.starts_with(start);
            word == name || word.strip_suffix('*').is_some_and(begins)
        })
    }

    /// The emulated network that is one of its axes.
    pub fn link(&self) -> Option<LinkSpec> {
        self.axes.iter().find_map(|axis| match axis {
            Axis::Link(link) => Some(*link),
            _ => None,
        })
    }

    /// From the name of an older record: `[SIDE/][KIND/]PROTOCOL[/AXIS...][@LINK]`.
    pub fn read(name: &str, protocol: &'static Protocol) -> CellId {
        let (before_link, link) = name.split_once('@').map_or((name, None), |(a, b)| (a, Some(b)));
        let mut parts: Vec<&str> = before_link.split('/').collect();
        let side = Side::BOTH.into_iter().find(|side| parts.len() > 1 && side.word() == parts[0]);
        parts.drain(..usize::from(side.is_some()));
        let at = parts.iter().position(|part| *part == protocol.name);
        let kind = parts[..at.unwrap_or(parts.len())].join("/");
        let kind = (!kind.is_empty()).then(|| Kind(kind.into()));
        let axes = parts.iter().skip(at.map_or(parts.len(), |at| at + 1)).map(|part| Axis::read(part));
        let link = link.map(|text| text.parse().map_or_else(|_| Axis::Setting(text.into()), Axis::Link));
        CellId { side, kind, protocol, axes: axes.chain(link).collect(), is_nameless: at.is_none() }
    }
}

impl Axis {
    fn read(part: &str) -> Axis {
        if part == "again" {
            return Axis::Again;
        }
        let rate = part.strip_suffix("per_s").and_then(|number| number.parse().ok()).map(Axis::RatePerS);
        let payload =
            || part.strip_suffix('B').and_then(|number| number.parse().ok()).map(Axis::PayloadBytes);
        let clients = || part.parse().ok().map(Axis::Count);
        rate.or_else(payload).or_else(clients).unwrap_or_else(|| Axis::Setting(part.to_owned()))
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(side) = self.side {
            write!(f, "{}/", side.word())?;
        }
        let kind = self.kind.as_ref().map(|kind| &*kind.0);
        let protocol = Some(self.protocol.name).filter(|_| !self.is_nameless);
        write(f, kind, protocol, &self.axes)
    }
}

impl fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, Some(self.kind), Some(self.protocol), self.axes)
    }
}

fn write(
    f: &mut fmt::Formatter<'_>,
    kind: Option<&str>,
    protocol: Option<&str>,
    axes: &[Axis],
) -> fmt::Result {
    f.write_str(kind.unwrap_or_default())?;
    if kind.is_some() && protocol.is_some() {
        f.write_str("/")?;
    }
    f.write_str(protocol.unwrap_or_default())?;
    axes.iter().filter(|axis| !matches!(axis, Axis::Link(_))).try_for_each(|axis| write!(f, "/{axis}"))?;
    axes.iter().filter(|axis| matches!(axis, Axis::Link(_))).try_for_each(|axis| write!(f, "@{axis}"))
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Axis::Count(clients) => write!(f, "{clients}"),
            Axis::RatePerS(rate) => write!(f, "{rate}per_s"),
            Axis::PayloadBytes(bytes) => write!(f, "{bytes}B"),
            Axis::Setting(text) => f.write_str(text),
            Axis::Again => f.write_str("again"),
            Axis::Link(link) => f.write_str(&link.label()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol;
    use proptest::prelude::*;

    #[test]
    fn names_of_older_records_are_understood() {
        for name in [
            "websocket",
            "websocket/500/10per_s/0.5per_s/100B@wan",
            "websocket/hold=5s@rtt=100ms",
            "workload/websocket",
            "workload/websocket@lan",
            "memory-tls/websocket/300",
            "capacity/websocket/200/again",
            "base/websocket/20",
            "new/same-001/websocket",
            "million/websocket",
            "somebody else's",
            "base/somebody else's@wan",
        ] {
            let id = CellId::read(name, protocol::find("websocket").unwrap());
            assert_eq!(id.to_string(), name);
            assert!(!id.axes.iter().any(|axis| matches!(axis, Axis::Setting(text) if !text.contains('='))));
        }
        let id = CellId::read("memory/websocket/300", protocol::find("websocket").unwrap());
        assert!(id.is(Which { kind: "memory", protocol: "websocket", axes: &[Axis::Count(300)] }));
        assert!(id.is_like("memory", "websocket") && !id.is_like("memory", "sse"));
    }

    fn axis() -> impl Strategy<Value = Axis> {
        let links = ["wan", "rtt=3s", "rtt=40ms,loss=1%"].map(|text| Axis::Link(text.parse().unwrap()));
        prop_oneof![
            any::<u32>().prop_map(Axis::Count),
            (0u32..1000).prop_map(|tenths| Axis::RatePerS(f64::from(tenths) / 10.0)),
            any::<u32>().prop_map(Axis::PayloadBytes),
            "[a-z_.]{1,9}=[a-z0-9]{1,5}".prop_map(Axis::Setting),
            Just(Axis::Again),
            proptest::sample::select(links.to_vec()),
        ]
    }

    proptest! {
        /// What is printed is told apart: who has the name knows the cell.
        #[test]
        fn what_is_printed_is_read_again(side in any::<Option<bool>>(), kind in "([a-m]{4,9}(-[0-9]{3})?)?",
                                         mut axes in proptest::collection::vec(axis(), 0..4)) {
            // One link at most, at the end.
            axes.sort_by_key(|axis| matches!(axis, Axis::Link(_)));
            let links = axes.iter().filter(|axis| matches!(axis, Axis::Link(_))).count();
            axes.truncate(axes.len() - links.saturating_sub(1));
            let id = CellId {
                side: side.map(|new| if new { Side::New } else { Side::Base }),
                kind: (!kind.is_empty()).then(|| Kind(kind.into())),
                protocol: protocol::find("long-poll").unwrap(),
                axes,
                is_nameless: false,
            };
            prop_assert_eq!(CellId::read(&id.to_string(), id.protocol), id);
        }
    }
}
