//! The server that all contenders load: one thread, one epoll loop, the least that can be done for an exchange. It
//! counts what it has answered.

use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtbench::host::cores::Mask;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::epoll::{self, Epoll};

const LISTENER: usize = usize::MAX;

const READ_BYTES: usize = 64 * 1024;

const POLLED: &[u8] = b"HTTP/1.1 204 No Content\r\nrtbench-cursor: 0\r\n\r\n";

const POLLED_AND_OVER: &[u8] = b"HTTP/1.1 204 No Content\r\nrtbench-cursor: 0\r\nConnection: close\r\n\r\n";

const HEALTHY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A running server; its thread ends with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddrV4,
    answered: Arc<AtomicU64>,
}

impl Server {
    /// Listens on a free port and answers on `core`.
    pub(crate) fn start(core: usize) -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        // SAFETY: a listening socket may be told again how many may wait; the standard library's 128 are few for a ramp.
        unsafe { libc::listen(listener.as_raw_fd(), 4096) };
        let address = epoll::address(&listener.local_addr()?.to_string())?;
        let answered = Arc::<AtomicU64>::default();
        let mut state = Loop {
            epoll: Epoll::new()?,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            answered: answered.clone(),
        };
        state.epoll.add(state.listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
        std::thread::spawn(move || {
            Mask::of(&[core]).tie_this_thread();
            state.run()
        });
        Ok(Server { address, answered })
    }

    /// Echoes and answers so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

struct Loop {
    epoll: Epoll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answered: Arc<AtomicU64>,
}

struct Connection {
    fd: OwnedFd,
    /// Upgraded to WebSocket.
    upgraded: bool,
    /// The start of a request or frame whose end is missing.
    rest: Vec<u8>,
}

/// Whether a connection lives on.
enum Then {
    Go,
    End,
}

impl Loop {
    fn run(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let Ok(count) = self.epoll.wait(-1) else { return };
            for nth in 0..count {
                match self.epoll.number(nth) {
                    LISTENER => self.accept(),
                    number => self.serve(number, &mut buffer),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let fd = OwnedFd::from(stream);
            // Of what accept inherits on other systems nothing is relied upon.
            // SAFETY: an open descriptor, and a flag.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
            epoll::no_delay(fd.as_raw_fd());
            let number = self.free.pop().unwrap_or(self.connections.len());
            if number == self.connections.len() {
                self.connections.push(None);
            }
            if self.epoll.add(fd.as_raw_fd(), libc::EPOLLIN, number).is_ok() {
                self.connections[number] = Some(Connection { fd, upgraded: false, rest: Vec::new() });
            }
        }
    }

    fn serve(&mut self, number: usize, buffer: &mut [u8]) {
        let Some(connection) = &mut self.connections[number] else { return };
        let Some(read) = epoll::receive(connection.fd.as_raw_fd(), buffer) else { return };
        let then = if read == 0 { Then::End } else { connection.take(&mut buffer[..read], &self.answered) };
        if matches!(then, Then::End) {
            self.connections[number] = None;
            self.free.push(number);
        }
    }
}

impl Connection {
    fn take(&mut self, input: &mut [u8], answered: &AtomicU64) -> Then {
        let mut kept;
        let mut input = if self.rest.is_empty() {
            input
        } else {
            kept = std::mem::take(&mut self.rest);
            kept.extend_from_slice(input);
            &mut kept[..]
        };
        while !input.is_empty() {
            let step = if self.upgraded { self.echo(input, answered) } else { self.answer(input, answered) };
            match step {
                Some((taken, Then::Go)) => input = &mut input[taken..],
                Some((_, Then::End)) => return Then::End,
                None => {
                    self.rest = input.to_vec();
                    break;
                }
            }
        }
        Then::Go
    }

    fn send(&self, bytes: &[u8]) -> Then {
        epoll::send(self.fd.as_raw_fd(), bytes).map_or(Then::End, |()| Then::Go)
    }

    /// Answers the request at the front of `input`; `None` if it is not whole.
    fn answer(&mut self, input: &[u8], answered: &AtomicU64) -> Option<(usize, Then)> {
        let length = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = &input[..length];
        if let Some(key) = field(head, b"sec-websocket-key") {
            let accept = derive_accept_key(key);
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            self.upgraded = true;
            return Some((length, self.send(answer.as_bytes())));
        }
        if head.starts_with(b"GET /healthz") || head.starts_with(b"GET /stats") {
            return Some((length, self.send(HEALTHY)));
        }
        count(answered);
        let over = field(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        if over {
            let _ = self.send(POLLED_AND_OVER);
            return Some((length, Then::End));
        }
        Some((length, self.send(POLLED)))
    }

    /// Sends the frame at the front of `input` back; `None` if it is not whole.
    fn echo(&self, input: &mut [u8], answered: &AtomicU64) -> Option<(usize, Then)> {
        const CLOSE: u8 = 8;
        const HEADER_BYTES: usize = 8;
        let [first, second, ..] = *input else { return None };
        // Contestants send 100 bytes; lengths of two bytes are there for who is curious.
        let (length, mask_at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])), 4),
            127 => return Some((0, Then::End)),
            short => (usize::from(short), 2),
        };
        let end = mask_at + 4 + length;
        let frame = input.get_mut(..end)?;
        let (header, payload) = frame.split_at_mut(mask_at + 4);
        let mask: [u8; 4] = header[mask_at..].try_into().unwrap_or_default();
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let mut plain = [0; HEADER_BYTES];
        plain[..mask_at].copy_from_slice(&header[..mask_at]);
        plain[1] &= 0x7f;
        // The unmasked header ends where the mask did.
        header[4..].copy_from_slice(&plain[..mask_at]);
        let sent = self.send(&frame[4..]);
        count(answered);
        Some((end, if first & 0x0f == CLOSE { Then::End } else { sent }))
    }
}

/// The value of a field, without the space around it.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (own, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":").filter(|_| own.eq_ignore_ascii_case(name))?;
        Some(value.trim_ascii())
    })
}

/// One thread writes, so no read-modify-write is needed.
fn count(answered: &AtomicU64) {
    answered.store(answered.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
