//! The columns of the guide's matrix.

/// A column of the matrix.
#[derive(Debug)]
pub struct Column {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How ids of claims abbreviate it.
    pub(super) short: &'static str,
}

/// The columns, in the guide's order.
pub static COLUMNS: [Column; 5] = [
    Column { protocol: "short-poll", title: "Short polling", short: "sp" },
    Column { protocol: "long-poll", title: "Long polling", short: "lp" },
    Column { protocol: "websocket", title: "WebSocket", short: "ws" },
    Column { protocol: "sse", title: "SSE", short: "sse" },
    Column { protocol: "webrtc", title: "WebRTC", short: "rtc" },
];
