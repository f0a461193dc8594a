//! The workers of a cell as the coordinator has them: started, spoken to, listened to, ended.

use std::time::Duration;

use anyhow::{Result, anyhow};
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::child::Process;
use super::cores::{Seat, Seats};
use super::message::{FromWorker, Share, ToWorker};
use crate::host::image::Image;
use crate::host::process;

/// How long workers that were told to stop may take to report.
const REPORT_PATIENCE: Duration = Duration::from_secs(8);

/// What each client adds to that: all of them look up once.
const REPORT_PER_CLIENT: Duration = Duration::from_micros(20);

/// The workers of a cell.
pub(super) struct Workers {
    pub(super) processes: Vec<Process>,
    /// What came of tying each.
    pub(super) seats: Vec<Seat>,
    inbox: mpsc::UnboundedReceiver<(usize, Option<FromWorker>)>,
    /// Who has reported.
    done: Vec<bool>,
}

impl Workers {
    pub(super) fn start(program: &Image, count: u32, seats: &Seats) -> Result<Workers> {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (mut processes, mut taken) = (Vec::new(), Vec::new());
        for index in 0..count as usize {
            let name = format!("worker {index}");
            let core = seats.worker(index);
            let (process, mut lines) = Process::start(name, program, &["worker".to_owned()], core)?;
            taken.push(Seat::of(core, process.tied));
            processes.push(process);
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let message = FromWorker::read(&line);
                    if sender.send((index, Some(message))).is_err() {
                        return;
                    }
                }
                let _ = sender.send((index, None));
            });
        }
        Ok(Workers { done: vec![false; processes.len()], processes, seats: taken, inbox })
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(|process| process.pid).collect()
    }

    pub(super) fn resident_bytes(&self) -> Option<u64> {
        self.processes.iter().map(|process| process::resident_bytes(process.pid)).sum()
    }

    pub(super) async fn say_all(&mut self, message: &ToWorker) -> Result<()> {
        for process in &mut self.processes {
            process.say(message).await?;
        }
        Ok(())
    }

    /// The next message of any worker; one that ends before it is done is an error.
    pub(super) async fn next(&mut self) -> Result<(usize, FromWorker)> {
        loop {
            let Some((index, message)) = self.inbox.recv().await else {
                return Err(anyhow!("no worker is left"));
            };
            match message {
                Some(FromWorker::Failed { reason }) => return Err(anyhow!("worker {index}: {reason}")),
                Some(message) => {
                    self.done[index] |= matches!(message, FromWorker::Done(_));
                    return Ok((index, message));
                }
                None if self.done[index] => {}
                None => return Err(anyhow!("{} in mid-run", self.processes[index].fell_silent().await)),
            }
        }
    }

    /// Tells everybody to stop and takes what those who still can have measured.
    pub(super) async fn stop_and_collect(&mut self, shares: &mut Vec<Share>, clients: u32) {
        // One that is dead does not listen; the others shall.
        join_all(self.processes.iter_mut().map(|process| process.say(&ToWorker::Stop))).await;
        let collect = async {
            let mut open = self.done.iter().filter(|&&done| !done).count();
            while open > 0 {
                match self.inbox.recv().await {
                    Some((index, Some(FromWorker::Done(share)))) => {
                        shares.push(*share);
                        self.done[index] = true;
                        open -= 1;
                    }
                    Some((index, None)) if !self.done[index] => {
                        self.done[index] = true;
                        open -= 1;
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = timeout(REPORT_PATIENCE + REPORT_PER_CLIENT * clients, collect).await;
    }

    /// Side by side: the patience with one that hangs is the patience with all.
    pub(super) async fn end(self) {
        join_all(self.processes.into_iter().map(Process::end)).await;
    }
}
