//! The bytes of one accepted connection. An idle one owns no buffer: whatever is read lands in one buffer of the thread,
//! and only what cannot be used at once, or cannot be written at once, is kept.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::connection::{Connection, Order};
use crate::turn::{PIECE, READ, WRITE};

/// Most that is read in one go.
pub(crate) const INPUT_BYTES: usize = 64 * 1024;

/// A reader's own buffer of this size is read into without the detour over the thread's.
const DIRECT_BYTES: usize = 4096;

/// Most that is written in one go, so that a large message is no long turn.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Pieces that wait to be written before no more are taken: one of two bytes needs as much memory as one of fifty.
const UNSENT_PIECES: usize = 256;

/// Most pieces in one write.
const PIECES: usize = 64;

thread_local! {
    static INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's input buffer. Its content is whatever was read last.
pub(crate) fn with_input<T>(lend: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut input = INPUT.take();
    input.resize(INPUT_BYTES, 0);
    let result = lend(&mut input);
    INPUT.set(input);
    result
}

/// What HTTP is spoken over.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed, because its state is large and most have none.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// Calls a method of whichever stream it is.
macro_rules! each {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream {
            Stream::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Stream::Tls(tls) => Pin::new(&mut **tls).$method($($argument),*),
        }
    };
}

/// A connection's stream: counts its bytes, and resets it if the connection was cut. Whatever holds it in the end,
/// dropping it is enough.
pub(crate) struct Wire {
    stream: Stream,
    connection: Arc<Connection>,
    /// Read, and not yet used.
    pub(crate) unread: Bytes,
    /// Accepted for writing, and not yet written.
    unsent: VecDeque<Bytes>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.current() == Order::Cut {
            // Closing resets then. If it fails, the client sees an end without a reset, which is a cut as well.
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl Wire {
    pub(crate) fn new(stream: Stream, connection: Arc<Connection>) -> Wire {
        Wire { stream, connection, unread: Bytes::new(), unsent: VecDeque::new() }
    }

    /// Whose stream it is.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Reads what the client sends behind what is unread; 0 at the end.
    pub(crate) fn poll_input(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut input = ReadBuf::new(input);
        ready!(self.poll_stream(cx, &mut input))?;
        Poll::Ready(Ok(input.filled().len()))
    }

    #[inline]
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.connection.may_go_on() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(each!(&mut self.stream, poll_read(cx, buf)))?;
        let bytes = buf.filled().len() - before;
        self.connection.turn().spend(READ + bytes);
        self.connection.stats().received_bytes.add(bytes as u64);
        Poll::Ready(Ok(()))
    }

    /// Writes, or keeps what cannot be written. Call `poll_drain` afterwards, and before much more is sent.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let written = match self.unsent.is_empty() {
            true => self.write(cx, bytes)?,
            false => 0,
        };
        if written < bytes.len() {
            self.unsent.push_back(Bytes::copy_from_slice(&bytes[written..]));
        }
        Ok(())
    }

    /// The same for bytes that others send, too. Nothing is left in `pieces`.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn send_shared(&mut self, cx: &mut Context<'_>, pieces: &mut Vec<Bytes>) -> io::Result<()> {
        let mut written = 0;
        let mut result = Ok(());
        while self.unsent.is_empty() && written < pieces.len() {
            match self.write_pieces(cx, &mut pieces[written..]) {
                Ok((_, true)) => break,
                Ok((done, false)) => written += done,
                Err(error) => {
                    // A connection that is broken keeps nothing.
                    (written, result) = (pieces.len(), Err(error));
                }
            }
        }
        self.unsent.extend(pieces.drain(..).skip(written));
        result
    }

    /// Ready once everything sent is written.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let mut unsent = std::mem::take(&mut self.unsent);
            let result = self.write_pieces(cx, unsent.make_contiguous());
            let (done, blocked) = *result.as_ref().unwrap_or(&(0, true));
            unsent.drain(..done);
            // A queue that was emptied gives its memory back.
            if !unsent.is_empty() {
                self.unsent = unsent;
            }
            result?;
            if blocked {
                return Poll::Pending;
            }
        }
        each!(&mut self.stream, poll_flush(cx))
    }

    /// Whether at least so many bytes wait to be written, or very many pieces; `poll_drain` waits for it.
    pub(crate) fn is_full(&self, bytes: usize) -> bool {
        self.unsent.len() >= UNSENT_PIECES || self.unsent_bytes() >= bytes
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.iter().map(Bytes::len).sum()
    }

    /// As much as can be written now.
    #[inline]
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        if !self.connection.may_go_on() {
            return Ok(0);
        }
        let result = each!(&mut self.stream, poll_write(cx, &bytes[..bytes.len().min(OUTPUT_BYTES)]));
        self.written(result)
    }

    /// Writes pieces from the front. Gives how many are done with, and whether the stream takes no more; a piece that
    /// was written in part is cut to its rest.
    fn write_pieces(&mut self, cx: &mut Context<'_>, pieces: &mut [Bytes]) -> io::Result<(usize, bool)> {
        let mut written = match pieces {
            [only] => self.write(cx, only)?,
            _ if !self.connection.may_go_on() => 0,
            _ => {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut room = OUTPUT_BYTES;
                for (slice, piece) in slices.iter_mut().zip(&*pieces) {
                    let bytes = piece.len().min(room);
                    room -= bytes;
                    *slice = IoSlice::new(&piece[..bytes]);
                }
                let slices = &slices[..pieces.len().min(PIECES)];
                let result = each!(&mut self.stream, poll_write_vectored(cx, slices));
                self.written(result)?
            }
        };
        let blocked = written == 0;
        let mut done = 0;
        while let Some(piece) = pieces.get_mut(done)
            && piece.len() <= written
        {
            written -= piece.len();
            done += 1;
        }
        if written > 0 {
            pieces[done].advance(written);
        }
        Ok((done, blocked))
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> io::Result<usize> {
        match result {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(bytes)) => {
                self.connection.turn().spend(WRITE + bytes);
                self.connection.stats().sent_bytes.add(bytes as u64);
                Ok(bytes)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(0),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.unread.is_empty() && buf.remaining() >= DIRECT_BYTES {
            return this.poll_stream(cx, buf);
        }
        if !this.unread.is_empty() {
            if !this.connection.may_go_on() {
                return Poll::Pending;
            }
            let bytes = this.unread.len().min(buf.remaining());
            this.connection.turn().spend(PIECE + bytes);
            buf.put_slice(&this.unread.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        with_input(|input| {
            let bytes = ready!(this.poll_input(cx, input))?;
            let (now, later) = input[..bytes].split_at(bytes.min(buf.remaining()));
            buf.put_slice(now);
            this.unread = Bytes::copy_from_slice(later);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.write(cx, buf)? {
            0 => Poll::Pending,
            bytes => Poll::Ready(Ok(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        if !self.connection.may_go_on() {
            return Poll::Pending;
        }
        let result = each!(&mut self.stream, poll_write_vectored(cx, bufs));
        match self.written(result)? {
            0 => Poll::Pending,
            bytes => Poll::Ready(Ok(bytes)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        each!(&mut self.stream, poll_shutdown(cx))
    }
}
