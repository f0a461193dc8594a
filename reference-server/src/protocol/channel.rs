//! The conversation on a two-way message channel. WebSocket and data channels differ only in how they frame it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::app::{App, Refusal};
use crate::connection::Connection;
use crate::hub::{Batch, Cursor, Event, Most, Reserved, SlowPolicy, Subscription, TooManyTopics, TooSlow};
use crate::request::{self, BadRequest, MAX_TOPIC_CHARS, Subscribe};
use crate::turn::{COMMAND_BYTE, DEAR, FOLLOW, LOOK, MESSAGE};

/// Events taken from the hub in one go. Small enough that thousands of subscribers take turns, large enough that
/// one that lags catches up.
pub(crate) const BATCH_EVENTS: usize = 32;

/// Payload bytes taken in one go; one message more makes it full.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// What a text message begins with if it is a command.
const COMMAND_PREFIX: &[u8] = b"{\"op\":";

/// Most that a command takes for each of its topics: a name, two quotes and a comma.
const TOPIC_BYTES: usize = MAX_TOPIC_CHARS + 3;

/// Most that it takes beside them.
const COMMAND_BYTES: usize = 256;

/// Commas between the parts of a command, at most.
const COMMAND_PARTS: usize = 8;

/// One message for the client.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// What others get as well.
    Event(Arc<Event>),
    /// Its own.
    Reply(Reply),
}

/// An echo, or the answer to a command.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The message, without any framing. UTF-8 unless `binary`.
    pub(crate) payload: Bytes,
    /// Whether it goes as a binary message.
    pub(crate) binary: bool,
}

impl Outgoing {
    /// The message, without any framing, and whether it goes as a binary one; else it is UTF-8.
    pub(crate) fn message(&self) -> (&Bytes, bool) {
        match self {
            Outgoing::Event(event) => (&event.payload, event.binary),
            Outgoing::Reply(reply) => (&reply.payload, reply.binary),
        }
    }
}

/// Where a client's messages go.
enum Outlet {
    Nowhere,
    Topic(Box<str>),
    Echo,
}

/// One client's conversation with the hub. The transport feeds it what arrives and sends what it gives.
pub(crate) struct Conversation {
    app: Arc<App>,
    subscription: Subscription,
    outlet: Outlet,
    /// Answers to commands, and echoes; at most `Limits::queue_events`, like the events of a topic, and `client_bytes`.
    replies: VecDeque<Reply>,
    /// Bytes of those.
    reply_bytes: usize,
    /// Replies that fell out of the queue and that the client was not told of yet.
    replies_missed: u64,
    /// The queue overflowed and the policy is to disconnect.
    too_slow: bool,
    /// A command that is not done yet.
    command: Option<Box<Obeying>>,
}

/// How far a command is obeyed that takes long.
enum Obeying {
    /// It was paid for, and not looked at.
    Paid(Bytes),
    Following(Following),
}

/// A command to follow topics, of which there may be many: obeyed bit by bit, and answered when it is done.
struct Following {
    /// The command, and where the names are in it: none of so many is copied.
    text: Bytes,
    topics: Vec<Range<usize>>,
    after: Option<Cursor>,
    done: usize,
    /// Room for those that are new.
    reserved: Reserved,
}

/// Topics followed before the others may have their turns.
const FOLLOWED_AT_ONCE: usize = 64;

/// A command, and what belongs to it. Not an enum with a tag: that would be read twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command<'a> {
    op: Op,
    /// Topics and cursors have no characters that JSON escapes.
    #[serde(borrow)]
    topics: Option<Vec<&'a str>>,
    after: Option<&'a str>,
    topic: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Subscribe,
    Publish,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Answer<'a> {
    Subscribe { cursor: String },
    Publish { topic: &'a str },
    Missed { count: u64 },
    Error { reason: String },
}

impl Answer<'_> {
    fn encode(&self) -> Reply {
        let text =
            serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("strings and numbers are always JSON"));
        Reply { payload: text.into(), binary: false }
    }
}

/// Taken from the hub in one go.
const MOST: Most = Most { events: BATCH_EVENTS, bytes: BATCH_BYTES };

thread_local! {
    /// Events on their way from the hub.
    static BATCH: Cell<Batch> = const { Cell::new(Batch::EMPTY) };
}

impl Conversation {
    /// Begins a conversation; the subscription it asks for is in force when this returns.
    ///
    /// # Errors
    /// There is no room for its topics.
    pub(crate) fn new(app: &Arc<App>, request: Subscribe) -> Result<Conversation, TooManyTopics> {
        let mut subscription = app.hub.subscribe(&request.topics, request.after)?;
        let outlet = match (request.publish, request.echo) {
            (Some(topic), _) => Outlet::Topic(topic),
            (None, true) => match app.inlet.detour() {
                None => Outlet::Echo,
                Some(topic) => {
                    subscription.add(&topic, None)?;
                    Outlet::Topic(topic)
                }
            },
            (None, false) => Outlet::Nowhere,
        };
        Ok(Conversation {
            subscription,
            app: app.clone(),
            outlet,
            replies: VecDeque::new(),
            reply_bytes: 0,
            replies_missed: 0,
            too_slow: false,
            command: None,
        })
    }

    /// Takes one message from the client of `connection`: publishes it, queues its echo or obeys the command in it. Call
    /// `poll_outgoing` afterwards; what this queues wakes nobody.
    ///
    /// # Errors
    /// Why the channel must be closed.
    pub(crate) fn incoming(
        &mut self,
        connection: &Connection,
        payload: Bytes,
        binary: bool,
    ) -> Result<(), Refusal> {
        connection.turn().spend(MESSAGE);
        // Where nothing can be left unread, as on a data channel.
        while !self.obey_some(connection) {}
        if !binary && payload.starts_with(COMMAND_PREFIX) {
            let price = COMMAND_BYTE * payload.len();
            connection.turn().spend(price);
            self.command = Some(Box::new(Obeying::Paid(payload)));
            // What takes longer is begun when its turn comes, so that of many such one is begun at a time.
            while price <= DEAR && !self.obey_some(connection) {}
            return Ok(());
        }
        match &self.outlet {
            Outlet::Nowhere => Err(Refusal::NoOutlet),
            Outlet::Topic(topic) => self.app.publish(topic, &payload, binary),
            Outlet::Echo => {
                self.app.admit(payload.len(), binary)?;
                self.app.count_echo(&payload);
                self.reply(Reply { payload, binary });
                Ok(())
            }
        }
    }

    /// Takes messages for the client of `connection`, a bounded number, in order: replies first, then events. Call again
    /// once they are sent; the hub keeps the rest, and counts what a slow client loses. Gives whether there
    /// may be more.
    ///
    /// # Errors
    /// `TooSlow` if the policy is to disconnect such a client.
    pub(crate) fn poll_outgoing(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Arc<Connection>,
        out: &mut Vec<Outgoing>,
    ) -> Poll<Result<bool, TooSlow>> {
        if self.command.is_some() && (!connection.may_go_on() || !self.obey_some(connection)) {
            // Else its task is called up for the rest.
            return if connection.may_go_on() { Poll::Ready(Ok(true)) } else { Poll::Pending };
        }
        if self.too_slow {
            return Poll::Ready(Err(TooSlow));
        }
        let before = out.len();
        let missed = |count| Outgoing::Reply(Answer::Missed { count }.encode());
        if self.replies_missed > 0 {
            out.push(missed(std::mem::take(&mut self.replies_missed)));
        }
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && out.len() - before < BATCH_EVENTS
            && let Some(reply) = self.replies.pop_front()
        {
            bytes += reply.payload.len();
            out.push(Outgoing::Reply(reply));
        }
        self.reply_bytes -= bytes;
        let mut more = !self.replies.is_empty();
        let mut batch = BATCH.take();
        connection.turn().spend(LOOK * self.subscription.topics());
        if let Poll::Ready(taken) = self.subscription.poll_take(cx, &mut batch, MOST) {
            taken?;
            more |= batch.more;
            connection.delivering(&mut batch);
            if batch.missed > 0 {
                out.push(missed(batch.missed));
            }
            out.extend(batch.events.drain(..).map(Outgoing::Event));
        }
        BATCH.set(batch);
        if out.len() > before { Poll::Ready(Ok(more)) } else { Poll::Pending }
    }

    /// Whether messages can be taken at all: the command before them is done.
    pub(crate) fn listens(&self) -> bool {
        self.command.is_none()
    }

    /// Whether some more messages can be taken before any is given out, and no reply be lost for it.
    pub(crate) fn has_room(&self) -> bool {
        let limits = &self.app.config.limits;
        self.replies.len() < limits.queue_events && self.reply_bytes < limits.client_bytes
    }

    /// Bytes that wait here for the client, or for its turn.
    pub(crate) fn held_bytes(&self) -> usize {
        let command = match self.command.as_deref() {
            None => 0,
            Some(Obeying::Paid(text)) => text.len(),
            Some(Obeying::Following(Following { text, topics, .. })) => text.len() + size_of_val(&topics[..]),
        };
        self.reply_bytes + command
    }

    /// Ready once the policy disconnects this client. For transports that cannot take because they cannot write.
    pub(crate) fn poll_too_slow(&self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        if self.too_slow { Poll::Ready(TooSlow) } else { self.subscription.signal().poll_too_slow(cx) }
    }

    /// Obeys a command, or begins to; gives the answer if it is done.
    fn obey(&mut self, text: &Bytes) -> Option<Reply> {
        // Known before anything is parsed, which takes longer the more there is of it. No name has a comma in it.
        let most = self.app.config.limits.client_topics;
        let commas = text.iter().filter(|&&byte| byte == b',').count();
        if commas > most.saturating_add(COMMAND_PARTS) {
            return Some(Answer::Error { reason: TooManyTopics::OfOne(most).to_string() }.encode());
        }
        let most_bytes = most.saturating_mul(TOPIC_BYTES).saturating_add(COMMAND_BYTES);
        if text.len() > most_bytes {
            return Some(
                Answer::Error { reason: format!("a command has at most {most_bytes} bytes") }.encode(),
            );
        }
        let refused = |reason| Some(Answer::Error { reason }.encode());
        match serde_json::from_slice(text) {
            Ok(Command { op: Op::Subscribe, topics: Some(topics), after, topic: None }) => {
                self.follow(text, &topics, after).map_or_else(|bad| refused(bad.to_string()), |()| None)
            }
            Ok(Command { op: Op::Publish, topic: Some(name), topics: None, after: None }) => {
                match request::topic(name) {
                    Ok(topic) => self.outlet = Outlet::Topic(topic),
                    Err(bad) => return refused(bad.to_string()),
                }
                Some(Answer::Publish { topic: name }.encode())
            }
            Ok(_) => refused("a subscribe has topics and maybe after, a publish has a topic".into()),
            Err(error) => refused(error.to_string()),
        }
    }

    /// Begins to follow topics. All are checked before the first is followed: a command is obeyed as a whole or not at all.
    fn follow(&mut self, text: &Bytes, topics: &[&str], after: Option<&str>) -> Result<(), BadRequest> {
        let after = after.map(request::cursor).transpose()?;
        for name in topics {
            request::checked_topic(name)?;
        }
        let reserved = self.subscription.reserve(topics)?;
        let start = |name: &str| name.as_ptr().addr() - text.as_ptr().addr();
        let topics = topics.iter().map(|name| start(name)..start(name) + name.len()).collect();
        let following = Following { text: text.clone(), topics, after, done: 0, reserved };
        self.command = Some(Box::new(Obeying::Following(following)));
        Ok(())
    }

    /// Goes on with a command, which is answered when it is done; false if there is more to do.
    fn obey_some(&mut self, connection: &Connection) -> bool {
        let answer = match self.command.take().map(|command| *command) {
            None => None,
            Some(Obeying::Paid(text)) => self.obey(&text),
            Some(Obeying::Following(following)) => self.follow_some(following, connection),
        };
        if let Some(answer) = answer {
            self.reply(answer);
        }
        self.command.is_none()
    }

    /// Follows some more topics; gives the answer behind the last.
    fn follow_some(&mut self, mut following: Following, connection: &Connection) -> Option<Reply> {
        let Following { text, topics, after, done, reserved } = &mut following;
        let end = topics.len().min(*done + FOLLOWED_AT_ONCE);
        let some = &topics[*done..end];
        connection.turn().spend(FOLLOW * some.len());
        reserved.give_back(some.len());
        let followed = some.iter().try_for_each(|name| {
            // It was text when it was checked.
            let name = std::str::from_utf8(&text[name.clone()]).unwrap_or_default();
            self.subscription.add(name, *after)
        });
        *done = end;
        if followed.is_ok() && end < topics.len() {
            self.command = Some(Box::new(Obeying::Following(following)));
            return None;
        }
        let answer = match followed {
            Ok(()) => Answer::Subscribe { cursor: self.subscription.cursor().to_string() },
            Err(many) => Answer::Error { reason: many.to_string() },
        };
        Some(answer.encode())
    }

    fn reply(&mut self, reply: Reply) {
        let limits = &self.app.config.limits;
        let is_full = |replies: &VecDeque<Reply>, bytes: usize| {
            let over = bytes + reply.payload.len() > limits.client_bytes && !replies.is_empty();
            over || replies.len() >= limits.queue_events.max(1)
        };
        while is_full(&self.replies, self.reply_bytes) {
            self.app.stats.dropped.add(1);
            if limits.slow == SlowPolicy::Disconnect {
                self.app.stats.slow_disconnects.add(u64::from(!self.too_slow));
                self.too_slow = true;
                return;
            }
            self.reply_bytes -= self.replies.pop_front().map_or(0, |oldest| oldest.payload.len());
            self.replies_missed += 1;
        }
        self.reply_bytes += reply.payload.len();
        self.replies.push_back(reply);
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
