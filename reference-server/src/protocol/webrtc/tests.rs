//! Tests of one peer on a simulated network with a simulated clock. Tests over sockets are with the client, in rtbench.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::SdpAnswer;
use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::sync::mpsc;

use super::driver::Driver;
use super::peer::{BUFFERED_BYTES, Gone, Peer};
use crate::Config;
use crate::app::App;
use crate::request::{Accepts, Subscribe};
use crate::rtc::Identity;

/// A peer of the server and the client it talks to; datagrams arrive at once.
struct Pair {
    now: Instant,
    app: Arc<App>,
    server: Peer,
    client: Rtc,
    channel: ChannelId,
    open: bool,
    received: Vec<Vec<u8>>,
    /// Nothing gets through any more.
    cut: bool,
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

impl Pair {
    fn met(query: &str) -> Pair {
        Pair::met_at(query, Some(address(2)))
    }

    /// The client names `candidate`, or no address at all.
    fn met_at(query: &str, candidate: Option<SocketAddr>) -> Pair {
        let now = Instant::now();
        let app = App::new(Config::default()).unwrap();
        let config = Identity::generate().unwrap().config(1 << 20, BUFFERED_BYTES);
        let mut client = config.clone().build(now);
        if let Some(address) = candidate {
            client.add_local_candidate(Candidate::host(address, "udp").unwrap());
        }
        let mut changes = client.sdp_api();
        let channel = changes.add_channel("test".to_owned());
        let (offer, pending) = changes.apply().unwrap();
        let request = (Subscribe::parse(query, Accepts::Channel).unwrap(), Waker::noop().clone());
        let addresses = [address(1)].into_iter();
        let (server, answer) =
            Peer::answer(&app, config, addresses, &offer.to_sdp_string(), request, now).unwrap();
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        client.sdp_api().accept_answer(pending, answer).unwrap();
        Pair { now, app, server, client, channel, open: false, received: Vec::new(), cut: false }
    }

    /// Both ends live for `long`, in steps of 10 ms.
    fn live(&mut self, long: Duration) -> Result<(), Gone> {
        let end = self.now + long;
        while self.now < end {
            self.server.tick(self.now)?;
            self.client.handle_input(Input::Timeout(self.now)).unwrap();
            while self.exchange()? {}
            self.now += Duration::from_millis(10);
        }
        Ok(())
    }

    /// Carries what both ends have sent; whether there was anything.
    fn exchange(&mut self) -> Result<bool, Gone> {
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        self.server.pump(self.now, &mut |transmit| to_client.push(transmit.contents))?;
        loop {
            match self.client.poll_output() {
                // A client to which nothing comes through gives up in the end.
                Err(_) | Ok(Output::Timeout(_)) => break,
                Ok(Output::Transmit(transmit)) => to_server.push(transmit.contents),
                Ok(Output::Event(Event::ChannelOpen(..))) => self.open = true,
                Ok(Output::Event(Event::ChannelData(data))) => self.received.push(data.data),
                Ok(Output::Event(_)) => {}
            }
        }
        let any = !to_client.is_empty() || !to_server.is_empty();
        if !self.cut {
            for datagram in to_server {
                self.server.receive(self.now, address(2), address(1), &datagram)?;
            }
            for datagram in to_client {
                let receive = Receive::new(Protocol::Udp, address(1), address(2), &datagram).unwrap();
                self.client.handle_input(Input::Receive(self.now, receive)).unwrap();
            }
        }
        Ok(any)
    }

    fn stats(&self) -> [u64; 3] {
        let stats = &self.app.stats;
        [stats.connections.get(), stats.subscribers.of(super::Id::WebRtc).get(), stats.peers_lost.get()]
    }
}

#[test]
fn a_subscription_is_in_force_when_the_channel_opens() {
    let mut pair = Pair::met("topic=t");
    pair.app.hub.publish("t", Bytes::from_static(b"too early"), false).unwrap();
    pair.live(Duration::from_secs(1)).unwrap();
    assert!(pair.open);
    assert_eq!(pair.stats(), [1, 1, 0]);
    pair.app.hub.publish("t", Bytes::from_static(b"in time"), false).unwrap();
    pair.live(Duration::from_millis(100)).unwrap();
    assert_eq!(pair.received, [b"in time"]);
}

#[test]
fn who_never_opens_a_channel_is_given_up_and_counted() {
    // ICE has its own patience for addresses that it knows, and none for those that are yet to come.
    for candidate in [None, Some(address(2))] {
        let mut pair = Pair::met_at("topic=t", candidate);
        pair.cut = true;
        pair.live(Duration::from_secs(10)).unwrap();
        assert_eq!(pair.stats(), [1, 0, 0]);
        pair.live(Duration::from_secs(25)).unwrap_err();
        assert_eq!(pair.stats(), [1, 0, 1]);
    }
}

#[test]
fn who_falls_silent_is_given_up_and_counted() {
    let mut pair = Pair::met("topic=t");
    pair.live(Duration::from_secs(1)).unwrap();
    pair.cut = true;
    pair.live(Duration::from_secs(10)).unwrap();
    pair.live(Duration::from_secs(20)).unwrap_err();
    let Pair { app, server, .. } = pair;
    drop(server);
    let stats = &app.stats;
    assert_eq!((stats.peers_lost.get(), stats.connections.get()), (1, 0));
}

#[test]
fn who_says_goodbye_is_not_lost() {
    let mut pair = Pair::met("topic=t");
    pair.live(Duration::from_secs(1)).unwrap();
    pair.client.close().unwrap();
    pair.live(Duration::from_millis(100)).unwrap_err();
    assert_eq!(pair.stats()[2], 0);
}

#[test]
fn text_that_is_not_utf8_ends_the_connection() {
    let mut pair = Pair::met("publish=t");
    pair.live(Duration::from_secs(1)).unwrap();
    assert!(pair.client.channel(pair.channel).unwrap().write(false, &[0xff]).unwrap());
    pair.live(Duration::from_millis(100)).unwrap_err();
    assert_eq!(pair.app.stats.published.get(), 0);
}

#[tokio::test]
async fn no_socket_waits_for_a_busier_one() {
    let bind = || UdpSocket::bind(address(0)).unwrap();
    let (sockets, sender) = ([bind(), bind(), bind(), bind()], bind());
    let watched = sockets.each_ref().map(|socket| socket.try_clone().unwrap());
    for socket in &sockets[..3] {
        for _ in 0..150 {
            sender.send_to(b"noise", socket.local_addr().unwrap()).unwrap();
        }
    }
    sender.send_to(b"noise", sockets[3].local_addr().unwrap()).unwrap();
    let app = App::new(Config::default()).unwrap();
    let (_offers, inbox) = mpsc::channel(1);
    let config = Identity::generate().unwrap().config(1000, BUFFERED_BYTES);
    let mut driver = pin!(Driver::start(app, sockets.into(), config, inbox).unwrap());
    // The sockets' readiness is news of the event loop, which runs between two turns.
    for _ in 0..2 {
        poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx).is_pending())).await;
        tokio::task::yield_now().await;
    }
    let left = watched.map(|socket| {
        let mut left = 0;
        while socket.recv(&mut [0; 16]).is_ok() {
            left += 1;
        }
        left
    });
    assert!(left[..3].iter().all(|&left| left > 0) && left[3] == 0, "{left:?}");
}
