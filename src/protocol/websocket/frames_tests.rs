#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::*;

/// What was taken, and whether it ended in an error.
type Taken = (Vec<Message>, bool);

fn ours<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Taken {
    let (mut frames, mut taken) = (Frames::default(), Vec::new());
    for piece in pieces {
        let fed = frames.feed(piece, |item| {
            taken.push(match item {
                Item::Text(text) => Message::text(std::str::from_utf8(text).unwrap()),
                Item::Binary(payload) => Message::binary(payload.to_vec()),
                Item::Ping(payload) => Message::Ping(payload.to_vec().into()),
                Item::Pong => Message::Pong(Default::default()),
                Item::Close(frame) => Message::Close(frame),
            });
            Ok::<(), Error>(())
        });
        if fed.is_err() {
            return (taken, true);
        }
    }
    (taken, false)
}

/// A stream that has all at once, and takes everything.
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Whole<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the crate makes of the same.
fn the_crates(input: &[u8]) -> Taken {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut socket = WebSocket::from_raw_socket(Whole(input), Role::Client, Some(config));
    let mut taken = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Pong(_)) => taken.push(Message::Pong(Default::default())),
            Ok(message) => taken.push(message),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (taken, false);
            }
            Err(_) => return (taken, true),
        }
    }
}

/// A frame of any kind, legal or not, seldom masked.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        Just("h\u{e9}llo \u{1f44d}".as_bytes().to_vec()),
        Just("\u{1f44d}".as_bytes()[..2].to_vec()),
        Just("\u{1f44d}".as_bytes()[2..].to_vec()),
        Just(vec![b'x'; 125]),
        Just(vec![b'x'; 126]),
        Just(vec![b'x'; 300]),
        Just(vec![3, 232, b'b', b'y', b'e']),
        Just(vec![3, 237]),
    ];
    let opcode = prop_oneof![8 => 0u8..3, 3 => 8u8..11, 1 => 3u8..16];
    let bits = prop_oneof![10 => Just(0x80), 6 => Just(0x00), 1 => Just(0x90)];
    (opcode, bits, payload, prop::bool::weighted(0.02)).prop_map(|(opcode, bits, payload, masked)| {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut frame = vec![opcode | bits];
        match payload.len() {
            short @ 0..126 => frame.push(mask_bit | short as u8),
            long => frame.extend([mask_bit | 126, (long >> 8) as u8, long as u8]),
        }
        frame.extend_from_slice(if masked { &[0; 4] } else { &[] });
        frame.extend(payload);
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn takes_what_the_crate_takes_whatever_the_pieces(
        frames in proptest::collection::vec(any_frame(), 0..8),
        size in 1usize..40,
    ) {
        let input = frames.concat();
        let expected = the_crates(&input);
        prop_assert_eq!(ours(std::iter::once(input.as_slice())), expected.clone());
        prop_assert_eq!(ours(input.chunks(size)), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = ours(input.chunks(7));
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_before_it_has_come() {
    let header = |opcode: u8, length: u64| [&[opcode, 127][..], &length.to_be_bytes()].concat();
    assert!(ours([header(0x82, MAX_MESSAGE_BYTES as u64 + 1).as_slice()].into_iter()).1);
    assert!(ours([header(0x82, u64::MAX).as_slice()].into_iter()).1);
    assert!(!ours([header(0x82, MAX_MESSAGE_BYTES as u64).as_slice()].into_iter()).1);
    let part = [header(0x02, 9 << 20), vec![0; 9 << 20]].concat();
    let rest = [header(0x80, 9 << 20), vec![0; 9 << 20]].concat();
    assert_eq!(ours([part.as_slice(), &rest].into_iter()), (vec![], true));
}

#[test]
fn fuzz_frames() {
    let right: [&[u8]; 5] = [
        b"\x81\x05hello\x82\x03\0\x01\x02\x89\x04ping\x8a\0",
        b"\x01\x03abc\x89\x01x\0\x02\xc3\xa9\x80\x01z",
        b"\x88\x05\x03\xe8bye\x81\x01x",
        b"\x82\x7e\0\x80................................................................................................................................",
        b"\x82\x7f\0\0\0\0\0\0\0\x02ab\x81\x82\x01\x02\x03\x04ab",
    ];
    crate::fuzz::fuzz(&right, |input, numbers| {
        let (taken, failed) = ours(std::iter::once(input));
        assert_eq!(ours(numbers.cut(input).into_iter()), (taken.clone(), failed));
        let (expected, fails) = the_crates(input);
        assert_eq!(taken, expected);
        // Ours does not wait for the rest of a frame whose header is wrong, nor for anything behind a close.
        assert!(failed || !fails, "{taken:?}");
    });
}
