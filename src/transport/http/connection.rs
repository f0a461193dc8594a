//! One HTTP/1.1 connection, one exchange at a time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::content::Content;
use super::head::{self, Head, HeadError};
use super::refusal::Refused;
use super::request::Encoded;
use crate::failure::{Failure, Kind, Phase};
use crate::transport::reception::Refusal;
use crate::transport::scratch;
use crate::transport::stream::{Dialer, Stream};

/// Who takes an answer.
pub trait Answer {
    /// The head of the answer itself; interim ones (1xx) are not shown.
    ///
    /// # Errors
    /// Any that ends the exchange and the connection. What was asked and the first words of the answer are added to it.
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure>;

    /// The next piece of the body, without its framing and compression.
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

enum Stage {
    Connecting,
    Head,
    Body(Content),
    /// The answer is not what was asked for; its first words are still to come.
    Refused(Box<Refused>),
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

    /// Whether the exchange failed in a way that a connection does that was idle for too long, and may be begun again: the
    /// server had closed it, or gave up waiting just then.
    pub(super) fn went_stale(&self, request: &Encoded<'_>, failure: &Failure) -> bool {
        let unanswered = self.read == 0 && matches!(failure.kind, Kind::Eof | Kind::Reset);
        self.exchanges > 0 && (failure.kind == Kind::Status(408) || unanswered && request.is_repeatable())
    }

    /// Makes ready for another exchange. `false` if the server ended the connection in the meantime, or said something
    /// without being asked, as one does that answers 408 before it closes: what it says next belongs to no request.
    pub(super) fn begin_again(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        if Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_ready() {
            return false;
        }
        self.stage = Stage::Head;
        (self.written, self.read) = (0, 0);
        self.exchanges += 1;
        true
    }

    /// Goes on with the exchange: connects, writes, reads once. Call with the same request until `Complete`.
    ///
    /// # Errors
    /// Of the request's phase, or `Connect`. The connection is of no use any more.
    pub fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        request: &Encoded<'_>,
        answer: &mut dyn Answer,
    ) -> Poll<Result<Progress, Failure>> {
        if matches!(self.stage, Stage::Connecting) {
            ready!(self.stream.poll_connected(cx))?;
            self.stage = Stage::Head;
            if request.phase == Phase::Subscribe {
                self.stream.meter().reception.ask();
            }
        }
        if let Stage::Refused(refused) = &mut self.stage
            && refused.poll_patience(cx).is_ready()
        {
            return Poll::Ready(Err(self.refused()));
        }
        self.write(cx, request);
        scratch::with(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            Poll::Ready(match read {
                Err(_) if matches!(self.stage, Stage::Refused(_)) => Err(self.refused()),
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
    fn write(&mut self, cx: &mut Context<'_>, request: &Encoded<'_>) {
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
        request: &Encoded<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        match self.stage {
            Stage::Head if self.unparsed.is_empty() => self.take_head(input, request, answer),
            Stage::Head => {
                self.unparsed.extend_from_slice(input);
                let unparsed = std::mem::take(&mut self.unparsed);
                self.take_head(&unparsed, request, answer)
            }
            Stage::Refused(_) => self.take_words(input),
            _ => self.take_body(input, request.phase, answer),
        }
    }

    fn take_head(
        &mut self,
        mut input: &[u8],
        request: &Encoded<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        let phase = request.phase;
        loop {
            let parsed = head::parse(input, |head, length| {
                if head.is_interim() {
                    return (length, None);
                }
                self.stays_open = head.keeps_open();
                let content = answer.head(head).and_then(|()| Content::of(head, request.is_head(), phase));
                let stage = match content {
                    Err(failure) => Stage::Refused(Box::new(Refused::new(request, head, failure))),
                    Ok(_) if head.status == 101 => Stage::Complete,
                    Ok(content) => Stage::Body(content),
                };
                (length, Some(stage))
            });
            match parsed.map_err(|error| self.is_no_answer(request, &error))? {
                None => {
                    self.unparsed = input.to_vec();
                    return Ok(Progress::Partial);
                }
                Some((length, None)) => input = &input[length..],
                Some((length, Some(stage))) => {
                    self.stage = stage;
                    return self.behind_head(&input[length..], phase, answer);
                }
            }
        }
    }

    /// Takes what came along with the head.
    fn behind_head(
        &mut self,
        input: &[u8],
        phase: Phase,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        if let Stage::Refused(_) = self.stage {
            return self.take_words(input);
        }
        if phase == Phase::Subscribe {
            self.stream.meter().reception.welcome();
        }
        if self.is_complete() {
            self.unparsed = input.to_vec();
            return Ok(Progress::Complete);
        }
        self.take_body(input, phase, answer)
    }

    fn take_body(
        &mut self,
        input: &[u8],
        phase: Phase,
        answer: &mut dyn Answer,
    ) -> Result<Progress, Failure> {
        let Stage::Body(content) = &mut self.stage else { return Err(unasked(phase)) };
        let taken = content.take(input, phase, |piece| answer.body(piece))?;
        if !content.is_done() {
            return Ok(Progress::Partial);
        }
        self.stage = Stage::Complete;
        if taken == input.len() { Ok(Progress::Complete) } else { Err(unasked(phase)) }
    }

    fn take_words(&mut self, input: &[u8]) -> Result<Progress, Failure> {
        let Stage::Refused(refused) = &mut self.stage else { return Err(self.refused()) };
        if refused.take(input) { Err(self.refused()) } else { Ok(Progress::Partial) }
    }

    /// The failure of an answer that was not what was asked for. The connection is of no use any more.
    fn refused(&mut self) -> Failure {
        let Stage::Refused(refused) = std::mem::replace(&mut self.stage, Stage::Complete) else {
            return unasked(Phase::Receive);
        };
        let (failure, refusal) = refused.told();
        self.stream.meter().reception.refuse(&failure, || refusal);
        failure
    }

    /// The failure of bytes that are no answer at all.
    fn is_no_answer(&self, request: &Encoded<'_>, error: &HeadError) -> Failure {
        let failure = Failure::protocol(request.phase, error.to_string());
        let what = || format!("{} was not answered in HTTP", request.target());
        self.stream.meter().reception.refuse(&failure, || Refusal {
            what: what(),
            words: error.to_string(),
            status: 0,
        });
        failure
    }

    fn at_eof(&mut self, phase: Phase) -> Result<Progress, Failure> {
        match &mut self.stage {
            Stage::Body(content) => {
                content.eof(phase)?;
                self.stays_open = false;
                self.stage = Stage::Complete;
                Ok(Progress::Complete)
            }
            Stage::Refused(_) => Err(self.refused()),
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
