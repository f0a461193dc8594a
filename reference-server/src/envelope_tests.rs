//! Tests of `envelope.rs`.
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
    fn numbers_are_written_and_read_as_the_library_does_it(value in 0..10u64.pow(16), digits in 0u32..16) {
        let value = value / 10u64.pow(digits);
        let text = format!("{value},and more");
        let mut head = Head { bytes: &mut [0; _], length: 0 };
        head.write_decimal(value);
        head.write(b",and more");
        prop_assert_eq!(&head.bytes[..head.length], text.as_bytes());
        let mut rest = text.as_bytes();
        prop_assert_eq!((take_decimal(&mut rest), rest), (Some(value), &b"and more"[..]));
    }

    #[test]
    fn hexadecimal_is_written_and_read_as_the_library_does_it(value in any::<u32>(), text in "[0-9a-f]{8}|[0-9a-gA-F`:@/ ]{8}") {
        let written = hex_digits(value);
        prop_assert_eq!(std::str::from_utf8(&written), Ok(&format!("{value:08x}")[..]));
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'+');
        let expected = u32::from_str_radix(&text, 16).ok().filter(|_| lower);
        prop_assert_eq!(take_hex(&mut text.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_number_is_not_read_as_one(text in "[0-9 -~]{0,20}|[0-9]{0,20},.{0,20}") {
        let mut rest = text.as_bytes();
        let (number, tail) = text.split_once(',').unwrap_or_default();
        let expected = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten();
        if let Some(value) = take_decimal(&mut rest) {
            prop_assert_eq!((Some(value), rest), (expected, tail.as_bytes()));
        } else {
            prop_assert!(expected.is_none() || number.len() > 16 || text.len() < 16);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes);
    }
}

#[test]
fn fuzz_envelopes() {
    let e = Envelope { run: 0xabcd, stream: 7, sequence: 42, due_ns: 1_234_567_890, sent_ns: MAX_NS };
    let right =
        [(Form::Text, 0), (Form::Text, 200), (Form::Binary, 0), (Form::Binary, 100)].map(|(form, size)| {
            let mut out = Vec::new();
            e.encode(form, size, &mut out);
            out
        });
    let right = right.each_ref().map(Vec::as_slice);
    crate::fuzz::fuzz(&right, |input, _| {
        if let Ok(found) = Envelope::decode(input) {
            let form = if input[0] == b'[' { Form::Text } else { Form::Binary };
            let mut again = Vec::new();
            found.encode(form, input.len(), &mut again);
            assert_eq!(Envelope::decode(&again), Ok(found));
        }
    });
}

#[test]
fn the_longest_text_header_fits_the_stated_minimum() {
    let e = Envelope { run: u32::MAX, stream: u32::MAX, sequence: u32::MAX, due_ns: MAX_NS, sent_ns: MAX_NS };
    let mut out = Vec::new();
    e.encode(Form::Text, 0, &mut out);
    assert_eq!(out.len(), MIN_TEXT_BYTES);
    assert_eq!(out.iter().filter(|&&b| b == b'.').count(), 0, "the minimum is tight");
}
