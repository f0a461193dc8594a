//! The emulated link: what lies between a client and the rest of the world, played inside the client's transport.
//!
//! ```text
//! protocol -> Counted -> (TLS) -> Linked -> Socket -> kernel   TCP: `stream`
//! protocol -> Datagrams -> Lane -> kernel                      UDP: `datagram`, used by `transport::udp`
//! ```
//!
//! The kernel's loopback carries the bytes; the link decides when. What is written reaches the kernel one way later,
//! and what the kernel brought is handed up one way later, so that the client carries the whole link and a server
//! under test needs no change. Between two peers each end carries half of it ([`LinkSpec::halved`]).
//!
//! # The model
//!
//! - **Delay**: half the RTT in each direction. Connecting over TCP costs one RTT before bytes may flow.
//! - **Jitter**: uniform, the RTT varies by up to `jitter` to each side. It is what a queue adds and a queue keeps the
//!   order, so nothing is reordered, neither on TCP nor on UDP.
//! - **Rate**: a line of that rate in each direction; what is sent faster waits behind what went before. Headers of IP and
//!   TCP or UDP take their time too.
//! - **Loss**: each packet independently, in each direction. On UDP the datagram is gone. On TCP it comes late, and
//!   everything behind it waits (head-of-line blocking):
//!   - fast retransmit (RFC 5681, section 3.2): the third segment that arrives behind the hole makes the receiver's third
//!     duplicate ACK; half an RTT later the sender has it, half an RTT later the segment arrives. With segments close
//!     behind each other the stall is one RTT;
//!   - else the retransmission timer (RFC 6298): `RTO = RTT + max(200 ms, 4 x RTTVAR)`, which is what Linux makes of
//!     a steady path (it bounds the variance by 200 ms from below, not the sum). A single lost segment so arrives
//!     `RTO` late;
//!   - a retransmission that is lost again waits for the timer, which doubles each time (RFC 6298, section 5.5). A
//!     lost SYN or SYN-ACK costs 1 s, then 2 s and so on (section 2.1).
//!
//! Signalling for data channels goes beside the link: it is not measured, and its requests share connections. ICE, DTLS and
//! SCTP pay their round trips.
//!
//! Not modelled: congestion control (messages are small against the first window of ten segments, RFC 6928), loss of
//! pure ACKs (the next one covers it), and the tail loss probe of RACK-TLP (RFC 8985, section 7), which makes some of the
//! time-outs above shorter where two or more segments are in flight. TCP's tails are so those of RFC 6298.
//!
//! # What it was checked against
//!
//! For segments sent every `d` with loss `p`, far from the next loss, the arithmetic is closed: a lost segment comes
//! `s = min(3 d + RTT, RTO)` late, the `k`-th behind it `s - k d`, so that one loss delays `ceil(s / d)` segments by
//! `s^2 / 2 d` in sum. `model::tests` holds the model to it, and to a second implementation that simulates sender and
//! receiver packet by packet (sequence numbers, duplicate ACKs, a timer) and shares nothing with it.

use std::cell::RefCell;
use std::rc::Rc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

use crate::host::timer::Timer;

mod datagram;
mod model;
mod spec;
mod stream;

pub(super) use datagram::DatagramPath;
pub use spec::{LinkError, LinkSpec, PRESETS, Preset};
pub use stream::Linked;

/// A client's link: what it is, and what makes it wait exactly. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    timer: Timer,
    spec: LinkSpec,
    /// Of the connections to come: one after the other takes its seed from here.
    seeds: Rc<RefCell<Pcg64Mcg>>,
}

impl Link {
    /// The link of one client; `None` if there is nothing to emulate. `seed` decides every loss and every jitter.
    pub fn new(timer: Timer, spec: LinkSpec, seed: u64) -> Option<Link> {
        let seeds = Rc::new(RefCell::new(Pcg64Mcg::seed_from_u64(seed)));
        (!spec.is_loopback()).then_some(Link { timer, spec, seeds })
    }

    /// The same link with a stream of seeds of its own, so that what one use draws does not depend on when the other does.
    pub(super) fn fork(&self) -> Link {
        Link { seeds: Rc::new(RefCell::new(Pcg64Mcg::seed_from_u64(self.seed()))), ..self.clone() }
    }

    /// This end's half of a link between two peers.
    pub fn halved(&self) -> Link {
        Link { spec: self.spec.halved(), ..self.clone() }
    }

    fn seed(&self) -> u64 {
        self.seeds.borrow_mut().next_u64()
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.spec)
    }
}
