//! Buffers that all connections of a thread share.
//!
//! A worker is one thread and a read is handled before the next begins, so that thousands of idle connections
//! need no buffer of their own.

use std::cell::Cell;

/// Size of the buffer in bytes: larger than a burst of small messages, smaller than a core's first cache.
const BYTES: usize = 16 * 1024;

thread_local! {
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer to `f`. Its contents are whatever the last user left.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; BYTES].into_boxed_slice());
    let result = f(&mut buffer);
    // Not `set`, which looks again for whether there is one.
    BUFFER.with(|place| place.set(Some(buffer)));
    result
}

/// Lends an empty buffer of the thread's to `f`, for a text that is put together.
pub(crate) fn with_text<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut text = TEXT.take();
    text.clear();
    let result = f(&mut text);
    TEXT.set(text);
    result
}
