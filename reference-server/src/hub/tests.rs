//! What the hub promises.
#![allow(clippy::unwrap_used)]

use super::fan_out::SLICE;
use super::*;
use futures_util::FutureExt;
use proptest::prelude::*;

fn hub(limits: Limits) -> Arc<Hub> {
    Hub::new(7, limits, Arc::default())
}

fn depths(hub: &Hub) -> (u64, u64) {
    hub.queue_depths().now_or_never().unwrap()
}

fn payloads(batch: &Batch) -> Vec<u8> {
    batch.events.iter().map(|event| event.payload[0]).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Publish(u8),
    Poll,
    Take,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![(0u8..3).prop_map(Act::Publish), Just(Act::Poll), Just(Act::Take)];
    proptest::collection::vec(act, 0..60)
}

proptest! {
    /// Whatever is published and forgotten, each history is counted and is found by its size.
    #[test]
    fn histories_are_listed_by_their_sizes(acts in proptest::collection::vec((0usize..5, 0usize..3000), 0..200)) {
        let hub = hub(Limits { history_bytes: 20_000, topic_bytes: 9000, ..Limits::default() });
        for (topic, bytes) in acts {
            if bytes == 0 {
                let topics = &mut hub.lock().topics;
                topics.find(["a", "b", "c", "d", "e"][topic]).into_iter().for_each(|index| topics.forget(index));
            } else {
                hub.publish(["a", "b", "c", "d", "e"][topic], Bytes::from(vec![0; bytes]), false).unwrap();
            }
            hub.lock().topics.check();
        }
    }

    /// Whatever the interleaving, a poller and a live subscriber see each event of their topics once, in order.
    #[test]
    fn polling_and_subscribing_see_the_same(acts in acts(), max in 1usize..4) {
        let hub = hub(Limits::default());
        let topics = ["a", "b"];
        let mut cursor = hub.now();
        let mut live = hub.subscribe(&topics, None).unwrap();
        let (mut published, mut polled, mut taken) = (vec![], vec![], vec![]);
        for (i, act) in acts.into_iter().enumerate() {
            match act {
                Act::Publish(topic) => {
                    hub.publish(["a", "b", "other"][topic as usize], Bytes::from(vec![i as u8]), false).unwrap();
                    if topic < 2 { published.push(i as u8); }
                }
                Act::Poll => {
                    let (batch, next) = hub.read(&topics, cursor, Most::ALL);
                    cursor = next;
                    polled.extend(payloads(&batch));
                }
                Act::Take => taken.extend(payloads(&live.take(Most { events: max, bytes: usize::MAX }).unwrap())),
            }
        }
        polled.extend(payloads(&hub.read(&topics, cursor, Most::ALL).0));
        while let Ok(batch) = live.take(Most { events: max, bytes: usize::MAX }) {
            if batch.events.is_empty() { break; }
            taken.extend(payloads(&batch));
        }
        prop_assert_eq!(&polled, &published);
        prop_assert_eq!(&taken, &published);
    }
}

#[test]
fn a_slow_subscriber_loses_the_oldest_and_every_loss_is_counted() {
    let hub =
        hub(Limits { history_events: 8, queue_events: 3, slow: SlowPolicy::DropOldest, ..Limits::default() });
    let mut live = hub.subscribe(&["t"], None).unwrap();
    for i in 0..5 {
        hub.publish("t", Bytes::from(vec![i]), false).unwrap();
    }
    assert_eq!(depths(&hub), (5, 5));
    let batch = live.take(Most::ALL).unwrap();
    assert_eq!((payloads(&batch), batch.missed), (vec![2, 3, 4], 2));
    assert_eq!(hub.stats().dropped.get(), 2);
}

#[test]
fn the_largest_histories_give_first_and_nothing_that_was_just_published_does() {
    let hub = hub(Limits { history_bytes: 100_000, ..Limits::default() });
    let kept = |topic: &str| hub.lock().topics.get(topic).unwrap().ring.len();
    for i in 0..300 {
        hub.publish(["large", "small"][usize::from(i % 60 == 0)], Bytes::from(vec![0; 1000]), false).unwrap();
        assert!(hub.topics().1 <= 100_000);
    }
    assert_eq!(kept("small"), 5);
    assert!((20..25).contains(&kept("large")), "{}", kept("large"));
    // Larger than everything may be: it is there, alone, until there is a newer one.
    for topic in ["giant", "other"] {
        hub.publish(topic, Bytes::from(vec![0; 50_000]), false).unwrap();
        assert_eq!(kept(topic), 1);
    }
    assert_eq!([kept("small"), kept("large"), kept("giant")], [0; 3]);
}

#[test]
fn a_slow_subscriber_is_disconnected_where_that_is_the_policy() {
    let hub =
        hub(Limits { history_events: 8, queue_events: 3, slow: SlowPolicy::Disconnect, ..Limits::default() });
    let mut live = hub.subscribe(&["t"], None).unwrap();
    for i in 0..4 {
        hub.publish("t", Bytes::from(vec![i]), false).unwrap();
    }
    assert_eq!(live.take(Most::ALL).unwrap_err(), TooSlow);
}

#[test]
fn a_cursor_before_the_history_is_told_that_something_is_missing() {
    let hub = hub(Limits { history_events: 2, ..Limits::default() });
    let cursor = hub.publish("t", Bytes::from_static(&[0]), false).unwrap();
    for i in 1..5 {
        hub.publish("t", Bytes::from(vec![i]), false).unwrap();
    }
    let (batch, _) = hub.read(&["t"], cursor, Most::ALL);
    assert_eq!((payloads(&batch), batch.missed), (vec![3, 4], 1));
    let foreign = Cursor { hub: 8, after: 999 };
    let (batch, _) = hub.read(&["t"], foreign, Most::ALL);
    assert_eq!((payloads(&batch), batch.missed), (vec![3, 4], 0));
}

#[test]
fn a_cursor_survives_its_text_form() {
    let cursor = hub(Limits::default()).publish("t", Bytes::new(), false).unwrap();
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    assert_eq!("nonsense".parse::<Cursor>(), Err(BadCursor));
}

#[test]
fn those_who_stay_are_served_after_others_left() {
    let hub = hub(Limits::default());
    let mut live: Vec<_> = (0..5).map(|_| hub.subscribe(&["t", "u"], None).unwrap()).collect();
    for gone in [1, 3, 0, 1] {
        live.remove(gone);
        hub.publish("u", Bytes::from(vec![gone as u8]), false).unwrap();
        for subscription in &mut live {
            assert_eq!(payloads(&subscription.take(Most::ALL).unwrap()), [gone as u8]);
        }
        assert_eq!(hub.lock().topics.get("t").unwrap().subscribers.len(), live.len());
    }
}

#[test]
fn a_watcher_is_never_behind() {
    let limits = Limits { queue_events: 1, slow: SlowPolicy::Disconnect, ..Limits::default() };
    let hub = hub(limits);
    let watch = hub.watch(&["t"]).unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(watch.poll_published(&mut cx).is_pending());
    for _ in 0..5 {
        hub.publish("t", Bytes::new(), false).unwrap();
    }
    assert!(watch.poll_published(&mut cx).is_ready());
    assert!(watch.poll_published(&mut cx).is_pending());
    assert_eq!((depths(&hub), hub.stats().slow_disconnects.get()), ((0, 0), 0));
}

#[test]
fn a_subscription_says_where_it_starts() {
    let hub = hub(Limits::default());
    let start = hub.publish("t", Bytes::new(), false).unwrap();
    hub.publish("t", Bytes::new(), false).unwrap();
    let mut live = hub.subscribe(&["t"], Some(start)).unwrap();
    assert_eq!(live.cursor(), start);
    live.take(Most::ALL).unwrap();
    assert_eq!(live.cursor(), hub.now());
}

#[test]
fn a_large_topic_is_woken_a_slice_at_a_time_and_once_more_for_what_came_meanwhile() {
    let hub = hub(Limits::default());
    let mut fan_out = Box::pin(hub.clone().fan_out());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut watchers: Vec<_> = (0..SLICE * 3 + 5).map(|_| hub.watch(&["t"]).unwrap()).collect();
    let woken = |watchers: &[Watch]| {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        watchers.iter().filter(|watch| watch.poll_published(&mut cx).is_ready()).count()
    };
    let mut turn = || assert!(fan_out.as_mut().poll(&mut cx).is_pending());
    turn();
    hub.publish("t", Bytes::new(), false).unwrap();
    assert_eq!(woken(&watchers), 0);
    turn();
    assert_eq!(woken(&watchers), SLICE);
    hub.publish("t", Bytes::new(), false).unwrap();
    // One who comes now saw both; those who leave give their places to others.
    watchers.push(hub.watch(&["t"]).unwrap());
    watchers.drain(..10);
    // All for the first event but those woken already, then all for the second.
    let mut total = 0;
    for _ in 0..20 {
        turn();
        let now = woken(&watchers);
        assert!(now <= SLICE);
        total += now;
    }
    assert!((SLICE * 5..=SLICE * 6 + 10).contains(&total), "{total}");
    assert!(hub.lock().passes.is_empty());
    hub.publish("t", Bytes::new(), false).unwrap();
    let in_all: usize = (0..5)
        .map(|_| {
            turn();
            woken(&watchers)
        })
        .sum();
    assert_eq!(in_all, watchers.len());
}

#[test]
fn who_left_very_many_topics_leaves_them_a_slice_at_a_time() {
    let hub = hub(Limits::default());
    let mut fan_out = Box::pin(hub.clone().fan_out());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let names: Vec<_> = (0..1000).map(|topic| format!("t{topic}")).collect();
    let stays = hub.subscribe(&names[..500], None).unwrap();
    drop(hub.subscribe(&names, None).unwrap());
    let followed = || hub.lock().topics.topics.iter().map(|topic| topic.subscribers.len()).sum::<usize>();
    let mut before = followed();
    assert_eq!(before, 1500);
    while before > 500 {
        assert!(fan_out.as_mut().poll(&mut cx).is_pending());
        let now = followed();
        assert!(now < before && before - now <= 256, "{before} {now}");
        before = now;
    }
    drop(stays);
    (0..10).for_each(|_| assert!(fan_out.as_mut().poll(&mut cx).is_pending()));
    assert_eq!(followed(), 0);
}

#[test]
fn room_is_kept_for_what_is_followed_bit_by_bit() {
    let limits = Limits { history_bytes: 10 * 2 * 512, ..Limits::default() };
    let hub = hub(limits);
    let subscription = hub.subscribe(&["a"], None).unwrap();
    let mut reserved = subscription.reserve(&["a", "b", "c", "d", "e", "f"]).unwrap();
    let others = ["u", "v", "w", "x", "y"];
    assert_eq!(hub.subscribe(&others, None).err(), Some(TooManyTopics::InAll));
    let _three = hub.subscribe(&others[..3], None).unwrap();
    reserved.give_back(1);
    let _b = hub.subscribe(&["b"], None).unwrap();
    assert_eq!(hub.subscribe(&["y"], None).err(), Some(TooManyTopics::InAll));
    drop(reserved);
    assert_eq!(hub.lock().topics.reserved, 0);
    let _y = hub.subscribe(&["y"], None).unwrap();
}
