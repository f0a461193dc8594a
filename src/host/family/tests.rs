//! The arithmetic by made-up readings, and a family of real processes.
#![allow(clippy::unwrap_used)]

use super::ledger::{Ledger, Seen};

const MS: u64 = 1_000_000;
const TICK: u64 = 10 * MS;

/// A process of this id and parent with so many ms on its clock, and so many of children it has waited for.
fn seen(pid: u32, parent: u32, clock_ms: u64, waited_ms: u64) -> Seen {
    Seen { pid, started: u64::from(pid), parent, clock_ns: clock_ms * MS, waited_ns: waited_ms * MS }
}

fn none_ignores(_: u32) -> bool {
    false
}

/// What a family used between the first and the last of these readings: CPU, the part in ticks, the error, in ms.
fn spent(readings: &[&[Seen]]) -> (u64, u64, u64) {
    let mut ledger = Ledger::default();
    let marks: Vec<_> = readings.iter().map(|living| ledger.enter(living.to_vec(), none_ignores)).collect();
    let spent = ledger.since(&marks[0], TICK);
    assert_eq!(spent.unwaited, 0);
    (spent.cpu_ns / MS, spent.ticked_ns / MS, spent.error_ns / MS)
}

#[test]
fn what_was_used_before_is_not_counted() {
    assert_eq!(spent(&[&[seen(1, 0, 500, 300)], &[seen(1, 0, 540, 300)]]), (40, 0, 0));
}

#[test]
fn one_that_comes_later_is_counted_from_its_birth() {
    assert_eq!(spent(&[&[seen(1, 0, 5, 0)], &[seen(1, 0, 6, 0), seen(2, 1, 7, 0)]]), (8, 0, 0));
}

#[test]
fn a_child_that_lived_at_the_first_reading_and_was_waited_for_counts_once() {
    // It had used 130 before, of which its parent was told as well when it ended with 150.
    let after = [seen(1, 0, 10, 150)];
    assert_eq!(spent(&[&[seen(1, 0, 10, 0), seen(2, 1, 130, 0)], &after]), (20, 20, 20));
}

#[test]
fn a_child_that_nobody_ever_saw_counts_by_its_ticks() {
    assert_eq!(spent(&[&[seen(1, 0, 10, 40)], &[seen(1, 0, 12, 90)]]), (52, 50, 20));
}

#[test]
fn a_child_counts_at_each_reading_once() {
    let readings: [&[Seen]; 4] = [
        &[seen(1, 0, 0, 0)],
        &[seen(1, 0, 0, 0), seen(2, 1, 30, 0)],
        &[seen(1, 0, 0, 0), seen(2, 1, 45, 0)],
        &[seen(1, 0, 0, 50)],
    ];
    assert_eq!(spent(&readings), (50, 5, 20));
}

#[test]
fn grandchildren_come_back_through_their_parents() {
    // 3 is waited for by 2, and then 2 by 1.
    let all = [seen(1, 0, 0, 0), seen(2, 1, 10, 0), seen(3, 2, 100, 0)];
    let two = [seen(1, 0, 0, 0), seen(2, 1, 20, 110)];
    let one = [seen(1, 0, 0, 140)];
    assert_eq!(spent(&[&all, &two, &one]), (30, 20, 20));
    // Both at once.
    assert_eq!(spent(&[&all, &one]), (30, 30, 20));
}

#[test]
fn what_ticks_cut_off_is_counted_once_when_it_comes_back() {
    // Children of 4 ms, each seen with 3: the parent is told 0, 0, 10, 10, 20.
    let told = [0, 0, 10, 10, 20];
    let mut readings = vec![vec![seen(1, 0, 0, 0)]];
    for (child, told) in told.into_iter().enumerate() {
        let before = readings.last().unwrap()[0].waited_ns / MS;
        readings.push(vec![seen(1, 0, 0, before), seen(10 + child as u32, 1, 3, 0)]);
        readings.push(vec![seen(1, 0, 0, told)]);
    }
    let slices: Vec<&[Seen]> = readings.iter().map(Vec::as_slice).collect();
    assert_eq!(spent(&slices).0, 20, "5 times 4");
}

#[test]
fn a_parent_that_was_read_before_its_child_ended_is_told_at_the_next_reading() {
    let readings: [&[Seen]; 3] = [
        &[seen(1, 0, 0, 0), seen(2, 1, 30, 0)],
        // The child is gone, and the parent's line was read before.
        &[seen(1, 0, 0, 0)],
        &[seen(1, 0, 0, 40)],
    ];
    assert_eq!(spent(&readings), (10, 10, 20));
}

#[test]
fn an_id_that_is_used_again_is_another_process() {
    let new = Seen { started: 99, ..seen(2, 1, 5, 0) };
    assert_eq!(spent(&[&[seen(1, 0, 0, 0), seen(2, 1, 100, 0)], &[seen(1, 0, 0, 100), new]]), (5, 0, 20));
}

#[test]
fn whom_nobody_waited_for_keeps_what_was_counted_and_is_told() {
    // 2's parent has ended, so that 2 ended as the child of another; 3's parent ignores its children.
    let mut ledger = Ledger::default();
    let first = ledger.enter(vec![seen(1, 0, 0, 0), seen(2, 9, 10, 0), seen(3, 1, 10, 0)], none_ignores);
    ledger.enter(vec![seen(1, 0, 0, 0), seen(2, 9, 30, 0), seen(3, 1, 40, 0)], none_ignores);
    ledger.enter(vec![seen(1, 0, 0, 0)], |pid| pid == 1);
    let spent = ledger.since(&first, TICK);
    assert_eq!((spent.cpu_ns / MS, spent.unwaited), (50, 2));
}

#[test]
fn a_span_tells_only_its_own() {
    let mut ledger = Ledger::default();
    ledger.enter(vec![seen(1, 0, 0, 0), seen(2, 1, 30, 0)], none_ignores);
    let opened = ledger.enter(vec![seen(1, 0, 0, 30)], none_ignores);
    ledger.enter(vec![seen(1, 0, 7, 30)], none_ignores);
    let spent = ledger.since(&opened, TICK);
    assert_eq!((spent.cpu_ns / MS, spent.ticked_ns, spent.error_ns), (7, 0, 0));
}

#[cfg(target_os = "linux")]
mod real {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::super::{Family, Root};
    use crate::host::stat::{self, Stat};

    /// A shell that does what it is told, line by line, and answers each with a line.
    struct Shell(Child);

    impl Shell {
        fn start() -> Shell {
            let mut command = Command::new("/bin/sh");
            Shell(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
        }

        fn say(&mut self, line: &str) -> String {
            writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
            let mut answer = String::new();
            BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
            answer.trim().to_owned()
        }

        fn family(&self) -> Family {
            Family::of(&[Root { pid: self.0.id(), leads_group: false }]).unwrap()
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Counts to a number, which takes a shell some 100 ms.
    const BURN: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";

    #[test]
    fn children_that_live_and_children_that_ended_are_counted_alike() {
        let mut shell = Shell::start();
        let mut family = shell.family();
        let opened = family.mark().unwrap();
        assert_eq!(shell.say(&format!("({BURN}); echo done")), "done");
        family.mark().unwrap();
        let ended = family.since(&opened);
        assert!(ended.cpu_ns > 0 && ended.ticked_ns > 0 && ended.error_ns == 20_000_000, "{ended:?}");
        // The same, and the child says so and lives on.
        let opened = family.mark().unwrap();
        let child = shell.say(&format!("({BURN}; echo done; exec sleep 1000) &"));
        assert_eq!(child, "done");
        family.mark().unwrap();
        let living = family.since(&opened);
        assert_eq!((living.ticked_ns, living.error_ns), (0, 0));
        assert!(living.cpu_ns > ended.cpu_ns / 10, "{living:?} {ended:?}");
        assert_eq!(family.members().count(), 2);
        assert!(family.memory_bytes() > Some(0) && family.resident_bytes() > Some(0));
        shell.say("kill $!; wait $!; echo gone");
        family.mark().unwrap();
        assert!(family.since(&opened).unwaited == 0 && family.members().count() == 1);
    }

    /// Waits for what must come.
    fn until(is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_child_that_its_parent_ignores_is_told() {
        let mut shell = Shell::start();
        // What takes the shell's place has its child.
        let child = shell.say("sleep 1000 & echo $!; exec env --ignore-signal=CHLD sleep 1000");
        until(|| stat::ignores_children(shell.0.id()));
        let mut family = shell.family();
        let opened = family.mark().unwrap();
        Command::new("kill").arg(&child).status().unwrap();
        until(|| Stat::of(child.parse().unwrap()).is_none());
        family.mark().unwrap();
        assert_eq!(family.since(&opened).unwaited, 1);
    }

    #[test]
    fn a_family_that_has_ended_has_no_figures() {
        let mut shell = Shell::start();
        let mut family = shell.family();
        shell.0.kill().unwrap();
        shell.0.wait().unwrap();
        assert_eq!((family.mark(), family.memory_bytes(), family.resident_bytes()), (None, None, None));
        assert!(Family::of(&[Root { pid: shell.0.id(), leads_group: false }]).is_none());
    }
}
