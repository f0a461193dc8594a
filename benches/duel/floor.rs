//! The floor: a generator that measures nothing. One thread, one epoll loop, no allocation for an exchange, and of what
//! came back only the length is looked at.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::contender::Exchange;
use super::epoll::{self, Epoll};

const PAYLOAD_BYTES: usize = 100;

/// An unmasked frame of the payload: two bytes of header.
const ECHO_BYTES: usize = 2 + PAYLOAD_BYTES;

const UPGRADE: &[u8] = b"GET /ws?echo=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const POLL: &[u8] = b"GET /poll?topic=g0&after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

const POLL_ONCE: &[u8] =
    b"GET /poll?topic=g0&after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

/// Loads the server until it is killed.
pub(crate) fn run(exchange: Exchange, address: SocketAddrV4, clients: usize) -> io::Result<()> {
    rtbench::host::process::descriptor_limit();
    let mut floor = Floor { epoll: Epoll::new()?, address, mask: 0x9e37_79b9, sockets: Vec::new() };
    match exchange {
        Exchange::Websocket => floor.websocket(clients),
        Exchange::KeepAlive => floor.keep_alive(clients),
        Exchange::Fresh => floor.fresh(clients),
    }
}

struct Floor {
    epoll: Epoll,
    address: SocketAddrV4,
    mask: u32,
    sockets: Vec<OwnedFd>,
}

impl Floor {
    /// Connects all clients and sends each one's first request.
    fn open(&mut self, clients: usize, first: &[u8]) -> io::Result<()> {
        for number in 0..clients {
            let socket = epoll::connecting(self.address)?;
            epoll::no_delay(socket.as_raw_fd());
            wait_writable(socket.as_raw_fd());
            epoll::send(socket.as_raw_fd(), first)?;
            self.epoll.add(socket.as_raw_fd(), libc::EPOLLIN, number)?;
            self.sockets.push(socket);
        }
        Ok(())
    }

    fn websocket(&mut self, clients: usize) -> io::Result<()> {
        self.open(clients, UPGRADE)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            for nth in 0..self.epoll.wait(-1)? {
                let fd = self.sockets[self.epoll.number(nth)].as_raw_fd();
                match epoll::receive(fd, &mut buffer) {
                    None => continue,
                    Some(ECHO_BYTES) if buffer[0] == 0x81 => {}
                    Some(read) if buffer[..read].starts_with(b"HTTP/1.1 101") => {}
                    Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                }
                let frame = self.frame();
                epoll::send(fd, &frame)?;
            }
        }
    }

    /// A frame with a fresh mask (xorshift: as fast as a mask can be had).
    fn frame(&mut self) -> [u8; 6 + PAYLOAD_BYTES] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        let mask = self.mask.to_ne_bytes();
        let mut frame = [b'x'; 6 + PAYLOAD_BYTES];
        frame[..2].copy_from_slice(&[0x81, 0x80 | PAYLOAD_BYTES as u8]);
        frame[2..6].copy_from_slice(&mask);
        for four in frame[6..].chunks_exact_mut(4) {
            four.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        frame
    }

    fn keep_alive(&mut self, clients: usize) -> io::Result<()> {
        self.open(clients, POLL)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            for nth in 0..self.epoll.wait(-1)? {
                let fd = self.sockets[self.epoll.number(nth)].as_raw_fd();
                match epoll::receive(fd, &mut buffer) {
                    None => continue,
                    Some(read) if is_answer(&buffer[..read]) => epoll::send(fd, POLL)?,
                    Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
        }
    }

    fn fresh(&mut self, clients: usize) -> io::Result<()> {
        for number in 0..clients {
            let socket = self.begin(number)?;
            self.sockets.push(socket);
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            for nth in 0..self.epoll.wait(-1)? {
                let number = self.epoll.number(nth);
                let fd = self.sockets[number].as_raw_fd();
                match epoll::receive(fd, &mut buffer) {
                    // It was not connected at once, and is now.
                    None => {
                        epoll::send(fd, POLL_ONCE)?;
                        self.epoll.change(fd, libc::EPOLLIN, number)?;
                    }
                    Some(read) if is_answer(&buffer[..read]) => self.sockets[number] = self.begin(number)?,
                    Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
        }
    }

    /// A fresh connection with its request on the way, as far as it can be.
    fn begin(&self, number: usize) -> io::Result<OwnedFd> {
        let socket = epoll::connecting(self.address)?;
        let sent = epoll::send(socket.as_raw_fd(), POLL_ONCE).is_ok();
        let interest = if sent { libc::EPOLLIN } else { libc::EPOLLOUT };
        self.epoll.add(socket.as_raw_fd(), interest, number)?;
        Ok(socket)
    }
}

fn is_answer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 204") && bytes.ends_with(b"\r\n\r\n")
}

fn wait_writable(fd: RawFd) {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live struct, and its number.
    unsafe { libc::poll(&mut poll, 1, 5_000) };
}
