//! What a protocol's handler is given and what it answers: the same whether the front or hyper moves the bytes.

use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use httparse::Header;
use httpdate::HttpDate;

use crate::app::{App, Rejection};
use crate::connection::Connection;
use crate::request::BadRequest;
use crate::wire::Wire;

/// A future of any kind.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers the GET requests for one path.
pub(crate) type Handler = fn(&Ask<'_>) -> Result<Reply, Rejection>;

/// Answers the POST requests for one path, given their query and body.
pub(crate) type Post = Box<dyn Fn(Arc<App>, String, Bytes) -> Boxed<Full> + Send + Sync>;

/// A GET request.
pub(crate) struct Ask<'a> {
    /// Who is asked.
    pub(crate) app: &'a Arc<App>,
    /// Who asks.
    pub(crate) connection: &'a Arc<Connection>,
    /// What stands behind the question mark.
    pub(crate) query: &'a str,
    /// The header lines.
    pub(crate) headers: &'a [Header<'a>],
}

impl Ask<'_> {
    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }
}

/// An answer, in one of the forms it can take.
pub(crate) enum Reply {
    /// Here it is.
    Full(Full),
    /// It is held back.
    Held(Boxed<Full>),
    /// `200` and a body that does not end by itself.
    Stream(Fields, Box<dyn Chunks>),
    /// `101`, and then something else than HTTP.
    Upgrade(Fields, Upgrade),
}

/// Goes on with a connection when the answer to the upgrade is on its way.
pub(crate) type Upgrade = Box<dyn FnOnce(Wire) -> Boxed<()> + Send>;

/// The body of an answer that does not end by itself.
pub(crate) trait Chunks: Send {
    /// Puts what there is to send into `chunks`, each piece a chunk with its framing (see [`chunk`]). Whatever this
    /// returns, those are sent. Ready if there may be more at once, or with false if that is all.
    fn poll_chunks(&mut self, cx: &mut Context<'_>, chunks: &mut Vec<Bytes>) -> Poll<bool>;
}

/// A chunk of a body (RFC 9112, section 7.1).
pub(crate) fn chunk(content: &[u8]) -> Bytes {
    let mut chunk = format!("{:X}\r\n", content.len()).into_bytes();
    chunk.reserve_exact(content.len() + 2);
    chunk.extend_from_slice(content);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// What is in a chunk.
pub(super) fn content(chunk: &Bytes) -> Bytes {
    let size_line = chunk.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    chunk.slice(size_line..chunk.len() - 2)
}

/// The chunk that ends a body.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Room for the header lines of an answer.
const FIELDS_BYTES: usize = 96;

/// Header lines. No value that is put in may have a line break in it.
#[derive(Default)]
pub(crate) struct Fields(String);

impl Fields {
    /// With one line more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Fields {
        // For all lines of nearly every answer, so that they do not grow piece by piece.
        if self.0.is_empty() {
            self.0.reserve(FIELDS_BYTES);
        }
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    /// The lines, name and value.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }
}

/// An answer with all of its body.
pub(crate) struct Full {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
}

impl Full {
    /// One without a body.
    pub(crate) fn empty(status: StatusCode) -> Full {
        Full { status, fields: Fields::default(), body: Bytes::new() }
    }

    /// One of this content type.
    pub(crate) fn of(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Full {
        Full { status, fields: Fields::default().with("content-type", kind), body: body.into() }
    }

    /// One for people.
    pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Full {
        Full::of(status, "text/plain; charset=utf-8", text)
    }

    /// With one header line more.
    pub(crate) fn with(self, name: &'static str, value: impl Display) -> Full {
        Full { fields: self.fields.with(name, value), ..self }
    }
}

impl From<Rejection> for Full {
    fn from(rejection: Rejection) -> Full {
        let (status, text) = rejection.status_and_text();
        let full = Full::text(status, text);
        match rejection {
            // RFC 6455, section 4.4.
            Rejection::Bad(BadRequest::Upgrade) => full.with("sec-websocket-version", 13),
            _ => full,
        }
    }
}

/// How the body of an answer is framed.
pub(super) enum Framing {
    /// There is none, and none is expected.
    None,
    /// By its length.
    Length(usize),
    Chunked,
}

/// Writes the head of an answer.
pub(super) fn push_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    Fields(fields): &Fields,
    framing: Framing,
    close: bool,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(fields.as_bytes());
    match framing {
        Framing::None => {}
        Framing::Length(bytes) => {
            out.extend_from_slice(format!("content-length: {bytes}\r\n").as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    push_date(out);
    out.extend_from_slice(b"\r\n");
}

/// The date, which is written anew once a second.
fn push_date(out: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LINE.with_borrow_mut(|(written, line)| {
        if *written != second || line.is_empty() {
            *written = second;
            *line = format!("date: {}\r\n", HttpDate::from(now));
        }
        out.extend_from_slice(line.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_what_hyper_would_write() {
        let mut out = Vec::new();
        let fields = Fields::default().with("a", 1).with("b", "c: d");
        assert!(fields.lines().eq([("a", "1"), ("b", "c: d")]));
        push_head(&mut out, StatusCode::BAD_REQUEST, &fields, Framing::Length(3), true);
        let text = String::from_utf8_lossy(&out);
        let (head, date) = text.split_once("date: ").unwrap_or_default();
        assert_eq!(
            head,
            "HTTP/1.1 400 Bad Request\r\na: 1\r\nb: c: d\r\ncontent-length: 3\r\nconnection: close\r\n"
        );
        assert!(date.len() == 33 && date.ends_with(" GMT\r\n\r\n"), "{date:?}");
    }

    #[test]
    fn a_chunk_has_its_content() {
        let content_20 = b"01234567890123456789";
        let chunk = chunk(content_20);
        assert_eq!(&chunk[..], b"14\r\n01234567890123456789\r\n");
        assert_eq!(&content(&chunk)[..], content_20);
    }
}
