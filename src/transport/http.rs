//! A small HTTP/1.1 client for many users at little cost.
//!
//! Requests are put together when they are sent, heads are parsed by `httparse`, bodies are handed on in the pieces
//! in which they come, and an idle connection owns no buffer. General clients hold 16 KB per connection, and
//! hide the one thing that is wanted here: which bytes crossed which connection, and when.

use std::task::{Context, Poll, ready};

pub mod body;
mod connection;
mod content;
mod head;
mod refusal;
mod request;

pub use connection::{Answer, Connection, Progress};
pub use content::is_readable;
pub(crate) use head::with as with_head;
pub use head::{Head, MAX_HEAD_BYTES};
pub use refusal::WORDS_PATIENCE;
pub use request::{Encoded, Field, Request, connection_fields};

use super::stream::Dialer;
use crate::failure::{Failure, Phase};
use crate::transport::target::Target;

/// One user's exchanges, one after the other, on one connection or on a fresh one each.
pub struct Http {
    dialer: Dialer,
    keep_alive: bool,
    connection: Option<Box<Connection>>,
}

impl Http {
    /// Nothing is dialled yet. Where connections are not kept, the requests must say so ([`connection_fields`]).
    pub fn new(dialer: Dialer, keep_alive: bool) -> Http {
        Http { dialer, keep_alive, connection: None }
    }

    /// Where it is counted.
    pub fn meter(&self) -> &super::meter::Meter {
        self.dialer.meter()
    }

    /// Who is asked.
    pub fn target(&self) -> &Target {
        self.dialer.target()
    }

    /// Goes on with an exchange; call with the same request until it is ready, which is when the answer is complete.
    /// Connections that are not kept are then still to be ended by [`Http::poll_end`].
    ///
    /// A kept connection may turn out to be of no use: closed, or with an answer on it that nobody asked for. A request is then
    /// sent again, once, on a fresh one: a GET that was not answered, and whatever was answered 408, which says that it was
    /// not heard (RFC 9110, section 15.5.9).
    ///
    /// # Errors
    /// Of the request's phase, or `Connect`. The next call begins again, on a fresh connection.
    pub fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        request: &Encoded<'_>,
        answer: &mut dyn Answer,
    ) -> Poll<Result<(), Failure>> {
        ready!(self.poll_previous(cx, request.phase))?;
        loop {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(Box::new(Connection::dial(&self.dialer)?)),
            };
            match ready!(connection.poll_step(cx, request, answer)) {
                Ok(Progress::Partial) => {}
                Ok(Progress::Complete) => {
                    let (read, written) = connection.exchange_bytes();
                    let meter = self.dialer.meter();
                    meter.exchanges.add(1);
                    meter.exchange_in_bytes.add(read as u64);
                    meter.exchange_out_bytes.add(written as u64);
                    return Poll::Ready(Ok(()));
                }
                Err(failure) => {
                    let again = connection.went_stale(request, &failure);
                    self.connection = None;
                    if !again {
                        return Poll::Ready(Err(failure));
                    }
                }
            }
        }
    }

    /// If the connection is behind an exchange: makes it ready for the next, or away with it.
    fn poll_previous(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Failure>> {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.is_complete()) else {
            return Poll::Ready(Ok(()));
        };
        if !(self.keep_alive && connection.is_reusable()) {
            return self.poll_end(cx, phase);
        }
        if !connection.begin_again(cx) {
            self.connection = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection, if there is one, in good order. An exchange that is under way ends with it.
    ///
    /// # Errors
    /// Of `phase`: the server went on talking behind its answer.
    pub fn poll_end(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Failure>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let ended = ready!(connection.poll_end(cx, phase));
        self.connection = None;
        Poll::Ready(ended)
    }

    /// Ends the connection if it is not to be kept for another exchange.
    ///
    /// # Errors
    /// As [`Http::poll_end`].
    pub fn poll_release(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Failure>> {
        if self.keep_alive { Poll::Ready(Ok(())) } else { self.poll_end(cx, phase) }
    }
}
