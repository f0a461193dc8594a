//! What a client asks for: topics, cursors and query strings, parsed in this one place.

use std::collections::HashSet;
use std::time::Duration;

use crate::hub::{BadCursor, Cursor, TooManyTopics};

/// Longest topic name, in characters.
pub(crate) const MAX_TOPIC_CHARS: usize = 128;
/// Longest cursor, in characters.
const MAX_CURSOR_CHARS: usize = 64;

/// Why a request was not understood; the text is the body of the `400`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("a topic is 1 to 128 characters from A-Z a-z 0-9 . _ -")]
    Topic,
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    #[error("wait= is a decimal number of seconds, or empty")]
    Wait,
    #[error("echo= is 1 or 0")]
    Echo,
    #[error("unknown or repeated query parameter: {0:?}")]
    Parameter(String),
    #[error(transparent)]
    Topics(#[from] TooManyTopics),
    #[error("topic= is missing")]
    NoTopic,
    #[error("text is UTF-8; anything else is application/octet-stream")]
    NotUtf8,
    #[error("not a WebSocket upgrade of version 13")]
    Upgrade,
}

/// The topic's name, if it is one.
pub(crate) fn checked_topic(name: &str) -> Result<&str, BadRequest> {
    let is_one = (1..=MAX_TOPIC_CHARS).contains(&name.len()) && name.bytes().all(is_token_byte);
    if is_one { Ok(name) } else { Err(BadRequest::Topic) }
}

/// The same, to keep.
pub(crate) fn topic(name: &str) -> Result<Box<str>, BadRequest> {
    checked_topic(name).map(Into::into)
}

/// The cursor that `text` stands for.
pub(crate) fn cursor(text: &str) -> Result<Cursor, BadRequest> {
    if text.len() > MAX_CURSOR_CHARS {
        return Err(BadCursor.into());
    }
    Ok(text.parse()?)
}

/// The characters of topics and cursors; none of them is ever escaped in a URL, so nothing here unescapes.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// How long a poll may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as the server likes.
    Default,
    /// At most this long.
    For(Duration),
}

/// A parsed query string, of any of the subscribing requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscribe {
    /// Topics to follow, without repetitions.
    pub(crate) topics: Vec<Box<str>>,
    /// Where to start; from now on if it is missing.
    pub(crate) after: Option<Cursor>,
    /// Present if the poll is to be held.
    pub(crate) wait: Option<Wait>,
    /// Topic of what the client sends in band.
    pub(crate) publish: Option<Box<str>>,
    /// What the client sends in band comes back to itself.
    pub(crate) echo: bool,
}

/// Parameters that a request may carry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accepts {
    /// `/poll`
    Poll,
    /// `/sse`
    Stream,
    /// `/ws` and `/rtc`
    Channel,
}

impl BadRequest {
    /// There is no such parameter.
    pub(crate) fn unknown(key: &str) -> BadRequest {
        BadRequest::Parameter(key.chars().take(40).collect())
    }
}

impl Subscribe {
    /// Parses a query string.
    ///
    /// # Errors
    /// The first thing that is wrong with it. A parameter that the route does not know is wrong too: a mistyped
    /// one would otherwise measure something else in silence.
    pub(crate) fn parse(query: &str, accepts: Accepts) -> Result<Subscribe, BadRequest> {
        let mut request = Subscribe::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            request.set(key, value, accepts)?;
        }
        if request.topics.len() > 1 {
            let mut seen = HashSet::new();
            request.topics.retain(|topic| seen.insert(topic.clone()));
        }
        if request.topics.is_empty() && !matches!(accepts, Accepts::Channel) {
            return Err(BadRequest::NoTopic);
        }
        Ok(request)
    }

    fn set(&mut self, key: &str, value: &str, accepts: Accepts) -> Result<(), BadRequest> {
        match (key, accepts) {
            ("topic", _) => {
                self.topics.push(topic(value)?);
            }
            ("after", Accepts::Poll | Accepts::Stream) if self.after.is_none() => {
                self.after = Some(cursor(value)?)
            }
            ("wait", Accepts::Poll) if self.wait.is_none() => self.wait = Some(wait(value)?),
            ("publish", Accepts::Channel) if self.publish.is_none() => self.publish = Some(topic(value)?),
            ("echo", Accepts::Channel) => {
                self.echo = match value {
                    "1" => true,
                    "0" => false,
                    _ => return Err(BadRequest::Echo),
                }
            }
            _ => return Err(BadRequest::unknown(key)),
        }
        Ok(())
    }
}

fn wait(value: &str) -> Result<Wait, BadRequest> {
    if value.is_empty() {
        return Ok(Wait::Default);
    }
    let seconds = value.parse().map_err(|_| BadRequest::Wait)?;
    Duration::try_from_secs_f64(seconds).map(Wait::For).map_err(|_| BadRequest::Wait)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_query_is_read_in_full() {
        let request =
            Subscribe::parse("topic=a&topic=b.c&topic=a&after=00000007-5&wait=0.5", Accepts::Poll).unwrap();
        assert_eq!(request.topics, ["a".into(), "b.c".into()]);
        assert_eq!(request.after, "00000007-5".parse().ok());
        assert_eq!(request.wait, Some(Wait::For(Duration::from_millis(500))));
        let request = Subscribe::parse("publish=p&echo=1", Accepts::Channel).unwrap();
        assert_eq!((request.publish.as_deref(), request.echo), (Some("p"), true));
    }

    #[test]
    fn each_kind_of_nonsense_has_its_error() {
        let long = format!("topic={}", "x".repeat(129));
        let unknown = |name: &str| BadRequest::Parameter(name.to_owned());
        for (query, accepts, error) in [
            ("topic=", Accepts::Poll, BadRequest::Topic),
            ("topic=a%20b", Accepts::Poll, BadRequest::Topic),
            (&*long, Accepts::Poll, BadRequest::Topic),
            ("topic=a&after=x", Accepts::Poll, BadCursor.into()),
            ("topic=a&wait=-1", Accepts::Poll, BadRequest::Wait),
            ("topic=a&wait=NaN", Accepts::Poll, BadRequest::Wait),
            ("topic=a&wait=1&wait=2", Accepts::Poll, unknown("wait")),
            ("topic=a&wait=1", Accepts::Stream, unknown("wait")),
            ("topic=a&tpoic=b", Accepts::Stream, unknown("tpoic")),
            ("", Accepts::Stream, BadRequest::NoTopic),
            ("echo=yes", Accepts::Channel, BadRequest::Echo),
        ] {
            assert_eq!(Subscribe::parse(query, accepts), Err(error), "{query}");
        }
    }
}
