//! The protocols: one file each, and one table.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::app::App;
use crate::front::{Handler, Post};

pub(crate) mod channel;
mod long_poll;
mod poll;
mod short_poll;
mod sse;
pub(crate) mod webrtc;
mod websocket;

/// One way to subscribe.
pub(crate) enum Protocol {
    /// By GET requests for a path, which a handler answers.
    Get(&'static str, Handler),
    /// By POST requests for a path: starts what it needs in the background, and says who answers. `None` if there is nothing
    /// to serve it with.
    Post(&'static str, fn(&mut Start<'_>) -> io::Result<Option<Post>>),
}

impl Protocol {
    /// Its path.
    pub(crate) fn path(&self) -> &'static str {
        let (Protocol::Get(path, _) | Protocol::Post(path, _)) = self;
        path
    }
}

/// What a protocol may use when the server starts.
pub(crate) struct Start<'a> {
    /// The server.
    pub(crate) app: &'a Arc<App>,
    /// Sockets for data channels; whoever needs them takes them.
    pub(crate) udp: Vec<UdpSocket>,
    /// Background tasks. They go on while connections end in good order, and are dropped with the server.
    pub(crate) tasks: &'a mut JoinSet<()>,
}

macro_rules! ids {
    ($($id:ident = $name:literal),* $(,)?) => {
        /// Which protocol a connection speaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Id {
            $($id),*
        }

        impl Id {
            /// All, in the order of their numbers.
            pub(crate) const ALL: &'static [Id] = &[$(Id::$id),*];

            /// Name in metrics, as in rtbench's scenarios.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Id::$id => $name),*
                }
            }
        }
    };
}

// A line for each, in the order of the metrics.
ids! {
    ShortPoll = "short-poll",
    LongPoll = "long-poll",
    Sse = "sse",
    WebSocket = "websocket",
    WebRtc = "webrtc",
}

/// All protocols. Short and long polling share a URL and so a row.
pub(crate) static ALL: &[Protocol] = &[
    Protocol::Get("/poll", poll::handle),
    Protocol::Get("/sse", sse::handle),
    Protocol::Get("/ws", websocket::handle),
    Protocol::Post(webrtc::PATH, webrtc::start),
];
