//! The worker's end of the pipes to its coordinator.

use std::cell::Cell;
use std::io::Write;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;

use crate::fleet::message::{FromWorker, ToWorker};
use crate::host::input;

/// The coordinator's messages.
pub(super) struct Inbox(Lines<BufReader<Receiver>>);

impl Inbox {
    /// That of this process.
    pub(super) fn open() -> Result<Inbox> {
        let pipe = input::pipe().context("a worker is started by its coordinator, over pipes")?;
        Ok(Inbox(BufReader::new(pipe).lines()))
    }

    /// The next one; `None` if the coordinator is gone or says what nobody understands. May be cancelled.
    pub(super) async fn recv(&mut self) -> Option<ToWorker> {
        let line = self.0.next_line().await.ok().flatten()?;
        serde_json::from_str(&line).ok()
    }
}

pub(super) fn say(message: &FromWorker) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // A coordinator that is gone closes our input too, which ends us.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Feeds the worker's orders; returns when told to stop.
pub(super) async fn listen(inbox: &mut Inbox, orders: &Orders) -> Result<bool> {
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
