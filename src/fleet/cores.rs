//! Where rtbench starts the server itself, server and workers are tied to cores of their own, among those that rtbench was
//! given (a cpuset, `taskset`), before they have a thread. A server that stood before is nobody's to move.

use super::layout::ServerSite;
use crate::host::cores;

/// Who is tied to what. Empty where nobody is: one core cannot be divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seats {
    server: Vec<usize>,
    workers: Vec<usize>,
}

impl Seats {
    /// On this host, where it tells what this process may use.
    pub(super) fn here(site: ServerSite) -> Seats {
        Seats::of(site, cores::of(0).unwrap_or_default())
    }

    fn of(site: ServerSite, mut given: Vec<usize>) -> Seats {
        let own = site.server_cores(given.len() as u64) as usize;
        if own == 0 || own >= given.len() {
            return Seats::default();
        }
        let workers = given.split_off(own);
        Seats { server: given, workers }
    }

    /// Cores of every server.
    pub(super) fn server(&self) -> &[usize] {
        &self.server
    }

    /// The core of a worker.
    pub(super) fn worker(&self, nth: usize) -> &[usize] {
        self.workers.chunks(1).nth(nth % self.workers.len().max(1)).unwrap_or_default()
    }
}

/// What came of tying a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// It was not to be tied.
    Free,
    /// It runs on this core alone.
    Tied(usize),
    /// It should have been tied, and may run anywhere.
    Refused,
}

impl Seat {
    /// Of one that was to be tied to `core`, and `tied` or not.
    pub(super) fn of(core: &[usize], tied: Option<bool>) -> Seat {
        match (core.first(), tied) {
            (Some(&core), Some(true)) => Seat::Tied(core),
            (_, Some(false)) => Seat::Refused,
            _ => Seat::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_those_that_were_given() {
        let seats = Seats::of(ServerSite::Own, vec![4, 6, 7]);
        assert_eq!((seats.server(), seats.worker(0)), (&[4][..], &[6][..]));
        assert_eq!((seats.worker(1), seats.worker(2)), (&[7][..], &[6][..]), "in turn");
    }

    #[test]
    fn a_server_of_any_kind_gets_half_and_none_shares_with_workers() {
        let sizes = |n: usize| Seats::of(ServerSite::Command, (0..n).collect()).server().len();
        assert_eq!([2, 3, 4, 8].map(sizes), [1, 1, 2, 4]);
        let seats = Seats::of(ServerSite::Command, vec![0, 1, 2, 3]);
        assert_eq!((seats.server(), seats.worker(0), seats.worker(1)), (&[0, 1][..], &[2][..], &[3][..]));
    }

    #[test]
    fn one_core_and_strangers_are_left_alone() {
        let standing = ServerSite::Standing(std::net::Ipv4Addr::LOCALHOST.into());
        for seats in [
            Seats::of(ServerSite::Own, vec![3]),
            Seats::of(ServerSite::Own, vec![]),
            Seats::of(standing, vec![0, 1]),
        ] {
            assert_eq!((seats.server(), seats.worker(0)), (&[][..], &[][..]));
        }
    }
}
