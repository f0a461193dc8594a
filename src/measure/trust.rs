//! Whether to believe a cell: every reason in words and figures. Pure.

use super::cell::{Cell, Trust, TrustLevel};

/// Send lag beyond which a schedule was not kept, as a share of the time between two events of a publisher.
const LAG_SHARE: f64 = 0.5;

/// Smallest send lag that matters whatever the schedule, in ns.
const LAG_FLOOR_NS: f64 = 5e6;

/// Share of one core beyond which a worker may have been the bottleneck.
const BUSY_SHARE: f64 = 0.9;

/// Judges a cell by what it holds.
pub fn judge(cell: &Cell) -> Trust {
    let mut reasons = Vec::new();
    let counts = &cell.counts;
    let mut say = |level, reason: String| reasons.push((level, reason));
    if counts.delivered + counts.lost != counts.expected {
        say(
            TrustLevel::Invalid,
            format!(
                "the two counts disagree: publishers say {} deliveries are owed, subscribers count {} delivered + {} lost",
                counts.expected, counts.delivered, counts.lost
            ),
        );
    }
    for (count, what) in [
        (counts.corrupt, "payloads with a wrong checksum"),
        (counts.foreign, "payloads of another run or group"),
        (counts.negative, "deliveries from the future (clock error)"),
    ] {
        if count > 0 {
            say(TrustLevel::Invalid, format!("{count} {what}"));
        }
    }
    if counts.connected < u64::from(cell.spec.clients) {
        say(
            TrustLevel::Degraded,
            format!("only {} of {} clients connected", counts.connected, cell.spec.clients),
        );
    }
    if counts.shed > 0 {
        let offered = counts.shed + counts.published;
        let level = if counts.shed * 100 > offered { TrustLevel::Invalid } else { TrustLevel::Degraded };
        say(level, format!("{} of {offered} events were due and could not be sent", counts.shed));
    }
    if let Some(lag_ns) = send_lag_p99_ns(cell) {
        let limit_ns = (LAG_SHARE * 1e9 / cell.spec.rate_per_s.max(1e-9)).clamp(LAG_FLOOR_NS, 1e9);
        // One in flight means that an event may have to wait for the last: that is the load, not the generator.
        if lag_ns > limit_ns && cell.spec.in_flight.is_none() {
            say(
                TrustLevel::Degraded,
                format!("send lag p99 is {:.1} ms, above {:.1} ms", lag_ns / 1e6, limit_ns / 1e6),
            );
        }
    }
    if let Some(share) = cell.generator.busiest_share.filter(|&share| share > BUSY_SHARE) {
        let percent = share * 100.0;
        say(
            TrustLevel::Invalid,
            format!("the busiest worker used {percent:.0}% of its core: the generator was the bottleneck"),
        );
    }
    let level = reasons.iter().map(|(level, _)| *level).max().unwrap_or(TrustLevel::Ok);
    Trust { level, reasons: reasons.into_iter().map(|(_, reason)| reason).collect() }
}

fn send_lag_p99_ns(cell: &Cell) -> Option<f64> {
    let samples = cell.send_lag.samples()?;
    (samples.len() >= 100).then(|| samples.value_at_quantile(0.99) as f64)
}
