//! The sets of request headers that a scenario may choose: lines that end in CRLF, put behind `Host`.

use super::file::Http;
use super::kinds::Headers;
use crate::quote;
use crate::transport::http::is_readable;

/// What Chrome sends with a `fetch()` to its own origin, beyond what the client itself adds, and a session cookie.
/// Captured from Chromium 156 (lines and order as it sends them); the versions in it age, the sizes hardly. Of its codings
/// (`gzip, deflate, br, zstd`) only what the client can read is asked for.
const BROWSER: &[&str] = &[
    "sec-ch-ua-platform: \"Windows\"",
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\", \"Google Chrome\";v=\"156\"",
    "sec-ch-ua-mobile: ?0",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Referer: http://app.example.com/room/4711",
    "Accept-Encoding: gzip",
    "Accept-Language: en-US,en;q=0.9",
    "Cookie: session=s%3AhKx2Vn5QyF8tUe0aJ3mWcR7pLbD1gZ6s.Tq4oXi9EwNv2YkHj5CfAuM8rGzB0dPlS",
];

/// The header lines of a scenario's choice.
pub fn lines(http: &Http) -> String {
    let lines: Vec<&str> = match http.headers {
        Headers::Minimal => Vec::new(),
        Headers::Browser => BROWSER.to_vec(),
        Headers::Custom => http.custom.iter().map(String::as_str).collect(),
    };
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Why a choice of headers cannot be sent, if it cannot.
///
/// # Errors
/// `custom` without lines, in words.
pub fn choice(http: &Http) -> Result<(), String> {
    match http.headers == Headers::Custom && http.custom.is_empty() {
        true => Err("custom headers need lines: set http.custom in the scenario".to_owned()),
        false => Ok(()),
    }
}

/// Why a custom header line cannot be sent, if it cannot.
pub fn check(line: &str) -> Result<(), String> {
    let valid_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match line.split_once(':') {
        Some((name, value)) if valid_name(name) && !value.bytes().any(|b| b.is_ascii_control()) => {
            readable_answers(name, value).map_err(|why| format!("'{line}': {why}"))
        }
        _ => Err(format!("'{}' is not a header line such as 'Cookie: a=b'", quote::line(line))),
    }
}

/// Why answers to a request with this field could not be read.
fn readable_answers(name: &str, value: &str) -> Result<(), String> {
    if name.eq_ignore_ascii_case("sec-websocket-extensions") {
        return Err("frames of an extension cannot be read; leave the line out".to_owned());
    }
    if !name.eq_ignore_ascii_case("accept-encoding") {
        return Ok(());
    }
    // A weight of 0 asks not to have it (RFC 9110, section 12.4.2).
    let refused = |weight: &str| weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
    let mut codings = value.split(',').map(|coding| coding.split_once(';').unwrap_or((coding, "")));
    let unreadable = codings.find(|(coding, weight)| {
        let coding = coding.trim();
        !coding.is_empty() && !is_readable(coding) && !refused(weight)
    });
    unreadable.map_or(Ok(()), |(coding, _)| {
        Err(format!("answers compressed by {} cannot be read; ask for gzip, or for identity", coding.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_that_cannot_be_read() {
        assert!(BROWSER.iter().all(|line| check(line).is_ok()));
        for good in [
            "Accept-Encoding: gzip",
            "accept-encoding: identity, GZIP;q=0.5, br;q=0, *;q=0.0",
            "Accept-Encoding:",
            "Sec-WebSocket-Protocol: chat.v1, br",
            "Cookie: a=b",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "Accept-Encoding: gzip, deflate, br, zstd",
            "accept-encoding: br;q=0.1",
            "Accept-Encoding: *",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "no line",
            "A: b\r\nC: d",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
