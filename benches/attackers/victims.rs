//! Clients that behave: some whose messages come back, and some that follow a topic that one of them publishes to.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Clients whose messages come back.
const ECHOES: usize = 20;

/// Clients that follow.
const FOLLOWERS: usize = 20;

/// Between two messages of one client.
const PERIOD: Duration = Duration::from_millis(20);

/// How long a delivery may take that counts.
const PATIENCE: Duration = Duration::from_millis(1000);

/// What was seen in some slices.
#[derive(Default)]
pub(crate) struct Seen {
    latencies_ns: Vec<u64>,
    expected: usize,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Seen) {
        self.latencies_ns.extend(other.latencies_ns);
        self.expected += other.expected;
    }

    /// Of all deliveries; one that did not come counts as the longest.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let mut sorted = self.latencies_ns.clone();
        sorted.resize(self.expected.max(sorted.len()), PATIENCE.as_nanos() as u64);
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * quantile) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |&ns| ns as f64 / 1e6)
    }

    pub(crate) fn delivered(&self) -> String {
        format!("{:.2}%", 100.0 * self.latencies_ns.len() as f64 / self.expected.max(1) as f64)
    }
}

/// What arrives is a time, in ns from here on.
struct Clock {
    start: Instant,
    /// What was sent earlier belongs to another slice.
    since_ns: Cell<u64>,
    seen: RefCell<Vec<u64>>,
}

impl Clock {
    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Every message in what was read: 16 digits between a `<` and a `>`.
    fn arrived(&self, buffer: &mut Vec<u8>) {
        let now_ns = self.now_ns();
        let mut used = 0;
        while let Some(at) = buffer[used..].iter().position(|&byte| byte == b'<').map(|at| used + at) {
            let Some(digits) = buffer.get(at + 1..at + 17) else { break };
            let sent_ns = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            let sent_ns: u64 = sent_ns.unwrap_or(now_ns).min(now_ns);
            if sent_ns >= self.since_ns.get() {
                self.seen.borrow_mut().push(now_ns - sent_ns);
            }
            used = at + 17;
        }
        buffer.drain(..used);
    }
}

pub(crate) struct Victims {
    writers: Vec<OwnedWriteHalf>,
    publisher: OwnedWriteHalf,
    clock: Rc<Clock>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    local: tokio::task::LocalSet,
}

impl Victims {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Victims> {
        let clock =
            Rc::new(Clock { start: Instant::now(), since_ns: Cell::new(0), seen: RefCell::default() });
        let local = tokio::task::LocalSet::new();
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for _ in 0..ECHOES {
            let (reader, writer) = websocket(address, "echo=1").await?;
            writers.push(writer);
            readers.push(local.spawn_local(read(reader, clock.clone())));
        }
        for _ in 0..FOLLOWERS {
            let request = "GET /sse?topic=victims HTTP/1.1\r\nHost: t\r\n\r\n";
            let (reader, writer) = open(address, request).await?;
            // Held open, and never written to again.
            writer.forget();
            readers.push(local.spawn_local(read(reader, clock.clone())));
        }
        let (_, publisher) = websocket(address, "publish=victims").await?;
        Ok(Victims { writers, publisher, clock, readers, local })
    }

    /// Sends for so long, and waits for the last.
    pub(crate) async fn measure(&self, long: Duration) -> Seen {
        self.local.run_until(self.send(long)).await
    }

    async fn send(&self, long: Duration) -> Seen {
        self.clock.since_ns.set(self.clock.now_ns());
        self.clock.seen.borrow_mut().clear();
        let start = tokio::time::Instant::now();
        let (mut sent, mut expected) = (0, 0);
        let turn = PERIOD / (ECHOES as u32 + 1);
        while turn * sent < long {
            tokio::time::sleep_until(start + turn * sent).await;
            let message = frame(format!("<{:016}>", self.clock.now_ns()).as_bytes());
            // Spread over the period, so that they meet an attacker and not each other. One that is gone expects all the same.
            let which = sent as usize % (ECHOES + 1);
            let _ = match self.writers.get(which) {
                Some(writer) => writer.try_write(&message),
                None => self.publisher.try_write(&message),
            };
            expected += if which < ECHOES { 1 } else { FOLLOWERS };
            sent += 1;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.clock.seen.borrow().len() < expected && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Seen { latencies_ns: self.clock.seen.take(), expected }
    }
}

impl Drop for Victims {
    fn drop(&mut self) {
        self.readers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn read(mut reader: OwnedReadHalf, clock: Rc<Clock>) {
    let mut buffer = Vec::new();
    while reader.read_buf(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
        clock.arrived(&mut buffer);
    }
}

/// A masked text frame of less than 126 bytes.
fn frame(payload: &[u8]) -> Vec<u8> {
    [&[0x81, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

async fn websocket(address: SocketAddr, query: &str) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    open(address, &super::attack::upgrade(query)).await
}

/// Sends a request, and reads the head of the answer.
async fn open(address: SocketAddr, request: &str) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        ensure!(reader.read_buf(&mut head).await? > 0, "the server closed");
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.get(9..12).context("no status")?;
    ensure!(status == "101" || status == "200", "{head}");
    Ok((reader, writer))
}
