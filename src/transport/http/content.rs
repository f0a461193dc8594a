//! The content of an answer: its body without framing and compression.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::body::{Decoder, Framing};
use super::head::Head;
use crate::failure::{Failure, Kind, Phase};

/// Whether answers in this coding can be read (RFC 9110, section 8.4.1; names are the same in either case).
pub fn is_readable(coding: &str) -> bool {
    ["gzip", "x-gzip", "identity"].iter().any(|known| known.eq_ignore_ascii_case(coding))
}

/// Compressed bytes that are decoded at once: each may become a thousand.
const AT_ONCE: usize = 1024;

/// What is left of one answer.
pub(super) struct Content {
    decoder: Decoder,
    gunzip: Option<Box<Gunzip>>,
}

impl Content {
    /// That of an answer with this head.
    ///
    /// # Errors
    /// Its length is none, or it is compressed in a way that nobody here can read.
    pub(super) fn of(head: &Head<'_>, to_head_request: bool, phase: Phase) -> Result<Content, Failure> {
        let framing = head.framing(to_head_request);
        let framing = framing.map_err(|error| Failure::protocol(phase, error.to_string()))?;
        if matches!(framing, Framing::None | Framing::Sized(0)) {
            return Ok(Content { decoder: Decoder::new(framing), gunzip: None });
        }
        let mut codings = head.codings();
        let gunzip = match (codings.next(), codings.next()) {
            (None, _) => None,
            (Some(coding), None) if is_readable(coding) => Some(Box::default()),
            _ => {
                let codings = head.codings().collect::<Vec<_>>().join(", ");
                let error = format!("compressed by {codings}, which was not asked for");
                return Err(Failure::protocol(phase, error));
            }
        };
        Ok(Content { decoder: Decoder::new(framing), gunzip })
    }

    /// Whether nothing more can come.
    pub(super) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Takes what belongs to it from the front of `input`, hands on what it says, and tells how much that was.
    ///
    /// # Errors
    /// It breaks the rules, or those of `hand_on`.
    #[inline]
    pub(super) fn take(
        &mut self,
        input: &[u8],
        phase: Phase,
        mut hand_on: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        while taken < input.len() && !self.decoder.is_done() {
            let next = self.decoder.next(&input[taken..]);
            let (length, piece) = next.map_err(|error| Failure::protocol(phase, error.to_string()))?;
            taken += length;
            match &mut self.gunzip {
                _ if piece.is_empty() => {}
                None => hand_on(piece)?,
                Some(gunzip) => gunzip.take(piece, phase, &mut hand_on)?,
            }
        }
        if self.decoder.is_done()
            && let Some(gunzip) = &mut self.gunzip
        {
            gunzip.end(phase)?;
        }
        Ok(taken)
    }

    /// The connection ended.
    ///
    /// # Errors
    /// More should have come.
    pub(super) fn eof(&mut self, phase: Phase) -> Result<(), Failure> {
        self.decoder.eof().map_err(|error| Failure::new(phase, Kind::Eof, error.to_string()))?;
        self.gunzip.as_mut().map_or(Ok(()), |gunzip| gunzip.end(phase))
    }
}

/// Takes gzip apart as it arrives; what the server has flushed is there at once.
struct Gunzip(MultiGzDecoder<Vec<u8>>);

impl Default for Gunzip {
    fn default() -> Gunzip {
        Gunzip(MultiGzDecoder::new(Vec::new()))
    }
}

impl Gunzip {
    fn take(
        &mut self,
        piece: &[u8],
        phase: Phase,
        hand_on: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for part in piece.chunks(AT_ONCE) {
            let decoded = self.0.write_all(part).and_then(|()| self.0.flush());
            decoded.map_err(|error| {
                Failure::protocol(phase, format!("the answer is not what gzip makes ({error})"))
            })?;
            let out = self.0.get_mut();
            if !out.is_empty() {
                hand_on(out)?;
                out.clear();
            }
        }
        Ok(())
    }

    /// Nothing more comes: was it all? The library does not tell an end that is missing from one that is wrong.
    fn end(&mut self, phase: Phase) -> Result<(), Failure> {
        let ended = self.0.try_finish();
        ended.map_err(|_| Failure::new(phase, Kind::Eof, "the compressed answer does not end as gzip does"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transport::http::head;

    /// What an answer says as it comes in pieces; whether it is complete; `None` if it breaks the rules.
    fn read(pieces: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
        let (mut head, mut content, mut said) = (Vec::new(), None, Vec::new());
        for piece in pieces {
            let mut piece = *piece;
            let mut rest = Vec::new();
            if content.is_none() {
                head.extend_from_slice(piece);
                let parsed =
                    head::parse(&head, |head, length| (length, Content::of(head, false, Phase::Receive)));
                let Some((length, of)) = parsed.ok()? else { continue };
                rest.extend_from_slice(&head[length..]);
                (piece, content) = (&rest, Some(of.ok()?));
            }
            let hand_on = |part: &[u8]| {
                said.extend_from_slice(part);
                Ok(())
            };
            content.as_mut()?.take(piece, Phase::Receive, hand_on).ok()?;
        }
        let done = content.is_some_and(|content| content.is_done());
        Some((said, done))
    }

    #[test]
    fn fuzz_answers() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&b"3:abc,".repeat(40)).unwrap();
        let gzip = gzip.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.len());
        let compressed = [head.as_bytes(), &gzip].concat();
        let right: [&[u8]; 4] = [
            &compressed,
            b"HTTP/1.1 200 OK\r\nrtbench-cursor: 7\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n3:abc,\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nrtbench-cursor: 7\r\nConnection: close\r\n\r\n",
            b"HTTP/1.0 200 OK\nContent-Length: 3\nContent-Length: 3\n\nabc",
        ];
        crate::fuzz::fuzz(&right, |input, numbers| assert_eq!(read(&numbers.cut(input)), read(&[input])));
    }
}
