//! A protocol of frames over TCP, each behind its length in two bytes. Its server has to be greeted, acknowledges what is
//! published over the same connection, and pings.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use rtbench::protocol::{
    Answer, Client, Conversation, Dialect, Failure, Heard, Kind, Message, Phase, Protocol, Seat, Sent, Step,
    TCP,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::speaking;
use super::support::driver::{Driver, Received, run, seat, soon};

#[derive(Debug)]
struct Framed;

impl Dialect for Framed {
    fn converse(&self, _: &Protocol, seat: &Seat) -> Box<dyn Conversation> {
        Box::new(Frames { topic: seat.topics[0].clone(), next: 0 })
    }
}

struct Frames {
    topic: Rc<str>,
    /// Ticket of the next message.
    next: u8,
}

fn frame(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

impl Conversation for Frames {
    fn opened(&mut self, heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.reply(&frame(format!("hello {}", self.topic)), true);
        Ok(())
    }

    fn split(&self, input: &[u8]) -> Result<Option<usize>, Failure> {
        let length = input.first_chunk().map(|length| 2 + usize::from(u16::from_be_bytes(*length)));
        Ok(length.filter(|&length| length <= input.len()))
    }

    fn message(&mut self, frame_bytes: &[u8], _: bool, heard: &mut Heard<'_>) -> Result<(), Failure> {
        let text = std::str::from_utf8(&frame_bytes[2..]).unwrap();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "welcome" => heard.ready(),
            "event" => heard.push(rest.as_bytes()),
            "lost" => heard.missed(rest.parse().unwrap()),
            "ping" => heard.reply(&frame("pong"), true),
            "ack" => heard.answered(rest.parse().unwrap(), Ok(())),
            "nak" => {
                let refused = Failure::new(Phase::Send, Kind::Status(429), "not so fast");
                heard.answered(rest.parse().unwrap(), Err(refused));
            }
            other => return Err(Failure::protocol(heard.phase, other)),
        }
        Ok(())
    }

    fn publish<'a>(&self, message: Message<'a>, wrapped: &'a mut Vec<u8>) -> Message<'a> {
        let text = [format!("publish {} ", self.next).as_bytes(), message.payload].concat();
        wrapped.extend(frame(text));
        Message { payload: wrapped, ..message }
    }

    fn published(&mut self) -> Sent {
        let ticket = self.next;
        self.next = self.next.wrapping_add(1);
        Sent::Ticket(ticket)
    }
}

/// The server's end of one connection.
struct End(TcpStream);

impl End {
    async fn hear(&mut self) -> String {
        let mut text = vec![0; soon(self.0.read_u16()).await.unwrap().into()];
        soon(self.0.read_exact(&mut text)).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn say(&mut self, frames: &[&str]) {
        let bytes: Vec<u8> = frames.iter().flat_map(frame).collect();
        self.0.write_all(&bytes).await.unwrap();
    }

    /// Byte by byte, each in a packet of its own as far as the system lets it.
    async fn trickle(&mut self, text: &str) {
        self.0.set_nodelay(true).unwrap();
        for byte in frame(text) {
            self.0.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
}

struct Server(TcpListener);

impl Server {
    async fn start() -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Server(listener), address)
    }

    /// The next client, greeted and not yet welcomed.
    async fn accept(&self) -> End {
        let mut end = End(soon(self.0.accept()).await.unwrap().0);
        assert_eq!(end.hear().await, "hello t");
        end
    }
}

fn client(address: SocketAddr) -> Driver {
    let seat = speaking(seat(address, &["t"], None), Framed);
    let (meter, publish_meter) = (seat.meter.clone(), seat.publish_meter.clone());
    let client = seat.dialect.clone().open(&TCP, seat);
    Driver { client, received: Received::default(), meter, publish_meter }
}

async fn ready(driver: &mut Driver) {
    driver.until(|_, step| step == Step::Ready).await.unwrap();
}

#[test]
fn frames_are_told_apart_whatever_the_pieces_in_which_they_come() {
    run(async {
        let (server, address) = Server::start().await;
        let mut driver = client(address);
        let served = async {
            let mut end = server.accept().await;
            end.say(&["welcome", "event a", "event "]).await;
            end.trickle("event b c").await;
            end.say(&["lost 3", "ping", "event d"]).await;
            assert_eq!(end.hear().await, "pong");
            end
        };
        let received = async {
            ready(&mut driver).await;
            driver.receive(4).await.unwrap();
            // The reply goes out with what was heard.
            driver.received.payloads.clone()
        };
        let (mut end, payloads) = tokio::join!(served, received);
        assert_eq!(payloads, [b"a".as_slice(), b"", b"b c", b"d"]);
        assert_eq!(driver.received.missed, 3);
        end.say(&["what"]).await;
        let failure = driver.until(|_, _| false).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind, &*failure.detail), (Phase::Receive, Kind::Protocol, "what"));
    });
}

/// Sends, and receives until something is heard of what was sent.
async fn answer_of(client: &mut dyn Client, received: &mut Received) -> Answer {
    soon(poll_fn(|cx| {
        loop {
            if let Poll::Ready(answer) = client.poll_answer(cx) {
                return Poll::Ready(answer);
            }
            if client.poll_recv(cx, received).is_pending() {
                return Poll::Pending;
            }
        }
    }))
    .await
}

async fn send(driver: &mut Driver, payload: &[u8]) -> u8 {
    let message = Message { payload, binary: false };
    match soon(poll_fn(|cx| driver.client.poll_send(cx, message))).await.unwrap() {
        Sent::Ticket(ticket) => ticket,
        Sent::Unanswered => panic!("it is answered"),
    }
}

#[test]
fn what_is_published_is_acknowledged_over_the_same_connection() {
    run(async {
        let (server, address) = Server::start().await;
        let mut driver = client(address);
        let served = async {
            let mut end = server.accept().await;
            end.say(&["welcome"]).await;
            end
        };
        let (mut end, ()) = tokio::join!(served, ready(&mut driver));
        let tickets = [send(&mut driver, b"x").await, send(&mut driver, b"y").await];
        assert_eq!(tickets, [0, 1]);
        assert_eq!([end.hear().await, end.hear().await], ["publish 0 x", "publish 1 y"]);
        // The later one first, and one that was never sent.
        end.say(&["event x", "nak 1", "ack 7", "ack 0"]).await;
        let mut told = Vec::new();
        for _ in 0..4 {
            told.push(match answer_of(&mut *driver.client, &mut driver.received).await {
                Answer::Answered { ticket, written, result } => {
                    format!("{ticket} {written} {:?}", result.map_err(|f| f.kind))
                }
                Answer::Over(result) => format!("over {result:?}"),
            });
        }
        assert_eq!(told, ["1 true Err(Status(429))", "over Ok(())", "0 true Ok(())", "over Ok(())"]);
        assert_eq!(driver.received.payloads, [b"x"]);
        drop(server);
        let (closed, mut rest) = (driver.close(), Vec::new());
        let ended = async {
            end.0.read_to_end(&mut rest).await.unwrap();
            drop(end);
        };
        assert_eq!(tokio::join!(closed, ended).0, Ok(()));
    });
}

#[test]
fn a_connection_that_breaks_answers_for_what_was_on_its_way_and_comes_back_anew() {
    run(async {
        let (server, address) = Server::start().await;
        let mut driver = client(address);
        let served = async {
            let mut end = server.accept().await;
            end.say(&["welcome"]).await;
            end
        };
        let (end, ()) = tokio::join!(served, ready(&mut driver));
        assert_eq!(send(&mut driver, b"x").await, 0);
        drop(end);
        let failure = driver.until(|_, _| false).await.unwrap_err();
        assert_eq!(failure.phase, Phase::Receive);
        match answer_of(&mut *driver.client, &mut driver.received).await {
            Answer::Answered { ticket: 0, written: true, result: Err(told) } => {
                assert_eq!((told.phase, told.kind), (Phase::Send, failure.kind));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(answer_of(&mut *driver.client, &mut driver.received).await, Answer::Over(Ok(()))));
        let served = async {
            let mut end = server.accept().await;
            end.say(&["welcome", "event again"]).await;
            end
        };
        let again = async {
            ready(&mut driver).await;
            driver.receive(1).await.unwrap().to_vec()
        };
        assert_eq!(tokio::join!(served, again).1, [b"again"]);
    });
}

#[test]
fn a_frame_without_end_is_refused() {
    run(async {
        let (server, address) = Server::start().await;
        let mut driver = client(address);
        let served = async {
            let mut end = server.accept().await;
            end.0.write_all(&[0, 9, b'x']).await.unwrap();
        };
        let failed = driver.until(|_, _| false);
        let failure = tokio::join!(served, failed).1.unwrap_err();
        assert_eq!(failure.phase, Phase::Subscribe, "the server left before it said welcome");
    });
}
