//! When the next event is due: asked once for each event of each publisher.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtbench::client::pace::Pacer;
use rtbench::scenario::kinds::Pace;
use rtbench::scenario::spec::CellSpec;

fn next(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pacer");
    group.throughput(Throughput::Elements(1));
    for (name, pace) in [("constant", Pace::Constant), ("poisson", Pace::Poisson)] {
        let spec = CellSpec { pace, ..CellSpec::example() };
        let mut due = Pacer::new(&spec, 7).into_iter().flatten();
        group.bench_function(name, |bencher| bencher.iter(|| black_box(due.next())));
    }
    group.finish();
}

/// A schedule is made for each client at once, before any of them connects.
fn new(criterion: &mut Criterion) {
    let spec = CellSpec { pace: Pace::Poisson, ..CellSpec::example() };
    let mut client = 0u32;
    criterion.bench_function("pacer/new", |bencher| {
        bencher.iter(|| {
            client = client.wrapping_add(1);
            Pacer::new(black_box(&spec), client)
        });
    });
}

/// Short: a regression worth noticing here is one of tens of percent.
fn brief() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! { name = pacer; config = brief(); targets = next, new }
criterion_main!(pacer);
