//! The link's arithmetic, without I/O and without a clock: what goes in at one time comes out at another.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use super::LinkSpec;
use crate::random;
use crate::unit::BitRate;

/// Payload of a full segment on a path MTU of 1,500 B: without IPv4 and TCP headers and the timestamps option.
pub(super) const SEGMENT_BYTES: usize = 1448;

/// Those headers.
const TCP_HEADER_BYTES: usize = 52;

/// Headers of IPv4 and UDP.
const UDP_HEADER_BYTES: usize = 28;

/// Bytes that a lane of TCP holds; then whoever fills it waits. It plays the window, and is wider than delay times rate
/// of any link on which small messages are interesting.
pub(super) const CAPACITY_BYTES: usize = 256 << 10;

/// Datagrams that a lane of UDP holds; more are dropped, as a full router would.
const CAPACITY_DATAGRAMS: usize = 1024;

/// Segments that must arrive behind a lost one for a fast retransmit (RFC 5681, section 3.2).
const DUPLICATE_ACKS: u8 = 3;

/// Least share of the variance in a retransmission time-out, in ns, as on Linux (`TCP_RTO_MIN`).
const LEAST_VARIANCE_NS: u64 = 200_000_000;

/// Time-out of a first SYN, in ns (RFC 6298, section 2.1).
const FIRST_TIMEOUT_NS: u64 = 1_000_000_000;

/// After so many time-outs the next attempt gets through: no connection of a test lives longer.
const TIMEOUTS: u32 = 6;

/// One direction of a link.
#[derive(Debug)]
struct Line {
    one_way_ns: u64,
    jitter_ns: u64,
    loss: f64,
    ns_per_byte: f64,
    /// When the last bit of what was sent last has left.
    free_ns: u64,
    rng: Pcg64Mcg,
}

impl Line {
    fn new(spec: &LinkSpec, seed: u64) -> Line {
        Line {
            one_way_ns: spec.rtt_ns / 2,
            jitter_ns: spec.jitter_ns / 2,
            loss: spec.loss_percent / 100.0,
            ns_per_byte: spec.rate.map_or(0.0, |BitRate(bits_per_s)| 8e9 / bits_per_s as f64),
            free_ns: 0,
            rng: Pcg64Mcg::seed_from_u64(seed),
        }
    }

    /// When the last bit of so many bytes leaves that are sent now.
    fn leaves(&mut self, now_ns: u64, bytes: usize) -> u64 {
        self.free_ns = self.free_ns.max(now_ns) + (bytes as f64 * self.ns_per_byte) as u64;
        self.free_ns
    }

    /// Time under way.
    fn delay_ns(&mut self) -> u64 {
        if self.jitter_ns == 0 {
            return self.one_way_ns;
        }
        let early = self.one_way_ns - self.jitter_ns.min(self.one_way_ns);
        early + (random::unit(&mut self.rng) * 2.0 * self.jitter_ns as f64) as u64
    }

    fn loses(&mut self) -> bool {
        self.loss > 0.0 && random::unit(&mut self.rng) < self.loss
    }

    /// When what is sent at `at_ns` arrives that is sent again, after a time-out that doubles, whenever it is lost.
    fn arrives(&mut self, mut at_ns: u64, mut timeout_ns: u64) -> u64 {
        for _ in 0..TIMEOUTS {
            if !self.loses() {
                break;
            }
            at_ns += timeout_ns;
            timeout_ns *= 2;
        }
        at_ns + self.delay_ns()
    }
}

/// How long it takes to connect over TCP: SYN and SYN-ACK, each of which may be lost.
pub(super) fn handshake_ns(spec: &LinkSpec, seed: u64) -> u64 {
    let mut line = Line::new(spec, seed);
    let mut lost_ns = 0;
    let mut timeout_ns = FIRST_TIMEOUT_NS;
    for _ in 0..TIMEOUTS {
        // Whichever of the two is lost, the client sends its SYN again.
        if !(line.loses() || line.loses()) {
            break;
        }
        lost_ns += timeout_ns;
        timeout_ns *= 2;
    }
    lost_ns + line.delay_ns() + line.delay_ns()
}

/// One direction of a TCP connection.
#[derive(Debug)]
pub(super) struct TcpLane {
    line: Line,
    timeout_ns: u64,
    segments: VecDeque<Segment>,
    bytes: VecDeque<u8>,
    /// Bytes at the front that have arrived.
    arrived: usize,
    /// Lost segments among `segments`.
    lost: usize,
    end: End,
}

/// How far the end of a direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Sent,
    Arrived,
}

#[derive(Debug)]
struct Segment {
    sent_ns: u64,
    ready_ns: u64,
    bytes: usize,
    /// Set if it was lost and waits for its time-out.
    lost: Option<Lost>,
}

#[derive(Debug)]
struct Lost {
    timeout_at_ns: u64,
    /// Segments that arrive behind it.
    followers: u8,
}

impl TcpLane {
    pub(super) fn new(spec: &LinkSpec, seed: u64) -> TcpLane {
        TcpLane {
            line: Line::new(spec, seed),
            timeout_ns: timeout_ns(spec),
            segments: VecDeque::new(),
            bytes: VecDeque::new(),
            arrived: 0,
            lost: 0,
            end: End::Open,
        }
    }

    /// Bytes that it takes now.
    pub(super) fn room(&self) -> usize {
        CAPACITY_BYTES.saturating_sub(self.bytes.len())
    }

    /// Sends bytes. What is sent at one time shares segments, as far as they reach.
    pub(super) fn push(&mut self, now_ns: u64, mut bytes: &[u8]) {
        self.bytes.extend(bytes);
        if let Some(last) = self.segments.back_mut().filter(|last| last.sent_ns == now_ns) {
            let more = bytes.len().min(SEGMENT_BYTES.saturating_sub(last.bytes));
            last.bytes += more;
            last.ready_ns += (more as f64 * self.line.ns_per_byte) as u64;
            self.line.leaves(now_ns, more);
            bytes = &bytes[more..];
        }
        for piece in bytes.chunks(SEGMENT_BYTES) {
            self.send(now_ns, piece.len());
        }
    }

    /// Sends FIN, behind everything. Once.
    pub(super) fn push_end(&mut self, now_ns: u64) {
        if self.end == End::Open {
            self.end = End::Sent;
            self.send(now_ns, 0);
        }
    }

    /// Whether FIN was sent.
    pub(super) fn is_ending(&self) -> bool {
        self.end != End::Open
    }

    fn send(&mut self, now_ns: u64, bytes: usize) {
        let lost = self.line.loses();
        self.transmit(now_ns, bytes, lost);
    }

    fn transmit(&mut self, now_ns: u64, bytes: usize, lost: bool) {
        let leaves_ns = self.line.leaves(now_ns, bytes + TCP_HEADER_BYTES);
        let segment = if lost {
            self.lost += 1;
            let timeout_at_ns = leaves_ns + self.timeout_ns;
            let ready_ns = self.line.arrives(timeout_at_ns, 2 * self.timeout_ns);
            Segment { sent_ns: now_ns, ready_ns, bytes, lost: Some(Lost { timeout_at_ns, followers: 0 }) }
        } else {
            let ready_ns = leaves_ns + self.line.delay_ns();
            self.acknowledge_again(ready_ns);
            Segment { sent_ns: now_ns, ready_ns, bytes, lost: None }
        };
        self.segments.push_back(segment);
    }

    /// A segment arrives behind those that are missing: the third makes the sender send one again.
    fn acknowledge_again(&mut self, arrives_ns: u64) {
        if self.lost == 0 {
            return;
        }
        let heard_ns = arrives_ns + self.line.one_way_ns;
        for segment in &mut self.segments {
            let Some(lost) = segment.lost.as_mut().filter(|lost| heard_ns <= lost.timeout_at_ns) else {
                continue;
            };
            lost.followers += 1;
            if lost.followers == DUPLICATE_ACKS {
                segment.ready_ns = self.line.arrives(heard_ns, self.timeout_ns);
                segment.lost = None;
                self.lost -= 1;
            }
        }
    }

    /// Takes note of what has arrived by now: a segment only when all before it have.
    fn advance(&mut self, now_ns: u64) {
        while let Some(segment) = self.segments.front().filter(|segment| segment.ready_ns <= now_ns) {
            self.arrived += segment.bytes;
            self.lost -= usize::from(segment.lost.is_some());
            self.segments.pop_front();
        }
        if self.end == End::Sent && self.segments.is_empty() {
            self.end = End::Arrived;
        }
    }

    /// Bytes that have arrived by now and were not taken yet, from the first on; not necessarily all of them.
    pub(super) fn ready(&mut self, now_ns: u64) -> &[u8] {
        self.advance(now_ns);
        let front = self.bytes.as_slices().0;
        &front[..front.len().min(self.arrived)]
    }

    /// Takes so many of them.
    pub(super) fn take(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.arrived -= count;
    }

    /// Whether everything has arrived and was taken, FIN included. Call after [`TcpLane::ready`].
    pub(super) fn is_over(&self) -> bool {
        self.end == End::Arrived && self.bytes.is_empty()
    }

    /// When the next segment arrives, as far as it is known now; behind what `ready` gave.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.ready_ns)
    }
}

/// The retransmission time-out of a steady path. The sum of two independent uniform delays, which reaches as far as the
/// jitter to each side, deviates from its mean by a third of that in the mean: RTTVAR.
fn timeout_ns(spec: &LinkSpec) -> u64 {
    let variance_ns = 4 * spec.jitter_ns / 3;
    spec.rtt_ns + variance_ns.max(LEAST_VARIANCE_NS)
}

/// One direction of a UDP socket.
#[derive(Debug)]
pub(super) struct DatagramLane {
    line: Line,
    queue: VecDeque<(u64, SocketAddr, Vec<u8>)>,
}

impl DatagramLane {
    pub(super) fn new(spec: &LinkSpec, seed: u64) -> DatagramLane {
        DatagramLane { line: Line::new(spec, seed), queue: VecDeque::new() }
    }

    /// Sends a datagram, or loses it. It takes its time on the line either way.
    pub(super) fn push(&mut self, now_ns: u64, address: SocketAddr, datagram: Vec<u8>) {
        let leaves_ns = self.line.leaves(now_ns, datagram.len() + UDP_HEADER_BYTES);
        if !self.line.loses() && self.queue.len() < CAPACITY_DATAGRAMS {
            let ready_ns = leaves_ns + self.line.delay_ns();
            self.queue.push_back((ready_ns, address, datagram));
        }
    }

    /// The next datagram, if it has arrived by now.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<(SocketAddr, Vec<u8>)> {
        self.queue.front().filter(|(ready_ns, ..)| *ready_ns <= now_ns)?;
        self.queue.pop_front().map(|(_, address, datagram)| (address, datagram))
    }

    /// When the next one arrives.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.queue.front().map(|(ready_ns, ..)| *ready_ns)
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
