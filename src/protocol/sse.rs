//! Server-sent events (HTML, section 9.2): a stream of blocks that may carry an id, behind which it goes on when it was cut.

use std::time::Duration;

use super::dialect::{Event, Heard};
use super::stream::{Format, StreamClient};
use super::{Client, Conversation, Failure, Phase, Protocol, Seat, Traits};
use events::{Block, Events};

mod events;
mod text;

/// Pause before a reconnect where the server named none, in ms; browsers take a few seconds.
const DEFAULT_RETRY_MS: u64 = 3_000;

/// Longest pause, in ms: whatever the server named, a run is over before.
const LONGEST_RETRY_MS: u64 = 366 * 86_400_000;

/// Goes on behind the last event it saw, by `Last-Event-ID`; publishes by POST.
pub(super) const SSE: Protocol = Protocol {
    name: "sse",
    title: "Server-sent events",
    short_title: "SSE",
    about: "one HTTP answer that does not end; reconnects by itself behind the last event; publishes by POST",
    traits: Traits {
        polls: false,
        exchanges: false,
        resumes: true,
        reconnects: true,
        asks_again: false,
        binary: false,
        peer_to_peer: false,
        in_band: false,
    },
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    Box::new(StreamClient::<EventStream>::new(&seat, seat.converse(&SSE)))
}

/// The format of [`SSE`].
struct EventStream {
    last_id: String,
    retry_ms: u64,
}

impl Default for EventStream {
    fn default() -> EventStream {
        EventStream { last_id: String::new(), retry_ms: DEFAULT_RETRY_MS }
    }
}

impl Format for EventStream {
    type Reader = Events;

    const MEDIA_TYPE: &'static str = "text/event-stream";

    const NAMES: [&'static str; 2] = ["an event stream", "the event stream"];

    fn resume(&self) -> Option<(&str, &str)> {
        (!self.last_id.is_empty()).then_some(("Last-Event-ID", &self.last_id))
    }

    fn retry(&self) -> Duration {
        Duration::from_millis(self.retry_ms)
    }

    fn feed(events: &mut Events, bytes: &[u8]) -> Result<(), String> {
        events.feed(bytes).map_err(|error| error.to_string())
    }

    fn take(
        &mut self,
        events: &mut Events,
        conversation: &mut dyn Conversation,
        heard: &mut Heard<'_>,
    ) -> Result<Option<bool>, Failure> {
        let next = events.next().map_err(|error| Failure::protocol(heard.phase, error.to_string()))?;
        let Some(Block { event, has_data, retry }) = next else { return Ok(None) };
        if let Some(retry) = retry {
            self.retry_ms = retry.as_millis().min(LONGEST_RETRY_MS.into()) as u64;
        }
        let data = has_data.then_some(event.data.as_str());
        conversation.event(Event { kind: &event.event, data, id: &event.id }, heard)?;
        // On a new connection the id of the old one stays in force until there is another.
        if !event.id.is_empty() || heard.phase == Phase::Receive {
            self.last_id = event.id;
        }
        Ok(Some(has_data))
    }
}
