//! A connection as the protocols see it, and how it is made and ended.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::counted::Counted;
use super::link::{Link, Linked};
use super::meter::Meter;
use super::scratch;
use crate::protocol::{Failure, Phase, Seat};

/// What is needed to connect, for one client and one purpose.
#[derive(Clone, Debug)]
pub struct Dialer {
    address: SocketAddr,
    source: Option<IpAddr>,
    meter: Rc<Meter>,
    link: Option<Link>,
}

impl Dialer {
    /// Connections from `source` (or wherever the system likes) to `address`, counted in `meter`.
    pub fn new(address: SocketAddr, source: Option<IpAddr>, meter: Rc<Meter>) -> Dialer {
        Dialer { address, source, meter, link: None }
    }

    /// Connections of a client that receive, and what it sends on the same ones.
    pub fn receiving(seat: &Seat) -> Dialer {
        Dialer::new(seat.target.address, seat.source, seat.meter.clone()).behind(seat.link.as_ref())
    }

    /// Connections of a client that only publish.
    pub fn publishing(seat: &Seat) -> Dialer {
        Dialer::new(seat.target.address, seat.source, seat.publish_meter.clone()).behind(seat.link.as_ref())
    }

    /// The same connections behind an emulated link.
    pub fn behind(self, link: Option<&Link>) -> Dialer {
        Dialer { link: link.map(Link::fork), ..self }
    }

    /// Where its connections are counted.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Starts to connect. Call [`Stream::poll_connected`] before anything else.
    ///
    /// # Errors
    /// Of phase `Connect`: no descriptor or no port is free, or the system refused at once.
    pub fn dial(&self) -> Result<Stream, Failure> {
        let socket = self.connecting_socket().map_err(|e| Failure::io(Phase::Connect, &e))?;
        let socket = Linked::new(socket, self.link.as_ref());
        Ok(Stream::Plain(Counted::new(socket, self.meter.clone())))
    }

    fn connecting_socket(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = self.source {
            bind_address_no_port(&socket)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e),
            _ => {}
        }
        TcpStream::from_std(socket.into())
    }
}

/// Puts off choosing the port until `connect`, where one is free if it is free towards that peer: a bound address
/// otherwise takes a port away from all peers.
#[cfg(target_os = "linux")]
fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option reads one int, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn bind_address_no_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// A connection, one variant for each stack of layers that it may stand on.
///
/// Every connection ends when its `Stream` is dropped. In good order [`Stream::poll_end`] comes before, and then
/// both ends have said FIN and the socket is still open: the place to ask the system what it cost.
pub enum Stream {
    /// Bytes go to the socket as they are.
    Plain(Counted<Linked<TcpStream>>),
}

impl Stream {
    /// Ready, once, when bytes can flow.
    ///
    /// # Errors
    /// Of phase `Connect`.
    pub fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Stream::Plain(stream) = self;
        let socket = stream.inner().inner();
        let ready = ready!(socket.poll_write_ready(cx)).and_then(|()| socket.take_error());
        if let Some(error) = ready.transpose() {
            let error = error.unwrap_or_else(|e| e);
            return Poll::Ready(Err(Failure::io(Phase::Connect, &error)));
        }
        ready!(stream.inner_mut().poll_connected(cx));
        stream.opened();
        Poll::Ready(Ok(()))
    }

    /// Says FIN and waits for the peer's; what still arrives before that is counted and thrown away.
    ///
    /// # Errors
    /// The connection did not end in good order. It has ended all the same.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Saying it again does no harm, so no state is needed.
        ready!(Pin::new(&mut *self).poll_shutdown(cx))?;
        scratch::with(|buffer| {
            loop {
                let mut buf = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
                if buf.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
