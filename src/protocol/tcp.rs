//! A plain TCP stream, in TLS if the target is, cut into frames as its dialect says.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::dialect::Talk;
use super::{Client, Conversation, Failure, Inbox, Kind, Message, Phase, Protocol, Seat, Sent, Step, Traits};
use crate::transport::outbox::Outbox;
use crate::transport::scratch;
use crate::transport::stream::{Dialer, Stream};

/// Longest frame that is accepted, in bytes.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// One connection for both directions. Not in the table: the built-in contract has no words for it.
pub const TCP: Protocol = Protocol {
    name: "tcp",
    title: "TCP stream",
    short_title: "TCP",
    about: "one connection, frames in both directions",
    traits: Traits {
        polls: false,
        exchanges: false,
        resumes: false,
        reconnects: false,
        asks_again: false,
        binary: false,
        peer_to_peer: false,
        in_band: true,
    },
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    Box::new(TcpClient::new(&seat, seat.converse(&TCP)))
}

/// A client on one connection.
pub struct TcpClient {
    state: State,
    talk: Talk,
    dialer: Dialer,
}

enum State {
    Offline,
    Connecting(Stream),
    Open(Socket),
}

/// A connection. It owns no buffer between whole frames.
struct Socket {
    stream: Stream,
    /// The start of a frame whose end is missing.
    unread: Vec<u8>,
    out: Outbox,
}

impl TcpClient {
    /// A client that has this conversation.
    pub fn new(seat: &Seat, conversation: Box<dyn Conversation>) -> TcpClient {
        TcpClient { state: State::Offline, talk: Talk::new(conversation), dialer: seat.dialer() }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        loop {
            match &mut self.state {
                State::Offline => {
                    self.talk.begin();
                    self.state = State::Connecting(self.dialer.dial()?);
                }
                State::Connecting(stream) => {
                    ready!(stream.poll_connected(cx))?;
                    let State::Connecting(stream) = std::mem::replace(&mut self.state, State::Offline) else {
                        continue;
                    };
                    let mut socket = Socket { stream, unread: Vec::new(), out: Outbox::default() };
                    self.talk.hear(inbox, |conversation, heard| conversation.opened(heard))?;
                    let step = socket.after_hearing(cx, &mut self.talk)?;
                    self.state = State::Open(socket);
                    return Poll::Ready(Ok(step));
                }
                State::Open(socket) => return socket.poll_recv(cx, &mut self.talk, inbox),
            }
        }
    }

    /// A failure takes the connection with it.
    fn after<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result {
            self.talk.lost(failure);
            self.state = State::Offline;
        }
        result
    }
}

impl Client for TcpClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let step = ready!(self.poll_step(cx, inbox));
        Poll::Ready(self.after(step))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let State::Open(socket) = &mut self.state else { return Poll::Pending };
        let mut wrapped = Vec::new();
        let message = self.talk.conversation.publish(message, &mut wrapped);
        let sent = ready!(socket.poll_send(cx, message.payload));
        self.after(sent.map_err(|error| Failure::io(Phase::Send, &error)))?;
        Poll::Ready(Ok(self.talk.published()))
    }

    fn poll_answer(&mut self, _: &mut Context<'_>) -> Poll<super::Answer> {
        self.talk.poll_answer()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let State::Open(socket) = &mut self.state {
            // Reading to the end tells if writing fails.
            let _ = socket.out.poll_flush(cx, &mut socket.stream);
            let ended = ready!(socket.stream.poll_end(cx));
            self.state = State::Offline;
            return Poll::Ready(ended.map_err(|error| Failure::io(Phase::Close, &error)));
        }
        self.state = State::Offline;
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Reads once and takes all that is whole.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        talk: &mut Talk,
        inbox: &mut dyn Inbox,
    ) -> Poll<Result<Step, Failure>> {
        let phase = talk.phase();
        let failed = |error: &io::Error| Failure::io(phase, error);
        if !self.out.is_empty()
            && let Poll::Ready(Err(error)) = self.out.poll_flush(cx, &mut self.stream)
        {
            return Poll::Ready(Err(failed(&error)));
        }
        let taken = ready!(scratch::with(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            Poll::Ready(match read {
                Err(error) => Err(failed(&error)),
                Ok(()) if buf.filled().is_empty() => {
                    Err(Failure::new(phase, Kind::Eof, "the server ended the connection"))
                }
                Ok(()) => self.take(buf.filled(), talk, inbox),
            })
        }));
        Poll::Ready(taken.and_then(|()| self.after_hearing(cx, talk)))
    }

    fn take(&mut self, input: &[u8], talk: &mut Talk, inbox: &mut dyn Inbox) -> Result<(), Failure> {
        if self.unread.is_empty() {
            let taken = walk(input, talk, inbox)?;
            self.unread.extend_from_slice(&input[taken..]);
        } else {
            self.unread.extend_from_slice(input);
            let taken = walk(&self.unread, talk, inbox)?;
            self.unread.drain(..taken);
        }
        if self.unread.is_empty() {
            self.unread = Vec::new();
        } else if self.unread.len() > MAX_FRAME_BYTES {
            return Err(Failure::protocol(
                talk.phase(),
                format!("a frame of more than {MAX_FRAME_BYTES} bytes"),
            ));
        }
        Ok(())
    }

    /// Writes what is to be said in return.
    fn after_hearing(&mut self, cx: &mut Context<'_>, talk: &mut Talk) -> Result<Step, Failure> {
        while let Some((reply, _)) = talk.next_reply() {
            self.out.put_off(&reply);
        }
        if !self.out.is_empty()
            && let Poll::Ready(Err(error)) = self.out.poll_flush(cx, &mut self.stream)
        {
            return Err(Failure::io(talk.phase(), &error));
        }
        Ok(if talk.became_ready() { Step::Ready } else { Step::Received })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frame: &[u8]) -> Poll<io::Result<()>> {
        ready!(self.out.poll_flush(cx, &mut self.stream))?;
        ready!(self.out.poll_write(cx, &mut self.stream, frame))?;
        Poll::Ready(self.out.flush_behind(cx, &mut self.stream))
    }
}

/// Takes the whole frames at the front of `input`, and says how many bytes they are.
fn walk(input: &[u8], talk: &mut Talk, inbox: &mut dyn Inbox) -> Result<usize, Failure> {
    let mut taken = 0;
    while taken < input.len() {
        let rest = &input[taken..];
        // A frame of nothing would be taken for ever.
        let length = talk.conversation.split(rest)?.filter(|&length| (1..=rest.len()).contains(&length));
        let Some(length) = length else { break };
        talk.message(&rest[..length], true, inbox)?;
        taken += length;
    }
    Ok(taken)
}
