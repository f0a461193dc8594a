//! One seed per run; every random choice has a stream of its own, derived from (seed, client, purpose), so that
//! neither the number of workers nor the order of events changes the workload.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

/// What random numbers are for. The discriminants are part of the reproducible workload: append, never reorder.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Due times of a publisher.
    Pace = 1,
    /// Phase of a client's polls.
    PollPhase = 2,
    /// Jitter of reconnects.
    Backoff = 3,
    /// What the protocol itself draws (masks, credentials).
    Protocol = 4,
    /// Losses and jitter of the emulated link.
    Link = 5,
}

/// The number from which the stream of (seed, client, purpose) starts.
pub fn derive(seed: u64, client: u32, purpose: Purpose) -> u64 {
    [u64::from(client), purpose as u64].iter().fold(mix(seed), |state, &part| mix(state ^ mix(part)))
}

/// The stream of (seed, client, purpose).
pub fn stream(seed: u64, client: u32, purpose: Purpose) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(derive(seed, client, purpose))
}

/// SplitMix64's step: every output bit depends on every input bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in [0, 1) with 53 random bits.
pub fn unit(rng: &mut Pcg64Mcg) -> f64 {
    use rand_pcg::rand_core::Rng;
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_client_and_purpose_and_repeat() {
        let first = |seed, client, purpose| unit(&mut stream(seed, client, purpose));
        let one = first(1, 2, Purpose::Pace);
        assert_eq!(one, first(1, 2, Purpose::Pace));
        assert_ne!(one, first(2, 2, Purpose::Pace));
        assert_ne!(one, first(1, 3, Purpose::Pace));
        assert_ne!(one, first(1, 2, Purpose::PollPhase));
    }
}
