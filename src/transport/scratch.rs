//! One read buffer for all connections of a thread.
//!
//! A worker is one thread and a read is handled before the next begins, so that thousands of idle connections
//! need no buffer of their own.

use std::cell::Cell;

/// Size of the buffer in bytes: larger than a burst of small messages, smaller than a core's first cache.
const BYTES: usize = 16 * 1024;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer to `f`. Its contents are whatever the last user left.
pub(crate) fn with<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; BYTES].into_boxed_slice());
    let result = f(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}
