//! A client of several connections that changes its protocol, in the manner of Engine.IO: it polls, publishes by POST, opens
//! a WebSocket beside it, probes that, waits for the last poll and goes on there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use rtbench::protocol::{
    Answer, Client, Conversation, Dialect, Failure, Heard, Inbox, Message, Mode, Phase, PollClient, Protocol,
    Seat, Sent, Step, WebSocketClient, find,
};
use rtbench::transport::http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::speaking;
use super::support::driver::{Driver, Received, run, seat, soon};

/// Between the packets of one answer.
const SEPARATOR: u8 = 0x1e;

#[derive(Debug)]
struct Upgrading;

impl Dialect for Upgrading {
    fn converse(&self, _: &Protocol, _: &Seat) -> Box<dyn Conversation> {
        Box::new(ByPolls { path: "/io".to_owned(), session: Rc::default() })
    }

    fn open(&self, _: &Protocol, seat: Seat) -> Box<dyn Client> {
        let session = Rc::<RefCell<String>>::default();
        let by_polls = ByPolls { path: "/io".to_owned(), session: session.clone() };
        let polls = PollClient::new(Mode::Long, &seat, Box::new(by_polls));
        Box::new(Upgrader { stage: Stage::Polls, seat, session, polls, socket: None, posts: 0 })
    }
}

/// What is said by polls and posts.
struct ByPolls {
    path: String,
    /// The session's id, for the socket.
    session: Rc<RefCell<String>>,
}

/// What a packet means, over whatever it came.
fn take(packet: &[u8], heard: &mut Heard<'_>) -> Result<(), Failure> {
    match packet.split_first() {
        Some((b'4', payload)) => heard.push(payload),
        Some((b'6', [])) => {}
        _ => return Err(Failure::protocol(heard.phase, String::from_utf8_lossy(packet))),
    }
    Ok(())
}

/// A packet of a message.
fn wrap<'a>(message: Message<'a>, wrapped: &'a mut Vec<u8>) -> Message<'a> {
    wrapped.push(b'4');
    wrapped.extend_from_slice(message.payload);
    Message { payload: wrapped, binary: false }
}

impl Conversation for ByPolls {
    fn request(&self) -> Request<'_> {
        Request::get(&self.path)
    }

    fn body(&mut self, body: &[u8], heard: &mut Heard<'_>) -> Result<(), Failure> {
        for packet in body.split(|&byte| byte == SEPARATOR) {
            let Some((b'0', id)) = packet.split_first() else {
                take(packet, heard)?;
                continue;
            };
            let id = String::from_utf8_lossy(id);
            self.path = format!("/io?sid={id}");
            *self.session.borrow_mut() = id.into_owned();
            heard.ready();
        }
        Ok(())
    }

    fn publish<'a>(&self, message: Message<'a>, wrapped: &'a mut Vec<u8>) -> Message<'a> {
        wrap(message, wrapped)
    }
}

/// What is said over the socket.
struct BySocket {
    path: String,
    /// The next thing that is sent is no message, but says that all goes this way from here on.
    upgrades: Rc<Cell<bool>>,
}

impl Conversation for BySocket {
    fn request(&self) -> Request<'_> {
        Request::get(&self.path)
    }

    fn opened(&mut self, heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.reply(b"2probe", false);
        Ok(())
    }

    fn message(&mut self, packet: &[u8], _: bool, heard: &mut Heard<'_>) -> Result<(), Failure> {
        if packet == b"3probe" {
            heard.ready();
            return Ok(());
        }
        take(packet, heard)
    }

    fn publish<'a>(&self, message: Message<'a>, wrapped: &'a mut Vec<u8>) -> Message<'a> {
        if self.upgrades.get() {
            return Message { payload: b"5", binary: false };
        }
        wrap(message, wrapped)
    }

    fn published(&mut self) -> Sent {
        self.upgrades.set(false);
        Sent::Unanswered
    }
}

/// The client.
struct Upgrader {
    stage: Stage,
    seat: Seat,
    session: Rc<RefCell<String>>,
    polls: PollClient,
    socket: Option<WebSocketClient>,
    /// Posts of which something is still to be heard.
    posts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Polls,
    /// The socket is probed beside the polls.
    Probes,
    /// The socket stands: what the last poll and the last posts bring comes first.
    Drains,
    /// The server is to be told.
    Tells,
    Socket,
}

impl Upgrader {
    fn socket(&mut self) -> &mut WebSocketClient {
        let Upgrader { seat, session, .. } = self;
        self.socket.get_or_insert_with(|| {
            let path = format!("/io?transport=websocket&sid={}", session.borrow());
            WebSocketClient::new(seat, Box::new(BySocket { path, upgrades: Rc::new(Cell::new(true)) }))
        })
    }
}

impl Client for Upgrader {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        loop {
            match self.stage {
                Stage::Polls => {
                    let step = ready!(self.polls.poll_recv(cx, inbox))?;
                    if step == Step::Ready {
                        self.stage = Stage::Probes;
                    }
                    return Poll::Ready(Ok(step));
                }
                Stage::Probes => match self.socket().poll_recv(cx, inbox)? {
                    Poll::Ready(Step::Ready) => self.stage = Stage::Drains,
                    Poll::Ready(_) => {}
                    Poll::Pending => return self.polls.poll_recv(cx, inbox),
                },
                Stage::Drains => {
                    let step = ready!(self.polls.poll_recv(cx, inbox))?;
                    self.stage = Stage::Tells;
                    return Poll::Ready(Ok(step));
                }
                Stage::Tells if self.posts > 0 => return Poll::Pending,
                Stage::Tells => {
                    let upgrade = Message { payload: b"", binary: false };
                    ready!(self.socket().poll_send(cx, upgrade))?;
                    self.stage = Stage::Socket;
                }
                Stage::Socket => return self.socket().poll_recv(cx, inbox),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        match self.stage {
            Stage::Polls | Stage::Probes => {
                let sent = ready!(self.polls.poll_send(cx, message))?;
                self.posts += 1;
                Poll::Ready(Ok(sent))
            }
            Stage::Drains | Stage::Tells => Poll::Pending,
            Stage::Socket => self.socket().poll_send(cx, message),
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(self.polls.poll_answer(cx));
        self.posts -= u32::from(matches!(answer, Answer::Over(_)));
        Poll::Ready(answer)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.polls.poll_close(cx))?;
        self.socket.as_mut().map_or(Poll::Ready(Ok(())), |socket| socket.poll_close(cx))
    }
}

/// A server of one session: it hands each message that is published to it on to its client, numbers behind each thing that
/// its client does, and notes by which way things came and went.
#[derive(Default)]
struct Server {
    queue: RefCell<VecDeque<String>>,
    news: Notify,
    numbers: Cell<u32>,
    /// The socket is being probed: polls are answered at once.
    probed: Cell<bool>,
    upgraded: Cell<bool>,
    published: RefCell<Vec<String>>,
    by_poll: Cell<u32>,
    by_socket: Cell<u32>,
}

impl Server {
    async fn start() -> (Rc<Server>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (server, address) = (Rc::<Server>::default(), listener.local_addr().unwrap());
        let serving = server.clone();
        tokio::task::spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::task::spawn_local(serving.clone().serve(socket));
            }
        });
        (server, address)
    }

    fn put(&self, packet: String) {
        self.queue.borrow_mut().push_back(packet);
        self.news.notify_waiters();
    }

    /// One more event of the server's own.
    fn number(&self) {
        self.put(format!("4n{}", self.numbers.get()));
        self.numbers.set(self.numbers.get() + 1);
    }

    /// A client said this.
    fn take(&self, packet: &str) {
        let payload = packet.strip_prefix('4').unwrap().to_owned();
        self.put(format!("4{payload}"));
        self.published.borrow_mut().push(payload);
        self.number();
    }

    async fn serve(self: Rc<Server>, mut socket: TcpStream) {
        while let Some((head, body)) = read_request(&mut socket).await {
            let path = head.split(' ').nth(1).unwrap();
            let answer = match path {
                "/io" => "0abc".to_owned(),
                "/io?sid=abc" if head.starts_with("POST ") => {
                    self.take(&body);
                    "ok".to_owned()
                }
                "/io?sid=abc" => self.held().await,
                "/io?transport=websocket&sid=abc" => return self.upgrade(socket, &head).await,
                other => panic!("{other}"),
            };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// The answer to a poll.
    async fn held(&self) -> String {
        self.number();
        loop {
            let news = self.news.notified();
            assert!(!self.upgraded.get(), "nobody polls behind the upgrade");
            let packets: Vec<String> = self.queue.borrow_mut().drain(..).collect();
            if !packets.is_empty() {
                self.by_poll.set(self.by_poll.get() + packets.len() as u32);
                return packets.join("\u{1e}");
            }
            if self.probed.get() {
                return "6".to_owned();
            }
            news.await;
        }
    }

    async fn upgrade(&self, mut socket: TcpStream, head: &str) {
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        socket.write_all(format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).await.unwrap();
        let mut frames = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
        loop {
            let news = self.news.notified();
            if self.upgraded.get() {
                let packets: Vec<String> = self.queue.borrow_mut().drain(..).collect();
                for packet in packets {
                    self.by_socket.set(self.by_socket.get() + 1);
                    frames.send(Frame::text(packet)).await.unwrap();
                }
            }
            let frame = tokio::select! {
                () = news => continue,
                frame = frames.next() => frame,
            };
            let Some(Ok(frame)) = frame else { return };
            match frame.to_text().unwrap() {
                "2probe" => {
                    self.number();
                    frames.send(Frame::text("3probe")).await.unwrap();
                    self.probed.set(true);
                    self.news.notify_waiters();
                }
                "5" => {
                    self.number();
                    self.upgraded.set(true);
                }
                _ if frame.is_close() => {}
                packet => self.take(packet),
            }
        }
    }
}

/// Head and body of the next request on a connection.
async fn read_request(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

#[test]
fn nothing_is_lost_where_a_client_changes_from_polls_to_a_socket() {
    run(async {
        const MESSAGES: usize = 40;
        let (server, address) = Server::start().await;
        let seat = speaking(seat(address, &["t"], Some("t")), Upgrading);
        let (meter, publish_meter) = (seat.meter.clone(), seat.publish_meter.clone());
        let client = seat.dialect.clone().open(find("websocket").unwrap(), seat);
        let mut driver = Driver { client, received: Received::default(), meter, publish_meter };
        driver.until(|_, step| step == Step::Ready).await.unwrap();
        // It publishes all the while, one message after the other.
        let mut sent = Vec::new();
        for i in 0..MESSAGES {
            let payload = format!("m{i}");
            driver.send_and_receive(payload.as_bytes(), 0).await.unwrap();
            sent.push(payload);
            if i == MESSAGES / 2 {
                until_upgraded(&server, &mut driver).await;
            }
        }
        // What the server has of them tells how many come back.
        driver.until(|_, _| server.published.borrow().len() == MESSAGES).await.unwrap();
        let all = MESSAGES + server.numbers.get() as usize;
        let received = driver.receive(all).await.unwrap();
        let received: Vec<_> = received.iter().map(|payload| String::from_utf8_lossy(payload)).collect();
        let of = |kind: char| -> Vec<_> {
            received.iter().filter(|payload| payload.starts_with(kind)).map(ToString::to_string).collect()
        };
        assert_eq!(*server.published.borrow(), sent, "in the order in which they were sent");
        assert_eq!(of('m'), sent, "each once, and in order");
        assert_eq!(of('n'), (0..server.numbers.get()).map(|n| format!("n{n}")).collect::<Vec<_>>());
        assert!(server.by_poll.get() > 2 && server.by_socket.get() > 2, "both ways are used");
        assert!(driver.meter.exchanges.get() > 1 && driver.publish_meter.exchanges.get() > 0);
        assert_eq!(driver.meter.connections.get(), 2, "one that polls, and the socket");
        driver.close().await.unwrap();
    });
}

/// Receives until the server was told.
async fn until_upgraded(server: &Server, driver: &mut Driver) {
    soon(poll_fn(|cx| {
        loop {
            if server.upgraded.get() {
                return Poll::Ready(());
            }
            while driver.client.poll_answer(cx).is_ready() {}
            match driver.client.poll_recv(cx, &mut driver.received) {
                Poll::Ready(step) => drop(step.unwrap()),
                Poll::Pending => {
                    // The server is in the same thread, and may be told with nothing coming back.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }))
    .await;
}

/// Phases are those of the whole client, whatever part of it fails.
#[test]
fn a_session_that_is_refused_is_a_failed_subscription() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let seat = speaking(seat(listener.local_addr().unwrap(), &["t"], None), Upgrading);
        tokio::task::spawn_local(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await.unwrap();
            socket.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        });
        let (meter, publish_meter) = (seat.meter.clone(), seat.publish_meter.clone());
        let client = seat.dialect.clone().open(find("websocket").unwrap(), seat);
        let mut driver = Driver { client, received: Received::default(), meter, publish_meter };
        let failure = driver.step().await.unwrap_err();
        assert_eq!(failure.phase, Phase::Subscribe);
        assert!(failure.detail.contains("GET /io answered 403: no"), "{}", failure.detail);
    });
}
