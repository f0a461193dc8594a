//! One server: what all its connections share, its routes, and its life.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::task::JoinSet;

use crate::connection::Connections;
use crate::fault::{self, Inlet};
use crate::front::Post;
use crate::hub::{Batch, Hub, Limits, TooManyTopics};
use crate::protocol::{self, Protocol, Start};
use crate::request::{self, BadRequest};
use crate::stats::{Kind, Metric, Stats, Values};
use crate::turn::Turns;
use crate::{Config, Listeners, accept, alive};

/// How long connections may take to end in good order when the server stops.
const STOP_PATIENCE: Duration = Duration::from_millis(900);

/// How long those may take that are then broken off.
const CUT_PATIENCE: Duration = Duration::from_millis(100);

/// The state of one server.
pub(crate) struct App {
    /// How it behaves.
    pub(crate) config: Config,
    /// Its events.
    pub(crate) hub: Arc<Hub>,
    /// What it counts.
    pub(crate) stats: Arc<Stats>,
    /// Who is connected.
    pub(crate) connections: Connections,
    /// The way in for messages.
    pub(crate) inlet: Inlet,
    /// Whose turn it is.
    pub(crate) turns: Turns,
    /// Subscribers that asked to be let in; counted where only so many are.
    asked: AtomicU64,
    /// Who answers POST requests, by path; known once the server runs.
    posts: OnceLock<Vec<(&'static str, Post)>>,
}

/// Why a client's message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither `publish=` nor `echo=1` was given, nor a `publish` command.
    NoOutlet,
    /// The server refuses binary messages (a fault).
    Binary,
    /// The message is over the limit.
    TooBig,
    /// One in so many is refused (a fault).
    Fault,
    /// So many are served, and no more (a fault).
    Full,
    /// There is nothing in it.
    Empty,
    /// It needs a topic that there is no room for.
    Topics,
}

impl Refusal {
    /// The WebSocket close code (RFC 6455, section 7.4.1).
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Refusal::NoOutlet | Refusal::Empty => 1008,
            Refusal::Binary => 1003,
            Refusal::TooBig => 1009,
            Refusal::Fault | Refusal::Full | Refusal::Topics => 1013,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Refusal::NoOutlet | Refusal::Empty => StatusCode::BAD_REQUEST,
            Refusal::Binary => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooBig => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Fault | Refusal::Full | Refusal::Topics => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For people.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refusal::NoOutlet => "no topic to publish to",
            Refusal::Binary => "binary messages are refused",
            Refusal::TooBig => "the message is over the limit",
            Refusal::Fault => "this message is refused",
            Refusal::Full => "no more subscribers are served",
            Refusal::Empty => "a payload is 1 byte or more",
            Refusal::Topics => "there is no room for more topics",
        }
    }
}

/// Why a request is answered with an error.
pub(crate) enum Rejection {
    Bad(BadRequest),
    Refused(Refusal),
}

impl From<BadRequest> for Rejection {
    fn from(bad: BadRequest) -> Rejection {
        Rejection::Bad(bad)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Rejection {
        Rejection::Refused(refusal)
    }
}

impl From<TooManyTopics> for Rejection {
    fn from(too_many: TooManyTopics) -> Rejection {
        match too_many {
            TooManyTopics::OfOne(_) => Rejection::Bad(too_many.into()),
            TooManyTopics::InAll => Rejection::Refused(Refusal::Topics),
        }
    }
}

impl Rejection {
    /// What the client is told.
    pub(crate) fn status_and_text(&self) -> (StatusCode, String) {
        match self {
            Rejection::Bad(bad) => (StatusCode::BAD_REQUEST, format!("{bad}\n")),
            Rejection::Refused(refusal) => (refusal.status(), format!("{}\n", refusal.reason())),
        }
    }
}

impl App {
    /// A server that has seen nothing yet.
    ///
    /// # Errors
    /// If a fault needs what the system does not give.
    pub(crate) fn new(config: Config) -> io::Result<Arc<App>> {
        let stats = Arc::<Stats>::default();
        // The standard library seeds its hashers at random; no crate is needed for one random number.
        let id = RandomState::new().build_hasher().finish() as u32;
        let hub = Hub::new(id, config.limits, stats.clone());
        let inlet = Inlet::new(&hub, &config.faults)?;
        let (connections, asked, posts) = Default::default();
        Ok(Arc::new(App { config, hub, stats, connections, inlet, turns: Turns::new(), asked, posts }))
    }

    /// Whether a message from a client may enter.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self, payload_bytes: usize, binary: bool) -> Result<(), Refusal> {
        if payload_bytes > self.config.max_payload_bytes {
            return Err(Refusal::TooBig);
        }
        if binary && self.config.faults.refuse_binary {
            return Err(Refusal::Binary);
        }
        Ok(())
    }

    /// A message from a client enters. Text must be UTF-8.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8], binary: bool) -> Result<(), Refusal> {
        self.admit(payload.len(), binary)?;
        if payload.is_empty() {
            return Err(Refusal::Empty);
        }
        // Copied, because what arrives is a piece of a read buffer and would keep all of that alive in the history:
        // 8 KB for each event of a POST, as measured.
        self.inlet.enter(topic, alive::counted(payload.to_vec(), &self.stats), binary)?;
        let Limits { history_bytes, buffer_bytes, .. } = self.config.limits;
        if self.stats.event_bytes.get() > history_bytes.saturating_add(buffer_bytes) as u64 {
            self.connections.cut_unread();
        }
        Ok(())
    }

    /// Whether one more subscriber is let in.
    ///
    /// # Errors
    /// By fault, there are enough.
    pub(crate) fn let_in(&self) -> Result<(), Refusal> {
        match self.config.faults.refuse_after {
            Some(most) if self.asked.fetch_add(1, Relaxed) >= most => Err(Refusal::Full),
            _ => Ok(()),
        }
    }

    /// A client asks for something to be published. `kind` is its content type.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn publish_request(&self, topic: &str, kind: &[u8], payload: &[u8]) -> Result<(), Rejection> {
        self.stats.publish_requests.add(1);
        let topic = request::checked_topic(topic)?;
        let binary = is_binary(kind);
        if !binary && std::str::from_utf8(payload).is_err() {
            return Err(BadRequest::NotUtf8.into());
        }
        Ok(self.publish(topic, payload, binary)?)
    }

    /// Events are handed to the transport of one subscriber; by way of its connection.
    pub(crate) fn delivering(&self, batch: &Batch) {
        let bytes = batch.events.iter().map(|event| event.payload.len() as u64).sum();
        self.stats.delivered.add(batch.events.len() as u64);
        self.stats.delivered_bytes.add(bytes);
        fault::spin(self.config.faults.spin * batch.events.len() as u32);
    }

    /// A message goes back to its sender.
    pub(crate) fn count_echo(&self, payload: &Bytes) {
        self.stats.echoed.add(1);
        self.stats.echoed_bytes.add(payload.len() as u64);
        fault::spin(self.config.faults.spin);
    }

    /// Who answers POST requests, by path.
    pub(crate) fn posts(&self) -> impl Iterator<Item = &(&'static str, Post)> {
        self.posts.get().into_iter().flatten()
    }

    /// What the server counts, and how much there is of what.
    pub(crate) async fn metrics(&self) -> Vec<Metric> {
        let (sum, max) = self.hub.queue_depths().await;
        let (topics, topics_bytes) = self.hub.topics();
        let gauge = |name, help, value| Metric { name, help, kind: Kind::Gauge, values: Values::One(value) };
        let mut metrics = self.stats.metrics();
        metrics.extend([
            gauge("topics", "Topics.", topics as u64),
            gauge("history_bytes", "What they take at most, in bytes.", topics_bytes as u64),
            gauge("queued_events", "Events that live subscribers have not taken yet.", sum),
            gauge("queued_events_max", "The same for the subscriber that lies furthest behind.", max),
        ]);
        metrics
    }
}

/// Serves until `shutdown` is ready, then ends every connection in its protocol's good order, within about a second.
///
/// # Errors
/// If the sockets cannot be used.
pub async fn run(config: Config, listeners: Listeners, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let app = App::new(config)?;
    let mut tasks = JoinSet::new();
    let mut start = Start { app: &app, udp: listeners.rtc, tasks: &mut tasks };
    let mut posts = Vec::new();
    for protocol in protocol::ALL {
        if let Protocol::Post(path, begin) = protocol {
            posts.extend(begin(&mut start)?.map(|post| (*path, post)));
        }
    }
    let _ = app.posts.set(posts);
    tasks.spawn(app.hub.clone().fan_out());
    tasks.spawn(app.hub.clone().forget_idle());
    let turns = app.clone();
    tasks.spawn(async move { turns.turns.call_up().await });
    let listener = tokio::net::TcpListener::from_std(listeners.http)?;
    tokio::select! {
        () = shutdown => {}
        () = accept::forever(&app, &listener) => {}
    }
    drop(listener);
    app.connections.stop();
    if tokio::time::timeout(STOP_PATIENCE, app.connections.closed()).await.is_err() {
        app.connections.cut_all();
        let _ = tokio::time::timeout(CUT_PATIENCE, app.connections.closed()).await;
    }
    Ok(())
}

fn is_binary(kind: &[u8]) -> bool {
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream")
}
