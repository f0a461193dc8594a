//! One HTTP/1.1 connection, one exchange at a time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::{Decoder, Framing};
use super::head::{self, Head};
use super::request::Request;
use crate::protocol::{Failure, Kind, Phase};
use crate::transport::scratch;
use crate::transport::stream::{Dialer, Stream};

/// Who takes an answer.
pub trait Answer {
    /// The head of the answer itself; interim ones (1xx) are not shown.
    ///
    /// # Errors
    /// Any that ends the exchange and the connection.
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure>;

    /// The next piece of the body, without its framing.
    ///
    /// # Errors
    /// Any that ends the exchange and the connection.
    fn body(&mut self, piece: &[u8]) -> Result<(), Failure>;
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was read; there may be more at once.
    Partial,
    /// The whole answer was read.
    Complete,
}

/// A connection. It owns no buffer unless a head comes in several pieces.
pub struct Connection {
    stream: Stream,
    stage: Stage,
    /// A head of which the end is missing; after an upgrade, what came behind the head.
    unparsed: Vec<u8>,
    /// Bytes of the request that were written.
    written: usize,
    /// Bytes of the answer that were read.
    read: usize,
    /// Why writing ended early. The answer may tell more, so reading goes on.
    write_error: Option<io::Error>,
    exchanges: u32,
    /// The server said that it leaves the connection open.
    stays_open: bool,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Head,
    Body(Decoder),
    Complete,
}

impl Connection {
    /// Starts to connect, for a first exchange.
    ///
    /// # Errors
    /// Of phase `Connect`.
    pub fn dial(dialer: &Dialer) -> Result<Connection, Failure> {
        Ok(Connection {
            stream: dialer.dial()?,
            stage: Stage::Connecting,
            unparsed: Vec::new(),
            written: 0,
            read: 0,
            write_error: None,
            exchanges: 0,
            stays_open: true,
        })
    }

    /// Bytes read and written in this exchange so far.
    pub fn exchange_bytes(&self) -> (usize, usize) {
        (self.read, self.written)
    }

    /// Whether the answer is complete and another exchange can begin.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_complete() && self.stays_open
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete)
    }

    /// Whether the exchange failed in the way a connection does that the server closed while it was idle.
    pub(super) fn went_stale(&self, failure: &Failure) -> bool {
        self.exchanges > 0 && self.read == 0 && matches!(failure.kind, Kind::Eof | Kind::Reset)
    }

    /// Makes ready for another exchange. `false` if the server closed the connection in the meantime.
    ///
    /// # Errors
    /// The server said something without being asked.
    pub(super) fn begin_again(&mut self, cx: &mut Context<'_>, phase: Phase) -> Result<bool, Failure> {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => return Err(unasked(phase)),
            Poll::Ready(_) => return Ok(false),
        }
        self.stage = Stage::Head;
        (self.written, self.read) = (0, 0);
        self.exchanges += 1;
        Ok(true)
    }

    /// Goes on with the exchange: connects, writes, reads once. Call with the same request until `Complete`.
    ///
    /// # Errors
    /// Of the request's phase, or `Connect`. The connection is of no use any more.
    pub fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Poll<Result<Progress, Failure>> {
        if matches!(self.stage, Stage::Connecting) {
            ready!(self.stream.poll_connected(cx))?;
            self.stage = Stage::Head;
        }
        self.write(cx, request);
        scratch::with(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            Poll::Ready(match read {
                Err(e) => Err(self.broken(request.phase, &e)),
                Ok(()) if buf.filled().is_empty() => self.at_eof(request.phase),
                Ok(()) => {
                    self.read += buf.filled().len();
                    self.take(buf.filled(), request, answer)
                }
            })
        })
    }

    /// Writes what it can of the request.
    fn write(&mut self, cx: &mut Context<'_>, request: &Request<'_>) {
        let (head, body) = (request.head, request.body);
        while self.written < head.len() + body.len() && self.write_error.is_none() {
            let head = head.get(self.written..).unwrap_or_default();
            let body = &body[self.written.saturating_sub(request.head.len())..];
            let stream = Pin::new(&mut self.stream);
            let result = if body.is_empty() {
                stream.poll_write(cx, head)
            } else {
                stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)])
            };
            match result {
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.written += written,
                Poll::Ready(Err(e)) => self.write_error = Some(e),
                Poll::Pending => return,
            }
        }
        // TLS may hold back what the socket had no room for. Reading tells if this fails.
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
    }

    /// Takes what was read.
    fn take(
        &mut self,
        input: &[u8],
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        match self.stage {
            Stage::Head if self.unparsed.is_empty() => self.take_head(input, request, answer),
            Stage::Head => {
                self.unparsed.extend_from_slice(input);
                let unparsed = std::mem::take(&mut self.unparsed);
                self.take_head(&unparsed, request, answer)
            }
            _ => self.take_body(input, request.phase, answer),
        }
    }

    fn take_head(
        &mut self,
        mut input: &[u8],
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        let phase = request.phase;
        loop {
            let parsed = head::parse(input, |head, length| {
                if head.is_interim() {
                    return Ok((length, None));
                }
                answer.head(head)?;
                let framing = head.framing(request.is_head());
                let framing = framing.map_err(|e| Failure::protocol(phase, e.to_string()))?;
                self.stays_open = head.keeps_open() && framing != Framing::UntilEof;
                Ok((length, Some((framing, head.status == 101))))
            });
            match parsed.map_err(|e| Failure::protocol(phase, e.to_string()))?.transpose()? {
                None => {
                    self.unparsed = input.to_vec();
                    return Ok(Progress::Partial);
                }
                Some((length, None)) => input = &input[length..],
                Some((length, Some((_, true)))) => {
                    self.unparsed = input[length..].to_vec();
                    self.stage = Stage::Complete;
                    return Ok(Progress::Complete);
                }
                Some((length, Some((framing, false)))) => {
                    self.stage = Stage::Body(Decoder::new(framing));
                    return self.take_body(&input[length..], phase, answer);
                }
            }
        }
    }

    fn take_body(
        &mut self,
        mut input: &[u8],
        phase: Phase,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        let Stage::Body(decoder) = &mut self.stage else { return Err(unasked(phase)) };
        while !input.is_empty() && !decoder.is_done() {
            let (taken, piece) = decoder.next(input).map_err(|e| Failure::protocol(phase, e.to_string()))?;
            input = &input[taken..];
            if !piece.is_empty() {
                answer.body(piece)?;
            }
        }
        if !decoder.is_done() {
            return Ok(Progress::Partial);
        }
        self.stage = Stage::Complete;
        if input.is_empty() { Ok(Progress::Complete) } else { Err(unasked(phase)) }
    }

    fn at_eof(&mut self, phase: Phase) -> Result<Progress, Failure> {
        match &mut self.stage {
            Stage::Body(decoder) => {
                decoder.eof().map_err(|e| Failure::new(phase, Kind::Eof, e.to_string()))?;
                self.stage = Stage::Complete;
                Ok(Progress::Complete)
            }
            _ => Err(self.broken(phase, &io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// The failure of a connection that broke; what broke first counts.
    fn broken(&mut self, phase: Phase, error: &io::Error) -> Failure {
        Failure::io(phase, self.write_error.as_ref().unwrap_or(error))
    }

    /// After an upgrade: the stream, and what was read of it behind the head.
    pub fn into_upgraded(self) -> (Stream, Vec<u8>) {
        (self.stream, self.unparsed)
    }

    /// Ends the connection: after an answer that announced it, the server first.
    ///
    /// # Errors
    /// The server went on talking behind its answer. A connection that breaks at its end has merely ended.
    pub fn poll_end(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Failure>> {
        if matches!(self.stage, Stage::Connecting) {
            return Poll::Ready(Ok(()));
        }
        if self.is_complete() && !self.stays_open {
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            if ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)).is_ok() {
                if !buf.filled().is_empty() {
                    return Poll::Ready(Err(unasked(phase)));
                }
                return self.stream.poll_end_behind(cx).map(|_| Ok(()));
            }
        }
        self.stream.poll_end(cx).map(|_| Ok(()))
    }
}

fn unasked(phase: Phase) -> Failure {
    Failure::protocol(phase, "the server sent more than an answer")
}
