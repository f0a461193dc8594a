//! Tests of clients against the reference server, over loopback sockets.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use reference_server::{Config, Listeners};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::WEBRTC;
use crate::protocol::{Client, Failure, Inbox, Kind, Mesh, Message, Options, Phase, Seat, Step, Target};
use crate::transport::meter::Meter;

/// A test that hangs fails after this long; nothing passes or fails by it otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    target: Rc<Target>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start(config: Config) -> Server {
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(reference_server::run(config, listeners, async {
            let _ = stopped.await;
        }));
        Server { target: target(address), stop: Some(stop), running }
    }

    fn seat(&self) -> Seat {
        seat(&self.target)
    }

    async fn post(&self, path: &str) -> u16 {
        let url = format!("http://{}{path}", self.target.address);
        let client = crate::transport::control::client(self.target.address, None).build().unwrap();
        client.post(url).body("from outside").send().await.unwrap().status().as_u16()
    }

    async fn stats(&self) -> serde_json::Value {
        let url = format!("http://{}/stats", self.target.address);
        let client = crate::transport::control::client(self.target.address, None).build().unwrap();
        client.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn subscribers(&self, protocol: &str) -> u64 {
        self.stats().await["subscribers"][protocol].as_u64().unwrap()
    }

    /// Waits until nobody subscribes by `protocol` any more.
    async fn until_deserted(&self, protocol: &str) {
        let deserted = async { while self.subscribers(protocol).await > 0 {} };
        assert!(tokio::time::timeout(PATIENCE, deserted).await.is_ok(), "{protocol} subscribers stay");
    }
}

fn target(address: SocketAddr) -> Rc<Target> {
    Rc::new(Target { address, tls: None, host: address.to_string(), headers: String::new() })
}

fn seat(target: &Rc<Target>) -> Seat {
    Seat {
        target: target.clone(),
        dialect: crate::protocol::contract(),
        source: None,
        topics: Vec::new(),
        publish: None,
        echo: false,
        options: Options {
            keep_alive: true,
            publish_keep_alive: true,
            hold: None,
            ordered: true,
            max_retransmits: None,
            peer_to_peer: false,
        },
        mesh: None,
        meter: Rc::default(),
        publish_meter: Rc::default(),
        spare_connections: Rc::default(),
        link: None,
        relay: None,
        seed: 1,
    }
}

/// A session without a clock: sends what is in its outbox, and notes what happens.
struct User {
    client: Box<dyn Client>,
    meter: Rc<Meter>,
    outbox: VecDeque<(Vec<u8>, bool)>,
    ready: usize,
    inbox: Received,
    failure: Option<Failure>,
}

#[derive(Default)]
struct Received {
    payloads: Vec<Vec<u8>>,
    missed: u64,
}

impl Inbox for Received {
    fn push(&mut self, payload: &[u8]) {
        self.payloads.push(payload.to_vec());
    }

    fn missed(&mut self, count: u64) {
        self.missed += count;
    }
}

impl User {
    fn new(seat: Seat) -> User {
        User {
            meter: seat.meter.clone(),
            client: (WEBRTC.open)(seat),
            outbox: VecDeque::new(),
            ready: 0,
            inbox: Received::default(),
            failure: None,
        }
    }

    fn send(&mut self, payload: impl Into<Vec<u8>>, binary: bool) {
        self.outbox.push_back((payload.into(), binary));
    }

    fn received(&self) -> &[Vec<u8>] {
        &self.inbox.payloads
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        while self.failure.is_none() {
            match self.client.poll_recv(cx, &mut self.inbox) {
                Poll::Ready(Ok(Step::Ready)) => self.ready += 1,
                Poll::Ready(Ok(Step::Received)) => {}
                Poll::Ready(Ok(step)) => panic!("data channels never {step:?}"),
                Poll::Ready(Err(failure)) => self.failure = Some(failure),
                Poll::Pending => break,
            }
        }
        while let Some((payload, binary)) = self.outbox.front().filter(|_| self.ready > 0) {
            match self.client.poll_send(cx, Message { payload, binary: *binary }) {
                Poll::Ready(Ok(_)) => drop(self.outbox.pop_front()),
                Poll::Ready(Err(failure)) => return self.failure = Some(failure),
                Poll::Pending => return,
            }
        }
    }

    async fn close(mut self) {
        poll_fn(|cx| self.client.poll_close(cx)).await.unwrap();
    }
}

/// Lets all users go on until `done`.
async fn until(users: &mut [User], mut done: impl FnMut(&[User]) -> bool) {
    let all = poll_fn(|cx| {
        users.iter_mut().for_each(|user| user.poll(cx));
        if done(users) { Poll::Ready(()) } else { Poll::Pending }
    });
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    let failures: Vec<_> = users.iter().filter_map(|user| user.failure.as_ref()).collect();
    assert!(in_time.is_ok(), "nothing more happens; failures: {failures:?}");
}

async fn until_ready(users: &mut [User]) {
    until(users, |users| users.iter().all(|user| user.ready == 1 || user.failure.is_some())).await;
    users.iter().for_each(|user| assert!(user.failure.is_none(), "{:?}", user.failure));
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("event {i}").into_bytes()).collect()
}

#[tokio::test]
async fn echo_brings_back_text_and_binary_in_order() {
    let server = Server::start(Config::default());
    let mut users = [User::new(Seat { echo: true, ..server.seat() })];
    let payloads =
        [b"text".to_vec(), vec![0, 1, 255], "grüße".into(), vec![7; 60_000], vec![8; 60_000], vec![b'x'; 1]];
    for payload in &payloads {
        users[0].send(payload.clone(), std::str::from_utf8(payload).is_err());
    }
    until(&mut users, |users| users[0].received().len() == payloads.len()).await;
    assert_eq!(users[0].received(), payloads);
    let meter = &users[0].meter;
    let counted = [&meter.wire_in_bytes, &meter.wire_out_bytes].map(|tally| tally.get() > 120_000);
    assert_eq!((counted, meter.connections.get()), ([true, true], 1));
    assert!(meter.datagrams_in.get() > 100 && meter.datagrams_out.get() > 100);
}

#[tokio::test]
async fn every_subscriber_gets_every_event_once_and_in_order() {
    let server = Server::start(Config::default());
    let subscribe = || User::new(Seat { topics: vec!["t".into()], ..server.seat() });
    let publish = Seat { publish: Some("t".into()), ..server.seat() };
    let mut users = [subscribe(), subscribe(), subscribe(), User::new(publish)];
    until_ready(&mut users).await;
    let events = numbered(500);
    events.iter().for_each(|event| users[3].send(event.clone(), false));
    until(&mut users, |users| users[..3].iter().all(|user| user.received().len() == events.len())).await;
    users[..3].iter().for_each(|user| assert_eq!(user.received(), events));
    assert_eq!(server.post("/topics/t").await, 204);
    until(&mut users, |users| users[..3].iter().all(|user| user.received().len() > events.len())).await;
    users[..3].iter().for_each(|user| assert_eq!(user.received().last().unwrap(), b"from outside"));
    assert!(users[3].received().is_empty());
}

#[tokio::test]
async fn every_kind_of_channel_can_be_had() {
    let server = Server::start(Config::default());
    let kinds = [(true, None), (false, None), (true, Some(0)), (false, Some(3))];
    let mut users = kinds.map(|(ordered, max_retransmits)| {
        let options = Options { ordered, max_retransmits, ..server.seat().options };
        User::new(Seat { echo: true, options, ..server.seat() })
    });
    users.iter_mut().for_each(|user| user.send("x", false));
    until(&mut users, |users| users.iter().all(|user| user.received() == [b"x"])).await;
}

fn member(server: &Server, index: usize, size: usize) -> User {
    let mesh = Some(Mesh { group: "g".into(), index, size });
    let options = Options { peer_to_peer: true, ..server.seat().options };
    User::new(Seat { options, mesh, ..server.seat() })
}

#[tokio::test]
async fn a_mesh_forms_in_whatever_order_its_members_arrive() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let server = Server::start(Config::default());
        let mut users = Vec::new();
        for (before, index) in order.into_iter().enumerate() {
            users.push(member(&server, index, 3));
            // Each listens, and has long since said what it has to say, before the next one comes.
            let listens = async {
                while server.stats().await["requests"]["long-poll"].as_u64().unwrap() <= before as u64 {
                    until(&mut users, |_| true).await;
                }
            };
            assert!(tokio::time::timeout(PATIENCE, listens).await.is_ok(), "member {index} never listens");
        }
        until_ready(&mut users).await;
        let events = numbered(100);
        events.iter().for_each(|event| users[1].send(event.clone(), false));
        until(&mut users, |users| [0, 2].iter().all(|&user| users[user].received().len() == 100)).await;
        assert_eq!((users[0].received(), users[2].received()), (&*events, &*events));
        assert!(users[1].received().is_empty());
        let connections: u64 = users.iter().map(|user| user.meter.connections.get()).sum();
        assert_eq!(connections, 3, "a pair is one connection");
        let stats = server.stats().await;
        assert!(stats["published"].as_u64().unwrap() < 100, "the server sees no payload: {stats}");
    }
}

#[tokio::test]
async fn signalling_ends_when_all_are_connected() {
    let server = Server::start(Config::default());
    let mut users: Vec<User> = (0..2).map(|index| member(&server, index, 2)).collect();
    until_ready(&mut users).await;
    server.until_deserted("long-poll").await;
}

#[tokio::test]
async fn a_member_that_leaves_is_noticed_and_its_group_meets_again() {
    let server = Server::start(Config::default());
    let mut users: Vec<User> = (0..3).map(|index| member(&server, index, 3)).collect();
    until_ready(&mut users).await;
    let left = users.remove(1);
    left.close().await;
    until(&mut users, |users| users.iter().all(|user| user.failure.is_some())).await;
    for user in &mut users {
        let failure = user.failure.take().unwrap();
        assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::Eof));
    }
    users.push(member(&server, 1, 3));
    until(&mut users, |users| users.iter().map(|user| user.ready).eq([2, 2, 1])).await;
    users[2].send("again", false);
    until(&mut users, |users| users[..2].iter().all(|user| user.received() == [b"again"])).await;
}

#[tokio::test]
async fn two_hundred_peers_share_two_sockets() {
    let server = Server::start(Config::default());
    let mut users: Vec<User> =
        (0..200).map(|_| User::new(Seat { topics: vec!["t".into()], ..server.seat() })).collect();
    until_ready(&mut users).await;
    assert_eq!(server.subscribers("webrtc").await, 200);
    for _ in 0..3 {
        assert_eq!(server.post("/topics/t").await, 204);
    }
    until(&mut users, |users| users.iter().all(|user| user.received().len() == 3)).await;
    for user in users {
        user.close().await;
    }
    server.until_deserted("webrtc").await;
}

#[tokio::test]
async fn a_cut_drops_peers_without_a_goodbye() {
    let server = Server::start(Config::default());
    let mut users = [User::new(Seat { topics: vec!["t".into()], ..server.seat() })];
    until_ready(&mut users).await;
    let before = users[0].meter.datagrams_in.get();
    assert_eq!((server.subscribers("webrtc").await, server.post("/cut").await), (1, 204));
    server.until_deserted("webrtc").await;
    users[0].poll(&mut Context::from_waker(std::task::Waker::noop()));
    // At most what was on its way; how a client notices silence is tested on simulated time.
    assert!(users[0].failure.is_none() && users[0].meter.datagrams_in.get() <= before + 2);
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let mut server = Server::start(Config::default());
    let mut users = [User::new(Seat { topics: vec!["t".into()], ..server.seat() })];
    until_ready(&mut users).await;
    server.stop.take().unwrap().send(()).unwrap();
    until(&mut users, |users| users[0].failure.is_some()).await;
    let failure = users[0].failure.take().unwrap();
    assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::Eof));
    server.running.await.unwrap().unwrap();
    until(&mut users, |users| users[0].failure.is_some()).await;
    let failure = users[0].failure.take().unwrap();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, Kind::Refused));
}

#[tokio::test]
async fn a_refused_offer_is_told_with_its_status() {
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 0).unwrap();
    let target = target(listeners.http.local_addr().unwrap());
    tokio::spawn(reference_server::run(Config::default(), listeners, std::future::pending()));
    let mut users = [User::new(seat(&target))];
    until(&mut users, |users| users[0].failure.is_some()).await;
    let failure = users[0].failure.take().unwrap();
    assert_eq!((failure.phase, failure.kind), (Phase::Subscribe, Kind::Status(404)));
}

#[tokio::test]
async fn a_client_that_may_not_publish_is_closed() {
    let server = Server::start(Config::default());
    let mut users = [User::new(Seat { topics: vec!["t".into()], ..server.seat() })];
    users[0].send("nowhere to go", false);
    until(&mut users, |users| users[0].failure.is_some()).await;
    assert_eq!(users[0].failure.take().unwrap().kind, Kind::Eof);
    server.until_deserted("webrtc").await;
}

#[tokio::test]
async fn what_a_slow_client_loses_is_counted_and_told() {
    const EVENTS: usize = 3000;
    let mut config = Config::default();
    (config.limits.history_events, config.limits.queue_events) = (100, 100);
    let server = Server::start(config);
    let publish = Seat { publish: Some("t".into()), ..server.seat() };
    let mut users = [
        User::new(Seat { topics: vec!["t".into()], ..server.seat() }),
        User::new(Seat { topics: vec!["t".into()], ..publish }),
    ];
    until_ready(&mut users).await;
    let [slow, fast] = &mut users;
    (0..EVENTS).for_each(|i| fast.send(format!("{i:01000}"), false));
    // While nobody looks after its socket, the slow one's send buffer at the server fills, and then its queue.
    let fast = std::slice::from_mut(fast);
    until(fast, |fast| fast[0].received().len() == EVENTS).await;
    assert_eq!(fast[0].inbox.missed, 0);
    until(std::slice::from_mut(slow), |slow| {
        slow[0].received().last().is_some_and(|last| last.ends_with((EVENTS - 1).to_string().as_bytes()))
    })
    .await;
    let (got, missed) = (slow.received().len() as u64, slow.inbox.missed);
    assert_eq!((got + missed, missed), (EVENTS as u64, server.stats().await["dropped"].as_u64().unwrap()));
    assert!(missed > 0 && slow.received().is_sorted());
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason() {
    let server = Server::start(Config::default());
    assert_eq!(server.post("/rtc?echo=1").await, 400);
    assert_eq!(server.post("/rtc?echo=perhaps").await, 400);
}

#[tokio::test]
async fn a_client_binds_the_address_it_is_given() {
    let server = Server::start(Config::default());
    let source = Some([127, 0, 0, 9].into());
    let mut users = [User::new(Seat { source, echo: true, ..server.seat() })];
    users[0].send("x", false);
    until(&mut users, |users| users[0].received() == [b"x"]).await;
}
