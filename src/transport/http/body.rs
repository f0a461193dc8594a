//! Bodies of answers, decoded as they arrive. No I/O: whatever the pieces in which a body comes, the output is the same.

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// As many bytes as `Content-Length` says.
    Sized(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// All bytes until the connection ends.
    UntilEof,
}

/// Longest line of a chunked body that is not data (size with extensions, trailer field), in bytes.
pub const MAX_LINE_BYTES: u32 = 8 * 1024;

/// Most trailer lines of a chunked body.
const MAX_TRAILER_LINES: u32 = 100;

/// Why bytes are not a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk does not begin with its size in hexadecimal digits, or the size does not fit 64 bits.
    #[error("bad chunk size")]
    ChunkSize,
    /// A chunk is not followed by the end of a line.
    #[error("no line end behind a chunk")]
    ChunkEnd,
    /// A size line or the trailers are longer than anybody needs.
    #[error("chunk extensions or trailers too long")]
    TooLong,
    /// The connection ended before the body did.
    #[error("the connection ended within the body")]
    Cut,
}

/// The decoder of one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Done,
    Sized(u64),
    UntilEof,
    /// Digits of a chunk's size.
    Size {
        size: u64,
        digits: u32,
    },
    /// From the first byte behind the size to the end of its line.
    Extension {
        size: u64,
        length: u32,
    },
    Data {
        left: u64,
    },
    /// The line end behind the data; `cr` was seen.
    DataEnd {
        cr: bool,
    },
    /// Lines behind the last chunk, until an empty one. `length` counts without CR.
    Trailer {
        length: u32,
        lines: u32,
    },
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> Decoder {
        Decoder {
            state: match framing {
                Framing::None | Framing::Sized(0) => State::Done,
                Framing::Sized(length) => State::Sized(length),
                Framing::Chunked => State::Size { size: 0, digits: 0 },
                Framing::UntilEof => State::UntilEof,
            },
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes from the front of `input` what belongs to the body's next piece or framing.
    /// Returns how much was taken, and which part of that is content. Takes something unless the body is done or `input` is empty.
    ///
    /// # Errors
    /// The framing is broken; the decoder is useless from then on.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, &'a [u8]), BodyError> {
        match &mut self.state {
            State::Done => Ok((0, &[])),
            State::UntilEof => Ok((input.len(), input)),
            State::Sized(left) => {
                let content = take(input, left);
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok((content.len(), content))
            }
            State::Data { left } => {
                let content = take(input, left);
                if *left == 0 {
                    self.state = State::DataEnd { cr: false };
                }
                Ok((content.len(), content))
            }
            _ => self.framing(input).map(|taken| (taken, &[][..])),
        }
    }

    /// Walks through framing until content or the end is reached.
    fn framing(&mut self, input: &[u8]) -> Result<usize, BodyError> {
        for (i, &byte) in input.iter().enumerate() {
            self.state = self.state.after(byte)?;
            if matches!(self.state, State::Data { .. } | State::Done) {
                return Ok(i + 1);
            }
        }
        Ok(input.len())
    }

    /// The connection ended.
    ///
    /// # Errors
    /// `Cut` if the body was not complete by then.
    pub fn eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilEof => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Cut),
        }
    }
}

impl State {
    /// The state behind one byte of chunk framing. A bare LF ends a line too, as servers of old sent it.
    fn after(&self, byte: u8) -> Result<State, BodyError> {
        Ok(match *self {
            State::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(_) if size >> 60 != 0 => return Err(BodyError::ChunkSize),
                Some(digit) => State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 },
                None if digits == 0 => return Err(BodyError::ChunkSize),
                None if matches!(byte, b'\n' | b'\r' | b';' | b' ' | b'\t') => {
                    State::Extension { size, length: 0 }.after(byte)?
                }
                None => return Err(BodyError::ChunkSize),
            },
            State::Extension { size: 0, .. } if byte == b'\n' => State::Trailer { length: 0, lines: 0 },
            State::Extension { size, .. } if byte == b'\n' => State::Data { left: size },
            State::Extension { length, .. } if length == MAX_LINE_BYTES => return Err(BodyError::TooLong),
            State::Extension { size, length } => State::Extension { size, length: length + 1 },
            State::DataEnd { cr: false } if byte == b'\r' => State::DataEnd { cr: true },
            State::DataEnd { .. } if byte == b'\n' => State::Size { size: 0, digits: 0 },
            State::DataEnd { .. } => return Err(BodyError::ChunkEnd),
            State::Trailer { length: 0, .. } if byte == b'\n' => State::Done,
            State::Trailer { lines, .. } if byte == b'\n' => State::Trailer { length: 0, lines: lines + 1 },
            State::Trailer { length, lines } if byte == b'\r' => State::Trailer { length, lines },
            State::Trailer { length, lines } if length == MAX_LINE_BYTES || lines == MAX_TRAILER_LINES => {
                return Err(BodyError::TooLong);
            }
            State::Trailer { length, lines } => State::Trailer { length: length + 1, lines },
            State::Done | State::Sized(_) | State::UntilEof | State::Data { .. } => {
                unreachable!("content is not framing")
            }
        })
    }
}

/// The front of `input`, at most `left` bytes, which are then no longer left.
fn take<'a>(input: &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= length as u64;
    &input[..length]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `pieces`; returns the content, how much was taken in all, and whether the body was complete.
    fn decode<'a>(
        framing: Framing,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, usize, bool), BodyError> {
        let mut decoder = Decoder::new(framing);
        let (mut content, mut total) = (Vec::new(), 0);
        for mut piece in pieces {
            while !piece.is_empty() && !decoder.is_done() {
                let (taken, part) = decoder.next(piece)?;
                assert!(taken > 0, "no progress");
                content.extend_from_slice(part);
                total += taken;
                piece = &piece[taken..];
            }
        }
        Ok((content, total, decoder.is_done()))
    }

    fn whole(framing: Framing, input: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
        decode(framing, [input])
    }

    /// Cuts `input` at the given places (modulo its length).
    fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<_> = cuts.iter().map(|at| at % (input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|w| &input[w[0]..w[1]]).collect()
    }

    fn any_framing() -> impl Strategy<Value = Framing> {
        prop_oneof![
            Just(Framing::None),
            (0u64..100).prop_map(Framing::Sized),
            Just(Framing::Chunked),
            Just(Framing::UntilEof)
        ]
    }

    /// Bytes that come close to being chunked bodies.
    fn chunk_like() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("\r\n"),
            Just("\n"),
            Just("\r"),
            Just("0"),
            Just("3"),
            Just("a"),
            Just("F"),
            Just(";x=\"y\""),
            Just("abc"),
            Just("T: v"),
            Just("g"),
            Just(" "),
            Just("3\r\nabc\r\n"),
            Just("0\r\n\r\n")
        ];
        proptest::collection::vec(word, 0..20).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            framing in any_framing(),
            input in prop_oneof![chunk_like(), proptest::collection::vec(any::<u8>(), 0..200)],
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(decode(framing, cut(&input, &cuts)), whole(framing, &input));
            prop_assert_eq!(decode(framing, input.chunks(1)), whole(framing, &input));
        }

        #[test]
        fn what_was_encoded_comes_back(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10),
            extension in "(;[a-z]{1,5}(=[a-z0-9]{1,5})?){0,3}",
            line_end in prop_oneof![Just("\r\n"), Just("\n")],
            trailers in proptest::collection::vec("[A-Z][a-z]{1,9}: [ -~]{0,20}", 0..4),
            rest in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend(format!("{:x}{extension}{line_end}", chunk.len()).bytes());
                input.extend(chunk);
                input.extend(line_end.bytes());
            }
            input.extend(format!("0{extension}{line_end}").bytes());
            input.extend(trailers.iter().flat_map(|t| [t, line_end].concat().into_bytes()));
            input.extend(line_end.bytes());
            let length = input.len();
            input.extend(&rest);
            prop_assert_eq!(whole(Framing::Chunked, &input), Ok((chunks.concat(), length, true)));
        }
    }

    #[test]
    fn fuzz_bodies() {
        let right: [&[u8]; 3] = [
            b"3\r\nabc\r\na;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\nrest",
            b"00000000000003\nabc\nffffffffffffffff\n",
            b"0\r\n\r\n",
        ];
        crate::fuzz::fuzz(&right, |input, numbers| {
            for framing in
                [Framing::None, Framing::Sized(input.len() as u64 / 2), Framing::Chunked, Framing::UntilEof]
            {
                assert_eq!(decode(framing, numbers.cut(input)), whole(framing, input), "{framing:?}");
            }
        });
    }

    #[test]
    fn broken_framing_is_told_apart() {
        let broken = |input: &[u8]| whole(Framing::Chunked, input).unwrap_err();
        assert_eq!(broken(b"\r\n"), BodyError::ChunkSize);
        assert_eq!(broken(b"-1\r\n"), BodyError::ChunkSize);
        assert_eq!(broken(b"3x\r\n"), BodyError::ChunkSize);
        assert_eq!(broken(b"10000000000000000\r\n"), BodyError::ChunkSize);
        assert_eq!(broken(b"3\r\nabcd"), BodyError::ChunkEnd);
        assert_eq!(broken(&[b"3;".as_slice(), &[b'x'; 9000]].concat()), BodyError::TooLong);
        assert_eq!(broken(&[b"0\r\nT: ".as_slice(), &[b'x'; 9000]].concat()), BodyError::TooLong);
        assert_eq!(broken(&[b"0\r\n".as_slice(), &b"T: v\r\n".repeat(200)].concat()), BodyError::TooLong);
    }

    #[test]
    fn an_early_end_is_noticed_where_it_can_be() {
        for (framing, cut) in [
            (Framing::Sized(1), true),
            (Framing::Chunked, true),
            (Framing::UntilEof, false),
            (Framing::None, false),
        ] {
            assert_eq!(Decoder::new(framing).eof().is_err(), cut, "{framing:?}");
        }
    }
}
