//! Which cores a process may run on, and tying it to some of them. Cores have the kernel's numbers, which need not begin
//! at 0 nor follow each other where a cpuset or `taskset` gave this process some.

/// The cores that a process may run on (its first thread), in order; of this one for id 0. `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub fn of(pid: u32) -> Option<Vec<usize>> {
    // The kernel refuses a mask that is too short for all the cores it was built for.
    let mut words = 16;
    while words <= 4096 {
        let mut mask = vec![0u64; words];
        // SAFETY: the mask is as long as is said, and aligned as one of the system's.
        let told =
            unsafe { libc::sched_getaffinity(pid.try_into().ok()?, words * 8, mask.as_mut_ptr().cast()) };
        if told == 0 {
            let has = |core: &usize| mask[core / 64] >> (core % 64) & 1 == 1;
            return Some((0..words * 64).filter(has).collect());
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
            return None;
        }
        words *= 4;
    }
    None
}

/// Cores to which a process can be tied. Made before a fork, as nothing may be allocated behind it.
#[derive(Clone, Debug)]
pub struct Mask(#[cfg_attr(not(target_os = "linux"), allow(dead_code))] Vec<u64>);

impl Mask {
    /// Of these cores.
    pub fn of(cores: &[usize]) -> Mask {
        let words = cores.iter().max().map_or(0, |most| most / 64 + 1);
        let mut mask = vec![0u64; words];
        cores.iter().for_each(|core| mask[core / 64] |= 1 << (core % 64));
        Mask(mask)
    }

    /// Ties the calling thread, and whatever it starts from now on; says whether that worked.
    #[cfg(target_os = "linux")]
    pub fn tie_this_thread(&self) -> bool {
        // SAFETY: the mask is as long as is said.
        unsafe { libc::sched_setaffinity(0, self.0.len() * 8, self.0.as_ptr().cast()) == 0 }
    }

    /// Not possible here.
    #[cfg(not(target_os = "linux"))]
    pub fn tie_this_thread(&self) -> bool {
        false
    }
}

#[cfg(not(target_os = "linux"))]
/// Not readable here.
pub fn of(_pid: u32) -> Option<Vec<usize>> {
    None
}

/// Cores as people write them: `0-3,8`.
pub fn in_words(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_tied_to_cores_that_it_was_given() {
        let given = of(0).unwrap();
        assert!(!given.is_empty());
        std::thread::spawn(move || {
            let last = given[given.len() - 1];
            assert!(Mask::of(&[last]).tie_this_thread());
            assert_eq!(of(0), Some(vec![last]));
            assert!(!Mask::of(&[5_000]).tie_this_thread(), "there is no such core");
            assert_eq!(of(0), Some(vec![last]));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn cores_are_written_as_runs() {
        let words = [&[][..], &[3], &[0, 1, 2, 3, 8], &[1, 3, 4]].map(in_words);
        assert_eq!(words, ["", "3", "0-3,8", "1,3-4"]);
    }
}
