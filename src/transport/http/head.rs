//! The head of an answer.

use super::body::Framing;
use crate::failure::{Failure, Kind, Phase};

/// Longest head that is accepted, in bytes.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Most header fields that are accepted.
const MAX_FIELDS: usize = 100;

/// The status and header fields of an answer.
pub struct Head<'a> {
    /// Status code, e.g. 204.
    pub status: u16,
    minor_version: u8,
    fields: &'a [httparse::Header<'a>],
}

/// Why bytes are not the head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    /// Not HTTP/1.
    #[error("not an HTTP/1 answer: {0}")]
    Syntax(#[from] httparse::Error),
    /// Longer than anybody needs.
    #[error("the head is longer than {MAX_HEAD_BYTES} bytes")]
    TooLong,
    /// Two lengths, or no number.
    #[error("bad Content-Length")]
    Length,
}

/// Parses the head at the front of `input`, and hands it to `then` with its length in bytes.
/// `None` if it is not complete.
pub(super) fn parse<R>(
    input: &[u8],
    then: impl FnOnce(&Head<'_>, usize) -> R,
) -> Result<Option<R>, HeadError> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        input,
        &mut fields,
    );
    match parsed? {
        httparse::Status::Complete(length) if length <= MAX_HEAD_BYTES => {
            let head = Head {
                status: response.code.unwrap_or(0),
                minor_version: response.version.unwrap_or(0),
                fields: response.headers,
            };
            Ok(Some(then(&head, length)))
        }
        httparse::Status::Partial if input.len() < MAX_HEAD_BYTES => Ok(None),
        _ => Err(HeadError::TooLong),
    }
}

/// Shows `then` the head of an answer that was read by another library.
pub(crate) fn with<R>(status: u16, fields: &::http::HeaderMap, then: impl FnOnce(&Head<'_>) -> R) -> R {
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let fields: Vec<_> = fields.map(|(name, value)| httparse::Header { name, value }).collect();
    then(&Head { status, minor_version: 1, fields: &fields })
}

impl Head<'_> {
    /// The value of the first field of this name; `None` also if it is not UTF-8.
    pub fn field<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Whether a field that is a list of tokens contains `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|t| t.eq_ignore_ascii_case(token))
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let fields = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.filter_map(|field| std::str::from_utf8(field.value).ok())
    }

    /// The tokens of fields that are lists.
    pub(crate) fn tokens<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    /// The failure of an answer with another status than what was asked for. Whoever reads the answer adds its words.
    pub fn refusal(&self, phase: Phase) -> Failure {
        Failure::new(phase, Kind::Status(self.status), "")
    }

    /// How the content is compressed, besides not at all.
    pub(super) fn codings(&self) -> impl Iterator<Item = &str> {
        let transfer =
            self.tokens("transfer-encoding").filter(|coding| !coding.eq_ignore_ascii_case("chunked"));
        let codings = self.tokens("content-encoding").chain(transfer);
        codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }

    /// An answer that precedes the real one. 101 is none: it is the last thing said in HTTP.
    pub(super) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..200)
    }

    /// How the body ends (RFC 9112, section 6.3).
    pub(super) fn framing(&self, to_head_request: bool) -> Result<Framing, HeadError> {
        if to_head_request || matches!(self.status, 100..200 | 204 | 304) {
            return Ok(Framing::None);
        }
        if let Some(coding) = self.tokens("transfer-encoding").last() {
            return Ok(if coding.eq_ignore_ascii_case("chunked") {
                Framing::Chunked
            } else {
                Framing::UntilEof
            });
        }
        let mut lengths = self.tokens("content-length");
        let Some(first) = lengths.next() else { return Ok(Framing::UntilEof) };
        let digits = first.bytes().all(|b| b.is_ascii_digit());
        match first.parse() {
            Ok(length) if digits && lengths.all(|other| other == first) => Ok(Framing::Sized(length)),
            _ => Err(HeadError::Length),
        }
    }

    /// Whether the server leaves the connection open behind this answer (RFC 9112, section 9.3).
    pub(super) fn keeps_open(&self) -> bool {
        let close = self.has_token("connection", "close");
        !close && (self.minor_version >= 1 || self.has_token("connection", "keep-alive"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framing(head: &str) -> Result<Framing, HeadError> {
        parse(head.as_bytes(), |head, _| head.framing(false)).unwrap().unwrap()
    }

    #[test]
    fn the_body_ends_where_the_standard_says() {
        let ok = |fields: &str| framing(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(ok(""), Ok(Framing::UntilEof));
        assert_eq!(ok("Content-Length: 5\r\n"), Ok(Framing::Sized(5)));
        assert_eq!(ok("content-length: 5, 5\r\nCONTENT-LENGTH: 5\r\n"), Ok(Framing::Sized(5)));
        assert_eq!(ok("Content-Length: 5\r\nContent-Length: 6\r\n"), Err(HeadError::Length));
        for lie in ["", "+5", "-5", "5x", "99999999999999999999"] {
            assert_eq!(ok(&format!("Content-Length: {lie}\r\n")), Err(HeadError::Length), "{lie}");
        }
        assert_eq!(ok("Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n"), Ok(Framing::Chunked));
        assert_eq!(ok("Transfer-Encoding: gzip, chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(ok("Transfer-Encoding: gzip\r\n"), Ok(Framing::UntilEof));
        assert_eq!(framing("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), Ok(Framing::None));
        assert_eq!(framing("HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n"), Ok(Framing::None));
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(parse(head, |head, _| head.framing(true)).unwrap().unwrap(), Ok(Framing::None));
    }

    #[test]
    fn the_connection_stays_open_where_the_standard_says() {
        for (head, open) in [
            ("HTTP/1.1 204 x\r\n\r\n", true),
            ("HTTP/1.1 204 x\r\nConnection: Close\r\n\r\n", false),
            ("HTTP/1.1 204 x\r\nConnection: a, close\r\n\r\n", false),
            ("HTTP/1.0 204 x\r\n\r\n", false),
            ("HTTP/1.0 204 x\r\nConnection: keep-alive\r\n\r\n", true),
        ] {
            assert_eq!(parse(head.as_bytes(), |head, _| head.keeps_open()).unwrap(), Some(open), "{head}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        assert_eq!(parse(long.as_bytes(), |_, _| ()), Err(HeadError::TooLong));
        assert_eq!(parse(&long.as_bytes()[..MAX_HEAD_BYTES], |_, _| ()), Err(HeadError::TooLong));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(matches!(parse(many.as_bytes(), |_, _| ()), Err(HeadError::Syntax(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, |head, _| (head.framing(false), head.keeps_open(), head.refusal(Phase::Receive)));
            let near = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
            let _ = parse(&near, |head, _| (head.framing(false), head.keeps_open(), head.refusal(Phase::Receive)));
        }
    }
}
