//! `rtbench holder` (hidden): a server that shares no code with the reference server, holds each message for a known
//! time, and stamps the hold it really made. What `doctor --verify` checks the instrument's clock against.
//!
//! Blocking threads, one a connection: as different from the reference server as can be, and short enough to be
//! believed by reading. It speaks as much of the contract as three protocols need: publish, held poll, SSE, and a
//! WebSocket echo.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use crate::cli::HolderArgs;
use crate::exit::Exit;
use crate::protocol::Protocol;
use crate::say;

/// The protocols that it speaks, by their names. Short polls are held polls that it answers at once.
const SPEAKS: [&str; 4] = ["short-poll", "long-poll", "sse", "websocket"];

/// Whether it speaks a protocol.
pub(super) fn speaks(protocol: &Protocol) -> bool {
    SPEAKS.contains(&protocol.name)
}

/// How long a poll is held at most.
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// A message and when it arrived.
type Held = (Instant, Arc<[u8]>);

/// What was published to one topic. Only who waits for this topic wakes at its news: a herd of all would be a delay
/// of its own.
#[derive(Default)]
struct Topic {
    messages: Mutex<Vec<Held>>,
    news: Condvar,
}

/// Everything that was published, by topic.
#[derive(Default)]
struct Shelf {
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    /// The holds really made, in ns, one a line.
    stamps: Option<Mutex<File>>,
    hold: Duration,
}

/// Serves until its input ends or it is told to stop.
///
/// # Errors
/// No port, or the stamps cannot be written.
pub fn run(args: &HolderArgs) -> Result<Exit> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port")?;
    let stamps =
        args.stamps.as_ref().map(File::create).transpose().context("the stamps cannot be written")?;
    let hold = Duration::from_secs_f64(args.hold.0);
    let shelf = Arc::new(Shelf { hold, stamps: stamps.map(Mutex::new), ..Shelf::default() });
    let ready = serde_json::json!({ "ready": { "http": listener.local_addr()? } });
    say::out(|out| writeln!(out, "{ready}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(io::Result::ok) {
            let shelf = Arc::clone(&shelf);
            // A connection that breaks is its client's business.
            std::thread::spawn(move || drop(serve(&shelf, stream)));
        }
    });
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(Exit::Ok)
}

/// A request, as far as this server cares.
struct Request {
    method: String,
    path: String,
    fields: HashMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` at its end.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut fields = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            fields.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = fields.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Request { method, path, fields, body }))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.path.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

fn serve(shelf: &Shelf, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    precise_sleep();
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    while let Some(request) = Request::read(&mut reader)? {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("POST", path) => {
                shelf.topic(path.trim_start_matches("/topics/")).put(request.body.into());
                out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
            }
            ("GET", "/poll") => poll(shelf, &request, &mut out)?,
            ("GET", "/sse") => return events(shelf, &request, &mut out),
            ("GET", "/ws") => return echo(shelf, &request, reader, out),
            _ => out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?,
        }
    }
    Ok(())
}

impl Shelf {
    fn topic(&self, name: &str) -> Arc<Topic> {
        Arc::clone(locked(&self.topics).entry(name.to_owned()).or_default())
    }

    /// Holds what arrived at a time, sends it, and stamps.
    fn release(&self, arrived: Instant, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        std::thread::sleep((arrived + self.hold).saturating_duration_since(Instant::now()));
        let held_ns = arrived.elapsed().as_nanos();
        send()?;
        if let Some(stamps) = &self.stamps {
            writeln!(locked(stamps), "{held_ns}")?;
        }
        Ok(())
    }
}

impl Topic {
    fn put(&self, message: Arc<[u8]>) {
        locked(&self.messages).push((Instant::now(), message));
        self.news.notify_all();
    }

    fn count(&self) -> usize {
        locked(&self.messages).len()
    }

    /// The message of this number, waited for.
    fn get(&self, number: usize) -> Option<Held> {
        let absent = |messages: &mut Vec<Held>| messages.len() <= number;
        let waited = self.news.wait_timeout_while(locked(&self.messages), LONGEST_POLL, absent);
        let (messages, _) = waited.unwrap_or_else(PoisonError::into_inner);
        messages.get(number).cloned()
    }
}

/// What a thread that panicked had locked is as good as ever.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A poll, held if it asks to be: the next message behind the cursor, as a netstring; without a cursor, the cursor.
fn poll(shelf: &Shelf, request: &Request, out: &mut TcpStream) -> io::Result<()> {
    let topic = shelf.topic(request.parameter("topic").unwrap_or_default());
    let Some(number) = request.parameter("after").and_then(|after| after.parse().ok()) else {
        return write!(out, "HTTP/1.1 204 No Content\r\nrtbench-cursor: {}\r\n\r\n", topic.count());
    };
    let held = request.parameter("wait").is_some();
    let next = if held || number < topic.count() { topic.get(number) } else { None };
    let Some((arrived, message)) = next else {
        return write!(out, "HTTP/1.1 204 No Content\r\nrtbench-cursor: {number}\r\n\r\n");
    };
    let mut body = format!("{}:", message.len()).into_bytes();
    body.extend_from_slice(&message);
    body.push(b',');
    let head = format!(
        "HTTP/1.1 200 OK\r\nrtbench-cursor: {}\r\nContent-Length: {}\r\n\r\n",
        number + 1,
        body.len()
    );
    shelf.release(arrived, || out.write_all(&[head.as_bytes(), &body].concat()))
}

fn events(shelf: &Shelf, request: &Request, out: &mut TcpStream) -> io::Result<()> {
    let topic = shelf.topic(request.parameter("topic").unwrap_or_default());
    let mut number = topic.count();
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: {number}\n\n")?;
    loop {
        let Some((arrived, message)) = topic.get(number) else { continue };
        number += 1;
        let mut event = format!("id: {number}\nevent: message\ndata: ").into_bytes();
        event.extend_from_slice(&message);
        event.extend_from_slice(b"\n\n");
        shelf.release(arrived, || out.write_all(&event))?;
    }
}

fn echo(
    shelf: &Shelf,
    request: &Request,
    reader: BufReader<TcpStream>,
    mut out: TcpStream,
) -> io::Result<()> {
    let key = request.fields.get("sec-websocket-key").map(String::as_str).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    write!(
        out,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    // A client sends nothing before it has this answer, so nothing is left in the buffer.
    drop(reader);
    let mut socket = WebSocket::from_raw_socket(out, Role::Server, None);
    let failed = |error: WebSocketError| io::Error::other(error);
    loop {
        let message = socket.read().map_err(failed)?;
        let arrived = Instant::now();
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            shelf.release(arrived, || socket.send(message).map_err(failed))?;
        }
    }
}

/// Sleeps of this thread end when they should, and not up to 50 us later.
fn precise_sleep() {
    #[cfg(target_os = "linux")]
    // SAFETY: no memory is involved; a refusal leaves the sleeps as they are.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
}
