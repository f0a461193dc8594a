//! A server on a free port, and a client that sees every byte.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use reference_server::{Config, Faults, Listeners};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) fn start(config: Config) -> Server {
        Server::with_listeners(config, Listeners::bind("127.0.0.1:0".parse().unwrap(), 0).unwrap())
    }

    pub(crate) fn with_listeners(config: Config, listeners: Listeners) -> Server {
        let address = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        // A test that drops its server without stopping it wants it to go on.
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        let task = tokio::spawn(reference_server::run(config, listeners, shutdown));
        Server { address, stop: Some(stop), task }
    }

    pub(crate) fn with_faults(faults: Faults) -> Server {
        Server::start(Config { faults, ..Config::default() })
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new(), taken: 0 }
    }

    /// A client whose kernel takes little, so that not reading is soon felt.
    pub(crate) async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        Client { stream: socket.connect(self.address).await.unwrap(), buffer: Vec::new(), taken: 0 }
    }

    /// One request on a connection of its own.
    pub(crate) async fn request(&self, head: &str) -> Answer {
        self.connect().await.request(head).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await
    }

    pub(crate) async fn publish(&self, topic: &str, payload: impl AsRef<[u8]>, kind: &str) -> u16 {
        self.connect().await.publish(topic, payload, kind).await
    }

    pub(crate) async fn text(&self, topic: &str, payload: impl AsRef<[u8]>) {
        assert_eq!(self.publish(topic, payload, "text/plain").await, 204);
    }

    /// The cursor behind all events so far.
    pub(crate) async fn now(&self) -> String {
        self.get("/poll?topic=nothing").await.header("rtbench-cursor").unwrap().to_owned()
    }

    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let stats: serde_json::Value = serde_json::from_slice(&self.get("/stats").await.body).unwrap();
        name.split('.').fold(&stats, |value, key| &value[key]).as_u64().unwrap()
    }

    /// Asks until the number is reached.
    pub(crate) async fn until_stat(&self, name: &str, at_least: u64) {
        while self.stat(name).await < at_least {}
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap().unwrap();
    }
}

/// Nothing in these tests takes long; what does, hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it hangs")
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Length of head and body as they came.
    pub(crate) wire_bytes: usize,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes taken out of the buffer so far.
    pub(crate) taken: usize,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads some more; false at the end.
    pub(crate) async fn read_more(&mut self) -> bool {
        soon(self.stream.read_buf(&mut self.buffer)).await.unwrap() > 0
    }

    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            assert!(self.read_more().await, "ended early, after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        self.taken += n;
        self.buffer.drain(..n).collect()
    }

    /// Up to and with `end`.
    pub(crate) async fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.take(at + end.len()).await;
            }
            assert!(self.read_more().await, "ended early, after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Whether the server breaks the connection off, with nothing more said.
    pub(crate) async fn is_reset(&mut self) -> bool {
        let read = soon(self.stream.read_buf(&mut self.buffer)).await;
        self.buffer.is_empty() && read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    /// What is left until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        self.take(self.buffer.len()).await
    }

    pub(crate) async fn head(&mut self) -> String {
        String::from_utf8(self.take_until(b"\r\n\r\n").await).unwrap()
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let before = self.taken;
        let head = self.head().await;
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), wire_bytes: 0 };
        if let Some(length) = answer.header("content-length") {
            answer.body = self.take(length.parse().unwrap()).await;
        }
        answer.wire_bytes = self.taken - before;
        answer
    }

    pub(crate) async fn request(&mut self, head: &str) -> Answer {
        self.send(head).await;
        self.answer().await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, kind: &str) -> u16 {
        let payload = payload.as_ref();
        let length = payload.len();
        let head = format!(
            "POST /topics/{topic} HTTP/1.1\r\nhost: t\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        );
        // In one write: the second of two would wait for the acknowledgement of the first.
        self.send([head.as_bytes(), payload].concat()).await;
        self.answer().await.status
    }

    /// Opens an event stream; gives the head and the preamble's cursor.
    pub(crate) async fn sse(&mut self, query: &str, headers: &str) -> (String, String) {
        self.send(format!("GET /sse?{query} HTTP/1.1\r\nhost: t\r\n{headers}\r\n")).await;
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let preamble = String::from_utf8(self.chunk().await).unwrap();
        let id = preamble.strip_prefix("retry: 1000\nid: ").unwrap().strip_suffix("\n\n").unwrap();
        (head, id.to_owned())
    }

    /// One chunk of a chunked body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.take_until(b"\r\n").await).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = self.take(size + 2).await;
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        chunk
    }

    pub(crate) async fn chunk_text(&mut self) -> String {
        String::from_utf8(self.chunk().await).unwrap()
    }

    /// Upgrades to WebSocket.
    pub(crate) async fn websocket(&mut self, query: &str) {
        self.send(format!(
            "GET /ws?{query} HTTP/1.1\r\nhost: t\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
        let head = self.head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        // The example of RFC 6455, section 1.3.
        assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    }

    /// Sends one frame, masked as a client must.
    pub(crate) async fn frame(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        self.send(frame(opcode, payload.as_ref())).await;
    }

    /// One unmasked frame: first byte, payload.
    pub(crate) async fn take_frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2).await;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => u16::from_be_bytes(self.take(2).await.try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.take(8).await.try_into().unwrap()) as usize,
            short => short.into(),
        };
        (head[0], self.take(length).await)
    }

    /// One text message.
    pub(crate) async fn take_text(&mut self) -> String {
        let (first, payload) = self.take_frame().await;
        assert_eq!(first, 0x81, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// A close frame with this code, and the end of the connection behind it.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.take_frame().await;
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        self.frame(8, &payload[..2]).await;
        assert_eq!(self.rest().await, b"");
    }
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;

pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        n @ ..126 => bytes.push(0x80 | n as u8),
        n @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The payloads of a poll's body.
pub(crate) fn netstrings(mut body: &[u8]) -> Vec<String> {
    let mut payloads = Vec::new();
    while !body.is_empty() {
        let colon = body.iter().position(|&byte| byte == b':').unwrap();
        let length: usize = std::str::from_utf8(&body[..colon]).unwrap().parse().unwrap();
        let (payload, rest) = body[colon + 1..].split_at(length);
        payloads.push(String::from_utf8(payload.to_vec()).unwrap());
        body = rest.strip_prefix(b",").unwrap();
    }
    payloads
}
