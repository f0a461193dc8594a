//! The model against its own rules, against closed forms, and against a packet simulation that shares nothing with it.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn lane(text: &str, seed: u64) -> TcpLane {
    TcpLane::new(&text.parse().unwrap(), seed)
}

/// Takes everything that has arrived by now; says how many bytes.
fn take_all(lane: &mut TcpLane, now_ns: u64) -> usize {
    let mut taken = 0;
    loop {
        let ready = lane.ready(now_ns).len();
        if ready == 0 {
            return taken;
        }
        lane.take(ready);
        taken += ready;
    }
}

/// Sends a segment of one byte every `step_ns`; gives how long each took to be readable.
fn delays(lane: &mut TcpLane, count: u64, step_ns: u64) -> Vec<u64> {
    let mut delays = Vec::new();
    let mut take = |lane: &mut TcpLane, until_ns: u64| {
        while let Some(at_ns) = lane.next_ns().filter(|&at_ns| at_ns <= until_ns) {
            for _ in 0..take_all(lane, at_ns) {
                delays.push(at_ns - delays.len() as u64 * step_ns);
            }
        }
    };
    for i in 0..count {
        take(lane, i * step_ns);
        lane.push(i * step_ns, &[0]);
    }
    take(lane, u64::MAX);
    delays
}

proptest! {
    /// Whatever the link does to them: all bytes come out, in order, not early, and the end behind them.
    #[test]
    fn bytes_come_out_unchanged_in_order_and_never_early(
        writes in proptest::collection::vec((0u64..20 * MS, 1usize..4000), 1..40),
        loss in 0.0..30.0f64, jitter_ms in 0u64..20, rate in proptest::option::of(100u64..100_000), seed: u64,
    ) {
        let rate = rate.map(|kbit| BitRate(kbit * 1_000));
        let spec = LinkSpec { rtt_ns: 20 * MS, jitter_ns: jitter_ms * MS, loss_percent: loss, rate };
        let mut lane = TcpLane::new(&spec, seed);
        let (mut now_ns, mut sent, mut came) = (0, Vec::new(), Vec::new());
        let mut sent_at = Vec::new();
        let least_ns = 10 * MS - jitter_ms * MS / 2;
        let mut take = |lane: &mut TcpLane, now_ns: u64, sent_at: &[u64]| {
            loop {
                let ready = lane.ready(now_ns).to_vec();
                if ready.is_empty() { return Ok(()) }
                // A third at a time, to end in the middle of segments.
                let count = ready.len().div_ceil(3);
                lane.take(count);
                came.extend_from_slice(&ready[..count]);
                prop_assert!(sent_at[came.len() - 1] + least_ns <= now_ns, "early");
            }
        };
        for (pause_ns, length) in writes {
            now_ns += pause_ns;
            take(&mut lane, now_ns, &sent_at)?;
            let bytes: Vec<u8> = (0..length.min(lane.room())).map(|i| (sent.len() + i) as u8).collect();
            lane.push(now_ns, &bytes);
            sent_at.resize(sent.len() + bytes.len(), now_ns);
            sent.extend(bytes);
        }
        lane.push_end(now_ns);
        while let Some(next_ns) = lane.next_ns() {
            prop_assert!(!lane.is_over());
            now_ns = now_ns.max(next_ns);
            take(&mut lane, now_ns, &sent_at)?;
        }
        prop_assert!(lane.is_over());
        prop_assert_eq!(sent, came);
    }

    #[test]
    fn datagrams_arrive_in_order_or_not_at_all(
        pauses in proptest::collection::vec(0u64..20 * MS, 1..100), loss in 0.0..50.0f64, seed: u64,
    ) {
        let spec = LinkSpec { rtt_ns: 20 * MS, jitter_ns: 20 * MS, loss_percent: loss, rate: None };
        let mut lane = DatagramLane::new(&spec, seed);
        let (mut now_ns, mut came) = (0u64, Vec::new());
        let address = ([127, 0, 0, 1], 1).into();
        for (i, pause_ns) in pauses.iter().enumerate() {
            now_ns += pause_ns;
            came.extend(std::iter::from_fn(|| lane.pop(now_ns)).map(|(_, datagram)| datagram[0]));
            lane.push(now_ns, address, vec![i as u8]);
        }
        came.extend(std::iter::from_fn(|| lane.pop(u64::MAX)).map(|(_, datagram)| datagram[0]));
        prop_assert!(came.is_sorted());
        prop_assert!(loss > 0.0 || came.len() == pauses.len());
    }
}

#[test]
fn one_seed_is_one_fate() {
    let fate = |seed| delays(&mut lane("rtt=40ms,jitter=9ms,loss=3%", seed), 500, 5 * MS);
    assert_eq!(fate(1), fate(1));
    assert_ne!(fate(1), fate(2));
}

#[test]
fn a_line_takes_its_time_and_keeps_the_rest_waiting() {
    // 1448 B and 52 B of headers are 12,000 bits: 12 ms at 1 Mbit/s.
    let mut lane = lane("rtt=20ms,rate=1mbit", 1);
    lane.push(0, &[0; 3 * SEGMENT_BYTES]);
    let mut arrivals = Vec::new();
    while let Some(at_ns) = lane.next_ns() {
        let taken = take_all(&mut lane, at_ns);
        arrivals.push((at_ns / MS, taken));
    }
    assert_eq!(arrivals, [(22, SEGMENT_BYTES), (34, SEGMENT_BYTES), (46, SEGMENT_BYTES)]);
}

#[test]
fn a_full_lane_has_no_room_until_something_was_taken() {
    let mut lane = lane("rtt=20ms", 1);
    lane.push(0, &vec![0; CAPACITY_BYTES]);
    assert_eq!(lane.room(), 0);
    assert_eq!(take_all(&mut lane, 10 * MS), CAPACITY_BYTES);
    assert_eq!(lane.room(), CAPACITY_BYTES);
}

#[test]
fn handshakes_pay_a_round_trip_and_a_second_for_a_loss() {
    let text = "rtt=40ms,loss=10%";
    let all: Vec<u64> = (0..4_000).map(|seed| handshake_ns(&text.parse().unwrap(), seed)).collect();
    let share = |ns: u64| all.iter().filter(|&&took_ns| took_ns == ns).count() as f64 / all.len() as f64;
    assert!((share(40 * MS) - 0.81).abs() < 0.03, "neither of two packets lost: 0.9^2");
    assert!((share(1_040 * MS) - 0.19 * 0.81).abs() < 0.03, "lost once");
    assert!((share(3_040 * MS) - 0.19 * 0.19 * 0.81).abs() < 0.02, "lost twice: 1 s and 2 s");
}

/// The closed form of the module's documentation.
#[test]
fn a_loss_delays_what_the_closed_form_says() {
    for (rtt_ms, step_ms) in [(40, 5), (40, 1), (10, 2), (100, 30), (40, 100), (2, 90)] {
        let (rtt_ns, step_ns) = (rtt_ms * MS, step_ms * MS);
        let stall_ns = (3 * step_ns + rtt_ns).min(rtt_ns + 200 * MS);
        let lossless_ns = rtt_ns / 2;
        // Rare enough that most losses are alone.
        let delays = delays(&mut lane(&format!("rtt={rtt_ms}ms,loss=0.05%"), 7), 100_000, step_ns);
        assert_eq!(delays.len(), 100_000);
        let late: Vec<u64> = delays.iter().map(|&ns| ns - lossless_ns).collect();
        let alone = late.iter().filter(|&&late_ns| late_ns == stall_ns).count();
        assert!(alone > 25, "{rtt_ms} ms every {step_ms} ms: {alone} of about 50 losses stall by {stall_ns}");
        let first = late.windows(2).position(|pair| pair[0] == 0 && pair[1] == stall_ns).unwrap() + 1;
        let behind = stall_ns.div_ceil(step_ns) as usize;
        for (k, &late_ns) in late[first..first + behind].iter().enumerate() {
            assert_eq!(
                late_ns,
                stall_ns - k as u64 * step_ns,
                "{rtt_ms} every {step_ms}, {:?}",
                &late[first - 1..first + behind]
            );
        }
    }
}

/// Sender, receiver and two wires, one packet at a time: sequence numbers, duplicate ACKs, a timer for each segment.
/// Written from RFC 5681 and RFC 6298 alone. `dropped[i]` says whether the first transmission of segment `i` is lost;
/// retransmissions get through. Gives how long each segment took to be readable.
fn simulate(dropped: &[bool], step_ns: u64, rtt_ns: u64) -> Vec<u64> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Event {
        Arrival(usize),
        /// Cumulative acknowledgement, and the segment that caused it (selective).
        Ack(usize, usize),
        Timeout(usize),
        Send(usize),
    }
    use std::cmp::Reverse;
    let timeout_ns = rtt_ns + 200 * MS;
    let mut events: std::collections::BinaryHeap<_> =
        (0..dropped.len()).map(|i| Reverse((i as u64 * step_ns, Event::Send(i)))).collect();
    let (mut received, mut next) = (vec![false; dropped.len()], 0);
    let (mut sacked, mut above) = (vec![false; dropped.len()], vec![0; dropped.len()]);
    let mut again = vec![false; dropped.len()];
    let mut delays = Vec::new();
    while let Some(Reverse((now_ns, event))) = events.pop() {
        let mut resend = None;
        match event {
            Event::Send(i) => {
                if !dropped[i] {
                    events.push(Reverse((now_ns + rtt_ns / 2, Event::Arrival(i))));
                }
                events.push(Reverse((now_ns + timeout_ns, Event::Timeout(i))));
            }
            Event::Arrival(i) => {
                received[i] = true;
                while next < received.len() && received[next] {
                    delays.push(now_ns - next as u64 * step_ns);
                    next += 1;
                }
                events.push(Reverse((now_ns + rtt_ns / 2, Event::Ack(next, i))));
            }
            Event::Ack(all_before, i) => {
                sacked[..all_before].fill(true);
                sacked[i] = true;
                for hole in 0..i {
                    above[hole] += usize::from(!sacked[hole]);
                    if above[hole] == 3 && !sacked[hole] && !again[hole] {
                        again[hole] = true;
                        events.push(Reverse((now_ns + rtt_ns / 2, Event::Arrival(hole))));
                    }
                }
            }
            Event::Timeout(i) => resend = (!sacked[i] && !again[i]).then_some(i),
        }
        if let Some(i) = resend {
            again[i] = true;
            events.push(Reverse((now_ns + rtt_ns / 2, Event::Arrival(i))));
        }
    }
    delays
}

proptest! {
    #[test]
    fn the_model_agrees_with_a_simulation_packet_by_packet(
        drops in proptest::collection::vec(0u8..12, 300), rtt_ms in 1u64..200, step_us in 500u64..120_000,
    ) {
        let (rtt_ns, step_ns) = (rtt_ms * MS, step_us * 1_000);
        let dropped: Vec<bool> = drops.iter().map(|&drop| drop == 0).collect();
        let (mut lane, mut modelled) = (lane(&format!("rtt={rtt_ms}ms"), 1), Vec::new());
        let mut take = |lane: &mut TcpLane, until_ns: u64| {
            while let Some(at_ns) = lane.next_ns().filter(|&at_ns| at_ns <= until_ns) {
                (0..take_all(lane, at_ns)).for_each(|_| modelled.push(at_ns - modelled.len() as u64 * step_ns));
            }
        };
        for (i, &lost) in dropped.iter().enumerate() {
            let now_ns = i as u64 * step_ns;
            take(&mut lane, now_ns);
            lane.bytes.push_back(0);
            lane.transmit(now_ns, 1, lost);
        }
        take(&mut lane, u64::MAX);
        let simulated = simulate(&dropped, step_ns, rtt_ns);
        let first = modelled.iter().zip(&simulated).position(|(model, simulation)| model != simulation);
        prop_assert_eq!(first.map(|i| (i, modelled[i], simulated[i])), None);
        prop_assert_eq!(modelled.len(), simulated.len());
    }
}
