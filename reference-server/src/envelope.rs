//! The envelope: what every measured message carries, and the only definition of it.
//!
//! An envelope *is* the payload. It says who sent it (`stream`), which one it is (`sequence`), when it
//! was due and when it was written, and it is padded to the size the workload asks for. Servers treat it as
//! opaque bytes; both ends of rtbench link this file, so the wire form cannot drift.
//!
//! Two forms, chosen by the workload:
//!
//! * **text**: a JSON array without white space, UTF-8,
//!   `[1,"RRRRRRRR",stream,sequence,due_ns,sent_ns,"CCCCCCCC","padding"]`,
//!   where R is the run id and C the checksum, both 8 lower-case hexadecimal digits;
//! * **binary**: big-endian `version u8 | run u32 | stream u32 | sequence u32 | due_ns u64 | sent_ns u64 |
//!   checksum u32 | padding`, where padding byte `i` is `i mod 256`.
//!
//! Times are nanoseconds from the run's start: raw monotonic time outgrows the 2^53 of a JSON number. The
//! checksum is CRC-32 (IEEE) over every byte of the message except the checksum's own digits.

/// Version of the layout; the first field of both forms.
pub const VERSION: u8 = 1;

/// Smallest size to which a text envelope can be padded, in bytes: its longest possible header.
pub const MIN_TEXT_BYTES: usize = 84;

/// Smallest size of a binary envelope, in bytes: its header.
pub const MIN_BINARY_BYTES: usize = 33;

/// Largest time that fits the envelope, in nanoseconds: 2^53 - 1 (104 days), the largest exact integer of JSON.
pub const MAX_NS: u64 = (1 << 53) - 1;

const BINARY_CRC: std::ops::Range<usize> = 29..33;

/// The wire form of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A JSON array.
    Text,
    /// Big-endian fields.
    Binary,
}

impl Form {
    /// The smallest payload of this form, in bytes.
    pub const fn min_bytes(self) -> usize {
        match self {
            Form::Text => MIN_TEXT_BYTES,
            Form::Binary => MIN_BINARY_BYTES,
        }
    }
}

/// The fields of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Random number of the run; a message of another run is foreign and never counted.
    pub run: u32,
    /// Publisher of the message, unique in the run.
    pub stream: u32,
    /// Position in the stream, from 0 and without gaps.
    pub sequence: u32,
    /// When the schedule wanted the message sent, in ns from the run's start.
    pub due_ns: u64,
    /// When it was handed to the protocol, in ns from the run's start.
    pub sent_ns: u64,
}

/// Why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The layout is not one of the two forms, or has another version.
    #[error("not an envelope of version 1")]
    Layout,
    /// The layout is right and the checksum is not: the message was changed on its way.
    #[error("the checksum does not match")]
    Checksum,
}

impl Envelope {
    /// Writes the envelope into `out` (cleared first), padded to `size_bytes`, or to the form's minimum if that is larger.
    pub fn encode(&self, form: Form, size_bytes: usize, out: &mut Vec<u8>) {
        out.clear();
        match form {
            Form::Text => self.encode_text(size_bytes, out),
            Form::Binary => self.encode_binary(size_bytes, out),
        }
    }

    fn encode_text(&self, size_bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[1,\"");
        push_hex(out, self.run);
        out.extend_from_slice(b"\",");
        for number in [
            u64::from(self.stream),
            u64::from(self.sequence),
            self.due_ns.min(MAX_NS),
            self.sent_ns.min(MAX_NS),
        ] {
            push_decimal(out, number);
            out.push(b',');
        }
        out.push(b'"');
        let crc_at = out.len();
        out.extend_from_slice(b"00000000\",\"");
        out.resize(size_bytes.max(MIN_TEXT_BYTES) - 2, b'.');
        out.extend_from_slice(b"\"]");
        let mut digits = [0; 8];
        hex_digits(checksum(&out[..crc_at], &out[crc_at + 8..]), &mut digits);
        out[crc_at..crc_at + 8].copy_from_slice(&digits);
    }

    fn encode_binary(&self, size_bytes: usize, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.run.to_be_bytes());
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.due_ns.to_be_bytes());
        out.extend_from_slice(&self.sent_ns.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend((0..size_bytes.saturating_sub(MIN_BINARY_BYTES)).map(|i| i as u8));
        let crc = checksum(&out[..BINARY_CRC.start], &out[BINARY_CRC.end..]);
        out[BINARY_CRC].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads an envelope of either form; the first byte tells which.
    ///
    /// # Errors
    /// `Layout` if the bytes are something else, `Checksum` if they were an envelope and were changed.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, DecodeError> {
        match bytes.first() {
            Some(b'[') => decode_text(bytes).ok_or(DecodeError::Layout)?,
            Some(&VERSION) => decode_binary(bytes).ok_or(DecodeError::Layout)?,
            _ => return Err(DecodeError::Layout),
        }
        .verified()
    }
}

/// An envelope whose checksum is still to be compared.
struct Unverified {
    envelope: Envelope,
    claimed: u32,
    computed: u32,
}

impl Unverified {
    fn verified(self) -> Result<Envelope, DecodeError> {
        if self.claimed == self.computed { Ok(self.envelope) } else { Err(DecodeError::Checksum) }
    }
}

fn decode_text(bytes: &[u8]) -> Option<Unverified> {
    let mut rest = bytes.strip_prefix(b"[1,\"")?;
    let run = take_hex(&mut rest)?;
    rest = rest.strip_prefix(b"\",")?;
    let stream = take_decimal(&mut rest)?.try_into().ok()?;
    let sequence = take_decimal(&mut rest)?.try_into().ok()?;
    let due_ns = take_decimal(&mut rest)?;
    let sent_ns = take_decimal(&mut rest)?;
    rest = rest.strip_prefix(b"\"")?;
    let crc_at = bytes.len() - rest.len();
    let claimed = take_hex(&mut rest)?;
    if !(rest.starts_with(b"\",\"") && rest.len() >= 5 && rest.ends_with(b"\"]")) {
        return None;
    }
    Some(Unverified {
        envelope: Envelope { run, stream, sequence, due_ns, sent_ns },
        claimed,
        computed: checksum(&bytes[..crc_at], &bytes[crc_at + 8..]),
    })
}

fn decode_binary(bytes: &[u8]) -> Option<Unverified> {
    let u32_at = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let claimed = u32_at(BINARY_CRC.start)?;
    Some(Unverified {
        envelope: Envelope {
            run: u32_at(1)?,
            stream: u32_at(5)?,
            sequence: u32_at(9)?,
            due_ns: u64_at(13)?,
            sent_ns: u64_at(21)?,
        },
        claimed,
        computed: checksum(&bytes[..BINARY_CRC.start], &bytes[BINARY_CRC.end..]),
    })
}

fn checksum(before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(after);
    hasher.finalize()
}

fn hex_digits(value: u32, digits: &mut [u8; 8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, digit) in digits.iter_mut().enumerate() {
        *digit = HEX[(value >> (28 - 4 * i)) as usize & 15];
    }
}

fn push_hex(out: &mut Vec<u8>, value: u32) {
    let mut digits = [0; 8];
    hex_digits(value, &mut digits);
    out.extend_from_slice(&digits);
}

fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    // Two at a time: four numbers of every message pass through here.
    while value >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    let [tens, ones] = PAIRS[value as usize];
    at -= 1;
    digits[at] = ones;
    if value >= 10 {
        at -= 1;
        digits[at] = tens;
    }
    out.extend_from_slice(&digits[at..]);
}

/// "00" to "99".
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// Takes exactly eight lower-case hexadecimal digits.
fn take_hex(rest: &mut &[u8]) -> Option<u32> {
    let (digits, tail) = rest.split_first_chunk::<8>()?;
    let (mut value, mut bad) = (0, 0);
    for &digit in digits {
        let nibble = NIBBLES[usize::from(digit)];
        bad |= nibble;
        value = value << 4 | u32::from(nibble & 15);
    }
    *rest = tail;
    (bad & NO_NIBBLE == 0).then_some(value)
}

const NO_NIBBLE: u8 = 0x80;

/// What each byte is worth as a hexadecimal digit.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_NIBBLE; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// Takes a decimal number of at most 16 digits and the comma behind it.
fn take_decimal(rest: &mut &[u8]) -> Option<u64> {
    const MAX_DIGITS: usize = 16;
    let mut value = 0;
    for (digits, &byte) in rest.iter().take(MAX_DIGITS + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            *rest = &rest[digits + 1..];
            return (byte == b',' && digits > 0).then_some(value);
        }
        value = value * 10 + u64::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn any_envelope() -> impl Strategy<Value = Envelope> {
        (any::<u32>(), any::<u32>(), any::<u32>(), 0..=MAX_NS, 0..=MAX_NS).prop_map(
            |(run, stream, sequence, due_ns, sent_ns)| Envelope { run, stream, sequence, due_ns, sent_ns },
        )
    }

    fn any_form() -> impl Strategy<Value = Form> {
        prop_oneof![Just(Form::Text), Just(Form::Binary)]
    }

    proptest! {
        #[test]
        fn round_trip_at_the_size_asked(e in any_envelope(), form in any_form(), size in 0usize..2000) {
            let mut out = Vec::new();
            e.encode(form, size, &mut out);
            prop_assert_eq!(out.len(), size.max(form.min_bytes()));
            prop_assert_eq!(Envelope::decode(&out), Ok(e));
            if form == Form::Text {
                let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
                prop_assert_eq!(json[3].as_u64(), Some(u64::from(e.sequence)));
                prop_assert_eq!(json[4].as_u64(), Some(e.due_ns));
            }
        }

        #[test]
        fn any_changed_bit_is_noticed(e in any_envelope(), form in any_form(), at in 0usize..300, bit in 0u8..8) {
            let mut out = Vec::new();
            e.encode(form, 300, &mut out);
            out[at] ^= 1 << bit;
            prop_assert!(Envelope::decode(&out).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(&bytes);
        }
    }

    #[test]
    fn the_longest_text_header_fits_the_stated_minimum() {
        let e =
            Envelope { run: u32::MAX, stream: u32::MAX, sequence: u32::MAX, due_ns: MAX_NS, sent_ns: MAX_NS };
        let mut out = Vec::new();
        e.encode(Form::Text, 0, &mut out);
        assert_eq!(out.len(), MIN_TEXT_BYTES);
        assert_eq!(out.iter().filter(|&&b| b == b'.').count(), 0, "the minimum is tight");
    }
}
