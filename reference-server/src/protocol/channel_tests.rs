//! Tests of `channel.rs`.
#![allow(clippy::unwrap_used)]

use std::task::Waker;

use super::*;
use crate::Config;
use crate::hub::Limits;
use crate::request::Accepts;

fn conversation(query: &str, slow: SlowPolicy) -> Conversation {
    let limits = Limits { queue_events: 3, slow, ..Limits::default() };
    let app = App::new(Config { limits, ..Config::default() }).unwrap();
    Conversation::new(&app, Subscribe::parse(query, Accepts::Channel).unwrap()).unwrap()
}

fn incoming(conversation: &mut Conversation, payload: Bytes, binary: bool) -> Result<(), Refusal> {
    let connection = Connection::open(&conversation.app);
    conversation.incoming(&connection, payload, binary)
}

fn outgoing(conversation: &mut Conversation) -> Poll<Result<Vec<String>, TooSlow>> {
    let mut out = Vec::new();
    let connection = Connection::open(&conversation.app);
    let cx = &mut Context::from_waker(Waker::noop());
    let result = conversation.poll_outgoing(cx, &connection, &mut out);
    let texts = out.iter().map(|message| String::from_utf8(message.message().0.to_vec()).unwrap()).collect();
    result.map(|result| result.map(|_more| texts))
}

#[test]
fn echoes_that_nobody_takes_are_bounded_and_counted() {
    let mut conversation = conversation("echo=1", SlowPolicy::DropOldest);
    for text in ["1", "2", "3", "4", "5"] {
        incoming(&mut conversation, Bytes::from(text), false).unwrap();
    }
    let expected = [r#"{"op":"missed","count":2}"#, "3", "4", "5"].map(String::from);
    assert_eq!(outgoing(&mut conversation), Poll::Ready(Ok(expected.into())));
    assert_eq!(outgoing(&mut conversation), Poll::Pending);
    assert_eq!(conversation.app.stats.dropped.get(), 2);
}

#[test]
fn one_that_takes_no_echoes_is_disconnected_where_that_is_the_policy() {
    let mut conversation = conversation("echo=1", SlowPolicy::Disconnect);
    for text in ["1", "2", "3", "4", "5"] {
        incoming(&mut conversation, Bytes::from(text), false).unwrap();
    }
    assert_eq!(outgoing(&mut conversation), Poll::Ready(Err(TooSlow)));
    assert_eq!(conversation.app.stats.slow_disconnects.get(), 1);
}

#[test]
fn a_command_of_many_topics_is_obeyed_bit_by_bit_and_answered_once() {
    let mut conversation = conversation("echo=1", SlowPolicy::DropOldest);
    let topics: Vec<_> = (0..1000).map(|topic| format!("\"t{topic}\"")).collect();
    let command = format!(r#"{{"op":"subscribe","topics":[{}]}}"#, topics.join(","));
    incoming(&mut conversation, Bytes::from(command), false).unwrap();
    assert!(!conversation.listens());
    let mut polls = 0;
    let answer = loop {
        polls += 1;
        match outgoing(&mut conversation) {
            Poll::Ready(Ok(texts)) if texts.is_empty() => {}
            // Its turn is over, too.
            Poll::Pending if !conversation.listens() => {}
            Poll::Ready(Ok(texts)) => break texts,
            other => panic!("{other:?}"),
        }
    };
    assert!(conversation.listens() && answer.len() == 1, "{answer:?}");
    assert!(answer[0].starts_with(r#"{"op":"subscribe","cursor":"#), "{answer:?}");
    assert!(polls > 10, "{polls}");
    assert_eq!(conversation.subscription.topics(), 1000);
    // What comes before it is done, on a channel that cannot leave it unread, waits for it.
    let command = r#"{"op":"subscribe","topics":["one.more"]}"#;
    incoming(&mut conversation, Bytes::from(command), false).unwrap();
    incoming(&mut conversation, Bytes::from("echo"), false).unwrap();
    let Poll::Ready(Ok(texts)) = outgoing(&mut conversation) else { panic!("no answer") };
    assert!(texts.len() == 2 && texts[1] == "echo", "{texts:?}");
}

#[test]
fn a_command_is_obeyed_as_a_whole_or_not_at_all() {
    let mut conversation = conversation("", SlowPolicy::DropOldest);
    let command = r#"{"op":"subscribe","topics":["good","b a d"]}"#;
    incoming(&mut conversation, Bytes::from(command), false).unwrap();
    conversation.app.publish("good", b"x", false).unwrap();
    let Poll::Ready(Ok(texts)) = outgoing(&mut conversation) else { panic!("no answer") };
    assert!(texts.len() == 1 && texts[0].starts_with(r#"{"op":"error""#), "{texts:?}");
    assert_eq!(incoming(&mut conversation, Bytes::from("x"), false), Err(Refusal::NoOutlet));
}
