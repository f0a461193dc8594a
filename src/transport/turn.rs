//! A relay between a client's datagrams and their other end (TURN, RFC 8656), for a client whose own datagrams do not get
//! there.
//!
//! ```text
//! protocol -> Datagrams -> Relayed (ChannelData) -> socket -> TURN server -> the other end
//! ```
//!
//! Every datagram goes through the relay, in a channel that is bound to its other end at first use. The relayed address is
//! not offered as a candidate: the other end, a server that is ICE-lite, answers to where a datagram comes from.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant as Elapsed;
use turn_client_proto::types::{TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

/// Datagrams kept until their channel is bound. More are dropped, as a router would.
const WAITING_DATAGRAMS: usize = 256;

/// A TURN server, and what it wants to know.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens for datagrams.
    pub address: SocketAddr,
    /// Name of the long-term credentials.
    pub username: String,
    /// Their password.
    pub password: String,
    /// Bytes of datagrams that it carried in either direction, without what TURN adds.
    pub carried_bytes: Cell<u64>,
}

/// One client's allocation. Does no I/O.
pub(super) struct Relayed {
    relay: Rc<Relay>,
    local: SocketAddr,
    client: TurnClientUdp,
    allocated: bool,
    /// Other ends with a channel.
    bound: BTreeSet<SocketAddr>,
    /// Other ends whose channel was asked for.
    asked: BTreeSet<SocketAddr>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The crate counts time from a point of ours.
    epoch: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Relayed {
    /// An allocation for the socket at `local`, asked for by the first [`Relayed::poll`].
    pub(super) fn new(relay: Rc<Relay>, local: SocketAddr) -> Relayed {
        let credentials = TurnCredentials::new(&relay.username, &relay.password);
        Relayed {
            client: TurnClientUdp::allocate(local, relay.address, TurnConfig::new(credentials)),
            relay,
            local,
            allocated: false,
            bound: BTreeSet::new(),
            asked: BTreeSet::new(),
            waiting: VecDeque::new(),
            epoch: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Where the relay is.
    pub(super) fn address(&self) -> SocketAddr {
        self.relay.address
    }

    fn now(&self) -> Elapsed {
        Elapsed::from_std(self.epoch)
    }

    /// What is to be sent to the relay for a datagram to `to`; nothing while there is no channel.
    pub(super) fn wrap(&mut self, to: SocketAddr, datagram: Vec<u8>) -> Option<Vec<u8>> {
        if !self.bound.contains(&to) {
            if self.waiting.len() < WAITING_DATAGRAMS {
                self.waiting.push_back((to, datagram));
            }
            return None;
        }
        let now = self.now();
        self.count(datagram.len());
        // Without a permission, which the channel came with, it is lost like any datagram.
        let transmit = self.client.send_to(TransportType::Udp, to, datagram, now).ok()??;
        Some(transmit.build().data)
    }

    /// What came from an other end, if that is what a datagram from `from` brings. Without the relay nothing comes.
    pub(super) fn unwrap(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let now = self.now();
        let transmit = Transmit::new(datagram, TransportType::Udp, from, self.local);
        let TurnRecvRet::PeerData(data) = self.client.recv(transmit, now) else { return None };
        self.count(data.data().len());
        Some((data.peer, data.data().to_vec()))
    }

    /// Goes on with allocation, channels and their upkeep; gives what is to be sent to the relay.
    ///
    /// # Errors
    /// The relay refuses, or does not answer.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> io::Result<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        loop {
            self.ask_for_channels()?;
            let next = self.client.poll(self.now());
            while let Some(transmit) = self.client.poll_transmit(self.now()) {
                out.push(transmit.data.to_vec());
            }
            while let Some(event) = self.client.poll_event() {
                self.handle(&event, &mut out)?;
            }
            let TurnPollRet::WaitUntil(next) = next else {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the relay ended the allocation"));
            };
            let wait = next.saturating_duration_since(self.now());
            self.alarm.as_mut().reset(tokio::time::Instant::now() + wait.max(Duration::from_millis(1)));
            if self.alarm.as_mut().poll(cx) == Poll::Pending {
                return Ok(out);
            }
        }
    }

    fn ask_for_channels(&mut self) -> io::Result<()> {
        if !self.allocated {
            return Ok(());
        }
        let now = self.now();
        for (to, _) in &self.waiting {
            if self.asked.insert(*to) {
                self.client.bind_channel(TransportType::Udp, *to, now).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: &TurnEvent, out: &mut Vec<Vec<u8>>) -> io::Result<()> {
        match event {
            TurnEvent::AllocationCreated(..) => {
                self.allocated = true;
                self.ask_for_channels()
            }
            TurnEvent::ChannelCreated(_, peer) => {
                self.bound.insert(*peer);
                let (now_sent, waiting) =
                    std::mem::take(&mut self.waiting).into_iter().partition(|(to, _)| to == peer);
                self.waiting = waiting;
                let now_sent: VecDeque<(SocketAddr, Vec<u8>)> = now_sent;
                out.extend(now_sent.into_iter().filter_map(|(to, datagram)| self.wrap(to, datagram)));
                Ok(())
            }
            TurnEvent::AllocationCreateFailed(_)
            | TurnEvent::ChannelCreateFailed(..)
            | TurnEvent::PermissionCreateFailed(..) => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("the relay refused: {event:?}")))
            }
            _ => Ok(()),
        }
    }

    /// What tells the relay that it is not needed any more.
    pub(super) fn end(&mut self) -> Vec<Vec<u8>> {
        // Without an allocation there is nothing to end.
        let _ = self.client.delete(self.now());
        // The crate keeps a distance between requests, and there is no later.
        let later = self.now() + Duration::from_secs(1);
        std::iter::from_fn(|| self.client.poll_transmit(later))
            .map(|transmit| transmit.data.to_vec())
            .collect()
    }

    fn count(&self, bytes: usize) {
        self.relay.carried_bytes.set(self.relay.carried_bytes.get() + bytes as u64);
    }
}

impl std::fmt::Debug for Relayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Relayed({}, {} channels)", self.relay.address, self.bound.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn nothing_goes_or_comes_past_the_relay() {
        let [relay, local, server] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let account =
            Relay { address: relay, username: "a".into(), password: "b".into(), carried_bytes: Cell::new(0) };
        let mut relayed = Relayed::new(Rc::new(account), local);
        assert_eq!(relayed.wrap(server, vec![1; 10]), None, "there is no channel yet");
        assert_eq!(relayed.unwrap(server, &[1; 10]), None);
        let out = std::future::poll_fn(|cx| Poll::Ready(relayed.poll(cx))).await.unwrap();
        // An Allocate request (RFC 8656, section 17), and nothing of the datagram.
        assert_eq!(out.iter().map(|datagram| datagram[..2].to_vec()).collect::<Vec<_>>(), [[0, 3]]);
        assert_eq!((relayed.waiting.len(), relayed.relay.carried_bytes.get()), (1, 0));
    }
}
