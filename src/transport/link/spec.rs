//! What a link is like, as people write it.

use std::fmt;
use std::str::FromStr;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::unit::{BadUnit, BitRate, Percent, Seconds};

/// A link. Its text form is `rtt=40ms,jitter=5ms,loss=0.5%,rate=10mbit`, each part but the first optional, or a preset's name.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct LinkSpec {
    /// Round trip, in ns; half of it in each direction.
    pub rtt_ns: u64,
    /// How far the round trip varies to each side, in ns.
    pub jitter_ns: u64,
    /// Packets lost in each direction, in percent.
    pub loss_percent: f64,
    /// Line rate in each direction; `None` has no limit.
    pub rate: Option<BitRate>,
}

/// A link with a name.
#[derive(Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it stands for, and why these numbers.
    pub about: &'static str,
    /// Its text form.
    pub text: &'static str,
}

/// The links with names. They are round numbers of the right size, for comparison; nobody's own network is one of them.
pub static PRESETS: [Preset; 4] = [
    Preset { name: "loopback", about: "nothing emulated: what the kernel's loopback takes", text: "rtt=0ms" },
    Preset {
        name: "lan",
        about: "a switched network in one building: below a millisecond by wire, a few hops, next to no loss",
        text: "rtt=1ms,jitter=0.2ms,rate=1gbit",
    },
    Preset {
        name: "wan",
        about: "a broadband line to a data centre in the same part of the world, some 2,000 km of fibre and an access network",
        text: "rtt=40ms,jitter=2ms,loss=0.1%,rate=100mbit",
    },
    Preset {
        name: "mobile",
        about: "4G in a town at a busy hour: the radio's scheduling adds delay and makes it vary, handovers lose packets",
        text: "rtt=70ms,jitter=20ms,loss=1%,rate=10mbit",
    },
];

/// Text that is no link, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// Neither a preset nor a list of `key=value`.
    #[error(
        "there is no link '{0}'; there are: loopback, lan, wan, mobile, or rtt=40ms,jitter=5ms,loss=0.5%,rate=10mbit"
    )]
    Unknown(String),
    /// No such property.
    #[error("a link has no '{0}'; it has rtt, jitter, loss and rate")]
    UnknownKey(String),
    /// A property twice.
    #[error("the link says '{0}' twice")]
    Twice(String),
    /// A value that is none.
    #[error("{key} of the link: {error}")]
    Value {
        /// The property.
        key: &'static str,
        /// What is wrong with it.
        error: BadUnit,
    },
    /// It would arrive before it was sent.
    #[error("a jitter of {jitter_ms} ms on a round trip of {rtt_ms} ms: it cannot vary by more than itself")]
    JitterAboveRtt {
        /// The jitter, in ms.
        jitter_ms: f64,
        /// The round trip, in ms.
        rtt_ms: f64,
    },
    /// Nothing would ever arrive.
    #[error("a loss of {0}%: above 50% no connection comes about")]
    TooLossy(f64),
    /// No answer would come within a connection's life.
    #[error("a round trip of {0} s: more than 60 s is no link")]
    TooLong(f64),
}

impl LinkSpec {
    /// Whether there is nothing to emulate.
    pub fn is_loopback(&self) -> bool {
        *self == LinkSpec::default()
    }

    /// The preset's name if it is one, else its text form.
    pub fn label(&self) -> String {
        let preset = PRESETS.iter().find(|preset| preset.text.parse().as_ref() == Ok(self));
        preset.map_or_else(|| self.to_string(), |preset| preset.name.to_owned())
    }

    /// Round trip, in ms.
    pub fn rtt_ms(&self) -> f64 {
        ms(self.rtt_ns)
    }

    /// One end's half of a link between two peers: two of them in a row have its delay, jitter and loss. Each end has a
    /// line of the whole rate, whoever it talks to.
    pub fn halved(&self) -> LinkSpec {
        let arrives = 1.0 - self.loss_percent / 100.0;
        LinkSpec {
            rtt_ns: self.rtt_ns / 2,
            jitter_ns: self.jitter_ns / 2,
            loss_percent: 100.0 * (1.0 - arrives.sqrt()),
            rate: self.rate,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), LinkError> {
        let wrong = |key| move |error| LinkError::Value { key, error };
        let ns = |value: Seconds| (value.0 * 1e9).round() as u64;
        match key {
            "rtt" => self.rtt_ns = value.parse().map(ns).map_err(wrong("rtt"))?,
            "jitter" => self.jitter_ns = value.parse().map(ns).map_err(wrong("jitter"))?,
            "loss" => self.loss_percent = value.parse().map(|p: Percent| p.0).map_err(wrong("loss"))?,
            "rate" => self.rate = Some(value.parse().map_err(wrong("rate"))?),
            _ => return Err(LinkError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    fn check(self) -> Result<LinkSpec, LinkError> {
        match self {
            LinkSpec { rtt_ns, .. } if rtt_ns > 60_000_000_000 => Err(LinkError::TooLong(ms(rtt_ns) / 1e3)),
            LinkSpec { rtt_ns, jitter_ns, .. } if jitter_ns > rtt_ns => {
                Err(LinkError::JitterAboveRtt { jitter_ms: ms(jitter_ns), rtt_ms: ms(rtt_ns) })
            }
            LinkSpec { loss_percent, .. } if loss_percent > 50.0 => Err(LinkError::TooLossy(loss_percent)),
            spec => Ok(spec),
        }
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl FromStr for LinkSpec {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<LinkSpec, LinkError> {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == text.trim()) {
            return preset.text.parse();
        }
        let mut spec = LinkSpec::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| LinkError::Unknown(text.to_owned()))?;
            let key = key.trim();
            spec.set(key, value)?;
            if seen.contains(&key) {
                return Err(LinkError::Twice(key.to_owned()));
            }
            seen.push(key);
        }
        spec.check()
    }
}

/// The canonical text: `loopback`, or every property that is not nothing. Parsed again it is the same link.
impl fmt::Display for LinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_loopback() {
            return f.write_str("loopback");
        }
        write!(f, "rtt={}ms", ms(self.rtt_ns))?;
        if self.jitter_ns > 0 {
            write!(f, ",jitter={}ms", ms(self.jitter_ns))?;
        }
        if self.loss_percent > 0.0 {
            write!(f, ",loss={}%", self.loss_percent)?;
        }
        let Some(BitRate(bits_per_s)) = self.rate else { return Ok(()) };
        let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit"), (1, "bit")];
        let unit = units.iter().find(|(size, _)| bits_per_s % size == 0);
        unit.map_or(Ok(()), |(size, name)| write!(f, ",rate={}{name}", bits_per_s / size))
    }
}

impl Serialize for LinkSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LinkSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = LinkSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a link such as wan or rtt=40ms,loss=1%")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LinkSpec, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
impl JsonSchema for LinkSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LinkSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "loopback, lan, wan, mobile, or rtt=40ms,jitter=5ms,loss=0.5%,rate=10mbit"
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_links_like_this() {
        let spec: LinkSpec = "rtt=40ms, jitter=5ms,loss=0.5%,rate=10mbit".parse().unwrap();
        assert_eq!((spec.rtt_ns, spec.jitter_ns, spec.loss_percent), (40_000_000, 5_000_000, 0.5));
        assert_eq!(spec.rate, Some(BitRate(10_000_000)));
        assert_eq!(spec.to_string(), "rtt=40ms,jitter=5ms,loss=0.5%,rate=10mbit");
        for preset in &PRESETS {
            let spec: LinkSpec = preset.name.parse().unwrap();
            assert_eq!(spec.label(), preset.name);
            assert_eq!(spec.to_string().parse::<LinkSpec>().unwrap().label(), preset.name);
        }
        assert_eq!("loopback".parse(), Ok(LinkSpec::default()));
        assert_eq!("rtt=0s".parse::<LinkSpec>().unwrap().to_string(), "loopback");
    }

    #[test]
    fn what_is_no_link_is_said_with_what_would_be() {
        let error = |text: &str| text.parse::<LinkSpec>().unwrap_err();
        assert_eq!(error("5g"), LinkError::Unknown("5g".into()));
        assert_eq!(error("rtt=40ms,delay=1ms"), LinkError::UnknownKey("delay".into()));
        assert_eq!(error("rtt=40ms,rtt=1ms"), LinkError::Twice("rtt".into()));
        assert_eq!(
            error("rtt=40").to_string(),
            "rtt of the link: '40' is not a time such as 250ms, 30s or 5min, up to a year"
        );
        assert!(matches!(error("rtt=1ms,jitter=2ms"), LinkError::JitterAboveRtt { .. }));
        assert!(matches!(error("loss=60%"), LinkError::TooLossy(_)));
        assert!(matches!(error("rtt=2min"), LinkError::TooLong(_)));
        assert!(matches!(error(""), LinkError::Unknown(_)));
    }

    #[test]
    fn two_halves_are_a_whole() {
        let half = "rtt=40ms,jitter=4ms,loss=19%,rate=10mbit".parse::<LinkSpec>().unwrap().halved();
        assert_eq!((half.rtt_ns, half.jitter_ns), (20_000_000, 2_000_000));
        assert!((half.loss_percent - 10.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_the_same_link(rtt_us in 0u64..60_000_000, jitter in 0.0..1.0f64, loss in 0.0..50.0f64,
                                               rate in proptest::option::of(1u64..1_000_000_000_000)) {
            let rtt_ns = rtt_us * 1_000;
            let jitter_ns = (rtt_ns as f64 * jitter) as u64;
            let spec = LinkSpec { rtt_ns, jitter_ns, loss_percent: loss, rate: rate.map(BitRate) };
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<LinkSpec>();
        }
    }
}
