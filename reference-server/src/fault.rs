//! Where a message enters the hub from outside, and what can happen to it there by fault.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Faults;
use crate::app::Refusal;
use crate::hub::Hub;

/// The one way in.
pub(crate) struct Inlet {
    hub: Arc<Hub>,
    faults: Faults,
    /// Whether anything happens to messages here.
    faulty: bool,
    /// Messages that came in, from 1.
    entered: AtomicU64,
    /// Events that wait for the next one of their topic, to come after it.
    swapped: Mutex<HashMap<Box<str>, Entry>>,
    delayed: Option<mpsc::Sender<(Instant, Entry)>>,
    /// Topics of single clients given out so far.
    own_topics: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    topic: Box<str>,
    payload: Bytes,
    binary: bool,
}

impl Inlet {
    /// An entrance to `hub`.
    ///
    /// # Errors
    /// If a delay is asked for and no thread can be had for it.
    pub(crate) fn new(hub: &Arc<Hub>, faults: &Faults) -> io::Result<Inlet> {
        let delayed = (!faults.delay.is_zero()).then(|| delay_line(hub.clone())).transpose()?;
        let Faults { drop_one_in, duplicate_one_in, swap_one_in, corrupt_one_in, reject_one_in, .. } =
            *faults;
        let counted = [drop_one_in, duplicate_one_in, swap_one_in, corrupt_one_in, reject_one_in];
        let faulty = delayed.is_some() || counted.iter().any(Option::is_some);
        let (entered, swapped, own_topics) = Default::default();
        Ok(Inlet { hub: hub.clone(), faults: faults.clone(), faulty, entered, swapped, delayed, own_topics })
    }

    /// The topic that a client's messages take back to it, where a fault is to happen to them on the way. No client can
    /// name it.
    pub(crate) fn detour(&self) -> Option<Box<str>> {
        let detour = self.faulty || self.faults.cut_after.is_some();
        detour.then(|| format!("#{}", self.own_topics.fetch_add(1, Relaxed)).into())
    }

    /// A message comes in.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) fn enter(&self, topic: &str, payload: Bytes, binary: bool) -> Result<(), Refusal> {
        if !self.faulty {
            return self.hub.publish(topic, payload, binary).map(drop).map_err(|_| Refusal::Topics);
        }
        let number = self.entered.fetch_add(1, Relaxed) + 1;
        let hits = |one_in: Option<u64>| one_in.is_some_and(|n| n > 0 && number.is_multiple_of(n));
        if hits(self.faults.reject_one_in) {
            return Err(Refusal::Fault);
        }
        if hits(self.faults.drop_one_in) {
            return Ok(());
        }
        let payload = if hits(self.faults.corrupt_one_in) { corrupted(&payload, binary) } else { payload };
        let entry = Entry { topic: topic.into(), payload, binary };
        if hits(self.faults.duplicate_one_in) {
            self.pass(entry.clone());
        }
        match self.faults.swap_one_in {
            None => self.pass(entry),
            one_in => self.swap(entry, hits(one_in)),
        }
        Ok(())
    }

    /// Passes an entry, and behind it the one that waited for it; or lets it wait.
    fn swap(&self, entry: Entry, waits: bool) {
        let mut swapped = self.swapped.lock().unwrap_or_else(PoisonError::into_inner);
        match swapped.remove(&entry.topic) {
            Some(earlier) => {
                self.pass(entry);
                self.pass(earlier);
            }
            None if waits => drop(swapped.insert(entry.topic.clone(), entry)),
            None => self.pass(entry),
        }
    }

    fn pass(&self, entry: Entry) {
        match &self.delayed {
            // The line lives as long as this sender.
            Some(line) => drop(line.send((Instant::now() + self.faults.delay, entry))),
            None => publish(&self.hub, entry),
        }
    }
}

/// The payload with one byte changed, near its middle. In a text it is a letter, a digit or a full stop that becomes
/// another character of one byte (a digit another digit), or else the last byte, so that it stays text.
fn corrupted(payload: &Bytes, binary: bool) -> Bytes {
    let mut bytes = payload.to_vec();
    let middle = bytes.len() / 2;
    let plain = |at: &usize| bytes[*at].is_ascii_alphanumeric() || bytes[*at] == b'.';
    let at = match binary {
        true => middle,
        false => (middle..bytes.len()).find(plain).unwrap_or(bytes.len().saturating_sub(1)),
    };
    if let Some(byte) = bytes.get_mut(at) {
        *byte = match *byte {
            b'9' => b'8',
            ascii if !binary && ascii.is_ascii_alphanumeric() => ascii + 1,
            other => other ^ 1,
        };
    }
    bytes.into()
}

fn publish(hub: &Hub, Entry { topic, payload, binary }: Entry) {
    // Nobody is left to be told that it was refused; it is counted.
    let _ = hub.publish(&topic, payload, binary);
}

/// Publishes each entry when it is due; all are delayed equally, so they are due in the order they are sent.
/// A thread of its own, because the runtime's timer is coarse by 1 ms and a sleep of the system by about 0.1 ms.
fn delay_line(hub: Arc<Hub>) -> io::Result<mpsc::Sender<(Instant, Entry)>> {
    let (sender, line) = mpsc::channel::<(Instant, Entry)>();
    thread::Builder::new().name("delay".into()).spawn(move || {
        for (due, entry) in line {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            publish(&hub, entry);
        }
    })?;
    Ok(sender)
}

/// From here on a burn is timed by what the thread used of a processor. Asking for that is a system call, which takes as long as
/// the shortest burns; these are over before another wants the processor.
const BY_CPU_TIME: Duration = Duration::from_micros(10);

/// Burns so much CPU time, however long that takes where others want the processor too.
pub(crate) fn spin(time: Duration) {
    if time.is_zero() {
        return;
    }
    match time < BY_CPU_TIME {
        true => {
            let end = Instant::now() + time;
            burn_until(|| Instant::now() >= end);
        }
        false => {
            let end = thread_cpu_time() + time;
            burn_until(|| thread_cpu_time() >= end);
        }
    }
}

fn burn_until(over: impl Fn() -> bool) {
    while !over() {
        std::hint::spin_loop();
    }
}

/// CPU time that this thread has used.
fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes one timespec where there is one. It fails for no clock that there is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Of `framing_bytes`, how many empty pongs (2 bytes each) go before the message with this number, counted from 0:
/// the sum over `n` messages is as close below `n * framing_bytes` as whole pongs allow.
pub(crate) fn pongs_before(message: u64, framing_bytes: usize) -> u64 {
    let bytes = framing_bytes as u64;
    (message + 1).wrapping_mul(bytes) / 2 - message.wrapping_mul(bytes) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_is_changed_and_text_stays_text() {
        for (text, changed) in
            [("abcdef", "abceef"), ("[1,2,99]", "[1,2,89]"), ("x,9\"]", "x,8\"]"), ("....", "../.")]
        {
            assert_eq!(corrupted(&Bytes::from(text), false), changed);
        }
        for text in ["\u{e9}\u{4e16}\u{1F600}", "\u{ffff}", "\u{d7ff}", "]", "\""] {
            let changed = corrupted(&Bytes::from(text), false);
            assert!(changed != text && std::str::from_utf8(&changed).is_ok(), "{text}: {changed:?}");
        }
        assert_eq!(corrupted(&Bytes::from_static(&[1, 2, 255]), true), [1, 3, 255][..]);
        assert_eq!(corrupted(&Bytes::new(), true), "");
    }

    #[test]
    fn pongs_add_up_to_the_bytes_asked_for() {
        for (framing_bytes, each) in
            [(0, [0, 0, 0, 0]), (1, [0, 1, 0, 1]), (2, [1, 1, 1, 1]), (5, [2, 3, 2, 3])]
        {
            assert_eq!(
                [0, 1, 2, 3].map(|message| pongs_before(message, framing_bytes)),
                each,
                "{framing_bytes}"
            );
        }
    }
}
