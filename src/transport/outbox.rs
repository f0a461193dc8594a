//! What waits to be written: bytes that a stream did not take at once. It owns nothing while nothing waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::stream::Stream;

/// The bytes of one stream that could not be written at once.
#[derive(Default)]
pub(crate) struct Outbox(Option<Box<Queue>>);

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How much waits.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes.len())
    }

    /// Puts bytes behind what waits. None are enough for the layers below to be asked again whether they hold something back.
    pub(crate) fn put_off(&mut self, bytes: &[u8]) {
        self.0.get_or_insert_default().bytes.extend_from_slice(bytes);
    }

    /// Writes `bytes`, or takes the part that could not be written; nothing may wait before them. Pending, it has taken nothing.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        bytes: &[u8],
    ) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(stream).poll_write(cx, bytes))?;
        if written < bytes.len() {
            self.put_off(&bytes[written..]);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when nothing waits any more, here or in the layers below.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        if let Some(queue) = &mut self.0 {
            while queue.written < queue.bytes.len() {
                match ready!(Pin::new(&mut *stream).poll_write(cx, &queue.bytes[queue.written..]))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => queue.written += written,
                }
            }
        }
        // Until the layers below have let go of it, too, there is something to flush.
        let flushed = ready!(Pin::new(stream).poll_flush(cx));
        self.0 = None;
        Poll::Ready(flushed)
    }

    /// What follows a message that was written: goes on as far as it can, and is asked again if the layers below hold some back.
    #[inline]
    pub(crate) fn flush_behind(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> io::Result<()> {
        match self.poll_flush(cx, stream) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => {
                self.put_off(&[]);
                Ok(())
            }
        }
    }
}
