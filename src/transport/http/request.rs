//! Requests.

use crate::protocol::{Phase, Target};
use crate::quote;
use crate::transport::scratch;

/// One request, as often as it takes to send it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Request line and header fields, with the empty line.
    pub head: &'a [u8],
    /// What follows the head.
    pub body: &'a [u8],
    /// What the client is doing, for its failures.
    pub phase: Phase,
}

impl Request<'_> {
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

/// Puts the head of a GET together from its path and from fields, each ending in CRLF, beside those of every request to
/// `target`, and hands it to `then`. No client needs to hold one: what is most of it is the same for all.
pub fn with_get<R>(target: &Target, path: &[&str], fields: &[&str], then: impl FnOnce(&[u8]) -> R) -> R {
    scratch::with_text(|head| {
        let common = ["GET ", " HTTP/1.1\r\nHost: ", &target.host, "\r\n", &target.headers];
        let parts = common[..1].iter().chain(path).chain(&common[1..]).chain(fields).chain(&["\r\n"]);
        parts.for_each(|part| head.extend_from_slice(part.as_bytes()));
        then(head)
    })
}

/// What follows the path in every request: version, `Host`, and the target's own fields; more fields may follow.
pub fn common_fields(target: &Target) -> String {
    format!(" HTTP/1.1\r\nHost: {}\r\n{}", target.host, target.headers)
}

/// The field that says how long the connection is wanted, if it needs saying (RFC 9112, section 9.3).
pub fn connection_field(keep_alive: bool) -> &'static str {
    if keep_alive { "" } else { "Connection: close\r\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_path_and_the_fields() {
        let address = ([127, 0, 0, 1], 1).into();
        let target = Target { address, tls: None, host: "h".into(), headers: "A: b\r\n".into() };
        let head = |path: &[&str], fields: &[&str]| {
            with_get(&target, path, fields, |head| String::from_utf8_lossy(head).into_owned())
        };
        assert_eq!(
            head(&["/a", "?x"], &["C: ", "d\r\n"]),
            "GET /a?x HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n"
        );
        assert_eq!(head(&["/"], &[]), format!("GET /{}\r\n", common_fields(&target)));
    }
}
