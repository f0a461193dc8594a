#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_quotation_is_one_line_without_escape_sequences() {
    for (text, quoted) in [
        ("plain words", "plain words"),
        ("two\r\nlines\tand  blanks ", "two lines and blanks"),
        ("\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m", "red"),
        ("\u{1b}]0;a title\u{7}text", "text"),
        ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
        ("\u{9b}31mC1\u{9b}m", "C1"),
        ("\u{1b}(Bcharset", "charset"),
        ("nul\0 bell\u{7} del\u{7f}", "nul bell del"),
        ("left \u{202e}right\u{2066} hidden\u{200b}", "left right hidden"),
        ("caf\u{e9} \u{1f44d} \u{fffd}", "caf\u{e9} \u{1f44d} \u{fffd}"),
        ("an escape at the end \u{1b}", "an escape at the end"),
        ("", ""),
    ] {
        assert_eq!(line(text), quoted, "{text:?}");
    }
    assert_eq!(lines("a\n\tb\u{1b}[1m\r\nc\u{1}\u{85}"), "a\n\tb\nc\u{fffd}\u{fffd}");
}

#[test]
fn it_is_cut_and_says_so() {
    assert_eq!(line(&"x".repeat(MAX_CHARS)), "x".repeat(MAX_CHARS));
    assert_eq!(line(&"x".repeat(MAX_CHARS + 1)), "x".repeat(MAX_CHARS - 1) + "…");
    assert_eq!(within("some words", 6), "some…");
    assert_eq!(line(&" \n".repeat(100_000)), "");
}

#[test]
fn passwords_of_session_descriptions_are_left_out() {
    let offer = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:Secret+/123\r\na=setup:actpass\r\n";
    assert_eq!(line(offer), "v=0 a=ice-ufrag:abcd a=ice-pwd:(left out) a=setup:actpass");
    let json = serde_json::to_string(offer).unwrap();
    assert!(!lines(&json).contains("Secret") && lines(&json).contains("setup:actpass"), "{}", lines(&json));
    let long = format!("{} a=ice-pwd:Secret", "x".repeat(MAX_CHARS - 15));
    assert!(!line(&long).contains("Secr"), "{}", line(&long));
}

#[test]
fn a_body_is_quoted_by_its_first_words() {
    assert_eq!(first_words(b"\r\n  full\nmore"), "full");
    assert_eq!(first_words(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    assert_eq!(first_words(b""), "");
    let page = b"<!DOCTYPE html>\n<html><head><TITLE>No such\n page</TITLE></head>";
    assert_eq!(first_words(page), "a page, No such page");
    assert_eq!(first_words(b"<error>17</error>"), "<error>17</error>");
    for (body, enough) in
        [(&b"no line"[..], false), (b"\na line\n", true), (b"<html>\n", false), (page, true), (b"", false)]
    {
        assert_eq!(has_first_words(body), enough, "{}", String::from_utf8_lossy(body));
    }
    assert!(has_first_words(&[b'x'; ENOUGH_BYTES]));
}

#[test]
fn a_record_is_cleaned_wherever_there_is_text() {
    let mut record = json!({
        "a\u{1b}[1m": ["\u{1b}]0;t\u{7}b", 1, {"c": "d\ne"}], "n": null, "x": 1.5, "big": u64::MAX,
    });
    super::record(&mut record);
    assert_eq!(record, json!({"a": ["b", 1, {"c": "d\ne"}], "n": null, "x": 1.5, "big": u64::MAX}));
}

fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\u{1b}".to_owned()),
        Just("\u{1b}[".to_owned()),
        Just("\u{1b}]0;".to_owned()),
        Just("\u{9b}".to_owned()),
        Just("\u{7}".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("a=ice-pwd:".to_owned()),
        Just("Secret".to_owned()),
        Just("<title>".to_owned()),
        any::<char>().prop_map(String::from),
        "[ -~]{0,80}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_quotation_has_a_control_character_or_is_long(text in words(), max_chars in 1..300usize) {
        for quoted in [line(&text), within(&text, max_chars), first_words(text.as_bytes())] {
            prop_assert!(!quoted.chars().any(|c| c.is_control() || is_unseen(c)), "{quoted:?}");
            prop_assert!(quoted.chars().count() <= MAX_CHARS.max(max_chars));
            prop_assert!(!quoted.contains("ice-pwd:S"), "{quoted:?}");
        }
        prop_assert!(within(&text, max_chars).chars().count() <= max_chars);
        prop_assert!(is_clean(&lines(&text).replace(PASSWORD, "")), "{:?}", lines(&text));
    }

    #[test]
    fn what_is_clean_stays_as_it_is(text in words(), max_chars in 1..300usize) {
        let once = within(&text, max_chars);
        prop_assert_eq!(within(&once, max_chars), once.clone());
        let once = lines(&text);
        prop_assert_eq!(lines(&once), once.clone());
    }

    #[test]
    fn any_bytes_can_be_quoted(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!first_words(&bytes).chars().any(char::is_control));
        let _ = has_first_words(&bytes);
    }
}
