//! The lowest layer: a TCP socket, with its bytes and, through the kernel, its packets added to a [`Meter`].

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::budget;
use super::meter::{Meter, Place};
use super::packets::{IpHeader, mtu_1500_extra_segments};

/// A counted TCP socket. Dropping it is what reads its cost for the last time.
pub struct Socket {
    stream: TcpStream,
    meter: Rc<Meter>,
    place: Place,
    /// Bytes read since there was last nothing to read or something to write: about what the peer sent in one go,
    /// however small the pieces in which the protocol takes it.
    burst_bytes: u64,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, peer: IpAddr, meter: Rc<Meter>) -> Socket {
        let place = meter.open(stream.as_raw_fd(), IpHeader::of(peer));
        Socket { stream, meter, place, burst_bytes: 0 }
    }

    /// Ready, once, when the connection is made or refused.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream.poll_write_ready(cx))?;
        if let Some(error) = self.stream.take_error()? {
            return Poll::Ready(Err(error));
        }
        self.meter.connections.add(1);
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn read(&mut self, bytes: u64) {
        self.meter.socket_in_bytes.add(bytes);
        let before = mtu_1500_extra_segments(self.burst_bytes);
        self.burst_bytes += bytes;
        self.meter.mtu_1500_extra_in.add(mtu_1500_extra_segments(self.burst_bytes) - before);
    }

    #[inline]
    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.burst_bytes = 0;
        if let Poll::Ready(Ok(bytes)) = result {
            self.meter.socket_out_bytes.add(bytes as u64);
            self.meter.mtu_1500_extra_out.add(mtu_1500_extra_segments(bytes as u64));
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.meter.close(&self.place);
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(budget::spend(cx));
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match read {
            Poll::Pending => self.burst_bytes = 0,
            Poll::Ready(_) => self.read((buf.filled().len() - before) as u64),
        }
        read
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // There is nearly always room, and then no waker is needed.
        let result = match self.stream.try_write(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Pin::new(&mut self.stream).poll_write(cx, buf),
            result => Poll::Ready(result),
        };
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
