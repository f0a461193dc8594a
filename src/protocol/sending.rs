//! Sending one message at a time, and waiting until nothing more can come of it: for probes and tests.

use std::task::{Context, Poll, ready};

use super::{Answer, Client, Failure, Message, Sent};

/// How far one message has come.
#[derive(Debug, Default)]
pub enum Sending {
    /// The client has not taken it.
    #[default]
    Waiting,
    /// The client has taken it, and the server has not answered.
    Taken,
    /// The server has answered so, and its connection is not free yet.
    Answered(Result<(), Failure>),
}

impl Sending {
    /// Goes on with it; call with the same message until it is ready, when the next may be sent. Ready means handed over where
    /// nothing is answered, and acknowledged where it is.
    ///
    /// # Errors
    /// It could not be sent, or the server refused it.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut dyn Client,
        message: Message<'_>,
    ) -> Poll<Result<(), Failure>> {
        if matches!(self, Sending::Waiting) {
            match ready!(client.poll_send(cx, message))? {
                Sent::Unanswered => return Poll::Ready(Ok(())),
                Sent::Ticket(_) => *self = Sending::Taken,
            }
        }
        loop {
            match ready!(client.poll_answer(cx)) {
                Answer::Answered { result, .. } => *self = Sending::Answered(result),
                Answer::Over(ended) => {
                    let answered = std::mem::take(self);
                    return Poll::Ready(match answered {
                        Sending::Answered(Err(failure)) => Err(failure),
                        _ => ended,
                    });
                }
            }
        }
    }
}
