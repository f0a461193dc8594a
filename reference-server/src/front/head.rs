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
/// Nothing says that it is wrong, only that hyper knows better.
pub(super) struct Strange;

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
            _ => return Err(Strange),
        };
        let (Some(method), Some(target), Some(1)) = (head.method, head.path, head.version) else {
            return Err(Strange);
        };
        let headers: &'a [Header<'a>] = head.headers;
        let Framing { close, body_bytes } = Framing::of(headers)?;
        let bytes =
            head_bytes.checked_add(body_bytes).filter(|&bytes| bytes <= INPUT_BYTES).ok_or(Strange)?;
        let Some(body) = input.get(head_bytes..bytes) else { return Ok(None) };
        // A fragment has no place in a request; whoever sends one nevertheless means the part before it.
        if target.contains('#') {
            return Err(Strange);
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
        let (mut close, mut body_bytes) = (false, None);
        for Header { name, value } in headers {
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => close |= lists(value, "close"),
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let digits = Some(*value).filter(|value| value.iter().all(u8::is_ascii_digit));
                    let bytes = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                    if body_bytes.is_some() || bytes.is_none() {
                        return Err(Strange);
                    }
                    body_bytes = bytes;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => return Err(Strange),
                6 if name.eq_ignore_ascii_case("expect") => return Err(Strange),
                _ => {}
            }
        }
        Ok(Framing { close, body_bytes: body_bytes.unwrap_or(0) })
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

    fn seen(input: &str, check: impl FnOnce(Result<Option<Seen<'_>>, ()>)) {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let request = Request::parse(input.as_bytes(), &mut headers).map_err(|Strange| ());
        check(request.map(|request| request.map(|r| (r.method, r.path, r.query, r.body, r.close, r.bytes))));
    }

    #[test]
    fn plain_requests_are_read_and_what_follows_is_left() {
        seen("GET /a?b=c&d HTTP/1.1\r\nHost: x\r\n\r\nGET", |request| {
            assert_eq!(request, Ok(Some(("GET", "/a", "b=c&d", &b""[..], false, 34))));
        });
        seen("POST /a HTTP/1.1\r\ncontent-LENGTH: 3\r\nConnection: x , Close\r\n\r\nabcd", |request| {
            assert_eq!(request, Ok(Some(("POST", "/a", "", &b"abc"[..], true, 65))));
        });
    }

    #[test]
    fn what_is_not_complete_is_waited_for() {
        let whole = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for length in 0..whole.len() {
            seen(&whole[..length], |request| assert_eq!(request, Ok(None), "{length}"));
        }
    }

    #[test]
    fn whatever_else_there_is_is_for_hyper() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let long_partly = &long[..MAX_HEAD_BYTES];
        for input in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "NONSENSE\r\n\r\n",
            "\x16\x03\x01",
            "GET /#a HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n",
            &long,
            long_partly,
        ] {
            seen(input, |request| assert_eq!(request, Err(()), "{input}"));
        }
    }
}
