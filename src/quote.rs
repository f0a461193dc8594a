//! Words of others (servers, child processes, old results), made fit to be printed: no escape sequence, no control
//! character, no password; a quotation is one line, and not long. Cleaned where they come in, and again where old results
//! are read. What is clean stays as it is.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// Longest quotation, in characters.
pub const MAX_CHARS: usize = 200;

/// Longest account of why something failed, which may quote several, in characters.
pub const MAX_REASON_CHARS: usize = 2_000;

/// Bytes of a body that are enough to quote its first words.
pub const ENOUGH_BYTES: usize = 4096;

/// What stands before a password in a session description (RFC 8839, section 5.4).
const PASSWORD: &str = "ice-pwd:";

/// What stands in its place.
const LEFT_OUT: &str = "(left out)";

/// A quotation.
pub fn line(text: &str) -> String {
    within(text, MAX_CHARS)
}

/// One clean line of at most `max_chars` characters.
pub fn within(text: &str, max_chars: usize) -> String {
    let (mut line, mut kept) = (String::new(), 0);
    for character in Clean::of(text, false) {
        let blank = character == ' ' && (line.is_empty() || line.ends_with(' '));
        if !blank {
            line.push(character);
            kept += 1;
        }
        // More than enough, whatever is left out of it.
        if kept > 4 * max_chars {
            break;
        }
    }
    let line = without_passwords(&line);
    let line = line.trim_end();
    if line.chars().count() <= max_chars {
        return line.to_owned();
    }
    let cut: String = line.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// Text that keeps its lines and its length.
pub fn lines(text: &str) -> String {
    without_passwords(&Clean::of(text, true).collect::<String>())
}

/// The first words of a body: its first line that says something, or the title of a page.
pub fn first_words(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(&body[..body.len().min(ENOUGH_BYTES)]);
    let first = body.lines().map(line).find(|line| !line.is_empty()).unwrap_or_default();
    if !first.starts_with('<') {
        return first;
    }
    let title = title(&body).map(line).filter(|title| !title.is_empty());
    title.map_or(first, |title| within(&format!("a page, {title}"), MAX_CHARS))
}

/// Whether more of a body could change its first words.
pub fn has_first_words(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    body.len() >= ENOUGH_BYTES
        || match text.starts_with('<') {
            true => title(text).is_some(),
            false => text.contains(['\n', '\r']),
        }
}

fn title(page: &str) -> Option<&str> {
    // Names in HTML are ASCII in either case.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let length = lower[start..].find("</title>")?;
    page.get(start..start + length)
}

/// Every text in a record, wherever it stands.
pub fn record(value: &mut Value) {
    match value {
        Value::String(text) if !is_clean(text) => *text = lines(text),
        Value::Array(values) => values.iter_mut().for_each(record),
        Value::Object(fields) => {
            if fields.keys().any(|key| !is_clean(key)) {
                *fields =
                    std::mem::take(fields).into_iter().map(|(key, value)| (lines(&key), value)).collect();
            }
            fields.values_mut().for_each(record);
        }
        _ => {}
    }
}

/// Whether nothing in a text needs to be looked at.
pub fn is_clean(text: &str) -> bool {
    !text.contains(PASSWORD)
        && !text.chars().any(|c| !matches!(c, '\n' | '\t') && (c.is_control() || is_unseen(c)))
}

/// Puts words in the place of the passwords of session descriptions.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(PASSWORD) {
        let (before, behind) = rest.split_at(at + PASSWORD.len());
        out.push_str(before);
        // The characters of RFC 8839's `ice-char`.
        let secret = behind.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+/".contains(c));
        if secret.len() < behind.len() {
            out.push_str(LEFT_OUT);
        }
        rest = secret;
    }
    out.push_str(rest);
    out
}

/// Characters that nobody sees and that change how others are read: marks of direction, joiners, tags.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The characters of a text that may be printed.
struct Clean<'a> {
    rest: Peekable<Chars<'a>>,
    keeps_lines: bool,
}

impl<'a> Clean<'a> {
    fn of(text: &'a str, keeps_lines: bool) -> Clean<'a> {
        Clean { rest: text.chars().peekable(), keeps_lines }
    }

    /// Skips what belongs to an escape sequence (ECMA-48) behind its introducer.
    fn skip_sequence(&mut self, introducer: char) {
        match introducer {
            // Parameters, then one final character.
            '[' => self.skip_to(|c| ('@'..='~').contains(&c), |c| (' '..='~').contains(&c)),
            // A string, up to its terminator, which may be an escape sequence itself.
            ']' | 'P' | 'X' | '^' | '_' => {
                self.skip_to(|c| matches!(c, '\u{7}' | '\u{9c}'), |c| !matches!(c, '\u{1b}' | '\n'));
            }
            // Intermediates, then one final character.
            ' '..='/' => self.skip_to(|c| ('0'..='~').contains(&c), |c| (' '..='~').contains(&c)),
            _ => {}
        }
    }

    /// Skips up to and with the first character that ends it, and nothing behind one that cannot belong to it.
    fn skip_to(&mut self, ends: impl Fn(char) -> bool, belongs: impl Fn(char) -> bool) {
        while let Some(&next) = self.rest.peek() {
            if !(ends(next) || belongs(next)) {
                return;
            }
            self.rest.next();
            if ends(next) {
                return;
            }
        }
    }
}

impl Iterator for Clean<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            let character = self.rest.next()?;
            match character {
                '\u{1b}' => {
                    if let Some(introducer) = self.rest.next_if(|c| (' '..='~').contains(c)) {
                        self.skip_sequence(introducer);
                    }
                }
                '\u{9b}' => self.skip_sequence('['),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.skip_sequence(']'),
                '\n' | '\t' if self.keeps_lines => return Some(character),
                '\n' | '\t' | '\r' if !self.keeps_lines => return Some(' '),
                // In a record it is shown that something was there.
                _ if character.is_control() && character != '\r' && self.keeps_lines => {
                    return Some('\u{fffd}');
                }
                _ if character.is_control() || is_unseen(character) => {}
                _ if character.is_whitespace() => return Some(' '),
                _ => return Some(character),
            }
        }
    }
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
