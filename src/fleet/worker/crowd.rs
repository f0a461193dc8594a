//! How many clients of a worker are connecting at a time. Pure: the clock is the caller's.

use std::collections::VecDeque;

use super::at_once;
use crate::protocol::Protocol;
use crate::scenario::spec::CellSpec;

/// Clients of all workers that may be connecting at the same time: more would only time out in the queue.
const MOST_CONNECTING: u32 = 1024;

/// Peer connections of all workers that are begun at the same time, at first. Each costs both its ends a millisecond or two of
/// handshakes; of thousands at once, none would get through before the patience of all is over.
const FIRST_PEERS: u32 = 64;

/// Those who came in within this part of their patience make room for as many more.
const BRISK: u64 = 8;

/// Those who needed more than this part of it were too many at once.
const SLOW: u64 = 4;

/// The clients that are connecting. Where each costs little they are as many as may be; where handshakes are the work, as
/// many as the machine, or the network, lets in well within their patience.
pub(super) struct Crowd {
    least: usize,
    most: usize,
    limit: usize,
    patience_ns: u64,
    /// When those began who are still at it, the first first.
    begun_ns: VecDeque<u64>,
    settled: u64,
    /// When the limit was last lowered: those who had begun before cannot have felt it.
    lowered_ns: u64,
}

impl Crowd {
    /// That of one of so many workers.
    pub(super) fn of(spec: &CellSpec, protocol: &Protocol, workers: u32) -> Crowd {
        let most = at_once(MOST_CONNECTING, workers);
        let [least, first] = match (protocol.traits.peer_to_peer, spec.webrtc.peer_to_peer) {
            (false, _) => [most; 2],
            (true, false) => [1, at_once(FIRST_PEERS, workers)],
            // Nobody of a mesh is ready before all of its group have come.
            (true, true) => [spec.group, at_once(FIRST_PEERS, workers) / spec.group.saturating_sub(1).max(1)],
        };
        Crowd {
            least: least as usize,
            most: most.max(least) as usize,
            limit: first.max(least) as usize,
            patience_ns: (spec.connect_timeout_s * 1e9) as u64,
            begun_ns: VecDeque::new(),
            settled: 0,
            lowered_ns: 0,
        }
    }

    /// One more begins.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.begun_ns.push_back(now_ns);
    }

    /// No more may begin for now.
    pub(super) fn is_full(&self) -> bool {
        self.begun_ns.len() >= self.limit
    }

    /// So many in all have come in by now, or have given up. About in the order in which they began.
    pub(super) fn settle(&mut self, settled: u64, now_ns: u64) {
        let new = (settled - self.settled) as usize;
        self.settled = settled;
        let Some(begun_ns) = self.begun_ns.drain(..new.min(self.begun_ns.len())).next_back() else { return };
        let took_ns = now_ns.saturating_sub(begun_ns);
        if took_ns <= self.patience_ns / BRISK {
            self.limit = (self.limit + new).min(self.most);
        } else if took_ns > self.patience_ns / SLOW && begun_ns >= self.lowered_ns {
            self.limit = (self.limit / 2).max(self.least);
            self.lowered_ns = now_ns;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol;

    fn crowd(protocol: &str, peer_to_peer: bool, group: u32, workers: u32) -> Crowd {
        let mut spec = CellSpec { group, ..CellSpec::example() };
        spec.webrtc.peer_to_peer = peer_to_peer;
        Crowd::of(&spec, protocol::find(protocol).unwrap(), workers)
    }

    /// Lets in as many as may begin, each of whom takes so long however many there are, and says how many that was.
    fn round(crowd: &mut Crowd, now_ns: &mut u64, took_ns: u64) -> u64 {
        let mut begun = 0;
        while !crowd.is_full() {
            crowd.begin(*now_ns);
            begun += 1;
        }
        *now_ns += took_ns;
        crowd.settle(crowd.settled + begun, *now_ns);
        begun
    }

    #[test]
    fn handshakes_begin_few_at_a_time_and_never_less_than_a_group() {
        let first = |protocol, peer_to_peer, group, workers| {
            round(&mut crowd(protocol, peer_to_peer, group, workers), &mut 0, 1)
        };
        assert_eq!(first("websocket", false, 10, 1), 1024);
        assert_eq!(first("websocket", false, 10, 4), 256);
        assert_eq!(first("webrtc", false, 10, 1), 64);
        for (group, workers) in [(2, 1), (10, 1), (10, 4), (64, 1), (64, 100)] {
            let clients = first("webrtc", true, group, workers);
            assert!(clients >= u64::from(group), "{clients} of groups of {group}");
            let [others, most] = [group - 1, at_once(FIRST_PEERS, workers).max(group * (group - 1))];
            assert!(clients * u64::from(others) <= u64::from(most), "{clients} of groups of {group}");
        }
    }

    #[test]
    fn a_long_way_is_no_reason_to_go_one_by_one() {
        let (mut crowd, mut now_ns) = (crowd("webrtc", false, 10, 1), 0);
        let rounds: Vec<u64> = (0..6).map(|_| round(&mut crowd, &mut now_ns, 1_000_000_000)).collect();
        assert_eq!(rounds, [64, 128, 256, 512, 1024, 1024]);
    }

    #[test]
    fn a_machine_that_cannot_follow_gets_fewer() {
        let (mut crowd, mut now_ns, ms_each) = (crowd("webrtc", true, 10, 1), 0, 10_000_000);
        let mut longest_ns = 0;
        for _ in 0..50 {
            let begun_ns = now_ns;
            let waiting = crowd.limit as u64;
            round(&mut crowd, &mut now_ns, waiting * ms_each);
            longest_ns = longest_ns.max(now_ns - begun_ns);
            assert!(crowd.limit >= 10);
        }
        assert!(longest_ns < crowd.patience_ns, "{longest_ns}");
        assert!(crowd.limit > 20, "{} of 125 that it can take", crowd.limit);
    }
}
