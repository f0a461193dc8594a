//! A counted UDP socket. An emulated link or a TURN server comes between this and its user, or between this and the
//! kernel, and nowhere else.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use reference_server::rtc::SOCKET_BUFFER_BYTES;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::meter::Meter;
use super::packets::{IpHeader, Packets};

/// Datagrams kept while the socket is full. More are dropped, as a router would; the layers above send them again.
const BACKLOG_DATAGRAMS: usize = 256;

/// Datagrams to and from many addresses, over a socket of its own.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    address: SocketAddr,
    backlog: VecDeque<(SocketAddr, Vec<u8>)>,
    meter: Rc<Meter>,
}

impl Datagrams {
    /// Binds a free port at `source`, or at the address from which the system would talk to `towards`.
    ///
    /// # Errors
    /// What the operating system says, e.g. that no descriptor or no port is free.
    pub fn bind(source: Option<IpAddr>, towards: SocketAddr, meter: Rc<Meter>) -> io::Result<Datagrams> {
        let ip = match source {
            Some(ip) => ip,
            None => local_ip(towards)?,
        };
        let socket = std::net::UdpSocket::bind((ip, 0))?;
        // The kernel gives what its limit allows; less is no error.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Datagrams { socket: UdpSocket::from_std(socket)?, address, backlog: VecDeque::new(), meter })
    }

    /// Where this socket can be reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads one datagram; what does not fit into `buffer` is cut off.
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.socket.poll_recv_from(cx, &mut buffer))?;
        let length = buffer.filled().len();
        self.meter.datagrams_in.add(1);
        self.meter.wire_in_bytes.add(length as u64);
        self.meter.socket_in_bytes.add(length as u64);
        self.meter.add_packets(Packets::datagram_in(length as u64, IpHeader::of(from.ip())));
        Poll::Ready(Ok((length, from)))
    }

    /// Writes a datagram, or keeps it until `poll_flush` can.
    pub fn send(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if self.backlog.is_empty() && self.write(to, &datagram) {
            return;
        }
        if self.backlog.len() < BACKLOG_DATAGRAMS {
            self.backlog.push_back((to, datagram));
        }
    }

    /// Writes what was kept. Ready when nothing is left.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((to, datagram)) = self.backlog.front() {
            if self.write(*to, datagram) {
                self.backlog.pop_front();
            } else {
                ready!(self.socket.poll_send_ready(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the datagram is done with. One that the kernel refuses (an unreachable peer) is: it is lost, not late.
    fn write(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        match self.socket.try_send_to(datagram, to) {
            Ok(length) => {
                self.meter.datagrams_out.add(1);
                self.meter.wire_out_bytes.add(length as u64);
                self.meter.socket_out_bytes.add(length as u64);
                self.meter.add_packets(Packets::datagram_out(length as u64, IpHeader::of(to.ip())));
                true
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// The address that packets to `towards` would come from. Nothing is sent.
fn local_ip(towards: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match towards {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(towards)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn datagrams_are_counted_at_both_ends() {
        let meters = [Rc::<Meter>::default(), Rc::<Meter>::default()];
        let nearby = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut a = Datagrams::bind(None, nearby, meters[0].clone()).unwrap();
        let source = Some([127, 0, 0, 2].into());
        let mut b = Datagrams::bind(source, nearby, meters[1].clone()).unwrap();
        assert_eq!((a.address().ip(), Some(b.address().ip())), (nearby.ip(), source));
        a.send(b.address(), vec![7; 100]);
        a.send(b.address(), vec![8; 50]);
        // A new socket counts as full until the event loop has seen it once.
        poll_fn(|cx| a.poll_flush(cx)).await.unwrap();
        let mut buffer = [0; 200];
        let first = poll_fn(|cx| b.poll_recv(cx, &mut buffer)).await.unwrap();
        let second = poll_fn(|cx| b.poll_recv(cx, &mut buffer)).await.unwrap();
        assert_eq!((first, second), ((100, a.address()), (50, a.address())));
        assert_eq!((meters[0].datagrams_out.get(), meters[0].wire_out_bytes.get()), (2, 150));
        assert_eq!((meters[1].datagrams_in.get(), meters[1].wire_in_bytes.get()), (2, 150));
    }
}
