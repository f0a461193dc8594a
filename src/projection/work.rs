//! What one user makes a server do, by the workload's own figures: messages, polls that end with nothing, keep-alives.

use crate::number::short;
use crate::scenario::spec::{CellSpec, Publishing};

/// Bytes of IP packets of one comment on a quiet event stream: 7 B of it (`2 CRLF : LF CRLF`), its TCP/IP headers, its acknowledgement.
const COMMENT_BYTES: f64 = 7.0 + 52.0 + 52.0;

/// What an average user is due, publishers included, each second.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Messages delivered.
    pub messages_per_s: f64,
    /// Events published.
    pub events_per_s: f64,
    /// Topics of which the server keeps events; echoes on the connection that they came by need none.
    pub topics: f64,
    /// Events of one topic.
    pub topic_events_per_s: f64,
    /// Turns of the server: deliveries and keep-alives, or answered polls.
    pub turns_per_s: f64,
    /// Bytes of keep-alives.
    pub aside_bytes_per_s: f64,
    /// How turns follow from messages, where they are not the same; empty otherwise.
    pub how: String,
}

/// The work of one user of such a cell. Holds and keep-alives nobody asked otherwise are those of the reference server.
pub fn of(spec: &CellSpec) -> Work {
    let config = reference_server::Config::default();
    let group = f64::from(spec.clients_of_topic());
    let senders = f64::from(spec.senders_of_topic());
    let share = if spec.returns_to_sender() { 1.0 } else { (group - senders) / group };
    let (groups, topic_events_per_s) = (1.0 / group, spec.rate_per_s * senders);
    let sent_back = spec.returns_to_sender() && spec.publishing() == Publishing::InBand;
    let messages_per_s = share * topic_events_per_s;
    let mut work = Work {
        messages_per_s,
        events_per_s: groups * topic_events_per_s,
        topics: if sent_back || spec.webrtc.peer_to_peer { 0.0 } else { groups },
        topic_events_per_s,
        turns_per_s: messages_per_s,
        aside_bytes_per_s: 0.0,
        how: String::new(),
    };
    let traits = spec.id.protocol.traits;
    match (traits.polls, traits.exchanges, traits.in_band) {
        (true, ..) => {
            work.turns_per_s = share / spec.short_poll.interval_s;
            work.how = format!("a poll every {} s", short(spec.short_poll.interval_s));
        }
        (_, true, _) => {
            let hold_s = spec.long_poll.hold_s.unwrap_or(config.hold.as_secs_f64());
            work.turns_per_s = share * held_polls_per_s(topic_events_per_s, hold_s);
            let empty = work.turns_per_s - messages_per_s;
            work.how = format!("of them {} held {} s for nothing", short(empty), short(hold_s));
        }
        // A stream that goes one way alone.
        (.., false) => {
            let quiet_s = config.keep_alive.as_secs_f64();
            // A comment breaks the silence itself, so that the period after it brings none.
            let silent = (-topic_events_per_s * quiet_s).exp();
            let comments = share * silent / (1.0 + silent) / quiet_s;
            work.turns_per_s += comments;
            work.aside_bytes_per_s = comments * COMMENT_BYTES;
            work.how =
                format!("of them {} keep-alives after {} s of silence", short(comments), short(quiet_s));
        }
        _ => {}
    }
    work
}

/// Polls that end in a second, each with the next of events that come at random or with the end of its hold.
fn held_polls_per_s(events_per_s: f64, hold_s: f64) -> f64 {
    if events_per_s <= 0.0 { 1.0 / hold_s } else { events_per_s / -(-events_per_s * hold_s).exp_m1() }
}
