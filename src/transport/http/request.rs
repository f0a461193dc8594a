//! Requests: what they mean, and what HTTP/1.1 makes of them.

use std::borrow::Cow;
use std::io::Write;

use crate::failure::Phase;
use crate::quote;
use crate::transport::target::Target;

/// What is asked of a server, in whatever version of HTTP it goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Path and query, as they are sent.
    pub path: &'a str,
    /// Header fields beside those of the target and those of the protocol.
    pub fields: &'a [Field],
    /// The content.
    pub body: &'a [u8],
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Cow<'static, str>,
}

impl Field {
    /// One that is known when the program is built.
    pub const fn fixed(name: &'static str, value: &'static str) -> Field {
        Field { name: Cow::Borrowed(name), value: Cow::Borrowed(value) }
    }
}

impl<'a> Request<'a> {
    /// A GET without fields of its own.
    pub const fn get(path: &'a str) -> Request<'a> {
        Request { method: "GET", path, fields: &[], body: &[] }
    }

    /// Appends its head in HTTP/1.1 to `head`: `Host` and the target's fields, then `own` fields of the protocol's, then those of
    /// the request, and the length of the content where there is or may be one.
    pub fn encode(&self, target: &Target, own: &[(&str, &str)], head: &mut Vec<u8>) {
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
        put(&[self.method, " ", self.path, " HTTP/1.1\r\nHost: ", &target.host, "\r\n", &target.headers]);
        own.iter().for_each(|(name, value)| put(&[name, ": ", value, "\r\n"]));
        self.fields.iter().for_each(|field| put(&[&field.name, ": ", &field.value, "\r\n"]));
        if !(self.body.is_empty() && matches!(self.method, "GET" | "HEAD")) {
            // Writing to memory cannot fail.
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.extend_from_slice(b"\r\n");
    }
}

/// One request in HTTP/1.1, as often as it takes to send it.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    /// Request line and header fields, with the empty line.
    pub head: &'a [u8],
    /// What follows the head.
    pub body: &'a [u8],
    /// What the client is doing, for its failures.
    pub phase: Phase,
}

impl Encoded<'_> {
    /// Sending it twice does what sending it once does.
    pub(super) fn is_repeatable(&self) -> bool {
        self.head.starts_with(b"GET ")
    }

    /// Method and path, for people.
    pub(super) fn target(&self) -> String {
        const MAX_CHARS: usize = 80;
        let line = self.head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        quote::within(line.strip_suffix(" HTTP/1.1").unwrap_or(&line), MAX_CHARS)
    }

    pub(super) fn is_head(&self) -> bool {
        self.head.starts_with(b"HEAD ")
    }
}

/// The fields that say how long the connection is wanted, if it needs saying (RFC 9112, section 9.3).
pub fn connection_fields(keep_alive: bool) -> &'static [(&'static str, &'static str)] {
    if keep_alive { &[] } else { &[("Connection", "close")] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_path_and_the_fields() {
        let address = ([127, 0, 0, 1], 1).into();
        let target = Target { address, tls: None, host: "h".into(), headers: "A: b\r\n".into() };
        let head = |request: Request<'_>, own: &[(&str, &str)]| {
            let mut head = Vec::new();
            request.encode(&target, own, &mut head);
            String::from_utf8_lossy(&head).into_owned()
        };
        assert_eq!(
            head(Request::get("/a?x"), &[("C", "d")]),
            "GET /a?x HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n"
        );
        let fields = &[Field::fixed("E", "f")];
        let post = Request { method: "POST", path: "/", fields, body: b"12345" };
        let expected =
            "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nConnection: close\r\nE: f\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(head(post, connection_fields(false)), expected);
        let empty = head(Request { fields: &[], body: &[], ..post }, connection_fields(true));
        assert!(empty.ends_with("A: b\r\nContent-Length: 0\r\n\r\n"), "{empty}");
    }
}
