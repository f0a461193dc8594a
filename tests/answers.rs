//! Answers that are not what was asked for are quoted by what they say, and compressed ones are read.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rtbench::protocol::{Failure, Kind, Phase, Step};
use support::driver::{Driver, named, run, seat};
use support::script::{Act, Script, write};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn sized(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.as_ref().len());
    [head.as_bytes(), body.as_ref()].concat()
}

/// What the first step of a protocol's client fails with at a server that answers so.
async fn failure(protocol: &str, acts: Vec<Act>) -> Failure {
    let script = Script::start(vec![std::iter::once(Act::Request).chain(acts).collect()]).await;
    Driver::new(named(protocol), seat(script.address, &["t"], None)).step().await.unwrap_err()
}

/// Answers that nobody asked for, and what is to be said of them behind the request.
fn refusals() -> Vec<(Vec<u8>, &'static str)> {
    let page = b"<!DOCTYPE html>\n<html><head><title>\x1b[31mNo\nway</title></head>".repeat(1_000);
    vec![
        (sized("503 Service Unavailable", "", "full\nsince yesterday"), "503: full"),
        (sized("404 Not Found", "", ""), "404: (nothing more)"),
        (
            b"HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n\r\nslow\r\n4\r\ner\r\n\r\n0\r\n\r\n"
                .to_vec(),
            "429: slower",
        ),
        (b"HTTP/1.1 400 x\r\n\r\n\x1b]0;title\x07until the end".to_vec(), "400: until the end"),
        (
            sized("301 Moved", "Location: https://example.org/x\r\n", ""),
            "301, see https://example.org/x: (nothing more)",
        ),
        (sized("403 Forbidden", "Content-Encoding: gzip\r\n", gzip(b"not you")), "403: not you"),
        (sized("500 Internal Server Error", "Content-Type: text/html\r\n", page), "500: a page, No way"),
    ]
}

#[test]
fn a_refusal_is_quoted_by_what_it_says() {
    run(async {
        for (answer, said) in refusals() {
            for (protocol, request) in [
                ("sse", "GET /sse?topic=t answered "),
                ("long-poll", "GET /poll?topic=t answered "),
                ("websocket", "GET /ws?topic=t answered "),
                ("webrtc", "POST /rtc?topic=t answered "),
            ] {
                let told = failure(protocol, vec![write(&answer)]).await;
                // Signalling is not measured, does not ask for compression, and says so when it gets it.
                if protocol != "webrtc" || said != "403: not you" {
                    assert_eq!(told.detail, format!("{request}{said}"), "{protocol}");
                    assert!(
                        matches!(told.kind, Kind::Status(status) if said.starts_with(&status.to_string()))
                    );
                }
                if answer.len() < 1_000 && protocol != "webrtc" {
                    let trickled = failure(protocol, vec![Act::Trickle(answer.clone())]).await;
                    assert_eq!(trickled.detail, told.detail, "{protocol}, byte by byte");
                }
            }
        }
    });
}

#[test]
fn words_that_do_not_come_are_not_waited_for() {
    run(async {
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n";
        for (sent, said) in
            [(head.to_owned(), "(nothing more)"), (format!("{head}half a word"), "half a word")]
        {
            let told = failure("sse", vec![write(sent), Act::AwaitEnd]).await;
            assert_eq!(
                (told.kind, told.detail),
                (Kind::Status(503), format!("GET /sse?topic=t answered 503: {said}"))
            );
        }
    });
}

#[test]
fn a_publish_that_is_refused_is_quoted_too() {
    run(async {
        let refusal = sized("415 Unsupported Media Type", "", "only JSON\n");
        let script = Script::start(vec![vec![Act::Request, write(refusal)]]).await;
        let mut driver = Driver::ready(named("sse"), seat(script.address, &[], Some("t"))).await;
        let told = driver.send(b"[1]", false).await.unwrap_err();
        assert_eq!((told.phase, told.kind), (Phase::Send, Kind::Status(415)));
        assert_eq!(told.detail, "POST /topics/t answered 415: only JSON");
    });
}

#[test]
fn what_is_no_answer_of_the_contract_is_named() {
    run(async {
        let page = "<title>My App</title>";
        for (protocol, answer, said) in [
            (
                "sse",
                sized("200 OK", "Content-Type: text/html\r\n", page),
                "GET /sse?topic=t answered 200, not with an event stream but with \"text/html\": a page, My App",
            ),
            (
                "long-poll",
                sized("200 OK", "", page),
                "GET /poll?topic=t answered 200, without a good rtbench-cursor: a page, My App",
            ),
            ("websocket", sized("200 OK", "", page), "GET /ws?topic=t answered 200: a page, My App"),
            (
                "sse",
                sized("200 OK", "Content-Type: text/event-stream\r\nContent-Encoding: br\r\n", "x"),
                "GET /sse?topic=t answered 200, compressed by br, which was not asked for",
            ),
            (
                "long-poll",
                sized("200 OK", "Rtbench-Cursor: a\r\nContent-Encoding: gzip, zstd\r\n", "x"),
                "GET /poll?topic=t answered 200, compressed by gzip, zstd, which was not asked for",
            ),
            ("websocket", b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), "not an HTTP/1 answer: invalid HTTP version"),
        ] {
            let told = failure(protocol, vec![write(answer)]).await;
            assert_eq!((told.phase, told.detail.as_str()), (Phase::Subscribe, said), "{protocol}");
            assert!(told.is_final(), "{protocol}: {told}");
        }
    });
}

fn poll_answer(cursor: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    sized("200 OK", &format!("Rtbench-Cursor: {cursor}\r\n{fields}"), body)
}

#[test]
fn compressed_polls_are_read() {
    run(async {
        let coded = "Content-Encoding: gzip\r\n";
        let two_members = [gzip(b"1:c"), gzip(b",")].concat();
        let chunked = [
            b"HTTP/1.1 200 OK\r\nRtbench-Cursor: e\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".as_slice(),
            format!("{:x}\r\n", gzip(b"1:d,").len()).as_bytes(),
            &gzip(b"1:d,"),
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        let script = Script::start(vec![vec![
            Act::Request,
            write(poll_answer("a", coded, b"")),
            Act::Request,
            write(poll_answer("b", coded, &gzip(b"1:a,1:b,"))),
            Act::Request,
            Act::Trickle(poll_answer("c", "Content-Encoding: X-GZip\r\n", &two_members)),
            Act::Request,
            Act::Trickle(chunked),
            Act::AwaitEnd,
        ]])
        .await;
        let mut driver = Driver::ready(named("long-poll"), seat(script.address, &["t"], None)).await;
        assert_eq!(driver.receive(4).await.unwrap(), [b"a", b"b", b"c", b"d"]);
        let wire = driver.meter.wire_in_bytes.get();
        assert_eq!(driver.meter.exchange_in_bytes.get(), wire, "bytes are those on the wire");
        driver.close().await.unwrap();
    });
}

#[test]
fn a_compressed_poll_that_is_cut_or_broken_gives_nothing() {
    run(async {
        let whole = gzip(b"1:a,");
        for (body, kind) in [
            (whole[..whole.len() - 4].to_vec(), Kind::Eof),
            (whole[..12].to_vec(), Kind::Eof),
            (b"17:no gzip, as it is,".to_vec(), Kind::Protocol),
            ([&whole[..10], &[0xff; 30]].concat(), Kind::Protocol),
        ] {
            let answer = poll_answer("b", "Content-Encoding: gzip\r\n", &body);
            let told = failure("long-poll", vec![write(answer)]).await;
            assert_eq!(told.kind, kind, "{told}");
        }
    });
}

#[test]
fn a_small_answer_that_becomes_a_huge_one_is_refused() {
    run(async {
        let huge = gzip(&vec![b'0'; 80 << 20]);
        assert!(huge.len() < 200_000, "{}", huge.len());
        let told =
            failure("long-poll", vec![write(poll_answer("b", "Content-Encoding: gzip\r\n", &huge))]).await;
        assert!(told.kind == Kind::Protocol && told.detail.contains("more than"), "{told}");
    });
}

#[test]
fn a_compressed_event_stream_is_read_as_it_is_flushed() {
    run(async {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut flushed = |text: &str| {
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.flush().unwrap();
            std::mem::take(encoder.get_mut())
        };
        let chunk = |data: Vec<u8>| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        let pieces = ["retry: 7\nid: a\n\n", "id: b\ndata: x\n\n", "id: c\ndata: y\n\n"].map(&mut flushed);
        let [first, second, third] = pieces.map(chunk);
        let go = std::rc::Rc::<tokio::sync::Notify>::default();
        let script = Script::start(vec![vec![
            Act::Request,
            write([head.as_bytes(), &first].concat()),
            Act::Wait(go.clone()),
            write(second),
            Act::Wait(go.clone()),
            Act::Trickle(third),
            Act::AwaitEnd,
        ]])
        .await;
        let mut driver = Driver::ready(named("sse"), seat(script.address, &["t"], None)).await;
        // Each is there before the server sends anything more.
        for count in 1..=2 {
            go.notify_one();
            driver.receive(count).await.unwrap();
        }
        assert_eq!(driver.received.payloads, [b"x", b"y"]);
        driver.close().await.unwrap();
        script.requests().await;
    });
}

#[test]
fn a_compressed_event_stream_that_ends_in_the_middle_is_cut() {
    run(async {
        let whole = gzip(b"retry: 7\nid: a\n\n");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n";
        let script = Script::start(vec![vec![
            Act::Request,
            write([head.as_bytes(), &whole[..whole.len() - 6]].concat()),
        ]])
        .await;
        let mut driver = Driver::ready(named("sse"), seat(script.address, &["t"], None)).await;
        assert!(matches!(driver.step().await.unwrap(), Step::Pause(_)), "it is made anew");
    });
}
