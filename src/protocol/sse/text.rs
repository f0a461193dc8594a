//! From bytes to text as the standard decodes it, whatever the pieces they come in.

/// Decodes UTF-8 with replacement, drops a leading byte order mark, and makes every line end an LF
/// (WHATWG HTML, section 9.2.6). No I/O.
#[derive(Debug, Default)]
pub(super) struct TextDecoder {
    /// The start of a sequence that is not complete yet.
    tail: [u8; 3],
    tail_bytes: usize,
    started: bool,
    after_cr: bool,
}

impl TextDecoder {
    /// Appends the text of `input` to `out`.
    pub(super) fn feed(&mut self, mut input: &[u8], out: &mut String) {
        input = self.finish_tail(input, out);
        loop {
            match std::str::from_utf8(input) {
                Ok(text) => return self.push(text, out),
                Err(error) => {
                    let (valid, rest) = input.split_at(error.valid_up_to());
                    // Valid to there, says the line above; checking again costs less than it takes to explain an unsafe.
                    self.push(std::str::from_utf8(valid).unwrap_or_default(), out);
                    let Some(bad_bytes) = error.error_len() else {
                        self.tail[..rest.len()].copy_from_slice(rest);
                        self.tail_bytes = rest.len();
                        return;
                    };
                    self.push("\u{fffd}", out);
                    input = &rest[bad_bytes..];
                }
            }
        }
    }

    /// Completes the sequence that the previous piece began, or replaces it. Returns the rest of the input.
    fn finish_tail<'a>(&mut self, mut input: &'a [u8], out: &mut String) -> &'a [u8] {
        while self.tail_bytes > 0 && !input.is_empty() {
            let mut sequence = [0; 4];
            let bytes = self.tail_bytes + 1;
            sequence[..self.tail_bytes].copy_from_slice(&self.tail[..self.tail_bytes]);
            sequence[self.tail_bytes] = input[0];
            match std::str::from_utf8(&sequence[..bytes]) {
                Ok(character) => self.push(character, out),
                Err(error) if error.error_len().is_none() => {
                    self.tail[self.tail_bytes] = input[0];
                    self.tail_bytes = bytes;
                    input = &input[1..];
                    continue;
                }
                Err(_) => {
                    // The new byte does not belong to the sequence and is looked at afresh.
                    self.push("\u{fffd}", out);
                    self.tail_bytes = 0;
                    return input;
                }
            }
            self.tail_bytes = 0;
            input = &input[1..];
        }
        input
    }

    fn push(&mut self, mut text: &str, out: &mut String) {
        if text.is_empty() {
            return;
        }
        if !self.started {
            self.started = true;
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        while !text.is_empty() {
            if std::mem::take(&mut self.after_cr) {
                text = text.strip_prefix('\n').unwrap_or(text);
            }
            let Some((line, rest)) = text.split_once('\r') else {
                out.push_str(text);
                return;
            };
            out.push_str(line);
            out.push('\n');
            self.after_cr = true;
            text = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut decoder, mut out) = (TextDecoder::default(), String::new());
        for piece in pieces {
            decoder.feed(piece, &mut out);
        }
        out
    }

    /// What the standard says, on the whole input at once. A space ends a sequence that the input leaves open.
    fn expected(input: &[u8]) -> String {
        let text = String::from_utf8_lossy(input);
        text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n")
    }

    proptest! {
        #[test]
        fn any_split_gives_what_the_standard_says(
            words in proptest::collection::vec(prop_oneof![
                Just(b"\xef\xbb\xbf".to_vec()), Just(b"\r".to_vec()), Just(b"\n".to_vec()), Just("\u{1f44d}\u{e9}".into()),
                Just(b"\xf0\x9f\x91".to_vec()), Just(b"\xe2\x82".to_vec()), Just(b"data: x".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..4)
            ], 0..12),
            size in 1usize..9,
        ) {
            let mut input = words.concat();
            input.push(b' ');
            prop_assert_eq!(decode(input.chunks(size)), expected(&input));
        }
    }
}
