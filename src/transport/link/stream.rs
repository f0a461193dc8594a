//! A byte stream behind a link.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Link;
use super::model::{TcpLane, handshake_ns};
use crate::host::clock::monotonic_ns;
use crate::host::timer::Alarm;
use crate::transport::socket::Socket;

/// Any stream, behind a link or behind none.
///
/// Behind a link it behaves as a socket does: writing is ready when the bytes are under way, and shutting down when
/// FIN is behind them. They go on with every call of any method, and the link wakes who called when there is something
/// to do, so one must use it, with one waker, and must keep polling it. Dropping it throws away what is under way.
pub struct Linked<S> {
    inner: S,
    path: Option<Box<Path>>,
}

/// Both directions.
struct Path {
    /// When the handshake is over.
    connected_ns: u64,
    out: TcpLane,
    back: TcpLane,
    /// Each direction waits for itself: reading must not forget what writing waits for.
    out_alarm: Alarm,
    back_alarm: Alarm,
    /// FIN was handed to the stream below.
    shut: bool,
    write_error: Option<io::Error>,
    /// Why reading ended, if not in good order.
    read_error: Option<io::Error>,
}

impl<S> Linked<S> {
    /// `inner`, which has just begun to connect, behind `link`.
    pub(in crate::transport) fn new(inner: S, link: Option<&Link>) -> Linked<S> {
        let path = link.map(|link| {
            Box::new(Path {
                connected_ns: monotonic_ns() + handshake_ns(&link.spec, link.seed()),
                out: TcpLane::new(&link.spec, link.seed()),
                back: TcpLane::new(&link.spec, link.seed()),
                out_alarm: link.timer.alarm(),
                back_alarm: link.timer.alarm(),
                shut: false,
                write_error: None,
                read_error: None,
            })
        });
        Linked { inner, path }
    }

    /// Ready when TCP's handshake would be over on the link alone.
    pub(in crate::transport) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.path {
            Some(path) if monotonic_ns() < path.connected_ns => {
                path.back_alarm.poll_until(cx, path.connected_ns)
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Linked<Socket> {
    /// Ready, once, when the connection is made or refused, which is no sooner known than the link lets it be.
    pub(in crate::transport) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(cx));
        self.inner.poll_connected(cx)
    }
}

impl Path {
    /// Hands on what has come through, and sees to being called when there is more.
    fn drive<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, inner: &mut S) {
        loop {
            // When both have ended, this is dropped next: the kernel is to have FIN before it is asked for its packets.
            let both_ended = self.back.is_over() && self.out.is_ending();
            let now_ns = if both_ended { u64::MAX } else { monotonic_ns() };
            // A full socket wakes the task by itself.
            if self.hand_on(cx, inner, now_ns).is_pending() {
                return;
            }
            let Some(next_ns) = self.out.next_ns() else { return };
            if self.out_alarm.poll_until(cx, next_ns).is_pending() {
                return;
            }
        }
    }

    /// Pending if the stream below takes no more.
    fn hand_on<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        now_ns: u64,
    ) -> Poll<()> {
        loop {
            let ready = self.out.ready(now_ns);
            if ready.is_empty() {
                break;
            }
            let count = ready.len();
            match ready!(Pin::new(&mut *inner).poll_write(cx, ready)) {
                Ok(written) => self.out.take(written),
                Err(error) => {
                    self.write_error = Some(error);
                    self.out.take(count);
                }
            }
        }
        if self.out.is_over() && !self.shut {
            let ended = ready!(Pin::new(&mut *inner).poll_shutdown(cx));
            self.shut = true;
            self.write_error = ended.err().or(self.write_error.take());
        }
        Poll::Ready(())
    }

    /// Takes in what the stream below has. `buf` is borrowed for it and comes back as it was.
    fn take_in<S: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, inner: &mut S, buf: &mut ReadBuf<'_>) {
        let filled = buf.filled().len();
        let now_ns = monotonic_ns();
        while self.back.room() > 0 && !self.back.is_ending() {
            match Pin::new(&mut *inner).poll_read(cx, buf) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if buf.filled().len() > filled => {
                    self.back.push(now_ns, &buf.filled()[filled..]);
                    buf.set_filled(filled);
                }
                Poll::Ready(result) => {
                    self.read_error = result.err();
                    self.back.push_end(now_ns);
                }
            }
        }
    }

    /// Gives what has come back; ready without any at the end.
    fn poll_back(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let ready = self.back.ready(monotonic_ns());
            let count = ready.len().min(buf.remaining());
            if count > 0 {
                buf.put_slice(&ready[..count]);
                self.back.take(count);
                return Poll::Ready(Ok(()));
            }
            if self.back.is_over() {
                return Poll::Ready(self.read_error.take().map_or(Ok(()), Err));
            }
            let Some(next_ns) = self.back.next_ns() else { return Poll::Pending };
            ready!(self.back_alarm.poll_until(cx, next_ns));
        }
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.drive(cx, inner);
        if let Some(error) = self.write_error.take() {
            return Poll::Ready(Err(error));
        }
        if self.out.is_ending() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (now_ns, mut written) = (monotonic_ns(), 0);
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        for buf in bufs {
            let count = buf.len().min(self.out.room());
            self.out.push(now_ns, &buf[..count]);
            written += count;
        }
        if written == 0 && wanted > 0 {
            return Poll::Pending;
        }
        self.drive(cx, inner);
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Linked<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Linked { inner, path } = self.get_mut();
        let Some(path) = path else { return Pin::new(inner).poll_read(cx, buf) };
        path.drive(cx, inner);
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        path.take_in(cx, inner, buf);
        let result = path.poll_back(cx, buf);
        if path.back.is_over() {
            path.drive(cx, inner);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Linked<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Linked { inner, path } = self.get_mut();
        match path {
            Some(path) => path.poll_write(cx, inner, &[IoSlice::new(buf)]),
            None => Pin::new(inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Linked { inner, path } = self.get_mut();
        match path {
            Some(path) => path.poll_write(cx, inner, bufs),
            None => Pin::new(inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.path.is_some() || self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Linked { inner, path } = self.get_mut();
        let Some(path) = path else { return Pin::new(inner).poll_flush(cx) };
        path.drive(cx, inner);
        Poll::Ready(path.write_error.take().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Linked { inner, path } = self.get_mut();
        let Some(path) = path else { return Pin::new(inner).poll_shutdown(cx) };
        path.out.push_end(monotonic_ns());
        path.drive(cx, inner);
        Poll::Ready(path.write_error.take().map_or(Ok(()), Err))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
