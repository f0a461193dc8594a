//! Percentile distributions as HdrHistogram's own tools write and plot them, in ms.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;

use super::Format;
use crate::measure::run::Run;
use crate::measure::store::{self, StoreError, safe_name};

/// A file per cell.
pub(super) struct Hgrm;

/// Steps per halving of the distance to 100%, as other tools have it.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

const NS_PER_MS: f64 = 1e6;

impl Format for Hgrm {
    fn name(&self) -> &'static str {
        "hgrm"
    }

    fn about(&self) -> &'static str {
        "Response times as HdrHistogram percentile distributions, a file per cell"
    }

    /// A gate's cells are short, and compared by other means.
    fn fits(&self, run: &Run) -> bool {
        run.file.gate.is_none()
    }

    fn file_name(&self) -> Option<&'static str> {
        None
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        unfinished(run, out)?;
        for (name, samples) in histograms(run) {
            writeln!(out, "# {name}")?;
            distribution(&samples, out)?;
        }
        Ok(())
    }

    fn save(&self, run: &Run, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let mut written = Vec::new();
        for (name, samples) in histograms(run) {
            let path = dir.join(format!("{}.hgrm", safe_name(&name)));
            store::replace(&path, |out| {
                unfinished(run, out)?;
                distribution(&samples, out)
            })?;
            written.push(path);
        }
        Ok(written)
    }
}

/// A comment, as readers of the format skip it, where the run did not come to its end.
fn unfinished(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    run.unfinished().map_or(Ok(()), |words| writeln!(out, "# {words}"))
}

/// The label of each cell with its samples.
fn histograms(run: &Run) -> impl Iterator<Item = (String, Histogram<u64>)> {
    run.cells.iter().filter_map(|cell| Some((cell.spec.label(), cell.response.samples()?)))
}

fn distribution(samples: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for step in samples.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / NS_PER_MS, step.quantile_iterated_to());
        if quantile < 1.0 {
            writeln!(out, "{value:12.3} {quantile:2.12} {total:10} {:14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out, "{value:12.3} {quantile:2.12} {total:10}")?;
        }
    }
    let (mean, deviation) = (samples.mean() / NS_PER_MS, samples.stdev() / NS_PER_MS);
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    let (max, count) = (samples.max() as f64 / NS_PER_MS, samples.len());
    writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
    // Three significant digits take 2048 values per bucket.
    let sub_buckets = (2 * 10_u64.pow(samples.sigfig().into())).next_power_of_two();
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", samples.buckets())
}
