//! Standard input as a pipe that the event loop polls. Reading it in a thread of its own would cost every system call of
//! the process: the kernel counts a file in use, and the C library guards against cancellation, as soon as there are two.

use std::io;
use std::os::fd::AsFd;

use tokio::net::unix::pipe;

/// The pipe that somebody else writes to, or holds open for as long as this process is to live.
///
/// # Errors
/// Standard input is no pipe.
pub fn pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}
