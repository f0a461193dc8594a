//! What is said to people. Nothing that prints may end a measurement or hold one up: whoever closed standard error does not want
//! to know, a full disk behind it is no fault of the run, and a terminal that stands still must not delay what is read in time.
//!
//! Standard error belongs to a thread of its own, which does what is asked of it in order. Standard output is written where a
//! command has come to its end, and there an error counts.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// What may wait to be said; beyond that it is left out, as nobody is reading.
const MOST_WAITING: usize = 1024;

/// How long a reader of standard error that stands still is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something to be done where standard error is written.
type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread that writes standard error, once there is something to say; `None` if the system gives no thread.
static SPEAKER: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();

fn speaker() -> Option<&'static SyncSender<Job>> {
    let begin = || {
        let (sender, jobs) = sync_channel::<Job>(MOST_WAITING);
        let speak = move || jobs.into_iter().for_each(|job| job());
        thread::Builder::new().name("speaker".to_owned()).spawn(speak).ok().map(|_| sender)
    };
    SPEAKER.get_or_init(begin).as_ref()
}

/// Does something where standard error is written, behind what was asked for before.
pub fn act(job: impl FnOnce() + Send + 'static) {
    match speaker() {
        // Full: whoever reads stands still.
        Some(speaker) => drop(speaker.try_send(Box::new(job))),
        None => job(),
    }
}

/// Says a line on standard error.
pub fn line(text: impl Into<String>) {
    let line = text.into() + "\n";
    act(move || drop(io::stderr().lock().write_all(line.as_bytes())));
}

/// Waits until everything has been said, or nobody listens.
pub fn wait() {
    if SPEAKER.get().is_none() {
        return;
    }
    let (done, said) = sync_channel(1);
    act(move || {
        let _ = done.send(());
    });
    // If the job was left out, its end of the channel is gone and this returns at once.
    let _ = said.recv_timeout(PATIENCE);
}

/// Writes to standard output, behind what was said on standard error. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// It cannot be written.
pub fn out(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    wait();
    let mut out = io::stdout().lock();
    let written = write(&mut out).and_then(|()| out.flush());
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}
