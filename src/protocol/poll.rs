//! Polling: short and long are one exchange, and the mode is a value.

use std::task::{Context, Poll, ready};

use super::dialect::Talk;
use super::publish::Publisher;
use super::{Client, Conversation, Failure, Inbox, Message, Pause, Phase, Seat, Sent, Step};
use crate::transport::http::{Answer, Encoded, Head, Http, connection_fields};
use crate::transport::scratch;

/// Most bytes of events that one poll may bring.
const MAX_BODY_BYTES: usize = 64 << 20;

/// What a client does between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server answers at once, and the client pauses.
    Short,
    /// The server holds the request until there is something, and the client asks again at once.
    Long,
}

/// A client that polls.
pub struct PollClient {
    mode: Mode,
    http: Http,
    keep_alive: bool,
    talk: Talk,
    /// What has arrived of an answer.
    body: Vec<u8>,
    /// The connection is to be ended if need be, and then there is a pause.
    pauses: bool,
    standing: Standing,
    publisher: Publisher,
}

/// How the last poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Good,
    /// It failed.
    Failed,
    /// It was answered, behind one that failed; to be told.
    Back,
}

impl PollClient {
    /// A client that has this conversation.
    pub fn new(mode: Mode, seat: &Seat, conversation: Box<dyn Conversation>) -> PollClient {
        let keep_alive = seat.options.keep_alive || mode == Mode::Long;
        PollClient {
            mode,
            http: Http::new(seat.dialer(), keep_alive),
            keep_alive,
            talk: Talk::new(conversation),
            body: Vec::new(),
            pauses: false,
            standing: Standing::Good,
            publisher: Publisher::new(seat),
        }
    }

    /// One poll: ready when its answer is complete and taken, with the number of events in it.
    fn poll_once(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<usize, Failure>> {
        let PollClient { http, talk, keep_alive, body, .. } = self;
        let phase = talk.phase();
        let polled = ready!(scratch::with_text(|head| {
            let request = talk.conversation.request();
            request.encode(http.target(), connection_fields(*keep_alive), head);
            head.extend_from_slice(request.body);
            let answer = &mut PollAnswer { talk, body };
            http.poll_exchange(cx, &Encoded { head, body: &[], phase }, answer)
        }));
        let body = std::mem::take(body);
        polled?;
        let events = talk.hear(inbox, |conversation, heard| conversation.body(&body, heard))?;
        talk.has_nothing_to_say()?;
        if events == 0 {
            http.meter().empty_exchanges.add(1);
        }
        Poll::Ready(Ok(events))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if let Some(silent) = self.talk.poll_silent() {
            return silent;
        }
        if self.standing == Standing::Back {
            self.standing = Standing::Good;
            return Poll::Ready(Ok(Step::Ready));
        }
        if self.pauses {
            ready!(self.http.poll_release(cx, Phase::Receive))?;
            self.pauses = false;
            return Poll::Ready(Ok(Step::Pause(Pause::PollInterval)));
        }
        let events = ready!(self.poll_once(cx, inbox))?;
        if self.standing == Standing::Failed {
            self.standing = Standing::Back;
        }
        self.pauses = self.mode == Mode::Short;
        match events {
            _ if self.talk.became_ready() => {
                self.publisher.renew();
                Poll::Ready(Ok(Step::Ready))
            }
            0 if self.mode == Mode::Short => self.poll_next(cx, inbox),
            _ => Poll::Ready(Ok(Step::Received)),
        }
    }
}

impl Client for PollClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let step = ready!(self.poll_next(cx, inbox));
        if step.is_err() && self.pauses {
            self.pauses = false;
        } else if step.is_err() && self.talk.phase() == Phase::Receive {
            self.standing = Standing::Failed;
        }
        Poll::Ready(step)
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        self.publisher.poll_send(&*self.talk.conversation, message)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<super::Answer> {
        self.publisher.poll_answer(cx, &mut *self.talk.conversation)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.http.poll_end(cx, Phase::Close))?;
        self.publisher.poll_close(cx)
    }
}

/// The answer to a poll, kept until it is whole.
struct PollAnswer<'a> {
    talk: &'a mut Talk,
    body: &'a mut Vec<u8>,
}

impl Answer for PollAnswer<'_> {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        self.talk.conversation.answered(head, self.talk.phase())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if self.body.len() + piece.len() > MAX_BODY_BYTES {
            let error = format!("more than {MAX_BODY_BYTES} bytes in one answer");
            return Err(Failure::protocol(self.talk.phase(), error));
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }
}
