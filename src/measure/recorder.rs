//! The recorder of one worker: every histogram and count of the hot path. One thread, so no lock, channel or atomic.

use std::collections::BTreeMap;
use std::ops::Range;

use reference_server::envelope::Envelope;
use serde::{Deserialize, Serialize};

use super::cell::{Counts, Distribution, FailureCount, Interval};
use super::delivery::Arrival;
use super::spread::Spreads;
use super::timings::Samples;
use crate::failure::Failure;
use crate::scenario::turns::Turns;
use crate::stats::histogram::HistogramError;

/// What one second of one worker gave; merged by the coordinator into `Interval`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Which second of the window, from 0.
    pub index: u32,
    /// Events sent.
    pub published: u64,
    /// Deliveries received in it, whenever they were due.
    pub delivered: u64,
    /// Clients connected at its end.
    pub connected: u64,
    /// Failures in it.
    pub failures: u64,
    /// Failures up to its end, of the ramp and the warm-up, too.
    pub failures_so_far: u64,
    /// Response times of what was received in it.
    pub response: Distribution,
}

impl Second {
    /// The same second of all workers.
    ///
    /// # Errors
    /// A histogram cannot be read.
    pub fn merge(seconds: &[Second]) -> Result<Interval, HistogramError> {
        let mut merged = Interval::default();
        let mut samples = Samples::default();
        for second in seconds {
            merged.at_s = f64::from(second.index + 1);
            merged.published += second.published;
            merged.delivered += second.delivered;
            merged.connected += second.connected;
            merged.failures += second.failures;
            merged.failures_so_far += second.failures_so_far;
            samples.merge(&second.response)?;
        }
        [merged.p50_ns, merged.p99_ns] = [0.5, 0.99].map(|p| samples.quantile_ns(p));
        merged.max_ns = samples.max_ns();
        Ok(merged)
    }
}

/// How an event went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// How long the server kept it from going: until it took or answered what went before, in ns.
    pub waited_ns: u64,
    /// How long nothing but the generator did, in ns.
    pub lag_ns: u64,
    /// Size of its payload, in bytes; 0 if it did not go out.
    pub bytes: u64,
}

/// Everything one worker measures on the hot path. Times are in ns from the run's start.
pub struct Recorder {
    window_ns: Range<u64>,
    run: u32,
    /// Counts so far.
    pub counts: Counts,
    response: Samples,
    /// Events of which there is a response time, and events that arrived.
    response_events: u64,
    service_events: u64,
    service: Samples,
    send_lag: Samples,
    send_wait: Samples,
    answer: Samples,
    exchange: Samples,
    loop_lag: Samples,
    spreads: Spreads,
    /// Largest distance of a reordered delivery to the highest sequence before it.
    reordered_by: u32,
    second: Samples,
    second_published: u64,
    second_delivered: u64,
    failures_before: u64,
    failures: BTreeMap<(String, String), (u64, String)>,
    schedule_digest: u64,
    /// Deliveries by slice, where the cell takes turns.
    slices: Option<(Turns, Vec<u64>)>,
}

impl Recorder {
    /// A recorder for messages of `run` with due times in `window_ns`, which may lie in slices.
    pub fn new(run: u32, window_ns: Range<u64>, turns: Option<Turns>) -> Recorder {
        Recorder {
            window_ns,
            run,
            counts: Counts::default(),
            response: Samples::default(),
            response_events: 0,
            service_events: 0,
            service: Samples::default(),
            send_lag: Samples::default(),
            send_wait: Samples::default(),
            answer: Samples::default(),
            exchange: Samples::default(),
            loop_lag: Samples::default(),
            spreads: Spreads::default(),
            reordered_by: 0,
            second: Samples::default(),
            second_published: 0,
            second_delivered: 0,
            failures_before: 0,
            failures: BTreeMap::new(),
            schedule_digest: 0,
            slices: turns.map(|turns| (turns, Vec::new())),
        }
    }

    /// Sets the window, which is known only when the run starts.
    pub fn set_window(&mut self, window_ns: Range<u64>) {
        self.window_ns = window_ns;
    }

    /// Whether an event of this due time is measured.
    #[inline]
    pub fn measures(&self, due_ns: u64) -> bool {
        self.window_ns.contains(&due_ns)
    }

    /// Whether a payload belongs to this run.
    #[inline]
    pub fn owns(&self, envelope: &Envelope) -> bool {
        envelope.run == self.run
    }

    /// An event, which may belong to the window, was handed to its protocol.
    #[inline]
    pub fn sent(&mut self, envelope: &Envelope, sending: &Sending, measured: bool) {
        self.counts.published_all += u64::from(sending.bytes > 0);
        self.counts.published_all_bytes += sending.bytes;
        if measured {
            self.counts.published += 1;
            self.second_published += 1;
            self.send_lag.record(sending.lag_ns);
            if sending.waited_ns > 0 {
                self.send_wait.record(sending.waited_ns);
            }
            self.schedule_digest = self.schedule_digest.wrapping_add(event_digest(envelope));
        }
    }

    /// An event that was handed over never went out: its payload of so many bytes crossed no wire.
    pub fn not_written(&mut self, bytes: u64) {
        self.counts.published_all -= 1;
        self.counts.published_all_bytes -= bytes;
    }

    /// The server answered to an event of the window, so long after it was handed over.
    pub fn answered(&mut self, took_ns: u64) {
        self.answer.record(took_ns);
    }

    /// A payload arrived whose kind the session's tracker has told; `None` for warm-up, which nobody tracks.
    #[inline]
    pub fn hit(&mut self, envelope: &Envelope, now_ns: u64, bytes: usize, arrival: Option<Arrival>) {
        self.counts.delivered_all += 1;
        self.counts.delivered_all_bytes += bytes as u64;
        let response_ns = now_ns.saturating_sub(envelope.due_ns);
        let in_window = self.window_ns.contains(&now_ns);
        if in_window {
            self.counts.received_in_window += 1;
            self.second_delivered += 1;
        }
        match arrival {
            // Due in the warm-up; what comes of it in the window belongs to the seconds of the window.
            None if in_window => return self.second.record(response_ns),
            None => return,
            Some(Arrival::Duplicate) => {
                self.counts.duplicates += 1;
                return;
            }
            Some(Arrival::Reordered { behind }) => {
                self.counts.reordered += 1;
                self.reordered_by = self.reordered_by.max(behind);
            }
            Some(Arrival::First) => {}
        }
        self.counts.delivered += 1;
        if now_ns < envelope.due_ns || now_ns < envelope.sent_ns {
            self.counts.negative += 1;
        }
        self.response.record(response_ns);
        if in_window {
            self.second.record(response_ns);
        }
        self.service.record(now_ns.saturating_sub(envelope.sent_ns));
        if let Some((turns, delivered)) = &mut self.slices {
            let slice = turns.slice_of(envelope.due_ns) as usize;
            delivered.resize(delivered.len().max(slice + 1), 0);
            delivered[slice] += 1;
        }
    }

    /// One of `subscribers` received an event of the window, for the first time.
    #[inline]
    pub fn reached(&mut self, envelope: &Envelope, now_ns: u64, subscribers: u32) {
        self.spreads.see(envelope.stream, envelope.sequence, now_ns, subscribers);
    }

    /// Of one more stream, so many events arrived at least once, and of so many there is a response time.
    pub fn reached_in_all(&mut self, arrived: u64, sampled: u64) {
        self.service_events += arrived;
        self.response_events += sampled;
    }

    /// A delivery did not come within `ns` of its due time, when the waiting ended.
    pub fn timed_out(&mut self, ns: u64) {
        self.counts.censored += 1;
        self.response.record(ns);
    }

    /// A poll was answered at a time, and took so long.
    pub fn exchanged(&mut self, answered_ns: u64, took_ns: u64) {
        if self.measures(answered_ns) {
            self.exchange.record(took_ns);
        }
    }

    /// The event loop came so late to something that was due, in ns.
    pub fn loop_late(&mut self, ns: u64) {
        self.loop_lag.record(ns);
    }

    /// Something went wrong with a client.
    pub fn failure(&mut self, failure: &Failure) {
        let key = (format!("{:?}", failure.phase).to_lowercase(), failure.kind.to_string());
        let entry = self.failures.entry(key).or_insert_with(|| (0, failure.detail.clone()));
        entry.0 += 1;
    }

    /// Failures so far.
    pub fn failure_count(&self) -> u64 {
        self.failures.values().map(|(count, _)| count).sum()
    }

    /// The window opens: what failed before is no failure of its first second.
    pub fn open_window(&mut self) {
        self.failures_before = self.failure_count();
    }

    /// Ends a second.
    pub fn tick(&mut self, index: u32, connected: u64) -> Second {
        let failures = self.failure_count();
        let second = Second {
            index,
            published: std::mem::take(&mut self.second_published),
            delivered: std::mem::take(&mut self.second_delivered),
            connected,
            failures: failures - self.failures_before,
            failures_so_far: failures,
            response: self.second.hand_over(),
        };
        self.failures_before = failures;
        second
    }

    /// The record so far.
    pub fn report(&self) -> Recorded {
        Recorded {
            counts: self.counts.clone(),
            response: self.response.distribution(self.response_events),
            service: self.service.distribution(self.service_events),
            // These have one sample an event.
            send_lag: self.send_lag.each_an_event(),
            send_wait: self.send_wait.each_an_event(),
            answer: self.answer.each_an_event(),
            exchange: self.exchange.each_an_event(),
            loop_lag: self.loop_lag.each_an_event(),
            spread: self.spreads.samples.each_an_event(),
            reordered_by: self.reordered_by,
            failures: self.failure_rows(),
            schedule_digest: self.schedule_digest,
            slices: self.slices.as_ref().map_or(Vec::new(), |(_, delivered)| delivered.clone()),
        }
    }

    fn failure_rows(&self) -> Vec<FailureCount> {
        let row = |((phase, kind), (count, example)): (&(String, String), &(u64, String))| FailureCount {
            phase: phase.clone(),
            kind: kind.clone(),
            count: *count,
            example: example.clone(),
        };
        self.failures.iter().map(row).collect()
    }
}

/// What one worker recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recorded {
    /// Its counts.
    pub counts: Counts,
    /// Receipt minus due time.
    pub response: Distribution,
    /// Receipt minus write.
    pub service: Distribution,
    /// Write minus the time from which nothing but the generator kept it.
    pub send_lag: Distribution,
    /// That time minus due time, of the events that had to wait for the server.
    pub send_wait: Distribution,
    /// From write to the server's answer, where publishing is answered.
    pub answer: Distribution,
    /// From asking to the answer of polls.
    pub exchange: Distribution,
    /// How late the event loop came to what was due at even intervals.
    pub loop_lag: Distribution,
    /// From the first subscriber of an event to the last.
    pub spread: Distribution,
    /// Largest distance of a reordered delivery to the highest sequence before it.
    pub reordered_by: u32,
    /// What went wrong.
    pub failures: Vec<FailureCount>,
    /// Sum of the digests of the window's events: independent of order and of the number of workers.
    pub schedule_digest: u64,
    /// Deliveries of each slice, by their due time, where the cell takes turns; slices of the warm-up have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<u64>,
}

fn event_digest(envelope: &Envelope) -> u64 {
    let mut digest = u64::from(envelope.stream) << 32 | u64::from(envelope.sequence);
    for part in [envelope.due_ns, 0x9E37_79B9_7F4A_7C15] {
        digest = (digest ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(29);
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Kind, Phase};

    fn envelope(due_ns: u64) -> Envelope {
        Envelope { run: 1, stream: 0, sequence: 0, due_ns, sent_ns: due_ns }
    }

    #[test]
    fn a_second_has_what_came_in_it_whenever_due_and_failed_in_it_and_nothing_else() {
        let mut recorder = Recorder::new(1, 1_000..2_000, None);
        let failure = Failure::new(Phase::Connect, Kind::Refused, "ramp");
        recorder.failure(&failure);
        recorder.failure(&failure);
        // Of the warm-up: before the window, and in it. Of the window: in it, again, and behind it.
        recorder.hit(&envelope(400), 900, 100, None);
        recorder.open_window();
        recorder.hit(&envelope(500), 1_100, 100, None);
        recorder.hit(&envelope(1_000), 1_200, 100, Some(Arrival::First));
        recorder.hit(&envelope(1_000), 1_300, 100, Some(Arrival::Duplicate));
        recorder.failure(&failure);
        let second = recorder.tick(0, 7);
        recorder.hit(&envelope(1_900), 2_500, 100, Some(Arrival::First));
        assert_eq!((second.delivered, recorder.counts.received_in_window), (3, 3));
        assert_eq!((second.failures, second.failures_so_far), (1, 3));
        assert_eq!((recorder.counts.delivered, recorder.counts.duplicates), (2, 1));
        assert_eq!((second.response.count, second.response.max_ns), (2, 600), "a duplicate is no response");
    }
}
