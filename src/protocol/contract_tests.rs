#![allow(clippy::unwrap_used)]

use super::*;
use crate::protocol::Inbox;
use crate::protocol::dialect::Talk;
use proptest::prelude::*;

#[test]
fn paths_are_those_of_the_contract() {
    let topics = ["a".into(), "b".into()];
    assert_eq!(with_topics("/poll", &topics), "/poll?topic=a&topic=b");
    assert_eq!(with_topics("/sse", &topics[..1]), "/sse?topic=a");
    assert_eq!(poll_wait(Some(Duration::from_millis(2500))), "&wait=2.5");
    assert_eq!(poll_wait(None), "&wait=");
}

#[test]
fn a_poll_asks_behind_the_cursor_of_the_last_and_none_at_first() {
    let wait = poll_wait(Some(Duration::from_millis(1234)));
    let mut polling = polling("/p", &wait);
    assert!(polling.wait.len() > polling.path.len());
    assert_eq!((polling.cursor(), polling.request().path), ("", "/p"));
    for cursor in ["c", "another", "d"] {
        polling.go_on_behind(cursor);
        let path = format!("/p&after={cursor}&wait=1.234");
        assert_eq!((polling.cursor(), polling.request().path), (cursor, &*path));
    }
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

/// What a channel makes of a text.
fn take_text(text: &[u8], inbox: &mut Mail) -> Result<(), Failure> {
    let channel = Channel::<true>(Short::default());
    let heard =
        Talk::new(Box::new(channel)).hear(inbox, |channel, heard| channel.message(text, false, heard));
    heard.map(drop)
}

fn polling(path: &str, wait: &str) -> Polling {
    Polling {
        listens: true,
        base_bytes: path.len() as u32,
        path: path.to_owned(),
        wait: wait.into(),
        next: None,
        missed: 0,
        publish: "".into(),
    }
}

/// The payloads of a complete body of netstrings; `None` if it is not one.
fn netstrings(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut polling = polling("", "");
    polling.next = Some("c".into());
    let mut inbox = Mail::default();
    let mut talk = Talk::new(Box::new(polling));
    let events = talk.hear(&mut inbox, |polling, heard| polling.body(body, heard));
    let path = talk.conversation.request().path;
    assert_eq!(path, if events.is_ok() { "&after=c" } else { "" }, "asks on behind what was whole");
    assert_eq!(events.clone().unwrap_or_default(), inbox.payloads.len());
    events.ok().map(|_| inbox.payloads)
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
        prop_assert_eq!(netstrings(&body).unwrap(), payloads.clone());
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
