//! The envelope: what every measured message carries, and the only definition of it.
//!
//! An envelope *is* the payload. It says who sent it (`stream`), which one it is (`sequence`), when it
//! was due and when it was written, and it is padded to the size the workload asks for. Servers treat it as
//! opaque bytes; both ends of rtbench link this file, so the wire form cannot drift.
//!
//! Two forms, chosen by the workload:
//!
//! * **text**: a JSON array without white space, UTF-8,
//!   `[1,"RRRRRRRR",stream,sequence,due_ns,sent_ns,"padding","CCCCCCCC"]`,
//!   where R is the run id and C the checksum, both 8 lower-case hexadecimal digits;
//! * **binary**: big-endian `version u8 | run u32 | stream u32 | sequence u32 | due_ns u64 | sent_ns u64 |
//!   padding | checksum u32`, where padding byte `i` is `i mod 256`.
//!
//! Times are nanoseconds from the run's start: raw monotonic time outgrows the 2^53 of a JSON number. The
//! checksum is CRC-32 (IEEE) over every byte before it, which in the text form ends with its own opening quote.

/// Version of the layout; the first field of both forms.
pub const VERSION: u8 = 1;

/// Smallest size to which a text envelope can be padded, in bytes: its longest possible header.
pub const MIN_TEXT_BYTES: usize = 84;

/// Smallest size of a binary envelope, in bytes: its header.
pub const MIN_BINARY_BYTES: usize = 33;

/// Largest time that fits the envelope, in nanoseconds: 2^53 - 1 (104 days), the largest exact integer of JSON.
pub const MAX_NS: u64 = (1 << 53) - 1;

/// What a text envelope ends with, behind the padding: quote, comma, quote, checksum, quote, bracket.
const TEXT_TAIL: &[u8; 13] = b"\",\"00000000\"]";

/// Where the checksum's digits are in that.
const TEXT_CRC: std::ops::Range<usize> = 3..11;

const BINARY_CRC_BYTES: usize = 4;

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
    /// Makes `out` the envelope, padded to `size_bytes`, or to the form's minimum if that is larger.
    pub fn encode(&self, form: Form, size_bytes: usize, out: &mut Vec<u8>) {
        // Whatever was there is written over; a buffer that is used again and again needs nothing here. Neither form finds too
        // little room in it.
        out.resize(size_bytes.max(form.min_bytes()), 0);
        match form {
            Form::Text => self.write_text(out),
            Form::Binary => self.write_binary(out),
        }
    }

    fn write_text(&self, out: &mut [u8]) {
        let Some(bytes) = out.first_chunk_mut() else { return };
        let mut head = Head { bytes, length: 0 };
        head.write(b"[1,\"");
        head.write(&hex_digits(self.run));
        head.write(b"\",");
        for number in [
            u64::from(self.stream),
            u64::from(self.sequence),
            self.due_ns.min(MAX_NS),
            self.sent_ns.min(MAX_NS),
        ] {
            head.write_decimal(number);
            head.write(b",");
        }
        head.write(b"\"");
        let padding_at = head.length;
        let Some((body, tail)) = out.split_last_chunk_mut::<{ TEXT_TAIL.len() }>() else { return };
        body[padding_at..].fill(b'.');
        *tail = *TEXT_TAIL;
        let checked_bytes = out.len() - TEXT_TAIL.len() + TEXT_CRC.start;
        let (checked, digits) = out.split_at_mut(checked_bytes);
        digits[..TEXT_CRC.len()].copy_from_slice(&hex_digits(checksum(checked)));
    }

    fn write_binary(&self, out: &mut [u8]) {
        let Some((body, crc)) = out.split_last_chunk_mut::<BINARY_CRC_BYTES>() else { return };
        let mut rest = &mut body[..];
        let mut write = |bytes: &[u8]| {
            let (field, tail) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            field.copy_from_slice(bytes);
            rest = tail;
        };
        write(&[VERSION]);
        write(&self.run.to_be_bytes());
        write(&self.stream.to_be_bytes());
        write(&self.sequence.to_be_bytes());
        write(&self.due_ns.to_be_bytes());
        write(&self.sent_ns.to_be_bytes());
        rest.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
        *crc = checksum(body).to_be_bytes();
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
    let tail = rest.last_chunk::<{ TEXT_TAIL.len() }>()?;
    let (mut digits, end) = tail[TEXT_CRC.start..].split_at(TEXT_CRC.len());
    let claimed = take_hex(&mut digits)?;
    if !tail.starts_with(&TEXT_TAIL[..TEXT_CRC.start]) || end != &TEXT_TAIL[TEXT_CRC.end..] {
        return None;
    }
    Some(Unverified {
        envelope: Envelope { run, stream, sequence, due_ns, sent_ns },
        claimed,
        computed: checksum(&bytes[..bytes.len() - TEXT_TAIL.len() + TEXT_CRC.start]),
    })
}

fn decode_binary(bytes: &[u8]) -> Option<Unverified> {
    if bytes.len() < MIN_BINARY_BYTES {
        return None;
    }
    let (body, claimed) = bytes.split_last_chunk::<BINARY_CRC_BYTES>()?;
    let u32_at = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_be_bytes(body.get(at..at + 8)?.try_into().ok()?));
    Some(Unverified {
        envelope: Envelope {
            run: u32_at(1)?,
            stream: u32_at(5)?,
            sequence: u32_at(9)?,
            due_ns: u64_at(13)?,
            sent_ns: u64_at(21)?,
        },
        claimed: u32::from_be_bytes(*claimed),
        computed: checksum(body),
    })
}

fn checksum(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}

/// Eight lower-case digits. All at once, as [`to_eight_digits`] does it: bytes become pairs of nibbles, and these digits.
fn hex_digits(value: u32) -> [u8; 8] {
    let halves = u64::from(value.swap_bytes());
    let fours = (halves | halves << 16) & 0x0000_FFFF_0000_FFFF;
    let pairs = (fours | fours << 8) & 0x00FF_00FF_00FF_00FF;
    let nibbles = (pairs >> 4 | pairs << 8) & LOW_NIBBLES;
    let letters = ((nibbles + 6 * ONES) >> 4) & ONES;
    (nibbles + ASCII_ZEROS + u64::from(b'a' - b'0' - 10) * letters).to_le_bytes()
}

/// A text envelope up to its padding.
struct Head<'a> {
    /// Has room for the longest there is, and for the zeros that are written behind a number.
    bytes: &'a mut [u8; MIN_TEXT_BYTES],
    length: usize,
}

impl Head<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Writes a number below 10^16.
    fn write_decimal(&mut self, value: u64) {
        let (high, low) = (value / POWERS[8], value % POWERS[8]);
        if high > 0 {
            self.write_trimmed(to_eight_digits(high));
            self.write(&to_eight_digits(low).to_le_bytes());
        } else {
            self.write_trimmed(to_eight_digits(low));
        }
    }

    /// Writes digits without the zeros before them, of which the last is none.
    fn write_trimmed(&mut self, digits: u64) {
        let zeros = ((digits & LOW_NIBBLES).trailing_zeros() / 8).min(7);
        self.bytes[self.length..][..8].copy_from_slice(&(digits >> (8 * zeros)).to_le_bytes());
        self.length += 8 - zeros as usize;
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

const LOW_NIBBLES: u64 = 0x0F * ONES;

const ASCII_ZEROS: u64 = 0x30 * ONES;

/// The eight ASCII digits of a number below 10^8, the first in the lowest byte. All at once, as four numbers of every
/// message pass through here: the whole is cut in two, those in pairs, and the pairs in digits.
fn to_eight_digits(value: u64) -> u64 {
    let (high, low) = (value / 10_000, value % 10_000);
    let fours = high | low << 32;
    let hundreds = ((fours * 5243) >> 19) & 0x0000_007F_0000_007F;
    let pairs = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000F_000F_000F_000F;
    let ones = pairs - 10 * tens;
    (tens | ones << 8) | ASCII_ZEROS
}

/// Takes exactly eight lower-case hexadecimal digits.
fn take_hex(rest: &mut &[u8]) -> Option<u32> {
    let (digits, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    let text = u64::from_le_bytes(*digits);
    let nibbles = (text & LOW_NIBBLES) + 9 * ((text >> 6) & ONES);
    let pairs = (nibbles << 4 | nibbles >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    let value = ((fours | fours >> 16) as u32).swap_bytes();
    // Whatever else was there has become some number too, but not one that is written so.
    (hex_digits(value) == *digits).then_some(value)
}

/// Takes a decimal number of at most 16 digits and the comma behind it. Looks at eight or sixteen bytes at once, and so takes
/// none of fewer: behind each number of an envelope there are more.
fn take_decimal(rest: &mut &[u8]) -> Option<u64> {
    let (first, count) = leading_digits(*rest.first_chunk()?);
    let (mut value, mut digits) = (first, count);
    if count == 8 {
        let (second, count) = leading_digits(*rest[8..].first_chunk()?);
        value = value * POWERS[count] + second;
        digits += count;
    }
    let is_number = digits > 0 && rest.get(digits) == Some(&b',');
    *rest = rest.get(digits + 1..)?;
    is_number.then_some(value)
}

/// Of ten, up to the eighth.
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that these characters begin with, and how many digits it has. Neighbours become pairs, pairs fours, and
/// fours the whole.
fn leading_digits(text: [u8; 8]) -> (u64, usize) {
    let values = u64::from_le_bytes(text) ^ ASCII_ZEROS;
    // Sets the highest bit of what is above 9; what is behind the first of these does not matter.
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    // As if zeros stood before it.
    let ones = values.checked_shl(64 - 8 * count).unwrap_or(0) & LOW_NIBBLES;
    let pairs = (ones.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000 << 32 | 1) >> 32, count as usize)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
