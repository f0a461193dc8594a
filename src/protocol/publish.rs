//! Publishing by POST, for the protocols that only receive.

use std::task::{Context, Poll, ready};

use super::{Failure, Message, Phase, Seat, contract};
use crate::transport::http::{Answer, Head, Http, Request, common_fields, connection_field};
use crate::transport::stream::Dialer;

/// One client's publishing, on connections of its own.
pub(super) struct Publisher {
    http: Http,
    /// The request's head, for messages of one form and length at a time.
    head: Vec<u8>,
    /// How much of the head is the same for all.
    common_bytes: usize,
    head_is_for: Option<(bool, usize)>,
    acknowledged: bool,
}

impl Publisher {
    /// `None` if the seat publishes nothing.
    pub(super) fn new(seat: &Seat) -> Option<Publisher> {
        let topic = seat.publish.as_ref()?;
        let keep_alive = seat.options.keep_alive;
        let head = format!(
            "POST {}{}{}",
            contract::publish_path(topic),
            common_fields(&seat.target),
            connection_field(keep_alive)
        );
        Some(Publisher {
            http: Http::new(Dialer::publishing(seat), keep_alive),
            common_bytes: head.len(),
            head: head.into_bytes(),
            head_is_for: None,
            acknowledged: false,
        })
    }

    /// [`Client::poll_send`](super::Client::poll_send) of these protocols: ready when the server has acknowledged.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: Message<'_>,
    ) -> Poll<Result<(), Failure>> {
        if !self.acknowledged {
            self.encode_head(message);
            let request = Request { head: &self.head, body: message.payload, phase: Phase::Send };
            ready!(self.http.poll_exchange(cx, &request, &mut Acknowledgement))?;
            self.acknowledged = true;
        }
        let released = ready!(self.http.poll_release(cx, Phase::Send));
        self.acknowledged = false;
        Poll::Ready(released)
    }

    fn encode_head(&mut self, message: Message<'_>) {
        let wanted = (message.binary, message.payload.len());
        if self.head_is_for != Some(wanted) {
            let media = if message.binary { "application/octet-stream" } else { "text/plain" };
            self.head.truncate(self.common_bytes);
            let own = format!("Content-Type: {media}\r\nContent-Length: {}\r\n\r\n", message.payload.len());
            self.head.extend_from_slice(own.as_bytes());
            self.head_is_for = Some(wanted);
        }
    }

    /// Ends its connection.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.http.poll_end(cx, Phase::Close)
    }
}

/// The answer to a published message.
struct Acknowledgement;

impl Answer for Acknowledgement {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if head.status == 204 { Ok(()) } else { Err(head.refusal(Phase::Send)) }
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// The failure of sending where a seat has no topic to publish to.
pub(super) fn no_topic() -> Failure {
    Failure::protocol(Phase::Send, "this client has no topic to publish to")
}
