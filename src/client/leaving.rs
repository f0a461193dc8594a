//! The way out of a cell.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

/// Lets clients out a few at a time: thousands at once would outwait their own patience.
pub struct Doors {
    most: u32,
    leaving: Cell<u32>,
    /// Who waits, each client once.
    waiting: RefCell<BTreeMap<u32, Waker>>,
}

impl Doors {
    /// Lets out `most` at the same time.
    pub(super) fn new(most: u32) -> Doors {
        Doors { most, leaving: Cell::default(), waiting: RefCell::default() }
    }

    /// Whether this client may leave now; if not, `waker` is woken when it is worth asking again.
    pub fn enter(&self, client: u32, waker: &Waker) -> bool {
        let free = self.leaving.get() < self.most;
        let mut waiting = self.waiting.borrow_mut();
        if free {
            self.leaving.set(self.leaving.get() + 1);
            waiting.remove(&client);
        } else {
            waiting.insert(client, waker.clone());
        }
        free
    }

    /// One that was let out is gone. As many are woken as there are free places; they wait until they are let out, so that
    /// no place stays free while somebody waits who was not woken for it.
    pub fn left(&self) {
        self.leaving.set(self.leaving.get() - 1);
        let free = (self.most - self.leaving.get()) as usize;
        self.waiting.borrow().values().take(free).for_each(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    /// Asks at the door and says whether it got through.
    fn asks(doors: &Doors, client: u32, woken: &Arc<Woken>) -> bool {
        doors.enter(client, &woken.clone().into())
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Clients are also woken by other things, and then ask again: that must not take another's turn from it.
    #[test]
    fn whoever_asks_twice_does_not_wait_in_anothers_place() {
        let doors = Doors::new(1);
        let [first, patient, restless] = [(); 3].map(|()| Arc::<Woken>::default());
        assert!(asks(&doors, 0, &first));
        assert!(!asks(&doors, 1, &patient));
        for _ in 0..2 {
            assert!(!asks(&doors, 2, &restless));
        }
        let mut left = [(1, patient), (2, restless)].into_iter().collect::<BTreeMap<_, _>>();
        while !left.is_empty() {
            doors.left();
            let next = left.iter().find(|(_, woken)| woken.0.swap(false, Ordering::Relaxed));
            let client = *next.expect("a place is free, and nobody was woken").0;
            assert!(asks(&doors, client, &left[&client]));
            left.remove(&client);
        }
    }
}
