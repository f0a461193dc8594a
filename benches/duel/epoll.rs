//! The few system calls that both hand-written ends need.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Events that one call of [`Epoll::wait`] may bring.
const BATCH: usize = 1024;

/// An epoll instance whose events carry a number of the caller's.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked, and nobody else owns the descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    pub(crate) fn add(&self, fd: RawFd, interest: i32, number: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, number)
    }

    pub(crate) fn change(&self, fd: RawFd, interest: i32, number: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, number)
    }

    fn control(&self, what: i32, fd: RawFd, interest: i32, number: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: number as u64 };
        // SAFETY: the event outlives the call.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd, &mut event) }).map(|_| ())
    }

    /// Waits up to `timeout_ms` (-1: for ever) and says how many events [`Epoll::number`] has.
    pub(crate) fn wait(&mut self, timeout_ms: i32) -> io::Result<usize> {
        // SAFETY: the buffer holds as many events as the system is told.
        let count = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), BATCH as i32, timeout_ms)
        };
        match checked(count) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
            count => Ok(count? as usize),
        }
    }

    /// The number that came with the `nth` event of the last wait.
    pub(crate) fn number(&self, nth: usize) -> usize {
        self.events[nth].u64 as usize
    }
}

/// A TCP socket that blocks on nothing and has begun to connect.
pub(crate) fn connecting(address: SocketAddrV4) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is checked and owned at once; the address is a live struct of the size given.
    unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let fd = OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_INET, kind, 0))?);
        let mut raw: libc::sockaddr_in = std::mem::zeroed();
        raw.sin_family = libc::AF_INET as libc::sa_family_t;
        raw.sin_port = address.port().to_be();
        raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
        let length = size_of_val(&raw) as libc::socklen_t;
        match checked(libc::connect(fd.as_raw_fd(), std::ptr::from_ref(&raw).cast(), length)) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
            _ => Ok(fd),
        }
    }
}

/// Reads into `buffer`; `None` if there is nothing, `Some(0)` at the end or after a reset.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the system writes at most the buffer's length.
    let read = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    match checked(read as i32) {
        Ok(read) => Some(read as usize),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => Some(0),
    }
}

/// Sends all of `bytes`, which fit the socket's buffer unless the peer has stopped reading.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the system reads at most the slice's length.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    match checked(sent as i32)? as usize == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Sends every message at once, as all ends of a duel do.
pub(crate) fn no_delay(fd: RawFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option reads one int, whose address and size are given. Failing costs time and nothing else.
    unsafe {
        let length = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, std::ptr::from_ref(&on).cast(), length);
    }
}

/// The IPv4 address that `text` is.
pub(crate) fn address(text: &str) -> io::Result<SocketAddrV4> {
    match text.parse() {
        Ok(SocketAddr::V4(address)) => Ok(address),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
