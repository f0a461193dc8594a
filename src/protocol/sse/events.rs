//! The crate `eventsource-stream` behind what it needs to be safe and complete.
//!
//! It is given whole blocks (the lines up to an empty one) of valid text, one at a time, because by itself it
//! panics at a leading byte order mark, wedges at a byte that is not UTF-8, holds lines of any length, and copies
//! all it holds for every line. It also says nothing about blocks without data, though `id:` and
//! `retry:` are in force there too; such blocks are given a data line, and marked.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eventsource_stream::{Event, EventStream};
use futures_util::Stream;

use super::text::TextDecoder;

/// Longest event that is accepted, in bytes.
pub(super) const MAX_EVENT_BYTES: usize = 16 << 20;

/// The events of one connection.
pub(super) struct Events {
    blocks: Rc<RefCell<Blocks>>,
    parser: EventStream<Source>,
}

/// One block of the stream.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// Its fields; `id` also if an earlier block said it.
    pub(super) event: Event,
    /// It carried data, so it is an event and not only an `id` or a `retry`.
    pub(super) has_data: bool,
    /// The pause that it asks for. The crate's own field knows no number beyond 64 bits, and some that are none.
    pub(super) retry: Option<Duration>,
}

/// The stream breaks the rules, or our limits.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum EventError {
    #[error("an event of more than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("not an event stream: {0}")]
    Syntax(String),
}

impl Default for Events {
    fn default() -> Events {
        let blocks = Rc::<RefCell<Blocks>>::default();
        Events { parser: EventStream::new(Source(blocks.clone())), blocks }
    }
}

impl Events {
    /// Takes bytes of the stream as they arrive.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        self.blocks.borrow_mut().feed(bytes)
    }

    /// The next block that is complete and says something.
    pub(super) fn next(&mut self) -> Result<Option<Block>, EventError> {
        // Nothing is waited for: the source has a block or has none.
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.parser).poll_next(&mut cx) {
            Poll::Ready(Some(Ok(event))) => {
                let Blocks { last_has_data, last_retry, .. } = *self.blocks.borrow();
                Ok(Some(Block { event, has_data: last_has_data, retry: last_retry }))
            }
            Poll::Ready(Some(Err(error))) => Err(EventError::Syntax(error.to_string())),
            Poll::Ready(None) | Poll::Pending => Ok(None),
        }
    }
}

/// Text that has arrived, cut into blocks.
#[derive(Debug, Default)]
struct Blocks {
    decoder: TextDecoder,
    text: String,
    /// Where the next block begins.
    start: usize,
    /// No end of the next block lies before this.
    searched: usize,
    last_has_data: bool,
    last_retry: Option<Duration>,
    /// The parser has been given something.
    begun: bool,
}

impl Blocks {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        self.text.drain(..self.start);
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.decoder.feed(bytes, &mut self.text);
        if self.text.len() > MAX_EVENT_BYTES && self.end().is_none() {
            return Err(EventError::TooLong);
        }
        Ok(())
    }

    /// Where the next block ends, behind its empty line.
    fn end(&mut self) -> Option<usize> {
        while self.text[self.start..].starts_with('\n') {
            self.start += 1;
        }
        let from = self.searched.max(self.start);
        match empty_line(&self.text.as_bytes()[from..]) {
            Some(at) => Some(from + at + 2),
            None => {
                self.searched = self.text.len().saturating_sub(1);
                None
            }
        }
    }

    /// The next block that carries fields of use.
    fn take(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            // The parser looks for a byte order mark in what it gets first, and has no business finding one.
            return Some("\n".to_owned());
        }
        while let Some(end) = self.end() {
            let lines = self.text[self.start..end].lines();
            let (mut data, mut other) = (false, false);
            self.last_retry = None;
            for line in lines {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                match name {
                    "data" => data = true,
                    "id" => other = true,
                    "retry" => {
                        other = true;
                        self.last_retry = retry(value.strip_prefix(' ').unwrap_or(value)).or(self.last_retry);
                    }
                    _ => {}
                }
            }
            self.last_has_data = data;
            let block = self.cut(end);
            if data {
                return Some(block);
            }
            if other {
                return Some(["data\n", &block].concat());
            }
        }
        None
    }

    /// Takes the text up to `end`.
    fn cut(&mut self, end: usize) -> String {
        if self.start == 0 && end == self.text.len() {
            self.searched = 0;
            return std::mem::take(&mut self.text);
        }
        let block = self.text[self.start..end].to_owned();
        self.start = end;
        block
    }
}

/// The pause that a field of digits alone names in milliseconds, however many they are.
fn retry(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_millis(value.parse().unwrap_or(u64::MAX)))
}

/// Where an empty line is, and the end of the line before it.
fn empty_line(text: &[u8]) -> Option<usize> {
    text.windows(2).position(|pair| pair == b"\n\n")
}

/// What the parser reads from.
struct Source(Rc<RefCell<Blocks>>);

impl Stream for Source {
    type Item = Result<String, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().take().map_or(Poll::Pending, |block| Poll::Ready(Some(Ok(block))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Type, data and id of every block, and whether it has data.
    type Seen = (String, String, String, bool);

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        for piece in pieces {
            events.feed(piece).unwrap();
            while let Some(Block { event, has_data, .. }) = events.next().unwrap() {
                seen.push((event.event, event.data, event.id, has_data));
            }
        }
        seen
    }

    fn message(data: &str, id: &str) -> Seen {
        ("message".into(), data.into(), id.into(), true)
    }

    #[test]
    fn ids_without_data_are_seen_and_marked() {
        let seen = parse([b"retry: 5\nid: a\n\nid: b\nevent: message\ndata: x\n\n".as_slice()]);
        assert_eq!(seen, [("message".into(), String::new(), "a".into(), false), message("x", "b")]);
    }

    #[test]
    fn retry_without_data_is_seen() {
        let retry = |fields: &str| {
            let mut events = Events::default();
            events.feed(format!("{fields}\nid: a\n\n").as_bytes()).unwrap();
            events.next().unwrap().unwrap().retry.map(|retry| retry.as_millis())
        };
        assert_eq!(retry("retry: 1500"), Some(1500));
        assert_eq!(retry("retry:0"), Some(0));
        assert_eq!(retry("retry: 7\nretry: seven"), Some(7));
        let huge = format!("retry: 1{}", "0".repeat(300));
        assert_eq!(retry(&huge), Some(u64::MAX.into()), "of any size");
        for none in ["retry: +5", "retry: 5 ", "retry: -1", "retry:  5", "retry", "retry: 0x5", "id: b"] {
            assert_eq!(retry(none), None, "{none}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_broken_text_do_no_harm() {
        let seen = parse([b"\xef\xbb\xbfdata: a\n\ndata: b\xffc\n\ndata: d\n\n".as_slice()]);
        assert_eq!(seen, [message("a", ""), message("b\u{fffd}c", ""), message("d", "")]);
    }

    #[test]
    fn all_line_ends_are_line_ends_and_are_not_waited_behind() {
        for end in ["\n", "\r", "\r\n"] {
            let input = ["data: a", "data: b", "", "data:c", ""].join(end) + end;
            assert_eq!(parse([input.as_bytes()]), [message("a\nb", ""), message("c", "")], "{end:?}");
            assert_eq!(parse(input.as_bytes().chunks(1)), [message("a\nb", ""), message("c", "")], "{end:?}");
        }
    }

    #[test]
    fn comments_empty_lines_and_unknown_fields_are_nothing() {
        assert_eq!(
            parse([b":\n\n\n\n: x\nfoo: bar\n\nevent: alone\n\ndata: a\n\n".as_slice()]),
            [message("a", "")]
        );
    }

    /// Streams that the standard's own tests ask about: each as it is, and what must come of it, as `type|data|id`.
    #[test]
    fn streams_mean_what_the_standard_says() {
        let long = "x".repeat(2048);
        let comments = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "a mark at the start, and one that is text",
                "\u{feff}data:1\n\n\u{feff}data:2\n\ndata:3\n\n",
                &["message|1|", "message|3|"],
            ),
            ("two marks", "\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3", &["message|2|"]),
            ("comments", &comments, &["message|1\n2\n3\n4|"]),
            ("a block without end", "data:1\n\nid:x\ndata:2", &["message|1|"]),
            (
                "data that is empty",
                "data:\n\ndata\ndata\n\ndata:test\n\n",
                &["message||", "message|\n|", "message|test|"],
            ),
            ("a type that is empty", "event: \ndata:data\n\n", &["message|data|"]),
            ("a type is of one event", "event:test\ndata:x\n\ndata:y\n\n", &["test|x|", "message|y|"]),
            ("an event without data is none, and its type goes", "event:test\n\ndata:x\n\n", &["message|x|"]),
            ("an id stays", "id:1\ndata:a\n\ndata:b\n\n", &["message|a|1", "message|b|1"]),
            ("an id that is empty is one", "id:1\ndata:a\n\nid\ndata:b\n\n", &["message|a|1", "message|b|"]),
            (
                "an id with a NUL is none",
                "id:1\ndata:a\n\nid:x\0y\ndata:b\n\n",
                &["message|a|1", "message|b|1"],
            ),
            (
                "names are exact",
                "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
                &["message|\0\n 2\n1\n3\n\n4|"],
            ),
            (
                "fields that nobody knows",
                "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacomment\n\n",
                &["message|test\n|"],
            ),
            ("one space and no more", "data:\ttest\rdata: \ndata:test\n\n", &["message|\ttest\n\ntest|"]),
            ("all ends of lines", "data:test\r\ndata\ndata:test\r\n\r", &["message|test\n\ntest|"]),
            ("a NUL is text", "data:\0\n\n\n\n", &["message|\0|"]),
            ("text beyond ASCII", "data:ok\u{2026}\n\n", &["message|ok\u{2026}|"]),
            ("a colon in a value", "data:a:b\n\ndata: :\n\n", &["message|a:b|", "message|:|"]),
        ];
        for (about, stream, expected) in cases {
            for size in [1, 3, usize::MAX] {
                let seen = parse(stream.as_bytes().chunks(size.min(stream.len())));
                let seen: Vec<String> = (seen.into_iter().filter(|(.., has_data)| *has_data))
                    .map(|(kind, data, id, _)| format!("{kind}|{data}|{id}"))
                    .collect();
                assert_eq!(seen, *expected, "{about}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        let mebibyte = [b'x'; 1 << 20];
        let fed = (0..=MAX_EVENT_BYTES >> 20).find_map(|_| events.feed(&mebibyte).err());
        assert_eq!(fed, Some(EventError::TooLong));
    }

    #[test]
    fn fuzz_event_streams() {
        let right: [&[u8]; 4] = [
            b"\xef\xbb\xbfid: 7\nevent: message\ndata: one\ndata: two\nretry: 1500\n\n",
            b"data: a\rdata:b\r\rid\r\n\r\ndata\r\n\r\n: a comment\n\nevent: missed\ndata: 3\n\n",
            "data: \u{1f44d} caf\u{e9}\n\nid: a\0b\ndata: x\n\n".as_bytes(),
            b"retry: 99999999999999999999999\n\nretry: +5\ndata: x\n\n",
        ];
        crate::fuzz::fuzz(&right, |input, numbers| assert_eq!(parse(numbers.cut(input)), parse([input])));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            words in proptest::collection::vec(prop_oneof![
                Just("data: x"), Just("data"), Just("\n"), Just("\n\n"), Just("\r\n"), Just("\r"), Just("id: 7"), Just(":"),
                Just("retry: 3"), Just("event: missed"), Just("\u{feff}"), Just("\u{1f44d}")
            ], 0..30),
            size in 1usize..20,
        ) {
            let input = words.concat();
            prop_assert_eq!(parse(input.as_bytes().chunks(size)), parse([input.as_bytes()]));
        }
    }
}
