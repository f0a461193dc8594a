//! A WebSocket behind its handshake: frames on a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::frames::{Frames, Item};
use crate::protocol::dialect::Talk;
use crate::protocol::{Failure, Inbox, Kind, Message, Phase, Step};
use crate::transport::outbox::Outbox;
use crate::transport::scratch;
use crate::transport::stream::Stream;

/// Longest header of a frame that we send: with a length of eight bytes and a mask.
const MAX_HEADER_BYTES: usize = 14;

/// A server that pings and does not read gets no more pongs than these bytes hold.
const MAX_QUEUED_BYTES: usize = 64 * 1024;

/// Close code where the peer gave none (RFC 6455, section 7.1.5).
const NO_CLOSE_CODE: u16 = 1005;

/// A connection that both ends have upgraded. It owns no buffer between messages, and is 128 bytes.
pub(super) struct Socket {
    stream: Stream,
    frames: Frames,
    /// Something was read behind the answer to the upgrade, and is still to be taken.
    early: bool,
    out: FramesOut,
}

/// What goes out: at once, or behind what could not.
struct FramesOut {
    queue: Outbox,
    masks: Pcg64Mcg,
}

/// A read that ended the connection, or what the server said that does.
enum End {
    Failure(Failure),
    Frames(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Frames(error)
    }
}

impl Socket {
    /// Over a stream of which something may have been read behind the upgrade.
    pub(super) fn new(stream: Stream, early: Vec<u8>, masks: Pcg64Mcg) -> Socket {
        let out = FramesOut { queue: Outbox::default(), masks };
        Socket { stream, early: !early.is_empty(), frames: Frames::behind(early), out }
    }

    /// It was upgraded: the conversation begins.
    pub(super) fn opened(&mut self, talk: &mut Talk, inbox: &mut dyn Inbox) -> Result<Step, Failure> {
        talk.hear(inbox, |conversation, heard| conversation.opened(heard))?;
        Ok(self.after_hearing(talk))
    }

    /// Queues what is to be said in return.
    #[inline]
    fn after_hearing(&mut self, talk: &mut Talk) -> Step {
        while let Some((reply, binary)) = talk.next_reply() {
            self.out.queue_frame(OpCode::Data(kind_of(binary)), &reply);
        }
        if talk.became_ready() { Step::Ready } else { Step::Received }
    }

    /// Reads once and takes all that came.
    #[inline]
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        talk: &mut Talk,
        inbox: &mut dyn Inbox,
    ) -> Poll<Result<Step, Failure>> {
        // What is queued has a waker of its own once it was pending, which must be asked again.
        if !self.out.queue.is_empty()
            && let Poll::Ready(Err(error)) = self.out.queue.poll_flush(cx, &mut self.stream)
        {
            return Poll::Ready(Err(Failure::io(Phase::Receive, &error)));
        }
        let taken = if std::mem::take(&mut self.early) {
            Poll::Ready(self.take(&[], talk, inbox))
        } else {
            scratch::with(|buffer| {
                let mut buf = ReadBuf::new(buffer);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
                Poll::Ready(match read {
                    Err(error) => Err(Failure::io(Phase::Receive, &error)),
                    Ok(()) if buf.filled().is_empty() => Err(cut(Phase::Receive)),
                    Ok(()) => self.take(buf.filled(), talk, inbox),
                })
            })
        };
        let taken = ready!(taken);
        let step = self.after_hearing(talk);
        if !self.out.queue.is_empty() {
            // A pong that must wait goes out with a later call; a close has no other chance.
            let _ = self.out.queue.poll_flush(cx, &mut self.stream);
        }
        Poll::Ready(taken.map(|()| step))
    }

    #[inline]
    fn take(&mut self, input: &[u8], talk: &mut Talk, inbox: &mut dyn Inbox) -> Result<(), Failure> {
        let out = &mut self.out;
        let fed = self.frames.feed(input, |item| match item {
            Item::Text(text) => talk.message(text, false, inbox).map_err(End::Failure),
            Item::Binary(payload) => talk.message(payload, true, inbox).map_err(End::Failure),
            Item::Ping(payload) => {
                if out.queue.queued_bytes() < MAX_QUEUED_BYTES {
                    out.queue_frame(OpCode::Control(Control::Pong), payload);
                }
                Ok(())
            }
            Item::Pong => Ok(()),
            Item::Close(frame) => {
                out.queue_close(frame.as_ref());
                Err(End::Failure(said_close(frame)))
            }
        });
        fed.map_err(|end| match end {
            End::Failure(failure) => failure,
            End::Frames(error) => {
                // RFC 6455, section 7.1.7: the server is told why it is left.
                out.queue_close(Some(&CloseFrame { code: close_code(&error), reason: "".into() }));
                broken(Phase::Receive, &error)
            }
        })
    }

    /// Takes `message` if everything before it has gone out to the operating system. What of it does not go out at once
    /// does with a later call of this or of [`Socket::poll_recv`].
    #[inline]
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: Message<'_>,
    ) -> Poll<Result<(), Failure>> {
        let taken = ready!(self.poll_message(cx, message));
        Poll::Ready(taken.map_err(|error| Failure::io(Phase::Send, &error)))
    }

    #[inline]
    fn poll_message(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<io::Result<()>> {
        ready!(self.out.queue.poll_flush(cx, &mut self.stream))?;
        let kind = kind_of(message.binary);
        ready!(self.out.poll_frame(cx, &mut self.stream, OpCode::Data(kind), message.payload))?;
        Poll::Ready(self.out.queue.flush_behind(cx, &mut self.stream))
    }

    /// Queues our close; [`Socket::poll_good_bye`] sends it.
    pub(super) fn begin_close(&mut self) {
        self.out.queue_frame(OpCode::Control(Control::Close), &[]);
    }

    /// Sees our close out, and reads until the server has said close too and ended the connection.
    pub(super) fn poll_good_bye(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if std::mem::take(&mut self.early)
            && let Err(error) = self.frames.feed(&[], |_| Ok::<(), Error>(()))
        {
            return Poll::Ready(Err(broken(Phase::Close, &error)));
        }
        loop {
            // Reading tells it too if writing fails.
            let _ = self.out.queue.poll_flush(cx, &mut self.stream);
            let ended = ready!(scratch::with(|buffer| {
                let mut buf = ReadBuf::new(buffer);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
                Poll::Ready(self.after_close(read, buf.filled()))
            }));
            if let Some(ended) = ended {
                return Poll::Ready(ended);
            }
        }
    }

    /// How the connection ended, if it has. What was on its way before the server's close is thrown away.
    fn after_close(&mut self, read: io::Result<()>, input: &[u8]) -> Option<Result<(), Failure>> {
        match read {
            Ok(()) if !input.is_empty() => {
                let fed = self.frames.feed(input, |_| Ok::<(), Error>(()));
                fed.err().map(|error| Err(broken(Phase::Close, &error)))
            }
            Ok(()) if self.frames.is_closed() => Some(Ok(())),
            Ok(()) => Some(Err(cut(Phase::Close))),
            // Many a server says good-bye in WebSocket's words and not in those of TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(Ok(())),
            // That the server broke off is an end too, as both have said close.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && self.frames.is_closed() => {
                Some(Ok(()))
            }
            Err(error) => Some(Err(Failure::io(Phase::Close, &error))),
        }
    }

    /// Ends the connection below.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_end(cx)
    }
}

impl FramesOut {
    fn queue_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut frame = vec![0; MAX_HEADER_BYTES + payload.len()];
        let length = self.encode(opcode, payload, &mut frame);
        self.queue.put_off(&frame[..length]);
    }

    fn queue_close(&mut self, frame: Option<&CloseFrame>) {
        let mut payload = Vec::new();
        if let Some(CloseFrame { code, reason }) = frame {
            payload.extend_from_slice(&u16::from(*code).to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        self.queue_frame(OpCode::Control(Control::Close), &payload);
    }

    /// Writes a frame, or takes the part that could not be written. Pending, it has taken nothing.
    #[inline]
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        opcode: OpCode,
        payload: &[u8],
    ) -> Poll<io::Result<()>> {
        scratch::with(|buffer| {
            let mut long;
            let buffer = if MAX_HEADER_BYTES + payload.len() <= buffer.len() {
                buffer
            } else {
                long = vec![0; MAX_HEADER_BYTES + payload.len()];
                &mut long[..]
            };
            let length = self.encode(opcode, payload, buffer);
            self.queue.poll_write(cx, stream, &buffer[..length])
        })
    }

    /// Writes a frame with a mask of its own to the front of `frame`, and says how long it is.
    #[inline]
    fn encode(&mut self, opcode: OpCode, payload: &[u8], frame: &mut [u8]) -> usize {
        let mask = self.masks.next_u32().to_ne_bytes();
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut rest = &mut *frame;
        // There is room for it, so writing to memory cannot fail.
        let _ = header.format(payload.len() as u64, &mut rest);
        let start = header.len(payload.len() as u64);
        mask_into(&mut frame[start..start + payload.len()], payload, mask);
        start + payload.len()
    }
}

fn kind_of(binary: bool) -> Data {
    if binary { Data::Binary } else { Data::Text }
}

/// XORs `payload` with the mask, eight bytes at a time.
#[inline]
fn mask_into(out: &mut [u8], payload: &[u8], mask: [u8; 4]) {
    let narrow = u64::from(u32::from_ne_bytes(mask));
    let wide = narrow << 32 | narrow;
    let (out_eights, out_rest) = out.as_chunks_mut::<8>();
    let (eights, rest) = payload.as_chunks::<8>();
    for (out, eight) in out_eights.iter_mut().zip(eights) {
        *out = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last = (u64::from_ne_bytes(last) ^ wide).to_ne_bytes();
    out_rest.copy_from_slice(&last[..rest.len()]);
}

fn said_close(frame: Option<CloseFrame>) -> Failure {
    let (code, reason) =
        frame.map_or((NO_CLOSE_CODE, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
    Failure::new(Phase::Receive, Kind::CloseCode(code), reason)
}

/// What says that this is wrong (RFC 6455, section 7.4.1).
fn close_code(error: &Error) -> CloseCode {
    match error {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    }
}

fn cut(phase: Phase) -> Failure {
    let error = Error::from(ProtocolError::ResetWithoutClosingHandshake);
    Failure::new(phase, Kind::Eof, error.to_string())
}

fn broken(phase: Phase, error: &Error) -> Failure {
    Failure::protocol(phase, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_gets_its_part_of_the_mask() {
        let mask = [1, 2, 4, 8];
        let payload: Vec<u8> = (0..100).collect();
        for length in 0..payload.len() {
            let mut out = vec![0; length];
            mask_into(&mut out, &payload[..length], mask);
            assert!(out.iter().enumerate().all(|(i, &byte)| byte == payload[i] ^ mask[i % 4]), "{length}");
        }
    }
}
