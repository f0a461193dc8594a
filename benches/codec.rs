//! The envelope, which every measured message is: written once by its publisher, read once by each subscriber.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reference_server::envelope::{Envelope, Form};

const ENVELOPE: Envelope = Envelope {
    run: 0x5eed_cafe,
    stream: 9_999,
    sequence: 123_456,
    due_ns: 12_345_678_901,
    sent_ns: 12_345_690_000,
};

/// The matrix's payload, a chat message, and a page of JSON.
const SIZES: [usize; 3] = [100, 400, 4_096];

const FORMS: [(&str, Form); 2] = [("text", Form::Text), ("binary", Form::Binary)];

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, form) in FORMS {
        for size in SIZES {
            let mut out = Vec::with_capacity(size);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    black_box(ENVELOPE).encode(form, size, &mut out);
                    black_box(out.len())
                });
            });
        }
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, form) in FORMS {
        for size in SIZES {
            let mut payload = Vec::new();
            ENVELOPE.encode(form, size, &mut payload);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| Envelope::decode(black_box(&payload)));
            });
        }
    }
    group.finish();
}

/// Short: a regression worth noticing here is one of tens of percent.
fn brief() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! { name = codec; config = brief(); targets = encode, decode }
criterion_main!(codec);
