//! A stream that is not an event stream: a chunked answer of JSON lines, behind the last of which a reconnect asks to go on.

use std::time::Duration;

use rtbench::protocol::{
    Client, Conversation, Dialect, Failure, Format, Heard, Kind, Pause, Protocol, Seat, Step, StreamClient,
    find,
};
use rtbench::transport::http::Request;

use super::speaking;
use super::support::driver::{Driver, Received, run, seat};
use super::support::script::{Act, Script, write};

#[derive(Default)]
struct Lines;

impl Format for Lines {
    type Reader = Vec<u8>;

    const MEDIA_TYPE: &'static str = "application/x-ndjson";

    const NAMES: [&'static str; 2] = ["a stream of lines", "the stream of lines"];

    fn retry(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn feed(unread: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
        unread.extend_from_slice(bytes);
        if unread.len() > 1000 { Err("too long".to_owned()) } else { Ok(()) }
    }

    fn take(
        &mut self,
        unread: &mut Vec<u8>,
        conversation: &mut dyn Conversation,
        heard: &mut Heard<'_>,
    ) -> Result<Option<bool>, Failure> {
        let Some(end) = unread.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = unread.drain(..=end).collect();
        conversation.message(&line[..end], false, heard)?;
        Ok(Some(true))
    }
}

#[derive(Debug)]
struct Feed;

impl Dialect for Feed {
    fn converse(&self, _: &Protocol, _: &Seat) -> Box<dyn Conversation> {
        Box::new(Follower { seen: 0, path: "/feed".to_owned() })
    }

    fn open(&self, protocol: &Protocol, seat: Seat) -> Box<dyn Client> {
        Box::new(StreamClient::<Lines>::new(&seat, self.converse(protocol, &seat)))
    }
}

struct Follower {
    seen: usize,
    path: String,
}

impl Conversation for Follower {
    fn request(&self) -> Request<'_> {
        Request::get(&self.path)
    }

    fn message(&mut self, line: &[u8], _: bool, heard: &mut Heard<'_>) -> Result<(), Failure> {
        let line: serde_json::Value = serde_json::from_slice(line)
            .map_err(|error| Failure::protocol(heard.phase, error.to_string()))?;
        heard.ready();
        if let Some(text) = line["text"].as_str() {
            heard.push(text.as_bytes());
            self.seen += 1;
            self.path = format!("/feed/{}", self.seen);
        }
        Ok(())
    }
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn a_stream_of_lines_goes_on_where_it_was_cut() {
    run(async {
        let script = Script::start(vec![
            vec![
                Act::Request,
                write(HEAD),
                write(chunk("{}\n{\"text\":\"a\"}\n{\"te")),
                Act::Trickle(chunk("xt\":\"b\"}\n{\"tex").into()),
            ],
            vec![Act::Request, write(HEAD), write(chunk("{}\n{\"text\":\"c\"}\n")), write("0\r\n\r\n")],
            vec![Act::Request, write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>")],
        ])
        .await;
        let seat = speaking(seat(script.address, &[], None), Feed);
        let (meter, publish_meter) = (seat.meter.clone(), seat.publish_meter.clone());
        let client = seat.dialect.clone().open(find("sse").unwrap(), seat);
        let mut driver = Driver { client, received: Received::default(), meter, publish_meter };
        assert_eq!(driver.step().await.unwrap(), Step::Ready);
        assert_eq!(driver.receive(3).await.unwrap(), [b"a", b"b", b"c"]);
        let cut = driver.step().await.unwrap();
        assert!(
            matches!(&cut, Step::Pause(Pause::Reconnect(_, told)) if told.kind == Kind::Eof && told.detail == "the stream of lines ended"),
            "{cut:?}"
        );
        let refused = driver.step().await.unwrap_err();
        assert!(
            refused.detail.contains("not with a stream of lines but with \"text/html\": <p>"),
            "{refused}"
        );
        let requests = script.requests().await;
        let paths: Vec<_> = requests.iter().map(|request| request.split(' ').nth(1).unwrap()).collect();
        assert_eq!(paths, ["/feed", "/feed/2", "/feed/3"]);
        assert!(requests[0].contains("\r\nAccept: application/x-ndjson\r\n"), "{}", requests[0]);
    });
}
