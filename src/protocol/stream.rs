//! One answer that does not end, and a new one where it was cut. How it is cut into what it says is its format's.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::dialect::{Heard, Talk};
use super::publish::Publisher;
use super::{Client, Conversation, Failure, Inbox, Kind, Message, Pause, Phase, Seat, Sent, Step};
use crate::transport::http::{Answer, Connection, Encoded, Head, Progress};
use crate::transport::scratch;
use crate::transport::stream::Dialer;

/// Least pause behind a reconnect that failed: the standard lets clients wait longer then, and `retry: 0` would spin.
const LEAST_RETRY: Duration = Duration::from_millis(100);

/// The format of a stream: what a client remembers of it from one connection to the next.
pub trait Format: Default {
    /// What one connection brought and is not taken yet.
    type Reader: Default;

    /// Its media type.
    const MEDIA_TYPE: &'static str;

    /// Its name for people, with either article.
    const NAMES: [&'static str; 2];

    /// The field that asks to go on behind what was seen.
    fn resume(&self) -> Option<(&str, &str)> {
        None
    }

    /// Pause before a connection that was cut is made anew.
    fn retry(&self) -> Duration;

    /// Takes bytes as they arrive.
    ///
    /// # Errors
    /// They break the rules, or our limits; in words.
    fn feed(reader: &mut Self::Reader, bytes: &[u8]) -> Result<(), String>;

    /// Hands the next thing that is complete to the conversation. `None` if there is none; else whether it was an event.
    ///
    /// # Errors
    /// It breaks the rules, or those of the conversation.
    fn take(
        &mut self,
        reader: &mut Self::Reader,
        conversation: &mut dyn Conversation,
        heard: &mut Heard<'_>,
    ) -> Result<Option<bool>, Failure>;
}

/// A client that listens to a stream.
pub struct StreamClient<F: Format> {
    dialer: Dialer,
    talk: Talk,
    format: F,
    live: Option<Box<Live<F::Reader>>>,
    /// It was ready once. From then on, it is the protocol that brings it back.
    established: bool,
    publisher: Publisher,
}

/// One connection.
struct Live<R> {
    connection: Connection,
    reader: R,
    /// The head of the answer has come.
    begun: bool,
    /// How it ended; told when all that came before has been handed on.
    ended: Option<Failure>,
}

impl<F: Format> StreamClient<F> {
    /// A client that has this conversation.
    pub fn new(seat: &Seat, conversation: Box<dyn Conversation>) -> StreamClient<F> {
        StreamClient {
            dialer: seat.dialer(),
            talk: Talk::new(conversation),
            format: F::default(),
            live: None,
            established: false,
            publisher: Publisher::new(seat),
        }
    }

    fn dial(&mut self) -> Result<Box<Live<F::Reader>>, Failure> {
        self.talk.begin();
        let connection = Connection::dial(&self.dialer)?;
        Ok(Box::new(Live { connection, reader: F::Reader::default(), begun: false, ended: None }))
    }

    /// Reads until there is something to tell.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        live: &mut Live<F::Reader>,
        inbox: &mut dyn Inbox,
    ) -> Poll<Result<Step, Failure>> {
        loop {
            if let Some(step) = self.deliver(live, inbox)? {
                return Poll::Ready(Ok(step));
            }
            if let Some(mut failure) = live.ended.take() {
                if failure.phase == Phase::Subscribe {
                    failure.phase = self.talk.phase();
                }
                return Poll::Ready(Err(failure));
            }
            match ready!(self.poll_step(cx, live)) {
                Ok(Progress::Partial) => {}
                Ok(Progress::Complete) => {
                    let ended = format!("{} ended", F::NAMES[1]);
                    live.ended = Some(Failure::new(self.talk.phase(), Kind::Eof, ended));
                }
                Err(failure) => live.ended = Some(failure),
            }
        }
    }

    /// Goes on with the exchange, of which the request is needed until it is answered.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        live: &mut Live<F::Reader>,
    ) -> Poll<Result<Progress, Failure>> {
        let Live { connection, reader, begun, .. } = live;
        let StreamClient { talk, format, dialer, .. } = self;
        let phase = talk.phase();
        if *begun {
            let answer = &mut StreamAnswer::<F> { talk, reader, begun };
            return connection.poll_step(cx, &Encoded { head: &[], body: &[], phase }, answer);
        }
        scratch::with_text(|head| {
            let request = talk.conversation.request();
            let accept = ("Accept", F::MEDIA_TYPE);
            match format.resume() {
                None => request.encode(dialer.target(), &[accept], head),
                Some(resume) => request.encode(dialer.target(), &[accept, resume], head),
            }
            head.extend_from_slice(request.body);
            let answer = &mut StreamAnswer::<F> { talk, reader, begun };
            connection.poll_step(cx, &Encoded { head, body: &[], phase }, answer)
        })
    }

    /// Hands on what has arrived. `None` if that was nothing.
    fn deliver(
        &mut self,
        live: &mut Live<F::Reader>,
        inbox: &mut dyn Inbox,
    ) -> Result<Option<Step>, Failure> {
        let StreamClient { talk, format, publisher, established, .. } = self;
        let mut delivered = false;
        loop {
            let mut taken = None;
            talk.hear(inbox, |conversation, heard| {
                taken = format.take(&mut live.reader, conversation, heard)?;
                Ok(())
            })?;
            let Some(is_event) = taken else { return Ok(delivered.then_some(Step::Received)) };
            talk.has_nothing_to_say()?;
            delivered |= is_event;
            if talk.became_ready() {
                *established = true;
                publisher.renew();
                return Ok(Some(Step::Ready));
            }
        }
    }

    /// What a failed connection comes to. By the rules of event streams (HTML, section 9.2.3) one that was cut, or could not be
    /// made, is made anew; an answer that is none, or one with another status than 200, ends the stream for good.
    fn after_failure(&self, failure: Failure) -> Result<Step, Failure> {
        if !self.established || !is_network_error(&failure) {
            return Err(failure);
        }
        let was_ready = self.talk.phase() == Phase::Receive;
        let wait = if was_ready { self.format.retry() } else { self.format.retry().max(LEAST_RETRY) };
        Ok(Step::Pause(Pause::Reconnect(wait, Box::new(failure))))
    }
}

impl<F: Format> Client for StreamClient<F> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if let Some(silent) = self.talk.poll_silent() {
            return silent;
        }
        let mut live = match self.live.take() {
            Some(live) => live,
            None => match self.dial() {
                Ok(live) => live,
                Err(failure) => return Poll::Ready(self.after_failure(failure)),
            },
        };
        match self.poll_read(cx, &mut live, inbox) {
            // A failure takes the connection with it.
            Poll::Ready(Err(failure)) => Poll::Ready(self.after_failure(failure)),
            step => {
                self.live = Some(live);
                step
            }
        }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        self.publisher.poll_send(&*self.talk.conversation, message)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<super::Answer> {
        self.publisher.poll_answer(cx, &mut *self.talk.conversation)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Some(live) = &mut self.live {
            let ended = ready!(live.connection.poll_end(cx, Phase::Close));
            self.live = None;
            ended?;
        }
        self.publisher.poll_close(cx)
    }
}

/// Whether the connection failed, and not what came over it.
fn is_network_error(failure: &Failure) -> bool {
    match failure.kind {
        Kind::Status(_) | Kind::CloseCode(_) => false,
        Kind::Protocol => failure.phase == Phase::Tls,
        _ => true,
    }
}

/// The answer that is a stream.
struct StreamAnswer<'a, F: Format> {
    talk: &'a mut Talk,
    reader: &'a mut F::Reader,
    begun: &'a mut bool,
}

impl<F: Format> Answer for StreamAnswer<'_, F> {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        *self.begun = true;
        let phase = self.talk.phase();
        // 204 is the standard's way to say: do not come back. It is no cut, so it is no reason to reconnect.
        if head.status != 200 {
            return Err(head.refusal(phase));
        }
        let media = head.field("content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case(F::MEDIA_TYPE) {
            return Err(Failure::protocol(phase, format!("not with {} but with {media:?}", F::NAMES[0])));
        }
        self.talk.conversation.answered(head, phase)
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Failure> {
        F::feed(self.reader, piece).map_err(|error| Failure::protocol(self.talk.phase(), error))
    }
}
