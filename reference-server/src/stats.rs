//! Counters of the server. One table gives both renderings: JSON for rtbench, Prometheus for everybody.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};

use crate::protocol::Id;

/// A number that any task may change. Relaxed: a reader needs each number, not an order between them.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes `n` away; for gauges.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter for each protocol.
#[derive(Debug, Default)]
pub struct ByProtocol([Counter; Id::ALL.len()]);

impl ByProtocol {
    /// The one of `protocol`.
    pub(crate) fn of(&self, protocol: Id) -> &Counter {
        &self.0[protocol as usize]
    }
}

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// The values of one metric: a single one, or one for each protocol.
pub(crate) enum Values {
    One(u64),
    Each(Vec<(&'static str, u64)>),
}

/// A metric as it is now.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) values: Values,
}

trait Read {
    fn read(&self) -> Values;
}

impl Read for Counter {
    fn read(&self) -> Values {
        Values::One(self.get())
    }
}

impl Read for ByProtocol {
    fn read(&self) -> Values {
        Values::Each(Id::ALL.iter().map(|&id| (id.name(), self.of(id).get())).collect())
    }
}

macro_rules! stats {
    ($($name:ident: $kind:ident $type:ty, $help:literal;)*) => {
        /// What the server counts, from its start.
        #[derive(Debug, Default)]
        pub struct Stats {
            $(#[doc = $help] pub $name: $type,)*
        }

        impl Stats {
            /// All of them, as they are now.
            pub(crate) fn metrics(&self) -> Vec<Metric> {
                vec![$(Metric {
                    name: stringify!($name),
                    help: $help,
                    kind: Kind::$kind,
                    values: self.$name.read(),
                },)*]
            }
        }
    };
}

stats! {
    published: Counter Counter, "Events published to any topic.";
    published_bytes: Counter Counter, "Payload bytes of published events.";
    delivered: Counter Counter, "Events handed to a transport for one subscriber.";
    delivered_bytes: Counter Counter, "Payload bytes of delivered events.";
    echoed: Counter Counter, "Messages sent back to their senders.";
    echoed_bytes: Counter Counter, "Payload bytes of echoed messages.";
    lookups: Counter Counter, "Look-ups into the message store: one per short poll, one or two per long poll.";
    dropped: Counter Counter, "Events that slow subscribers lost.";
    slow_disconnects: Counter Counter, "Subscribers disconnected for being slow.";
    cut: Counter Counter, "Connections broken on request.";
    peers_lost: Counter Counter, "Data-channel peers that fell silent, or never opened a channel.";
    buffered_bytes: Gauge Counter, "What connections buffer of their own, in bytes; of each that buffers 4096 or more.";
    event_bytes: Gauge Counter, "Large events that history or a client that does not read still has, in bytes; of each of 16384 or more.";
    connections: Gauge Counter, "Connections open.";
    connections_opened: Counter Counter, "Connections accepted.";
    subscribers: Gauge ByProtocol, "Open connections that hold a subscription or were polled on.";
    subscribers_opened: Counter ByProtocol, "Connections that became subscribers.";
    requests: Counter ByProtocol, "Requests that subscribe or poll.";
    empty_polls: Counter ByProtocol, "Polls answered without an event.";
    publish_requests: Counter Counter, "Requests that publish.";
    turns_over: Counter Counter, "Turns that ended before the connection was done; it went on when its turn came again.";
    buffers_cut: Counter Counter, "Connections broken because all together buffered too much, and they most.";
    evicted: Counter Counter, "Events forgotten before their number was reached, because history had too many bytes.";
    forgotten_topics: Counter Counter, "Topics forgotten because nobody used them, or to make room for others.";
    refused_topics: Counter Counter, "Requests refused because they needed more topics than there may be.";
    accept_errors: Counter Counter, "Failures to accept a connection, for instance for want of descriptors.";
    received_bytes: Counter Counter, "Bytes read from connections.";
    sent_bytes: Counter Counter, "Bytes written to connections.";
}

/// The metrics as one JSON object; those by protocol are objects in it.
pub(crate) fn json(metrics: &[Metric]) -> Value {
    let value = |values: &Values| match values {
        Values::One(value) => Value::from(*value),
        Values::Each(each) => {
            each.iter().map(|&(label, value)| (label.to_owned(), Value::from(value))).collect()
        }
    };
    let object: Map<_, _> =
        metrics.iter().map(|metric| (metric.name.to_owned(), value(&metric.values))).collect();
    Value::Object(object)
}

/// Content type of [`prometheus`].
pub(crate) const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics in Prometheus' text format, version 0.0.4.
pub(crate) fn prometheus(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, help, kind, values } in metrics {
        let (kind, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        let name = format!("rtbench_server_{name}{suffix}");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let _ = match values {
            Values::One(value) => writeln!(text, "{name} {value}"),
            Values::Each(each) => each
                .iter()
                .try_for_each(|(label, value)| writeln!(text, "{name}{{protocol=\"{label}\"}} {value}")),
        };
    }
    text
}
