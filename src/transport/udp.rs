//! A counted UDP socket. Between its count and the kernel lies an emulated link, or between it and its user a relay.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use reference_server::rtc::SOCKET_BUFFER_BYTES;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::budget;
use super::link::{DatagramPath, Link};
use super::meter::Meter;
use super::packets::{IpHeader, Packets};
use super::turn::{Relay, Relayed};

/// Datagrams kept while the socket is full. More are dropped, as a router would; the layers above send them again.
const BACKLOG_DATAGRAMS: usize = 256;

/// Datagrams to and from many addresses, over a socket of its own.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    address: SocketAddr,
    backlog: VecDeque<(SocketAddr, Vec<u8>)>,
    meter: Rc<Meter>,
    path: Option<Box<DatagramPath>>,
    relayed: Option<Box<Relayed>>,
}

impl Datagrams {
    /// The same socket with a relay between it and every other end. The way to the relay is beside the client's link.
    pub fn through(mut self, relay: Rc<Relay>) -> Datagrams {
        self.relayed = Some(Box::new(Relayed::new(relay, self.address)));
        self
    }

    /// The same socket behind an emulated link.
    pub fn behind(mut self, link: Option<&Link>) -> Datagrams {
        self.path = link.map(|link| Box::new(DatagramPath::new(&link.fork())));
        self
    }

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
        Ok(Datagrams {
            socket: UdpSocket::from_std(socket)?,
            address,
            backlog: VecDeque::new(),
            meter,
            path: None,
            relayed: None,
        })
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
        if self.relayed.is_some() {
            return self.poll_relayed(cx, &mut buffer);
        }
        let from = match &mut self.path {
            None => ready!(poll_read(&self.socket, cx, &mut buffer))?,
            Some(path) => {
                while let Poll::Ready(from) = poll_read(&self.socket, cx, &mut buffer) {
                    path.back.push(from?, buffer.filled().to_vec());
                    buffer.clear();
                }
                let (from, datagram) = ready!(path.back.poll_next(cx));
                buffer.put_slice(&datagram);
                from
            }
        };
        let length = buffer.filled().len();
        count_in(&self.meter, from, buffer.filled());
        Poll::Ready(Ok((length, from)))
    }

    /// The next datagram that the relay brings; what comes past it is not for us.
    fn poll_relayed(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            self.go_on_relaying(cx)?;
            buffer.clear();
            let from = ready!(poll_read(&self.socket, cx, buffer))?;
            count_in(&self.meter, from, buffer.filled());
            let relayed = self.relayed.as_mut().and_then(|relayed| relayed.unwrap(from, buffer.filled()));
            if let Some((from, datagram)) = relayed {
                buffer.clear();
                buffer.put_slice(&datagram);
                return Poll::Ready(Ok((datagram.len(), from)));
            }
        }
    }

    fn go_on_relaying(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(relayed) = &mut self.relayed else { return Ok(()) };
        let (to, out) = (relayed.address(), relayed.poll(cx)?);
        out.into_iter().for_each(|datagram| self.hand_over(to, datagram));
        Ok(())
    }

    /// Writes a datagram, or keeps it until `poll_flush` can.
    pub fn send(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if let Some(relayed) = &mut self.relayed {
            let (relay, wrapped) = (relayed.address(), relayed.wrap(to, datagram));
            return wrapped.into_iter().for_each(|datagram| self.hand_over(relay, datagram));
        }
        match &mut self.path {
            // What the link loses was sent all the same.
            Some(path) => {
                count_out(&self.meter, to, &datagram);
                path.out.push(to, datagram);
            }
            None => self.hand_over(to, datagram),
        }
    }

    fn hand_over(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if self.backlog.is_empty() && self.write(to, &datagram) {
            return;
        }
        if self.backlog.len() < BACKLOG_DATAGRAMS {
            self.backlog.push_back((to, datagram));
        }
    }

    /// Writes what was kept. Ready when nothing is left but what is under way on the link; that goes on with every call.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.go_on_relaying(cx)?;
        while let Some(Poll::Ready((to, datagram))) = self.path.as_mut().map(|path| path.out.poll_next(cx)) {
            self.hand_over(to, datagram);
        }
        while let Some((to, datagram)) = self.backlog.front() {
            if self.write(*to, datagram) {
                self.backlog.pop_front();
            } else {
                ready!(self.socket.poll_send_ready(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when everything is with the kernel.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        // The flush has seen to being called again.
        let under_way = self.path.as_ref().is_some_and(|path| !path.out.is_empty());
        if under_way { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Whether the datagram is done with. One that the kernel refuses (an unreachable peer) is: it is lost, not late.
    fn write(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        match self.socket.try_send_to(datagram, to) {
            Ok(_) if self.path.is_some() => true,
            Ok(_) => {
                count_out(&self.meter, to, datagram);
                true
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// A relay would else keep its port for the rest of ten minutes.
impl Drop for Datagrams {
    fn drop(&mut self) {
        let Some(relayed) = &mut self.relayed else { return };
        for datagram in relayed.end() {
            // One that cannot be sent now is not sent: the relay's own time-out is left.
            let _ = self.socket.try_send_to(&datagram, relayed.address());
        }
    }
}

fn poll_read(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<SocketAddr>> {
    ready!(budget::spend(cx));
    socket.poll_recv_from(cx, buffer)
}

fn count_in(meter: &Meter, from: SocketAddr, datagram: &[u8]) {
    let length = datagram.len() as u64;
    count_kind(meter, datagram, from);
    meter.datagrams_in.add(1);
    meter.wire_in_bytes.add(length);
    meter.socket_in_bytes.add(length);
    meter.add_packets(Packets::datagram_in(length, IpHeader::of(from.ip())));
}

fn count_out(meter: &Meter, to: SocketAddr, datagram: &[u8]) {
    let length = datagram.len();
    count_kind(meter, datagram, to);
    meter.datagrams_out.add(1);
    meter.wire_out_bytes.add(length as u64);
    meter.socket_out_bytes.add(length as u64);
    meter.add_packets(Packets::datagram_out(length as u64, IpHeader::of(to.ip())));
}

/// What carries no message is counted apart, as far as its outside tells what it is.
fn count_kind(meter: &Meter, datagram: &[u8], peer: SocketAddr) {
    let tally = match Carried::of(datagram) {
        Carried::Stun => &meter.stun_ip_bytes,
        Carried::Handshake => &meter.dtls_ip_bytes,
        Carried::Control => &meter.sctp_control_ip_bytes,
        Carried::Message => return,
    };
    tally.add(Packets::datagram_in(datagram.len() as u64, IpHeader::of(peer.ip())).ip_in_bytes);
}

/// What a datagram of a data channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// ICE's checks and keep-alives.
    Stun,
    /// DTLS that is not yet, or no more, application data.
    Handshake,
    /// SCTP's acknowledgements and heartbeats.
    Control,
    /// A message, or a part of one; acknowledgements may travel with it.
    Message,
}

/// Header, nonce and tag of a DTLS 1.2 record with AES-GCM (RFC 6347, section 4.1; RFC 5288, section 3).
const DTLS_RECORD_BYTES: usize = 13 + 8 + 16;

/// SCTP's common header, a chunk of DATA without its data, and the least message that is taken for one: 20 B, which
/// leaves room for the gaps that a lone acknowledgement lists (RFC 9260, sections 3.3.1 and 3.3.4).
const LEAST_DATA_BYTES: usize = 12 + 16 + 20;

impl Carried {
    /// STUN and DTLS share the socket and are told by their first byte (RFC 7983, section 7), and DTLS's records by theirs
    /// (RFC 6347, section 4.1). What lies within is encrypted: a datagram too short for a message has none.
    fn of(datagram: &[u8]) -> Carried {
        match datagram.first() {
            Some(0..4) => Carried::Stun,
            Some(20..=22 | 24..=26) => Carried::Handshake,
            _ if datagram.len() < DTLS_RECORD_BYTES + LEAST_DATA_BYTES => Carried::Control,
            _ => Carried::Message,
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

    /// Whatever comes, each byte of it is counted once and its kind at most once.
    #[test]
    fn fuzz_datagrams() {
        let stun = [b"\0\x01\0\x08\x21\x12\xa4\x42".as_slice(), &[7; 12], b"\0\x06\0\x03a:b\0"].concat();
        let record = [b"\x17\xfe\xfd\0\x01\0\0\0\0\0\x01\0\x40".as_slice(), &[9; 64]].concat();
        let right: [&[u8]; 4] = [&stun, &record, b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\0", b""];
        crate::fuzz::fuzz(&right, |input, _| {
            let meter = Meter::default();
            count_in(&meter, SocketAddr::from(([127, 0, 0, 1], 9)), input);
            let length = input.len() as u64;
            assert_eq!((meter.datagrams_in.get(), meter.wire_in_bytes.get()), (1, length));
            let apart = [&meter.stun_ip_bytes, &meter.dtls_ip_bytes, &meter.sctp_control_ip_bytes];
            let apart: u64 = apart.iter().map(|tally| tally.get()).sum();
            assert!(apart == 0 || apart == length + 28, "{apart} of {length}");
            assert_eq!(meter.packets().ip_in_bytes, length + 28);
        });
    }

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
