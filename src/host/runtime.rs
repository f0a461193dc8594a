//! The event loop of a process on a message's path: a worker or a server.

use tokio::runtime::Builder;

/// Readable sockets that are taken from the system at once: few enough that what the kernel has just touched of them is
/// still in the cache when they are read.
pub const EVENTS_AT_ONCE: usize = 128;

/// Tasks that run before the system is asked again while there are more: all that so many events can have woken. (A worker's
/// clients are one task, which counts by itself.)
const TASKS_BETWEEN: u32 = 2 * EVENTS_AT_ONCE as u32;

/// Builds an event loop of one thread.
pub fn builder() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.max_io_events_per_tick(EVENTS_AT_ONCE).event_interval(TASKS_BETWEEN).enable_all();
    builder
}
