//! Large buffers of events, counted for as long as anybody has them: the history, or a client that does not read.

use std::sync::Arc;

use bytes::Bytes;

use crate::stats::Stats;

/// Smaller ones are not worth a counter of their own.
const LARGE_BYTES: usize = 16 * 1024;

struct Counted {
    bytes: Vec<u8>,
    stats: Arc<Stats>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.event_bytes.sub(self.bytes.len() as u64);
    }
}

/// To share, and counted if it is large.
pub(crate) fn counted(bytes: Vec<u8>, stats: &Arc<Stats>) -> Bytes {
    if bytes.len() < LARGE_BYTES {
        return bytes.into();
    }
    stats.event_bytes.add(bytes.len() as u64);
    Bytes::from_owner(Counted { bytes, stats: stats.clone() })
}
