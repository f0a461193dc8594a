//! A connection as the protocols see it, and how it is made and ended.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::counted::Counted;
use super::link::{Link, Linked};
use super::meter::Meter;
use super::scratch;
use super::socket::Socket;
use super::target::Target;
use super::tls::Secured;
use crate::failure::{Failure, Phase};

/// What is needed to connect, for one client and one purpose.
#[derive(Clone, Debug)]
pub struct Dialer {
    target: Rc<Target>,
    source: Option<IpAddr>,
    meter: Rc<Meter>,
    /// Boxed, as nearly all have none.
    link: Option<Box<Link>>,
}

impl Dialer {
    /// Connections from `source` (or wherever the system likes) to `address`, plain, counted in `meter`.
    pub fn new(address: SocketAddr, source: Option<IpAddr>, meter: Rc<Meter>) -> Dialer {
        let target = Target { address, tls: None, host: address.to_string(), headers: String::new() };
        Dialer::towards(Rc::new(target), source, meter)
    }

    /// Connections from `source` to `target`, counted in `meter`.
    pub fn towards(target: Rc<Target>, source: Option<IpAddr>, meter: Rc<Meter>) -> Dialer {
        Dialer { target, source, meter, link: None }
    }

    /// The same connections behind an emulated link.
    pub fn behind(self, link: Option<&Link>) -> Dialer {
        Dialer { link: link.map(|link| Box::new(link.fork())), ..self }
    }

    /// Who it connects to.
    pub fn target(&self) -> &Target {
        &self.target
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
        let socket = Socket::new(socket, self.target.address.ip(), self.meter.clone());
        let socket = Linked::new(socket, self.link.as_deref());
        Ok(match &self.target.tls {
            None => Stream::Plain(Counted::new(socket, self.meter.clone())),
            Some(tls) => Stream::Tls(Counted::new(tls.over(socket), self.meter.clone())),
        })
    }

    fn connecting_socket(&self) -> io::Result<TcpStream> {
        let address = self.target.address;
        let socket = unblocked_socket(Domain::for_address(address))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = self.source {
            bind_address_no_port(&socket)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e),
            _ => {}
        }
        TcpStream::from_std(socket.into())
    }
}

/// A TCP socket that blocks on nothing, in one system call: a fresh connection for every poll makes many.
#[cfg(target_os = "linux")]
fn unblocked_socket(domain: Domain) -> io::Result<socket2::Socket> {
    let kind = Type::from(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    socket2::Socket::new(domain, kind, Some(Protocol::TCP))
}

#[cfg(not(target_os = "linux"))]
fn unblocked_socket(domain: Domain) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Puts off choosing the port until `connect`, where one is free if it is free towards that peer: a bound address
/// otherwise takes a port away from all peers.
#[cfg(target_os = "linux")]
fn bind_address_no_port(socket: &socket2::Socket) -> io::Result<()> {
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
fn bind_address_no_port(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// A connection, one variant for each stack of layers that it may stand on.
///
/// Every connection ends when its `Stream` is dropped. In good order [`Stream::poll_end`] comes before, and then
/// both ends have said FIN and the socket is still open: the place to ask the system what it cost.
pub enum Stream {
    /// Bytes go to the socket as they are.
    Plain(Counted<Linked<Socket>>),
    /// Bytes are encrypted in between.
    Tls(Counted<Secured>),
}

impl Stream {
    /// Ready, once, when bytes can flow.
    ///
    /// # Errors
    /// Of phase `Connect` or `Tls`.
    pub fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Stream::Plain(stream) => {
                stream.inner().poll_connected(cx).map_err(|e| Failure::io(Phase::Connect, &e))
            }
            Stream::Tls(stream) => stream.inner().poll_connected(cx),
        }
    }

    /// Where it is counted.
    pub(super) fn meter(&self) -> &Meter {
        match self {
            Stream::Plain(stream) => stream.meter(),
            Stream::Tls(stream) => stream.meter(),
        }
    }

    /// [`Stream::poll_end`] where the peer's end has been read already.
    ///
    /// # Errors
    /// As there.
    pub(super) fn poll_end_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => poll_end_secured(stream, cx),
        }
    }

    /// Says FIN and waits for the peer's; what still arrives before that is counted and thrown away.
    ///
    /// # Errors
    /// The connection did not end in good order. It has ended all the same.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => {
                // Saying it again does no harm, so no state is needed.
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                poll_drain(stream, cx)
            }
            Stream::Tls(stream) => poll_end_secured(stream, cx),
        }
    }
}

/// Reads to the peer's end and throws away what comes before it.
fn poll_drain(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    scratch::with(|buffer| {
        loop {
            let mut buf = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    })
}

fn poll_end_secured(stream: &mut Counted<Secured>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    // A peer that has ended reads no more, and would answer an alert with a reset. It gets our FIN alone.
    if poll_drain(stream, cx).is_pending() {
        ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        return Poll::Pending;
    }
    let Some(socket) = stream.inner().socket() else { return Poll::Ready(Ok(())) };
    ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
    poll_drain(socket, cx)
}

/// The same with whatever the stream stands on.
macro_rules! on_each {
    ($stream:expr, $layers:ident => $what:expr) => {
        match $stream {
            Stream::Plain($layers) => $what,
            Stream::Tls($layers) => $what,
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), layers => Pin::new(layers).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), layers => Pin::new(layers).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), layers => Pin::new(layers).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on_each!(self, layers => layers.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), layers => Pin::new(layers).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), layers => Pin::new(layers).poll_shutdown(cx))
    }
}
