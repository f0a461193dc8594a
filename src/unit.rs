//! Numbers as people write them: `10k` clients, `250ms`, `1/50s`, `400B`. One parser for files and flags.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// A count: `5000`, `10k`, `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

/// A time, in seconds: `250ms`, `30s`, `5min`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

/// A frequency, per second: `20/s`, `1/min`, `1/50s`, `0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerSecond(pub f64);

/// A size, in bytes: `100`, `400B`, `64KB` (1,000), `64KiB` (1,024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u32);

/// A share of one: `0.5%`, `0`. Kept as the percentage that people wrote, so that it is printed as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

/// A data rate, in bits per second: `64kbit`, `10mbit`, `1gbit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRate(pub u64);

/// Text that is not such a number, and what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {expected}")]
pub struct BadUnit {
    text: String,
    expected: &'static str,
}

/// The leading decimal number of `text`, and the trimmed rest.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let number: f64 = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim()))
}

/// A whole number of units, if it is one and fits.
fn whole(value: f64) -> Option<u32> {
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
}

fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = split_number(text)?;
    let factor = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number * factor).filter(|seconds| *seconds <= LONGEST_S)
}

/// A year. What a clock's arithmetic can still bear lies far beyond, what a person may mean does not.
const LONGEST_S: f64 = 366.0 * 86_400.0;

/// The highest frequency, per second: more than one client can keep to.
const OFTENEST_PER_S: f64 = 1e6;

/// A unit with the text that describes it and the parser that reads it.
pub trait Unit: Sized {
    /// What an error says was expected.
    const EXPECTED: &'static str;
    /// Reads the unit.
    fn read(text: &str) -> Option<Self>;
}

impl Unit for Count {
    const EXPECTED: &'static str = "a count such as 5000, 10k or 1m";
    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let factor = match unit {
            "" => 1.0,
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            _ => return None,
        };
        whole((number * factor * 1e3).round() / 1e3).map(Count)
    }
}

impl Unit for Seconds {
    const EXPECTED: &'static str = "a time such as 250ms, 30s or 5min, up to a year";
    fn read(text: &str) -> Option<Self> {
        seconds(text).map(Seconds)
    }
}

impl Unit for PerSecond {
    const EXPECTED: &'static str = "a frequency such as 20/s, 1/min, 1/50s or 0, up to 1m/s";
    fn read(text: &str) -> Option<Self> {
        let Some((number, per)) = text.split_once('/') else {
            return (text.trim() == "0").then_some(PerSecond(0.0));
        };
        let (number, unit) = split_number(number)?;
        let factor = match unit {
            "" => 1.0,
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            _ => return None,
        };
        let per = per.trim();
        let span = if per.starts_with(|c: char| c.is_ascii_digit()) {
            seconds(per)?
        } else {
            seconds(&format!("1{per}"))?
        };
        (span > 0.0).then(|| PerSecond(number * factor / span)).filter(|rate| rate.0 <= OFTENEST_PER_S)
    }
}

impl Unit for Bytes {
    const EXPECTED: &'static str = "a size such as 100B, 4KB or 64KiB";
    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let factor = match unit {
            "" | "B" => 1.0,
            "k" | "kB" | "KB" => 1e3,
            "KiB" => 1024.0,
            "MB" => 1e6,
            "MiB" => 1_048_576.0,
            _ => return None,
        };
        whole(number * factor).map(Bytes)
    }
}

impl Unit for Percent {
    const EXPECTED: &'static str = "a percentage such as 0.5%";
    fn read(text: &str) -> Option<Self> {
        match split_number(text)? {
            (percent, "%") if percent <= 100.0 => Some(Percent(percent)),
            (0.0, "") => Some(Percent(0.0)),
            _ => None,
        }
    }
}

impl Unit for BitRate {
    const EXPECTED: &'static str = "a data rate such as 64kbit, 10mbit or 1gbit";
    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let factor = match unit {
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return None,
        };
        let bits_per_s = (number * factor).round();
        (1.0..=1e15).contains(&bits_per_s).then_some(BitRate(bits_per_s as u64))
    }
}

macro_rules! unit_impls {
    ($($unit:ident),*) => {$(
        impl FromStr for $unit {
            type Err = BadUnit;
            fn from_str(text: &str) -> Result<Self, BadUnit> {
                Self::read(text).ok_or_else(|| BadUnit { text: text.into(), expected: Self::EXPECTED })
            }
        }

        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(UnitVisitor(PhantomData))
            }
        }

        #[cfg(test)]
        impl JsonSchema for $unit {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($unit).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({ "type": ["string", "number"], "description": $unit::EXPECTED })
            }
        }
    )*};
}
unit_impls!(Count, Seconds, PerSecond, Bytes, Percent, BitRate);

/// Accepts the text form, and a bare number where the text form would.
struct UnitVisitor<U>(PhantomData<U>);

impl<U: Unit> Visitor<'_> for UnitVisitor<U> {
    type Value = U;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(U::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<U, E> {
        U::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<U, E> {
        U::read(&value.to_string()).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }
}

/// One value, or a list of them: a list makes a cell for each.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(de::Error::invalid_length(0, &"at least one value"));
                }
                Ok(OneOrMany(values))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![T::deserialize(de::value::StrDeserializer::new(text))?]))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![T::deserialize(de::value::I64Deserializer::new(value))?]))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn people_write_numbers_like_this() {
        for (text, count) in
            [("5000", 5000), ("10k", 10_000), ("1.5k", 1500), ("1m", 1_000_000), ("2_000", 2000)]
        {
            assert_eq!(text.parse(), Ok(Count(count)), "{text}");
        }
        for (text, s) in [("250ms", 0.25), ("30s", 30.0), ("5min", 300.0), ("1h", 3600.0), ("0s", 0.0)] {
            assert_eq!(text.parse(), Ok(Seconds(s)), "{text}");
        }
        for (text, rate) in
            [("20/s", 20.0), ("1/min", 1.0 / 60.0), ("1/50s", 0.02), ("10k/s", 1e4), ("0", 0.0)]
        {
            assert_eq!(text.parse(), Ok(PerSecond(rate)), "{text}");
        }
        for (text, bytes) in [("100", 100), ("400B", 400), ("64KiB", 65_536), ("4KB", 4000)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for (text, percent) in [("0.5%", 0.5), ("100 %", 100.0), ("0", 0.0)] {
            assert_eq!(text.parse(), Ok(Percent(percent)), "{text}");
        }
        for (text, rate) in [("64kbit", 64_000), ("1.5mbit", 1_500_000), ("1gbit", 1_000_000_000)] {
            assert_eq!(text.parse(), Ok(BitRate(rate)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_said_with_what_would_be() {
        let error = "10 apples".parse::<Count>().unwrap_err();
        assert_eq!(error.to_string(), "'10 apples' is not a count such as 5000, 10k or 1m");
        for bad in ["", "-1", "1.5", "5s", "9m9"] {
            assert!(bad.parse::<Count>().is_err(), "{bad}");
        }
        for bad in ["5", "5 parsecs", "-1s", "9999999h", &format!("{}s", "9".repeat(400))] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
        for bad in ["5", "101%", "-1%", "%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        for bad in ["10", "0mbit", "10MB", "mbit"] {
            assert!(bad.parse::<BitRate>().is_err(), "{bad}");
        }
        for bad in ["5", "5/0s", "/s", "1/", "1/1ns", "2m/s"] {
            assert!(bad.parse::<PerSecond>().is_err(), "{bad}");
        }
    }
}
