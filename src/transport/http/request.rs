//! Requests, encoded once.

use std::ops::Range;

use crate::protocol::{Phase, Target};

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

    pub(super) fn is_head(&self) -> bool {
        self.head.starts_with(b"HEAD ")
    }
}

/// The head of a request with one part that changes, such as a cursor.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    slot: Range<usize>,
}

impl Template {
    /// What comes before the changing part and behind it; the part itself is empty.
    pub fn new(before: &str, after: &str) -> Template {
        Template { bytes: [before, after].concat().into_bytes(), slot: before.len()..before.len() }
    }

    /// Puts `parts` in the place of the changing part.
    pub fn fill(&mut self, parts: &[&str]) {
        let new = parts.iter().flat_map(|part| part.bytes());
        self.bytes.splice(self.slot.clone(), new);
        self.slot.end = self.slot.start + parts.iter().map(|part| part.len()).sum::<usize>();
    }

    /// The head as it stands.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
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
    fn a_template_can_be_filled_again_and_again() {
        let mut template = Template::new("GET /a", " HTTP/1.1");
        assert_eq!(template.bytes(), b"GET /a HTTP/1.1");
        for (part, whole) in
            [("x", "GET /a?x HTTP/1.1"), ("long", "GET /a?long HTTP/1.1"), ("", "GET /a? HTTP/1.1")]
        {
            template.fill(&["?", part]);
            assert_eq!(template.bytes(), whole.as_bytes());
        }
    }
}
