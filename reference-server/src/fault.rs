//! Where an event enters the hub from outside, and the defects that can be given to that entrance.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Faults;
use crate::hub::Hub;

/// The one way in.
pub(crate) struct Inlet {
    hub: Arc<Hub>,
    faults: Faults,
    /// Events that came in, from 1.
    entered: AtomicU64,
    /// Events that wait for the next one of their topic, to come after it.
    swapped: Mutex<HashMap<Box<str>, Entry>>,
    delayed: Option<mpsc::Sender<(Instant, Entry)>>,
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
        let (entered, swapped) = Default::default();
        Ok(Inlet { hub: hub.clone(), faults: faults.clone(), entered, swapped, delayed })
    }

    /// An event comes in.
    pub(crate) fn enter(&self, topic: &str, payload: Bytes, binary: bool) {
        let number = self.entered.fetch_add(1, Relaxed) + 1;
        let hits = |one_in: Option<u64>| one_in.is_some_and(|n| n > 0 && number.is_multiple_of(n));
        if hits(self.faults.drop_one_in) {
            return;
        }
        let Faults { duplicate_one_in, swap_one_in, .. } = self.faults;
        if duplicate_one_in.is_none() && swap_one_in.is_none() && self.delayed.is_none() {
            self.hub.publish(topic, payload, binary);
            return;
        }
        let entry = Entry { topic: topic.into(), payload, binary };
        if hits(duplicate_one_in) {
            self.pass(entry.clone());
        }
        if swap_one_in.is_none() {
            self.pass(entry);
            return;
        }
        let mut swapped = self.swapped.lock().unwrap_or_else(PoisonError::into_inner);
        match swapped.remove(topic) {
            Some(earlier) => {
                self.pass(entry);
                self.pass(earlier);
            }
            None if hits(swap_one_in) => drop(swapped.insert(topic.into(), entry)),
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

fn publish(hub: &Hub, Entry { topic, payload, binary }: Entry) {
    hub.publish(&topic, payload, binary);
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

/// Burns CPU for `time`.
pub(crate) fn spin(time: Duration) {
    if !time.is_zero() {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
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
