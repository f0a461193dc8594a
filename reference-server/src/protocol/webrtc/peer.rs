//! One peer connection of the server, and the conversations on its channels.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::channel::{ChannelData, ChannelId};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig, RtcError};

use super::BadOffer;
use super::timers::Timer;
use crate::app::App;
use crate::connection::{Connection, Order};
use crate::protocol::Id;
use crate::protocol::channel::{Conversation, Outgoing};
use crate::request::Subscribe;

/// Bytes that may wait in a channel's send buffer. Above it nothing more is taken from the hub, whose queue then
/// fills, and whose losses are counted.
pub(super) const BUFFERED_BYTES: usize = 256 << 10;

/// From an offer to its first open channel. Who gave up meanwhile has no other way to say so.
const OPEN_PATIENCE: Duration = Duration::from_secs(30);

/// How often a timer that is due at once is obeyed before the others get their turn.
const TIMEOUTS_AT_ONCE: usize = 8;

/// What a peer takes that has not opened a channel yet, in bytes. Whoever only sends offers pays for none of them.
const UNOPENED_BYTES: usize = 24 << 10;

/// Channels of one peer, at most.
const MAX_CHANNELS: usize = 64;

/// When a peer gets its next turn that would have needed more.
const SHORT_BREAK: Duration = Duration::from_millis(1);

/// A peer connection.
pub(super) struct Peer {
    rtc: Rtc,
    app: Arc<App>,
    connection: Arc<Connection>,
    /// What each new channel subscribes to and where its messages go.
    request: Subscribe,
    channels: Vec<Channel>,
    /// Wakes the driver for this peer.
    waker: Waker,
    /// When the peer is given up if no channel is open by then.
    open_by: Option<Instant>,
    /// Nothing more is taken from the hub: the last datagrams are on their way.
    closing: bool,
    pub(super) timer: Timer,
}

struct Channel {
    id: ChannelId,
    conversation: Conversation,
    /// Taken from the conversation, and waiting for room in the send buffer.
    batch: VecDeque<Outgoing>,
}

/// The peer is no more.
#[derive(Debug)]
pub(super) struct Gone;

impl From<RtcError> for Gone {
    fn from(_: RtcError) -> Gone {
        Gone
    }
}

impl Peer {
    /// Answers an offer. The first of `addresses` is the one that the client prefers.
    pub(super) fn answer(
        app: &Arc<App>,
        config: RtcConfig,
        addresses: impl Iterator<Item = SocketAddr>,
        offer: &str,
        (request, waker): (Subscribe, Waker),
        now: Instant,
    ) -> Result<(Peer, String), BadOffer> {
        let offer = SdpOffer::from_sdp_string(offer)
            .map_err(|_| BadOffer::Sdp("it is not SDP, or contradicts itself"))?;
        let mut rtc = config.set_ice_lite(true).build(now);
        for address in addresses {
            let candidate =
                Candidate::host(address, "udp").map_err(|_| BadOffer::Sdp("this server has no address"))?;
            rtc.add_local_candidate(candidate);
        }
        let answer = rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|_| BadOffer::Sdp("it cannot be answered with data channels over DTLS"))?;
        let peer = Peer {
            rtc,
            app: app.clone(),
            connection: Connection::open(app),
            request,
            channels: Vec::new(),
            waker,
            open_by: Some(now + OPEN_PATIENCE),
            closing: false,
            timer: Timer::default(),
        };
        Ok((peer, answer.to_sdp_string()))
    }

    /// Our own user-name fragment.
    pub(super) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Takes a datagram. Call `pump` afterwards.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Gone> {
        self.app.stats.received_bytes.add(datagram.len() as u64);
        // What does not parse is not from this peer.
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, datagram) else { return Ok(()) };
        Ok(self.rtc.handle_input(Input::Receive(now, receive))?)
    }

    /// Tells the time. Call `pump` afterwards.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Gone> {
        if self.open_by.is_some_and(|by| by <= now) {
            return Err(self.lost());
        }
        Ok(self.rtc.handle_input(Input::Timeout(now))?)
    }

    /// Begins to say goodbye.
    fn close(&mut self) -> Result<(), Gone> {
        self.closing = true;
        self.channels.clear();
        Ok(self.rtc.close()?)
    }

    /// Goes on until nothing is left to do; gives the time of the next `tick`.
    pub(super) fn pump(&mut self, now: Instant, send: &mut dyn FnMut(Transmit)) -> Result<Instant, Gone> {
        for _ in 0..TIMEOUTS_AT_ONCE {
            let next = self.drain(send)?;
            if next > now {
                return Ok(self.open_by.map_or(next, |by| by.min(next)));
            }
            self.rtc.handle_input(Input::Timeout(now))?;
        }
        Ok(now + SHORT_BREAK)
    }

    /// Everything that str0m has to say, and everything that the conversations have to send.
    fn drain(&mut self, send: &mut dyn FnMut(Transmit)) -> Result<Instant, Gone> {
        loop {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => {
                    self.app.stats.sent_bytes.add(transmit.contents.len() as u64);
                    send(transmit);
                }
                Output::Event(event) => self.handle(event)?,
                Output::Timeout(_) if !self.rtc.is_alive() => return Err(Gone),
                Output::Timeout(next) => {
                    if !self.deliver()? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Gone> {
        match event {
            Event::ChannelOpen(id, _) if !self.closing => self.open(id),
            Event::ChannelData(data) => self.incoming(data),
            Event::ChannelClose(id) => {
                self.channels.retain(|channel| channel.id != id);
                if self.channels.is_empty() { self.close() } else { Ok(()) }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Err(self.lost()),
            // Whatever else there is concerns media, or is told a second time by one of the above.
            _ => Ok(()),
        }
    }

    fn open(&mut self, id: ChannelId) -> Result<(), Gone> {
        self.open_by = None;
        self.connection.subscribed(Id::WebRtc);
        // Each follows all topics, which one client has so many of.
        let topics = (self.channels.len() + 1) * self.request.topics.len();
        let has_room = self.channels.len() < MAX_CHANNELS && topics <= self.app.config.limits.client_topics;
        match Conversation::new(&self.app, self.request.clone()) {
            Ok(conversation) if has_room => {
                self.channels.push(Channel { id, conversation, batch: VecDeque::new() });
                Ok(())
            }
            // A channel that cannot be served has no other way to say so.
            _ => self.close(),
        }
    }

    fn lost(&self) -> Gone {
        self.app.stats.peers_lost.add(1);
        Gone
    }

    fn incoming(&mut self, ChannelData { id, binary, data }: ChannelData) -> Result<(), Gone> {
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.id == id) else { return Ok(()) };
        let is_message = binary || std::str::from_utf8(&data).is_ok();
        // Data channels have no close code; that they are closed must be enough.
        if !is_message || channel.conversation.incoming(&self.connection, data.into(), binary).is_err() {
            return self.close();
        }
        Ok(())
    }

    /// Obeys orders, then moves messages from the conversations into the send buffers, as far as there is room; says
    /// whether anything was done.
    fn deliver(&mut self) -> Result<bool, Gone> {
        let cx = &mut Context::from_waker(&self.waker);
        let mut close = match self.connection.order(cx) {
            Order::Serve => false,
            Order::Stop => true,
            // Without a goodbye, as if the network had failed.
            Order::Cut => return Err(Gone),
        };
        if self.closing {
            return Ok(false);
        }
        let mut moved = false;
        for channel in &mut self.channels {
            match channel.deliver(&mut self.rtc, &self.connection, cx) {
                Ok(some) => moved |= some,
                Err(Gone) => close = true,
            }
        }
        let held = self.channels.iter_mut().map(|channel| channel.held_bytes(&mut self.rtc)).sum();
        self.connection.holds(if self.open_by.is_some() { UNOPENED_BYTES } else { held }, 0);
        if close {
            self.close()?;
        }
        Ok(moved || close)
    }
}

impl Channel {
    /// What waits for the client. Events are its own, too, once they are copied into the send buffer.
    fn held_bytes(&mut self, rtc: &mut Rtc) -> usize {
        let buffered = rtc.channel(self.id).map_or(0, |mut channel| channel.buffered_amount());
        buffered + self.conversation.held_bytes()
    }

    /// `Err` if this client must be disconnected.
    fn deliver(
        &mut self,
        rtc: &mut Rtc,
        connection: &Arc<Connection>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Gone> {
        let mut moved = false;
        loop {
            let Some(mut channel) = rtc.channel(self.id) else { return Ok(moved) };
            while let Some((payload, binary)) = self.batch.front().map(Outgoing::message) {
                // Room for one more message is kept above the bound, so below it a write is never refused for lack of room.
                if payload.is_empty() {
                    // str0m 0.25 accepts an empty message and sends nothing, not the one byte of RFC 8831, section 6.6.
                    connection.stats().dropped.add(1);
                } else if channel.buffered_amount() >= BUFFERED_BYTES || !channel.write(binary, payload)? {
                    let slow = self.conversation.poll_too_slow(cx).is_ready();
                    return if slow { Err(Gone) } else { Ok(moved) };
                }
                moved = true;
                self.batch.pop_front();
            }
            let mut taken = Vec::from(std::mem::take(&mut self.batch));
            let more = self.conversation.poll_outgoing(cx, connection, &mut taken);
            self.batch = taken.into();
            match more {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_too_slow)) => return Err(Gone),
                Poll::Pending => return Ok(moved),
            }
        }
    }
}
