//! The worker's end of the pipes to its coordinator.

use std::cell::Cell;
use std::io::{BufRead, Write};

use anyhow::{Result, bail};
use tokio::sync::mpsc;

use crate::fleet::message::{FromWorker, ToWorker};

/// The coordinator's messages. A thread of its own reads them, because a pipe cannot be polled everywhere.
pub(super) fn read_lines() -> mpsc::UnboundedReceiver<ToWorker> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(message) = serde_json::from_str(&line) else { break };
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    receiver
}

pub(super) fn say(message: &FromWorker) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // A coordinator that is gone closes our input too, which ends us.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Feeds the worker's orders; returns when told to stop.
pub(super) async fn listen(inbox: &mut mpsc::UnboundedReceiver<ToWorker>, orders: &Orders) -> Result<bool> {
    loop {
        match inbox.recv().await {
            None => bail!("the coordinator is gone"),
            Some(ToWorker::Stop) => return Ok(true),
            Some(ToWorker::Go { start_ns }) => orders.start_ns.set(Some(start_ns)),
            Some(ToWorker::Announce { streams }) => orders.announced.set(Some(streams)),
            Some(ToWorker::Start(_)) => bail!("told to start twice"),
        }
        orders.changed.notify_one();
    }
}

/// What the coordinator has said so far.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) start_ns: Cell<Option<u64>>,
    pub(super) announced: Cell<Option<Vec<(u32, u32)>>>,
    changed: tokio::sync::Notify,
}

impl Orders {
    /// Waits until it has said so.
    pub(super) async fn wait<T>(&self, said: impl Fn(&Orders) -> Option<T>) -> T {
        loop {
            if let Some(value) = said(self) {
                return value;
            }
            self.changed.notified().await;
        }
    }
}
