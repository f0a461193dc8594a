//! Which sessions have something to do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// The sessions of a worker that were woken, in the order in which they were.
///
/// It is never freed, nor are its places: a waker is then two words that cost nothing to copy and to drop, and lies beside
/// those of other sessions instead of on a cache line of its own. A worker makes one, and ends with it.
#[derive(Debug, Default)]
pub struct ReadyQueue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    woken: VecDeque<u32>,
    places: Vec<&'static [Place; PLACES]>,
    sessions: u32,
    /// Who waits for a session to be woken.
    executor: Option<Waker>,
}

/// Places that are made at once, to lie side by side.
const PLACES: usize = 64;

/// Where a session's wakers lead.
#[derive(Debug)]
struct Place {
    queue: &'static ReadyQueue,
    session: u32,
    woken: AtomicBool,
}

impl ReadyQueue {
    /// An empty one.
    pub(super) fn new() -> &'static ReadyQueue {
        Box::leak(Box::default())
    }

    /// A place for one more session, which is woken at once. Sessions go by the number of those before them.
    pub(super) fn add(&'static self) -> Waker {
        let mut state = self.lock();
        let session = state.sessions;
        state.sessions += 1;
        if (session as usize).is_multiple_of(PLACES) {
            let place =
                |at| Place { queue: self, session: session + at as u32, woken: AtomicBool::new(false) };
            state.places.push(Box::leak(Box::new(std::array::from_fn(place))));
        }
        let place = state.place(session);
        drop(state);
        place.wake();
        place.waker()
    }

    /// Wakes every session.
    pub(super) fn wake_all(&self) {
        let sessions = self.lock().sessions;
        for session in 0..sessions {
            let place = self.lock().place(session);
            place.wake();
        }
    }

    /// Moves at most `most` of the woken to `turns`, which is empty. Each can be woken again from now on.
    pub(super) fn take(&self, most: usize, turns: &mut Vec<u32>) {
        let mut state = self.lock();
        let taken = most.min(state.woken.len());
        turns.extend(state.woken.drain(..taken));
        for &session in turns.iter() {
            state.place(session).woken.store(false, Ordering::Release);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().woken.is_empty()
    }

    /// Ready when a session has been woken.
    pub(super) fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.woken.is_empty() {
            return Poll::Ready(());
        }
        state.executor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nothing that holds the lock panics half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(&self, session: u32) -> &'static Place {
        let session = session as usize;
        &self.places[session / PLACES][session % PLACES]
    }
}

impl Place {
    fn wake(&self) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.queue.lock();
        state.woken.push_back(self.session);
        let executor = state.executor.take();
        drop(state);
        if let Some(executor) = executor {
            executor.wake();
        }
    }

    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table take the pointer for what it is made from here, which may be used by any
        // thread and lives for ever, so that there is nothing to count and nothing to drop.
        unsafe { Waker::new(std::ptr::from_ref(self).cast(), &VTABLE) }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| {});

unsafe fn clone(place: *const ()) -> RawWaker {
    RawWaker::new(place, &VTABLE)
}

unsafe fn wake(place: *const ()) {
    // SAFETY: only `Place::waker` makes such pointers, from references that live for ever.
    unsafe { &*place.cast::<Place>() }.wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn taken(queue: &ReadyQueue, most: usize) -> Vec<u32> {
        let mut turns = Vec::new();
        queue.take(most, &mut turns);
        turns
    }

    /// A queue of three whose first turns are over.
    fn three() -> (&'static ReadyQueue, [Waker; 3]) {
        let queue = ReadyQueue::new();
        let wakers = std::array::from_fn(|_| queue.add());
        assert_eq!(taken(queue, 9), [0, 1, 2], "each has a turn to begin with");
        (queue, wakers)
    }

    #[test]
    fn a_session_has_one_turn_however_often_it_was_woken_and_can_be_woken_in_it() {
        let (queue, [first, second, third]) = three();
        third.wake_by_ref();
        first.wake_by_ref();
        third.wake_by_ref();
        second.wake();
        assert_eq!(taken(queue, 2), [2, 0]);
        third.wake();
        assert_eq!(taken(queue, 9), [1, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn all_are_woken_and_none_twice() {
        let (queue, [_, second, _]) = three();
        second.wake();
        queue.wake_all();
        assert_eq!(taken(queue, 9), [1, 0, 2]);
    }

    #[test]
    fn more_sessions_than_places_made_at_once_each_have_their_own() {
        let queue = ReadyQueue::new();
        let wakers: Vec<Waker> = (0..3 * PLACES).map(|_| queue.add()).collect();
        taken(queue, usize::MAX);
        for (session, waker) in wakers.into_iter().enumerate().rev() {
            waker.wake();
            assert_eq!(taken(queue, 9), [session as u32]);
        }
    }

    #[test]
    fn who_waits_is_woken_once_by_the_first_of_any_thread() {
        let (queue, [first, second, _]) = three();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        assert!(queue.poll_woken(&cx).is_pending());
        std::thread::spawn(move || first.wake()).join().unwrap();
        second.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(queue.poll_woken(&cx).is_ready());
    }
}
