//! Tests of two peers on a simulated network with a simulated clock: loss, and silence, without waiting for either.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::peer::{Outlet, Peer};
use crate::protocol::{Failure, Kind, Message, Options, Phase};

/// One way of the network, one millisecond long.
const LINK: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Out {
    datagrams: Vec<Vec<u8>>,
    arrived: Vec<Vec<u8>>,
}

impl Outlet for Out {
    fn transmit(&mut self, _: SocketAddr, datagram: Vec<u8>) {
        self.datagrams.push(datagram);
    }

    fn arrived(&mut self, payload: &[u8], _binary: bool) -> Result<(), Failure> {
        self.arrived.push(payload.to_vec());
        Ok(())
    }
}

/// Two peers and what is between them.
struct Pair {
    now: Instant,
    peers: [Peer; 2],
    arrived: [Vec<Vec<u8>>; 2],
    /// When, to whom, what.
    flying: VecDeque<(Instant, usize, Vec<u8>)>,
    /// Decides for each datagram, by its number, whether it is lost.
    loses: fn(usize) -> bool,
    datagrams: usize,
}

fn address(end: usize) -> SocketAddr {
    ([127, 0, 0, 1], 1000 + end as u16).into()
}

fn options(ordered: bool, max_retransmits: Option<u16>) -> Options {
    Options {
        keep_alive: true,
        publish_keep_alive: true,
        hold: None,
        ordered,
        max_retransmits,
        peer_to_peer: true,
    }
}

impl Pair {
    /// Both ends have offer and answer; nothing has been sent.
    fn met(options: &Options, answerers_options: &Options) -> Pair {
        let (mut offering, offer) = Peer::offer(address(0), options).unwrap();
        let (answering, answer) = Peer::answer(address(1), answerers_options, &offer).unwrap();
        offering.accept(&answer).unwrap();
        Pair {
            now: Instant::now(),
            peers: [offering, answering],
            arrived: Default::default(),
            flying: VecDeque::new(),
            loses: |_| false,
            datagrams: 0,
        }
    }

    fn open(options: &Options) -> Pair {
        let mut pair = Pair::met(options, options);
        pair.run(Duration::from_secs(1), |pair| pair.peers.iter().all(Peer::is_open)).unwrap();
        assert!(pair.peers.iter().all(Peer::is_open));
        pair
    }

    fn act(
        &mut self,
        end: usize,
        act: impl FnOnce(&mut Peer, &mut Out) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut out = Out::default();
        act(&mut self.peers[end], &mut out)?;
        self.arrived[end].append(&mut out.arrived);
        for datagram in out.datagrams {
            self.datagrams += 1;
            if !(self.loses)(self.datagrams) {
                self.flying.push_back((self.now + LINK, 1 - end, datagram));
            }
        }
        Ok(())
    }

    /// Lets time pass until `done`, or for as long as is given.
    fn run(&mut self, long: Duration, mut done: impl FnMut(&Pair) -> bool) -> Result<(), Failure> {
        let end = self.now + long;
        while self.now < end && !done(self) {
            if self.flying.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, to, datagram) = self.flying.pop_front().unwrap();
                let (now, path) = (self.now, (address(1 - to), address(to)));
                self.act(to, |peer, out| peer.receive(now, path, &datagram, out))?;
            } else if let Some(due) = (0..2).find(|&end| self.peers[end].deadline() <= self.now) {
                let now = self.now;
                self.act(due, |peer, out| peer.tick(now, out))?;
            } else {
                let next =
                    self.peers.iter().map(Peer::deadline).chain(self.flying.front().map(|f| f.0)).min();
                self.now = next.unwrap().min(end);
            }
        }
        Ok(())
    }

    /// Writes `count` numbered messages, 1 ms apart, from the offering end.
    fn send(&mut self, count: u8) {
        for i in 0..count {
            let now = self.now;
            let message = Message { payload: &[i; 100], binary: true };
            self.act(0, |peer, out| peer.write(now, message, out)).unwrap();
            self.run(Duration::from_millis(1), |_| false).unwrap();
        }
    }
}

#[test]
fn a_pair_connects_in_a_few_round_trips() {
    let mut pair = Pair::met(&options(true, None), &options(true, None));
    let start = pair.now;
    pair.run(Duration::from_secs(1), |pair| pair.peers.iter().all(Peer::is_open)).unwrap();
    // ICE 1, DTLS 2, SCTP 2, DCEP 1, and one for the nomination; no timer of any layer is among them.
    assert!(pair.now - start <= 8 * 2 * LINK, "{:?}", pair.now - start);
}

#[test]
fn a_reliable_channel_brings_everything_in_order_over_a_lossy_link() {
    let mut pair = Pair::open(&options(true, None));
    pair.loses = |datagram| datagram % 5 == 0;
    pair.send(200);
    pair.run(Duration::from_secs(60), |pair| pair.arrived[1].len() == 200).unwrap();
    let expected: Vec<Vec<u8>> = (0..200).map(|i| vec![i; 100]).collect();
    assert_eq!(pair.arrived[1], expected);
}

#[test]
fn without_retransmits_what_is_lost_stays_lost() {
    let mut pair = Pair::open(&options(false, Some(0)));
    pair.loses = |datagram| datagram % 5 == 0;
    pair.send(200);
    pair.run(Duration::from_secs(60), |_| false).unwrap();
    let arrived = &pair.arrived[1];
    assert!((100..200).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(pair.arrived[0].len(), 0);
}

#[test]
fn an_unordered_channel_does_not_wait_for_what_is_lost() {
    /// Messages that arrived before the first one did, which was lost at first.
    fn overtaken(ordered: bool) -> usize {
        let mut pair = Pair::open(&options(ordered, None));
        pair.loses = |_| true;
        pair.send(1);
        pair.loses = |_| false;
        pair.send(10);
        pair.run(Duration::from_secs(10), |pair| pair.arrived[1].len() == 11).unwrap();
        assert_eq!(pair.arrived[1].len(), 11);
        // The lost one and the first of the ten look alike.
        10 - pair.arrived[1].iter().rposition(|payload| payload[0] == 0).unwrap()
    }
    assert_eq!(overtaken(true), 9);
    assert!(overtaken(false) < 9);
}

#[test]
fn ends_that_want_different_channels_do_not_get_one() {
    let mut pair = Pair::met(&options(true, None), &options(false, Some(3)));
    let failure = pair.run(Duration::from_secs(1), |_| false).unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, Kind::Protocol));
}

#[test]
fn an_end_that_falls_silent_is_noticed() {
    let mut pair = Pair::open(&options(true, None));
    let silence = pair.now;
    pair.loses = |_| true;
    let failure = pair.run(Duration::from_secs(120), |_| false).unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::TimedOut));
    assert!((5..60).contains(&(pair.now - silence).as_secs()), "{:?}", pair.now - silence);
}

#[test]
fn a_goodbye_is_told_from_silence() {
    let mut pair = Pair::open(&options(true, None));
    let now = pair.now;
    pair.act(0, |peer, out| peer.close(now, out)).unwrap();
    let failure = pair.run(Duration::from_secs(1), |_| false).unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::Eof));
}

#[test]
fn a_full_send_buffer_refuses_until_there_is_room() {
    let mut pair = Pair::open(&options(true, None));
    let payload = vec![7; 60_000];
    let (now, mut accepted) = (pair.now, 0);
    let mut write = |pair: &mut Pair| {
        let mut written = false;
        let message = Message { payload: &payload, binary: true };
        pair.act(0, |peer, out| {
            written = peer.has_room();
            if written { peer.write(now, message, out) } else { Ok(()) }
        })
        .unwrap();
        accepted += usize::from(written);
        written
    };
    while write(&mut pair) {}
    pair.run(Duration::from_secs(10), |pair| !pair.arrived[1].is_empty()).unwrap();
    pair.run(Duration::from_secs(1), |_| false).unwrap();
    let now = pair.now;
    let message = Message { payload: &payload, binary: true };
    pair.act(0, |peer, out| peer.write(now, message, out)).unwrap();
    pair.run(Duration::from_secs(10), |pair| pair.arrived[1].len() > accepted).unwrap();
    assert_eq!(pair.arrived[1].len(), accepted + 1);
    assert!(pair.arrived[1].iter().all(|arrived| *arrived == payload));
}
