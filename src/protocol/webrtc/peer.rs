//! One peer connection with its one data channel, without I/O.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reference_server::rtc::Identity;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};

use crate::protocol::{Failure, Kind, Message, Options, Phase};

/// Largest message that we receive, in bytes; what the contract lets a server accept by default.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Bytes that may wait in the channel's send buffer before sending blocks.
const BUFFERED_BYTES: usize = 256 << 10;

/// How often a timer that is due at once is obeyed before others get their turn.
const TIMEOUTS_AT_ONCE: usize = 8;

/// When a peer gets its next turn that would have needed more.
const SHORT_BREAK: Duration = Duration::from_millis(1);

/// What a `Peer` has to say, in the order in which it happens.
pub(super) trait Outlet {
    /// A datagram is to be sent.
    fn transmit(&mut self, to: SocketAddr, datagram: Vec<u8>);
    /// A message arrived.
    fn arrived(&mut self, payload: &[u8], binary: bool) -> Result<(), Failure>;
}

/// A peer connection.
pub(super) struct Peer {
    rtc: Rtc,
    /// What the channel must turn out to be.
    wanted: ChannelConfig,
    state: State,
    /// When `tick` is wanted.
    deadline: Instant,
    /// Whether we are the end that opened the connection.
    offered: bool,
}

enum State {
    /// Our offer has no answer yet.
    Offered(SdpPendingOffer),
    /// ICE, DTLS, SCTP and the channel's handshake are under way.
    Connecting,
    Open(ChannelId),
    Closing,
}

impl Peer {
    /// Offers a connection from `address`: the offer is for the other end.
    pub(super) fn offer(address: SocketAddr, options: &Options) -> Result<(Peer, String), Failure> {
        let mut peer = Peer::new(address, options, true)?;
        let mut changes = peer.rtc.sdp_api();
        changes.add_channel_with_config(peer.wanted.clone());
        // `None` is for a connection that needs no new negotiation, and this one is new.
        let (offer, pending) = changes.apply().ok_or_else(|| failure("nothing to offer"))?;
        peer.state = State::Offered(pending);
        Ok((peer, offer.to_sdp_string()))
    }

    /// Answers an offer: the answer is for the other end.
    pub(super) fn answer(
        address: SocketAddr,
        options: &Options,
        offer: &str,
    ) -> Result<(Peer, String), Failure> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(failure)?;
        let mut peer = Peer::new(address, options, false)?;
        let answer = peer.rtc.sdp_api().accept_offer(offer).map_err(failure)?;
        Ok((peer, answer.to_sdp_string()))
    }

    fn new(address: SocketAddr, options: &Options, offered: bool) -> Result<Peer, Failure> {
        let now = Instant::now();
        let mut rtc = config()?.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").map_err(failure)?);
        Ok(Peer { rtc, wanted: channel_config(options), state: State::Connecting, deadline: now, offered })
    }

    /// Takes the answer to our offer. The connection then begins with the next `tick`, which is due at once.
    pub(super) fn accept(&mut self, answer: &str) -> Result<(), Failure> {
        let answer = SdpAnswer::from_sdp_string(answer).map_err(failure)?;
        if let State::Offered(pending) = std::mem::replace(&mut self.state, State::Connecting) {
            self.rtc.sdp_api().accept_answer(pending, answer).map_err(failure)?;
            self.deadline = Instant::now();
        }
        Ok(())
    }

    /// Our own user-name fragment; it also names our offer.
    pub(super) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    pub(super) fn is_offered(&self) -> bool {
        self.offered
    }

    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Offered(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes a datagram, and does what follows from it.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        (source, destination): (SocketAddr, SocketAddr),
        datagram: &[u8],
        outlet: &mut impl Outlet,
    ) -> Result<(), Failure> {
        // What does not parse is not from this peer.
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, datagram) else { return Ok(()) };
        self.rtc.handle_input(Input::Receive(now, receive)).map_err(|error| self.broken(error))?;
        self.pump(now, outlet)
    }

    /// Tells the time, and does what follows from it.
    pub(super) fn tick(&mut self, now: Instant, outlet: &mut impl Outlet) -> Result<(), Failure> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(|error| self.broken(error))?;
        self.pump(now, outlet)
    }

    /// Whether a message can be written now; not if the other end must first acknowledge more. A channel that is not open has
    /// room: writing tells what is wrong with it.
    pub(super) fn has_room(&mut self) -> bool {
        let State::Open(id) = self.state else { return true };
        // Room for one more message is kept above the bound, so below it a write is never refused for lack of room.
        self.rtc.channel(id).is_none_or(|mut channel| channel.buffered_amount() < BUFFERED_BYTES)
    }

    /// Writes a message. There must be room for it.
    pub(super) fn write(
        &mut self,
        now: Instant,
        message: Message<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Failure> {
        let State::Open(id) = self.state else {
            return Err(Failure::new(Phase::Send, Kind::Eof, "the data channel is not open"));
        };
        let Some(mut channel) = self.rtc.channel(id) else {
            return Err(Failure::new(Phase::Send, Kind::Eof, "the data channel is closed"));
        };
        let written = channel.write(message.binary, message.payload);
        if !written.map_err(|error| Failure::protocol(Phase::Send, error.to_string()))? {
            let error = format!("{} bytes are more than a data channel takes", message.payload.len());
            return Err(Failure::protocol(Phase::Send, error));
        }
        self.pump(now, outlet)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, now: Instant, outlet: &mut impl Outlet) -> Result<(), Failure> {
        self.state = State::Closing;
        self.rtc.close().map_err(|error| Failure::protocol(Phase::Close, error.to_string()))?;
        self.pump(now, outlet)
    }

    /// Goes on until nothing is left to do.
    fn pump(&mut self, now: Instant, outlet: &mut impl Outlet) -> Result<(), Failure> {
        for _ in 0..TIMEOUTS_AT_ONCE {
            self.deadline = self.drain(outlet)?;
            if self.deadline > now {
                return Ok(());
            }
            self.rtc.handle_input(Input::Timeout(now)).map_err(|error| self.broken(error))?;
        }
        self.deadline = now + SHORT_BREAK;
        Ok(())
    }

    fn drain(&mut self, outlet: &mut impl Outlet) -> Result<Instant, Failure> {
        loop {
            match self.rtc.poll_output().map_err(|error| self.broken(error))? {
                Output::Timeout(next) => return Ok(next),
                Output::Transmit(transmit) => {
                    let Transmit { destination, contents, .. } = transmit;
                    outlet.transmit(destination, contents.into());
                }
                Output::Event(Event::ChannelData(data)) => outlet.arrived(&data.data, data.binary)?,
                Output::Event(event) => self.handle(&event)?,
            }
        }
    }

    fn handle(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::ChannelOpen(id, _) if matches!(self.state, State::Connecting) => self.opened(*id),
            Event::ChannelClose(_) | Event::Closed if !matches!(self.state, State::Closing) => {
                Err(self.failed(Kind::Eof, "the other end closed the connection"))
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                Err(self.failed(Kind::TimedOut, "the other end does not answer any more"))
            }
            _ => Ok(()),
        }
    }

    /// The channel is open; is it the one we asked for?
    fn opened(&mut self, id: ChannelId) -> Result<(), Failure> {
        let channel = self.rtc.channel(id);
        let is = channel.as_ref().and_then(|channel| channel.config());
        let agreed = is
            .is_some_and(|is| (is.ordered, is.reliability) == (self.wanted.ordered, self.wanted.reliability));
        if !agreed {
            let error = format!("asked for {:?}, got {is:?}", self.wanted);
            return Err(Failure::protocol(Phase::Connect, error));
        }
        self.state = State::Open(id);
        Ok(())
    }

    fn broken(&self, error: impl std::fmt::Display) -> Failure {
        self.failed(Kind::Protocol, error.to_string())
    }

    fn failed(&self, kind: Kind, detail: impl AsRef<str>) -> Failure {
        let phase = match self.state {
            State::Offered(_) | State::Connecting => Phase::Connect,
            State::Open(_) => Phase::Receive,
            State::Closing => Phase::Close,
        };
        Failure::new(phase, kind, detail)
    }
}

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::protocol(Phase::Subscribe, error.to_string())
}

/// What all connections of this thread are built from. One key pair serves them all.
fn config() -> Result<RtcConfig, Failure> {
    thread_local!(static CONFIG: OnceCell<RtcConfig> = const { OnceCell::new() });
    CONFIG.with(|config| {
        if let Some(config) = config.get() {
            return Ok(config.clone());
        }
        let identity = Identity::generate()
            .map_err(|error| Failure::new(Phase::Connect, Kind::Io, error.to_string()))?;
        Ok(config.get_or_init(|| identity.config(MAX_MESSAGE_BYTES, BUFFERED_BYTES)).clone())
    })
}

fn channel_config(options: &Options) -> ChannelConfig {
    ChannelConfig {
        label: "rtbench".to_owned(),
        ordered: options.ordered,
        reliability: options
            .max_retransmits
            .map_or(Reliability::Reliable, |retransmits| Reliability::MaxRetransmits { retransmits }),
        ..ChannelConfig::default()
    }
}
