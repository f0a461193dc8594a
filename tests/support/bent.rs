//! A small server of the contract whose pieces can be bent, on threads of its own: it shares no code with any client.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

/// Answers some requests in its own way.
pub type Answers = fn(&Request) -> Option<Vec<u8>>;

/// What is different from a server that speaks the contract.
#[derive(Clone, Copy, Default)]
pub struct Bends {
    /// Answers before the contract does.
    pub answer: Option<Answers>,
    /// Compresses polls and streams where the request asks for gzip.
    pub gzip: bool,
    /// Takes only WebSockets that ask for this subprotocol, and confirms it.
    pub subprotocol: Option<&'static str>,
}

/// A request, as far as it matters here.
pub struct Request {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.line.split(' ').nth(1)?.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The server; its topics keep every event, and a cursor is the number of events so far.
#[derive(Clone)]
pub struct Bent {
    pub address: SocketAddr,
    bends: Bends,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    log: Mutex<Vec<(String, Vec<u8>)>>,
    news: Condvar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nobody listens.
    closed: bool,
    /// Everybody gets 503, as from a proxy in front of a server that is gone.
    refuses: bool,
    sockets: Vec<TcpStream>,
}

pub fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.as_ref().len());
    [head.as_bytes(), body.as_ref()].concat()
}

impl Bent {
    pub fn start(bends: Bends) -> Bent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bent = Bent { address: listener.local_addr().unwrap(), bends, shared: Arc::default() };
        bent.listen(listener);
        bent
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Events that it has taken.
    pub fn taken(&self) -> usize {
        self.shared.log.lock().unwrap().len()
    }

    /// Waits until it has taken so many events, or for long enough.
    pub fn await_events(&self, count: usize) {
        let log = self.shared.log.lock().unwrap();
        let patience = Duration::from_secs(30);
        drop(self.shared.news.wait_timeout_while(log, patience, |log| log.len() < count).unwrap());
    }

    /// Ends all connections, and is gone for so long: nobody listens, or everybody is refused.
    pub fn pause(&self, refuses: bool, long: Duration) {
        let mut state = self.shared.state.lock().unwrap();
        (state.closed, state.refuses) = (!refuses, refuses);
        state.sockets.drain(..).for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        drop(state);
        thread::sleep(long);
        let mut state = self.shared.state.lock().unwrap();
        (state.closed, state.refuses) = (false, false);
        drop(state);
        if !refuses {
            self.listen(TcpListener::bind(self.address).unwrap());
        }
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let bent = self.clone();
        thread::spawn(move || {
            while !bent.shared.state.lock().unwrap().closed {
                match listener.accept() {
                    Ok((socket, _)) => bent.clone().admit(socket),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
    }

    fn admit(self, socket: TcpStream) {
        socket.set_nonblocking(false).unwrap();
        self.shared.state.lock().unwrap().sockets.push(socket.try_clone().unwrap());
        thread::spawn(move || {
            let end = socket.try_clone().unwrap();
            self.serve(socket);
            // The list of sockets holds it open.
            let _ = end.shutdown(Shutdown::Both);
        });
    }

    fn serve(&self, mut socket: TcpStream) -> Option<()> {
        loop {
            let request = read_request(&mut socket)?;
            let path = request.line.split([' ', '?']).nth(1).unwrap_or_default();
            let refuses = self.shared.state.lock().unwrap().refuses;
            let own = self.bends.answer.and_then(|answer| answer(&request));
            let answer = match path {
                _ if refuses => answer("503 Service Unavailable", "Connection: close\r\n", "deploying\n"),
                _ if own.is_some() => own?,
                "/healthz" | "/stats" => answer("200 OK", "", "{}"),
                "/poll" => self.poll(&request),
                "/sse" => return self.stream(&request, &socket),
                "/ws" => return self.websocket(&request, socket),
                _ if request.line.starts_with("POST /topics/") => {
                    self.shared.log.lock().unwrap().push((path["/topics/".len()..].to_owned(), request.body));
                    self.shared.news.notify_all();
                    "HTTP/1.1 204 No Content\r\n\r\n".into()
                }
                _ => answer("404 Not Found", "", "no such path\n"),
            };
            socket.write_all(&answer).ok()?;
            if refuses {
                return None;
            }
        }
    }

    /// Waits for news behind a cursor: the payloads of the topic, and the next cursor.
    fn behind(&self, topic: &str, cursor: usize, patience: Duration) -> (Vec<Vec<u8>>, usize) {
        let log = self.shared.log.lock().unwrap();
        let nothing = |log: &mut Vec<(String, Vec<u8>)>| !log[cursor..].iter().any(|(of, _)| of == topic);
        let (log, _) = self.shared.news.wait_timeout_while(log, patience, nothing).unwrap();
        let own = log[cursor..].iter().filter(|(of, _)| of == topic);
        (own.map(|(_, payload)| payload.clone()).collect(), log.len())
    }

    fn poll(&self, request: &Request) -> Vec<u8> {
        let after = request.query("after").map_or(self.taken(), |cursor| cursor.parse().unwrap());
        let held = if request.query("wait").is_some() { Duration::from_secs(5) } else { Duration::ZERO };
        let held = if request.query("after").is_some() { held } else { Duration::ZERO };
        let (events, cursor) = self.behind(request.query("topic").unwrap(), after, held);
        let cursor = format!("Rtbench-Cursor: {cursor}\r\n");
        if events.is_empty() {
            return format!("HTTP/1.1 204 No Content\r\n{cursor}\r\n").into();
        }
        let netstring =
            |payload: &Vec<u8>| [format!("{}:", payload.len()).as_bytes(), payload, b","].concat();
        let body = events.iter().flat_map(netstring).collect::<Vec<u8>>();
        match self.compresses(request) {
            false => answer("200 OK", &cursor, body),
            true => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&body).unwrap();
                answer("200 OK", &format!("{cursor}Content-Encoding: gzip\r\n"), encoder.finish().unwrap())
            }
        }
    }

    fn compresses(&self, request: &Request) -> bool {
        self.bends.gzip && request.field("accept-encoding").is_some_and(|codings| codings.contains("gzip"))
    }

    fn stream(&self, request: &Request, mut socket: &TcpStream) -> Option<()> {
        let topic = request.query("topic")?;
        let mut cursor = request.field("last-event-id").map_or(self.taken(), |id| id.parse().unwrap());
        let coded = self.compresses(request);
        let coding = if coded { "Content-Encoding: gzip\r\n" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n");
        socket.write_all(head.as_bytes()).ok()?;
        let mut out: Box<dyn Write + '_> = match coded {
            false => Box::new(socket),
            true => Box::new(GzEncoder::new(socket, Compression::fast())),
        };
        out.write_all(format!("retry: 200\nid: {cursor}\n\n").as_bytes()).and_then(|()| out.flush()).ok()?;
        loop {
            let (events, next) = self.behind(topic, cursor, Duration::from_millis(200));
            cursor = next;
            for payload in &events {
                let event = [format!("id: {cursor}\ndata: ").as_bytes(), payload, b"\n\n"].concat();
                out.write_all(&event).and_then(|()| out.flush()).ok()?;
            }
            out.write_all(b":\n").and_then(|()| out.flush()).ok()?;
        }
    }

    /// Echoes.
    fn websocket(&self, request: &Request, mut socket: TcpStream) -> Option<()> {
        let accept = derive_accept_key(request.field("sec-websocket-key")?.as_bytes());
        let chosen = match self.bends.subprotocol {
            Some(name) if request.field("sec-websocket-protocol") != Some(name) => {
                return socket.write_all(&answer("400 Bad Request", "", format!("speak {name}\n"))).ok();
            }
            chosen => chosen.map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n")),
        };
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        socket.write_all(format!("{head}Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n").as_bytes()).ok()?;
        let mut socket = WebSocket::from_raw_socket(socket, Role::Server, None);
        loop {
            let message = socket.read().ok()?;
            if message.is_text() || message.is_binary() {
                socket.send(message).ok()?;
            }
        }
    }
}

fn read_request(socket: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::with_capacity(1, socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let line = head.lines().next()?.to_owned();
    let mut request = Request { line, head, body: Vec::new() };
    let length = request.field("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
