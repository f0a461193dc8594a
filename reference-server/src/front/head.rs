//! Reading the head of a request, where it is a plain one.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use crate::wire::INPUT_BYTES;

/// The longest request head.
pub(crate) const MAX_HEAD_BYTES: usize = 8192;

/// Most header lines; as many as hyper takes.
pub(super) const MAX_HEADERS: usize = 100;

/// Room for the header lines of one request.
pub(super) type Headers<'a> = [MaybeUninit<Header<'a>>; MAX_HEADERS];

/// A request that is not for the front: malformed, of another version, or with something in it that few clients send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// Nothing says that it is wrong, only that hyper knows better.
    Other,
    /// Its body is longer than hyper can count.
    TooLarge,
}

/// A plain HTTP/1.1 request, complete with its body.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [Header<'a>],
    pub(super) body: &'a [u8],
    /// The client wants no other answer on this connection.
    pub(super) close: bool,
    /// Length of head and body.
    pub(super) bytes: usize,
}

impl<'a> Request<'a> {
    /// The first request in `input`; `None` if some of it is still missing.
    pub(super) fn parse(
        input: &'a [u8],
        headers: &'a mut Headers<'a>,
    ) -> Result<Option<Request<'a>>, Strange> {
        let mut head = httparse::Request::new(&mut []);
        let head_bytes = match head.parse_with_uninit_headers(input, headers) {
            Ok(Status::Complete(bytes)) if bytes <= MAX_HEAD_BYTES => bytes,
            Ok(Status::Partial) if input.len() < MAX_HEAD_BYTES => return Ok(None),
            _ => return Err(Strange::Other),
        };
        let (Some(method), Some(target), Some(1)) = (head.method, head.path, head.version) else {
            return Err(Strange::Other);
        };
        let headers: &'a [Header<'a>] = head.headers;
        let Framing { close, body_bytes } = Framing::of(headers)?;
        let bytes =
            head_bytes.checked_add(body_bytes).filter(|&bytes| bytes <= INPUT_BYTES).ok_or(Strange::Other)?;
        let Some(body) = input.get(head_bytes..bytes) else { return Ok(None) };
        // A fragment has no place in a request; whoever sends one nevertheless means the part before it.
        if target.contains('#') {
            return Err(Strange::Other);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Some(Request { method, path, query, headers, body, close, bytes }))
    }
}

/// Where a request ends, and whether the connection does.
struct Framing {
    close: bool,
    body_bytes: usize,
}

impl Framing {
    fn of(headers: &[Header<'_>]) -> Result<Framing, Strange> {
        let (mut close, mut body_bytes, mut hosts, mut is_plain) = (false, None, 0, true);
        for Header { name, value } in headers {
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => hosts += if is_host(value) { 1 } else { 2 },
                10 if name.eq_ignore_ascii_case("connection") => close |= lists(value, "close"),
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let digits = Some(*value).filter(|value| value.iter().all(u8::is_ascii_digit));
                    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                    let bytes = digits.filter(|digits| !digits.is_empty()).map(str::parse);
                    body_bytes = match (body_bytes, bytes) {
                        (None, Some(Ok(bytes))) if bytes < usize::MAX - 1 => Some(bytes),
                        (None, Some(_)) => return Err(Strange::TooLarge),
                        _ => return Err(Strange::Other),
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => is_plain = false,
                6 if name.eq_ignore_ascii_case("expect") => is_plain = false,
                _ => {}
            }
        }
        // Whoever knows better answers.
        if hosts != 1 || !is_plain {
            return Err(Strange::Other);
        }
        Ok(Framing { close, body_bytes: body_bytes.unwrap_or(0) })
    }
}

/// Whether this can stand in a `Host` line (RFC 9110, section 7.2): a name or an address, and a port if there is one. Empty
/// for those who ask for nothing that has one.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value.iter().rposition(|&byte| byte == b':' || byte == b']') {
        Some(at) if value[at] == b':' => (&value[..at], &value[at + 1..]),
        _ => (value, &[][..]),
    };
    let is_mark = |byte| matches!(byte, b'!' | b'$'..=b'.' | b';' | b'=' | b'_' | b'~');
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || is_mark(*byte);
    let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    port.iter().all(u8::is_ascii_digit)
        && match name {
            [b'[', address @ .., b']'] => !address.is_empty() && address.iter().all(is_address),
            name => name.iter().all(is_name) && (port.is_empty() || !name.is_empty()),
        }
}

/// Whether `token` is an item of a header's list.
pub(crate) fn lists(value: &[u8], token: &str) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, path, query, body, whether it is the last, length.
    type Seen<'a> = (&'a str, &'a str, &'a str, &'a [u8], bool, usize);

    fn seen(input: &str, check: impl FnOnce(Result<Option<Seen<'_>>, Strange>)) {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let request = Request::parse(input.as_bytes(), &mut headers);
        check(request.map(|request| request.map(|r| (r.method, r.path, r.query, r.body, r.close, r.bytes))));
    }

    #[test]
    fn plain_requests_are_read_and_what_follows_is_left() {
        seen("GET /a?b=c&d HTTP/1.1\r\nHost: x\r\n\r\nGET", |request| {
            assert_eq!(request, Ok(Some(("GET", "/a", "b=c&d", &b""[..], false, 34))));
        });
        seen(
            "POST /a HTTP/1.1\r\nHOST: x\r\ncontent-LENGTH: 3\r\nConnection: x , Close\r\n\r\nabcd",
            |request| {
                assert_eq!(request, Ok(Some(("POST", "/a", "", &b"abc"[..], true, 74))));
            },
        );
    }

    #[test]
    fn what_is_not_complete_is_waited_for() {
        let whole = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        for length in 0..whole.len() {
            seen(&whole[..length], |request| assert_eq!(request, Ok(None), "{length}"));
        }
    }

    #[test]
    fn whatever_else_there_is_is_for_hyper() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let long_partly = &long[..MAX_HEAD_BYTES];
        for input in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "NONSENSE\r\n\r\n",
            "\x16\x03\x01",
            "GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n",
            &long,
            long_partly,
        ] {
            seen(input, |request| assert_eq!(request, Err(Strange::Other), "{input}"));
        }
    }

    #[test]
    fn a_length_that_nobody_can_count_is_too_large() {
        for length in ["18446744073709551614", "18446744073709551615", "99999999999999999999"] {
            seen(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"), |request| {
                assert_eq!(request, Err(Strange::TooLarge), "{length}");
            });
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in ["", "a", "a.example:80", "127.0.0.1:", "[::1]:80", "[::ffff:1.2.3.4]", "a_b%41"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "u@a", "a:b", "a:1:2", "::1", "[]", "[::1", "[::1]x", ":80", "a\u{e9}", "a?b",
            "a#b",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
