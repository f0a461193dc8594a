//! `POST /rtc`: offers that cannot be answered, and what an answer offers.

use reference_server::hub::Limits;
use reference_server::{Config, Listeners};

use crate::harness::{Answer, Server, soon};

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n\
    a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n";

async fn offer(server: &Server, sdp: &str) -> Answer {
    let length = sdp.len();
    let head = format!(
        "POST /rtc?topic=t HTTP/1.1\r\nhost: t\r\ncontent-type: application/sdp\r\ncontent-length: {length}\r\n\r\n{sdp}"
    );
    soon(server.request(&head)).await
}

fn server(address: &str) -> Option<Server> {
    // A host without IPv6 has nothing to show.
    let listeners = Listeners::bind(address.parse().unwrap(), 1).ok()?;
    Some(Server::with_listeners(Config::default(), listeners))
}

#[tokio::test]
async fn a_bad_offer_is_refused_in_words() {
    let server = server("127.0.0.1:0").unwrap();
    let candidates: String =
        (1..=14_500).map(|i| format!("a=candidate:{i} 1 udp {i} 127.0.0.1 {i} typ host\r\n")).collect();
    // Each line of these takes longer to understand than to send.
    let many_lines = OFFER.to_owned() + &"a=x\r\n".repeat(60);
    let long_line = format!("{OFFER}a={}\r\n", "x".repeat(9000));
    let many_candidates = OFFER.to_owned() + &candidates;
    for bad in ["nonsense", "v=0\r\n", &OFFER[..110], &many_candidates, &many_lines, &long_line] {
        let answer = offer(&server, bad).await;
        assert_eq!(answer.status, 400, "{bad:.100}");
        let text = answer.text();
        assert!(text.starts_with("bad offer: ") && text.len() < 100, "{text}");
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1 && !text.contains("0x"), "{text}");
    }
    let some_candidates = &many_candidates[..OFFER.len() + candidates.find("a=candidate:500 ").unwrap()];
    for good in [OFFER, some_candidates] {
        assert_eq!(offer(&server, good).await.status, 201);
    }
}

#[tokio::test]
async fn offers_that_nobody_follows_up_are_bounded_in_bytes() {
    let listeners = Listeners::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let limits = Limits { buffer_bytes: 1 << 20, ..Limits::default() };
    let server = Server::with_listeners(Config { limits, ..Config::default() }, listeners);
    for _ in 0..60 {
        assert_eq!(offer(&server, OFFER).await.status, 201);
    }
    // 24 KiB each.
    server.until_stat("buffers_cut", 60 - 43).await;
    while server.stat("buffered_bytes").await > 1 << 20 {}
}

#[tokio::test]
async fn a_socket_of_both_versions_of_ip_is_offered_over_both() {
    let Some(server) = server("[::]:0") else { return };
    let answer = offer(&server, OFFER).await;
    let text = answer.text();
    let reaches = |ip: &str| text.lines().any(|line| line.starts_with("a=candidate") && line.contains(ip));
    assert!(reaches(" ::1 ") && reaches(" 127.0.0.1 "), "{text}");
}
