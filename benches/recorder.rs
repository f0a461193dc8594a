//! The end of the hot path: what a worker does for each event sent and each delivery received.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reference_server::envelope::Envelope;
use rtbench::measure::delivery::Trackers;
use rtbench::measure::recorder::{Recorder, Sending};

/// Payload of an event, in bytes.
const BYTES: usize = 100;
const SENDING: Sending = Sending { waited_ns: 0, lag_ns: 50_000, bytes: BYTES as u64 };

/// Longer than any measurement here, so that every event falls into the window.
const WINDOW_NS: std::ops::Range<u64> = 0..u64::MAX;

/// The next event of one publisher: a thousand a second, written 20 us after they were due.
fn event(sequence: u32) -> Envelope {
    let due_ns = u64::from(sequence) * 1_000_000;
    Envelope { run: 1, stream: 0, sequence, due_ns, sent_ns: due_ns + 20_000 }
}

fn sent(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sent", |bencher| {
        let (mut recorder, mut sequence) = (Recorder::new(1, WINDOW_NS, None), 0);
        bencher.iter(|| {
            recorder.sent(black_box(&event(sequence)), &SENDING, true);
            sequence = sequence.wrapping_add(1);
        });
    });
    group.finish();
}

fn hit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit", |bencher| {
        let (mut recorder, mut trackers, mut sequence) =
            (Recorder::new(1, WINDOW_NS, None), Trackers::default(), 0);
        bencher.iter(|| {
            let event = event(sequence);
            let arrival = trackers.see(event.stream, event.sequence);
            // Latencies of 0.1 to 1.1 ms, so that more than one bucket is written.
            let now_ns = event.sent_ns + 100_000 + u64::from(sequence % 1_000) * 1_000;
            recorder.hit(black_box(&event), now_ns, BYTES, Some(arrival));
            sequence = sequence.wrapping_add(1);
        });
    });
    group.finish();
}

/// What is done once a second and once at the end, and must not be felt by the messages beside it.
fn report(criterion: &mut Criterion) {
    let mut recorder = Recorder::new(1, WINDOW_NS, None);
    for sequence in 0..100_000 {
        let event = event(sequence);
        recorder.sent(&event, &SENDING, true);
        recorder.hit(&event, event.sent_ns + u64::from(sequence) * 100, BYTES, None);
    }
    criterion.bench_function("recorder/report", |bencher| bencher.iter(|| recorder.report()));
}

/// Short: a regression worth noticing here is one of tens of percent.
fn brief() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! { name = recorder; config = brief(); targets = sent, hit, report }
criterion_main!(recorder);
