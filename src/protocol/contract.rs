//! The contract's URLs, fields and words, in one place (the page is the reference server's README).

use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use super::{Failure, Inbox, Phase, Seat};

/// Field of a poll's answer: the cursor for the next poll.
pub(super) const CURSOR_FIELD: &str = "rtbench-cursor";

/// Field of a poll's answer: how many events were lost before these.
pub(super) const MISSED_FIELD: &str = "rtbench-missed";

/// Event type of a binary payload in an SSE stream.
pub(super) const SSE_BINARY: &str = "base64";

/// Event type of losses in an SSE stream.
pub(super) const SSE_MISSED: &str = "missed";

/// How a text message begins that is not a payload.
const COMMAND_PREFIX: &[u8] = b"{\"op\":";

/// Topics that a client follows where the contract has no echo: those of its seat, and for echo the one it publishes to.
pub(super) fn topics(seat: &Seat) -> Vec<Rc<str>> {
    let mut topics = seat.topics.clone();
    topics.extend(seat.publish.iter().filter(|own| seat.echo && !seat.topics.contains(own)).cloned());
    topics
}

/// Path of a poll; `after` and `wait` may be appended.
pub(super) fn poll_path(topics: &[Rc<str>]) -> String {
    with_topics("/poll", topics)
}

/// What a poll behind a cursor adds to its path, before the cursor.
pub(super) const POLL_AFTER: &str = "&after=";

/// What a held poll adds to its path.
pub(super) fn poll_wait(hold: Option<Duration>) -> String {
    hold.map_or_else(|| "&wait=".to_owned(), |hold| format!("&wait={}", hold.as_secs_f64()))
}

/// Path of an event stream.
pub(super) fn sse_path(topics: &[Rc<str>]) -> String {
    with_topics("/sse", topics)
}

/// Path to publish to.
pub(super) fn publish_path(topic: &str) -> String {
    format!("/topics/{topic}")
}

/// Path of a WebSocket.
pub(super) fn websocket_path(seat: &Seat) -> String {
    let mut path = with_topics("/ws", &seat.topics);
    let join = if seat.topics.is_empty() { '?' } else { '&' };
    match &seat.publish {
        _ if seat.echo => path.extend([join.to_string().as_str(), "echo=1"]),
        Some(topic) => path.extend([join.to_string().as_str(), "publish=", topic]),
        None => {}
    }
    path
}

fn with_topics(path: &str, topics: &[Rc<str>]) -> String {
    let mut path = path.to_owned();
    for (i, topic) in topics.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(path, "{}topic={topic}", if i == 0 { '?' } else { '&' });
    }
    path
}

/// Whether a server's token may stand in our requests.
pub(super) fn is_cursor(token: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&token.len()) && token.bytes().all(allowed)
}

/// Takes the netstring at the front of `body`; `None` if there is none.
pub(super) fn take_netstring<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    const MAX_DIGITS: usize = 10;
    let digits = body.iter().take(MAX_DIGITS + 1).position(|&b| b == b':')?;
    let length =
        std::str::from_utf8(&body[..digits]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let (payload, rest) = body[digits + 1..].split_at_checked(length.parse().ok()?)?;
    *body = rest.strip_prefix(b",")?;
    Some(payload)
}

/// The payloads of a complete body of netstrings; `None` if it is not one.
pub(super) fn netstrings(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut payloads = Vec::new();
    while !body.is_empty() {
        payloads.push(take_netstring(&mut body)?);
    }
    Some(payloads)
}

/// What a text message says that is not a payload.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Notice {
    /// Events were lost to slowness.
    Missed { count: u64 },
    /// The server did not understand.
    Error {
        #[serde(default)]
        reason: String,
    },
    /// The answer to a command.
    #[serde(other)]
    Other,
}

/// Takes a text message of a channel that also carries commands: a payload, or a notice.
///
/// # Errors
/// The server did not understand the client, or the client does not understand the notice.
#[inline]
pub(super) fn take_text(text: &[u8], inbox: &mut dyn Inbox) -> Result<(), Failure> {
    if !text.starts_with(COMMAND_PREFIX) {
        inbox.push(text);
        return Ok(());
    }
    match serde_json::from_slice(text) {
        Ok(Notice::Missed { count }) => inbox.missed(count),
        Ok(Notice::Other) => {}
        Ok(Notice::Error { reason }) => return Err(Failure::protocol(Phase::Receive, reason)),
        Err(error) => return Err(Failure::protocol(Phase::Receive, error.to_string())),
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_contract() {
        let topics = ["a".into(), "b".into()];
        assert_eq!(poll_path(&topics), "/poll?topic=a&topic=b");
        assert_eq!(sse_path(&topics[..1]), "/sse?topic=a");
        assert_eq!(poll_wait(Some(Duration::from_millis(2500))), "&wait=2.5");
        assert_eq!(poll_wait(None), "&wait=");
    }

    #[derive(Default)]
    struct Mail {
        payloads: Vec<Vec<u8>>,
        missed: u64,
    }

    impl Inbox for Mail {
        fn push(&mut self, payload: &[u8]) {
            self.payloads.push(payload.to_vec());
        }

        fn missed(&mut self, count: u64) {
            self.missed += count;
        }
    }

    #[test]
    fn payloads_and_notices_are_told_apart() {
        let mut inbox = Mail::default();
        let mut take = |text: &str| take_text(text.as_bytes(), &mut inbox);
        take("[1,2]").unwrap();
        take("{\"operation\":1}").unwrap();
        take("{\"op\":\"missed\",\"count\":7}").unwrap();
        take("{\"op\":\"subscribe\",\"cursor\":\"x\"}").unwrap();
        assert_eq!(take("{\"op\":\"error\",\"reason\":\"what?\"}").unwrap_err().detail, "what?");
        assert!(take("{\"op\":7}").is_err());
        assert_eq!(inbox.payloads, [b"[1,2]".as_slice(), b"{\"operation\":1}"]);
        assert_eq!(inbox.missed, 7);
    }

    #[test]
    fn fuzz_netstrings_and_notices() {
        let right: [&[u8]; 4] = [
            b"3:abc,0:,10:0123456789,",
            b"{\"op\":\"missed\",\"count\":7}",
            b"{\"op\":\"error\",\"reason\":\"what?\"}",
            b"[1,2]",
        ];
        crate::fuzz::fuzz(&right, |input, _| {
            if let Some(payloads) = netstrings(input) {
                let length = payloads.iter().map(|payload| payload.len() + 3).sum::<usize>();
                assert!(length <= input.len() && payloads.is_empty() == input.is_empty());
            }
            let mut inbox = Mail::default();
            let taken = take_text(input, &mut inbox);
            assert!(taken.is_ok() || inbox.payloads.is_empty());
            let _ = is_cursor(&String::from_utf8_lossy(input));
        });
    }

    proptest! {
        #[test]
        fn netstrings_come_back(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..5)) {
            let mut body = Vec::new();
            for payload in &payloads {
                body.extend(format!("{}:", payload.len()).bytes());
                body.extend(payload);
                body.push(b',');
            }
            let taken = netstrings(&body).unwrap();
            prop_assert_eq!(taken, payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if let Some(first) = payloads.first() {
                let whole = first.len().to_string().len() + 1 + first.len() + 1;
                for length in 0..whole {
                    prop_assert_eq!(take_netstring(&mut &body[..length]), None);
                    prop_assert!(length == 0 || netstrings(&body[..length]).is_none());
                }
            }
        }

        #[test]
        fn no_bytes_make_a_netstring_panic(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = take_netstring(&mut bytes.as_slice());
        }
    }
}
