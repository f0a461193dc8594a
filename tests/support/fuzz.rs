//! A fuzzer for what takes apart the bytes of others: inputs that are right, changed in many small ways. The tests that use it have
//! `fuzz` in their names, and try a few thousand inputs, the same each time. `RTBENCH_FUZZ_S=60` has each of them go on for a
//! minute with new ones; what breaks something is printed, and belongs into a test of its own.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, SystemTime};

/// Seconds for each fuzzer; without it, a fixed number of inputs.
const SECONDS: &str = "RTBENCH_FUZZ_S";

/// Inputs that are tried where no time is named.
const FEW: u64 = 2_000;

/// Most bytes of an input.
const MOST_BYTES: usize = 32 << 10;

/// Most changes to one input.
const MOST_CHANGES: u64 = 6;

/// Bytes and numbers that tend to lie on a border.
const BORDERS: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b",",
    b":",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{}",
    b"[",
    b"0",
    b"-1",
    b"1e999",
    b"4294967295",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x1b[",
    b"\x1b]0;",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xf0\x9f",
    b"\xc0\x80",
    b"nan",
];

/// A stream of numbers (splitmix64).
pub struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Cuts an input into pieces, as a network does.
    pub fn cut<'a>(&mut self, mut input: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !input.is_empty() {
            let most = if self.below(2) == 0 { 3 } else { input.len() };
            let (piece, rest) = input.split_at(1 + self.below(most.min(input.len())));
            pieces.push(piece);
            input = rest;
        }
        pieces
    }
}

/// Hands changed inputs to `check` until the time is over or it panics.
pub fn fuzz(right: &[&[u8]], mut check: impl FnMut(&[u8], &mut Numbers)) {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut numbers = Numbers(if end.is_some() { now.as_nanos() as u64 } else { 1 });
    let mut tried = 0;
    while end.map_or(tried < FEW, |end| Instant::now() < end) {
        let input = changed(right, &mut numbers);
        // Pieces come from a stream of their own, which can be told.
        let seed = numbers.next();
        let checked = catch_unwind(AssertUnwindSafe(|| check(&input, &mut Numbers(seed))));
        if let Err(panic) = checked {
            eprintln!("after {tried} inputs, with pieces by {seed}: b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
        tried += 1;
    }
    println!("{tried} inputs");
}

/// One of the right inputs, changed a little.
fn changed(right: &[&[u8]], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = right[numbers.below(right.len())].to_vec();
    for _ in 0..numbers.next() % (MOST_CHANGES + 1) {
        change(&mut input, right, numbers);
    }
    input.truncate(MOST_BYTES);
    input
}

fn change(input: &mut Vec<u8>, right: &[&[u8]], numbers: &mut Numbers) {
    let at = numbers.below(input.len() + 1);
    let length = numbers.below((input.len() - at).min(64) + 1);
    let other = right[numbers.below(right.len())];
    match numbers.below(8) {
        0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
        1 if at < input.len() => input[at] = numbers.next() as u8,
        2 => drop(input.drain(at..at + length)),
        3 => drop(input.splice(at..at + length, BORDERS[numbers.below(BORDERS.len())].iter().copied())),
        4 => {
            let again = input[at..at + length].repeat(1 + numbers.below(20));
            drop(input.splice(at..at, again));
        }
        // The front of this one and the end of another.
        5 => drop(input.splice(at.., other[numbers.below(other.len() + 1)..].iter().copied())),
        6 => {
            let from = numbers.below(other.len() + 1);
            let part = &other[from..(from + numbers.below(32)).min(other.len())];
            drop(input.splice(at..at, part.iter().copied()));
        }
        _ => input.truncate(at),
    }
}
