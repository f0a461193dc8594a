//! What the processor may be told about memory that is about to be used.

/// Bytes that a cache fetches at a time.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Lines of one value that are worth fetching: what is needed often is at the front, and the processor keeps track of no more
/// than a dozen or so.
#[cfg(target_arch = "x86_64")]
const MOST_LINES: usize = 4;

/// Starts to fetch `value` into the cache, and waits for nothing.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let start = std::ptr::from_ref(value).cast::<i8>();
    for line in 0..size_of_val(value).div_ceil(LINE_BYTES).min(MOST_LINES) {
        // SAFETY: a hint, which reads nothing that the program could see and fails at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * LINE_BYTES)) };
    }
}

/// Elsewhere the processor is left to itself.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn prefetch<T: ?Sized>(_: &T) {}
