//! One UDP socket of the server, shared by many peers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use str0m::net::DatagramSend;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::rtc::SOCKET_BUFFER_BYTES;

/// Datagrams kept while the socket is full. More are dropped, as a router would; SCTP and DTLS send them again.
const BACKLOG_DATAGRAMS: usize = 1024;

/// A socket, its announced address, and what could not be written yet.
pub(super) struct Port {
    socket: UdpSocket,
    address: SocketAddr,
    /// The other one, of a socket that both versions of IP reach.
    also: Option<SocketAddr>,
    backlog: VecDeque<(SocketAddr, DatagramSend)>,
}

impl Port {
    /// Takes over a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Port> {
        // The kernel gives what its limit allows; less is no error.
        let buffers = socket2::SockRef::from(&socket);
        let _ = buffers.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = buffers.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        let (mut address, mut also) = (socket.local_addr()?, None);
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => {
                address.set_ip(Ipv6Addr::LOCALHOST.into());
                if !buffers.only_v6()? {
                    also = Some((Ipv4Addr::LOCALHOST, address.port()).into());
                }
            }
            _ => {}
        }
        Ok(Port { socket: UdpSocket::from_std(socket)?, address, also, backlog: VecDeque::new() })
    }

    /// What peers are told to send to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.address].into_iter().chain(self.also)
    }

    /// Where a datagram came from and which of the addresses it was sent to, as its sender sees them.
    pub(super) fn seen(&self, from: SocketAddr) -> (SocketAddr, SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        (from, self.also.filter(|_| from.is_ipv4()).unwrap_or(self.address))
    }

    /// Reads one datagram.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.socket.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }

    /// Writes a datagram, or keeps it until `poll_flush` can.
    pub(super) fn send(&mut self, to: SocketAddr, datagram: DatagramSend) {
        if self.backlog.is_empty() && self.write(to, &datagram) {
            return;
        }
        if self.backlog.len() < BACKLOG_DATAGRAMS {
            self.backlog.push_back((to, datagram));
        }
    }

    /// Writes what was kept. Ready when nothing is left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some((to, datagram)) = self.backlog.front() {
            if self.write(*to, datagram) {
                self.backlog.pop_front();
            } else if ready!(self.socket.poll_send_ready(cx)).is_err() {
                self.backlog.clear();
            }
        }
        Poll::Ready(())
    }

    /// Whether the datagram is done with. One that the kernel refuses (an unreachable peer) is: it is lost, not late.
    fn write(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        let to = match to {
            // As a socket of IPv6 writes it.
            SocketAddr::V4(to) if self.also.is_some() => (to.ip().to_ipv6_mapped(), to.port()).into(),
            to => to,
        };
        !matches!(self.socket.try_send_to(datagram, to), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
