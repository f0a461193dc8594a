//! Which sessions have something to do.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use futures_util::task::AtomicWaker;

/// The sessions of a worker that were woken, in the order in which they were.
///
/// Nearly all are woken by the worker's own thread, which needs no lock for it. The queue is never freed, nor are its
/// places: a waker is then two words that cost nothing to copy and to drop, and lies beside those of other sessions instead
/// of on a cache line of its own. A worker makes one, and ends with it.
pub(super) struct ReadyQueue {
    woken: RefCell<VecDeque<u32>>,
    /// How often a session was put into it, and how often one has had its turn.
    queued: Cell<u64>,
    served: Cell<u64>,
    places: RefCell<Vec<&'static [Place; PLACES]>>,
    sessions: Cell<u32>,
    /// Who waits for a session to be woken, and who for the turns of those that were.
    executor: Cell<Option<Waker>>,
    watch: Cell<Option<Waker>>,
    letterbox: &'static Letterbox,
}

/// Where other threads leave whom they wake.
#[derive(Default)]
struct Letterbox {
    is_full: AtomicBool,
    woken: Mutex<Vec<u32>>,
    executor: AtomicWaker,
}

/// Places that are made at once, to lie side by side.
const PLACES: usize = 64;

/// Where a session's wakers lead.
struct Place {
    letterbox: &'static Letterbox,
    session: u32,
    woken: AtomicBool,
}

thread_local! {
    /// The queue that was made last on this thread.
    static HERE: Cell<Option<&'static ReadyQueue>> = const { Cell::new(None) };
}

impl ReadyQueue {
    /// An empty one, of this thread.
    pub(super) fn new() -> &'static ReadyQueue {
        let queue: &'static ReadyQueue = Box::leak(Box::new(ReadyQueue {
            woken: RefCell::default(),
            queued: Cell::default(),
            served: Cell::default(),
            places: RefCell::default(),
            sessions: Cell::default(),
            executor: Cell::default(),
            watch: Cell::default(),
            letterbox: Box::leak(Box::default()),
        }));
        HERE.set(Some(queue));
        queue
    }

    /// A place for one more session, which is woken at once. Sessions go by the number of those before them.
    pub(super) fn add(&self) -> Waker {
        let session = self.sessions.get();
        self.sessions.set(session + 1);
        if (session as usize).is_multiple_of(PLACES) {
            let place = |at| Place {
                letterbox: self.letterbox,
                session: session + at as u32,
                woken: AtomicBool::new(false),
            };
            self.places.borrow_mut().push(Box::leak(Box::new(std::array::from_fn(place))));
        }
        let place = self.place(session);
        place.wake();
        place.waker()
    }

    /// Wakes every session.
    pub(super) fn wake_all(&self) {
        for session in 0..self.sessions.get() {
            self.place(session).wake();
        }
    }

    /// Moves at most `most` of the woken to `turns`, which is empty. Each can be woken again from now on.
    pub(super) fn take(&self, most: usize, turns: &mut Vec<u32>) {
        self.empty_letterbox();
        let mut woken = self.woken.borrow_mut();
        let taken = most.min(woken.len());
        turns.extend(woken.drain(..taken));
        for &session in turns.iter() {
            // With what was written before the wake that came too late to count.
            self.place(session).woken.swap(false, Ordering::AcqRel);
        }
    }

    /// So many that were taken have had their turn.
    pub(super) fn serve(&self, turns: usize) {
        self.served.set(self.served.get() + turns as u64);
        if let Some(watch) = self.watch.take() {
            watch.wake();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.woken.borrow().is_empty() && !self.letterbox.is_full.load(Ordering::Acquire)
    }

    /// Ready when a session has been woken. One executor may wait.
    pub(super) fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_empty() {
            self.executor.set(Some(cx.waker().clone()));
            self.letterbox.executor.register(cx.waker());
        }
        // Another thread may have been in between.
        if self.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until all that are woken now have had their turn. One may wait.
    pub(super) async fn passed(&self) {
        let behind = self.queued.get();
        std::future::poll_fn(|cx| {
            if self.served.get() >= behind {
                return Poll::Ready(());
            }
            self.watch.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn place(&self, session: u32) -> &'static Place {
        let session = session as usize;
        &self.places.borrow()[session / PLACES][session % PLACES]
    }

    fn push(&self, session: u32) {
        self.woken.borrow_mut().push_back(session);
        self.queued.set(self.queued.get() + 1);
        if let Some(executor) = self.executor.take() {
            executor.wake();
        }
    }

    fn empty_letterbox(&self) {
        // A look costs less than a swap, and there is nearly never anything.
        if self.letterbox.is_full.load(Ordering::Relaxed)
            && self.letterbox.is_full.swap(false, Ordering::AcqRel)
        {
            let letters = std::mem::take(&mut *self.letterbox.lock());
            letters.into_iter().for_each(|session| self.push(session));
        }
    }
}

impl Letterbox {
    fn push(&self, session: u32) {
        self.lock().push(session);
        self.is_full.store(true, Ordering::Release);
        self.executor.wake();
    }

    /// Nothing that holds the lock panics half-way through a change.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn wake(&self) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        match HERE.get() {
            Some(queue) if std::ptr::eq(queue.letterbox, self.letterbox) => queue.push(self.session),
            _ => self.letterbox.push(self.session),
        }
    }

    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table take the pointer for what it is made from here, which any thread may use, as
        // the next line holds, and which lives for ever, so that there is nothing to count and nothing to drop.
        unsafe { Waker::new(std::ptr::from_ref(self).cast(), &VTABLE) }
    }
}

const _: fn() = || {
    fn any_thread_may_use<T: Send + Sync>() {}
    any_thread_may_use::<Place>();
};

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
    use std::pin::pin;

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
    fn a_watch_waits_for_those_before_it_and_for_none_behind() {
        let (queue, [first, second, third]) = three();
        queue.serve(3);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pin!(queue.passed()).poll(cx).is_ready());
        first.wake();
        second.wake();
        let mut passed = pin!(queue.passed());
        assert!(passed.as_mut().poll(cx).is_pending());
        third.wake();
        assert_eq!(taken(queue, 1), [0]);
        queue.serve(1);
        assert!(passed.as_mut().poll(cx).is_pending());
        assert_eq!(taken(queue, 1), [1]);
        queue.serve(1);
        assert!(passed.as_mut().poll(cx).is_ready());
    }

    #[test]
    fn who_waits_is_woken_once_by_the_first_and_by_any_thread() {
        // Who waits is a session of another queue, which is not this thread's any more: it has its wakes by letter.
        let waiting = ReadyQueue::new();
        let waker = waiting.add();
        assert_eq!(taken(waiting, 9), [0]);
        let (queue, [first, second, _]) = three();
        let cx = Context::from_waker(&waker);
        assert!(queue.poll_woken(&cx).is_pending());
        second.wake();
        assert_eq!(taken(waiting, 9), [0]);
        first.wake_by_ref();
        assert!(waiting.is_empty());
        assert!(queue.poll_woken(&cx).is_ready());
        assert_eq!(taken(queue, 9), [1, 0]);
        assert!(queue.poll_woken(&cx).is_pending());
        std::thread::spawn(move || first.wake()).join().unwrap();
        assert_eq!(taken(waiting, 9), [0]);
        assert!(queue.poll_woken(&cx).is_ready());
        assert_eq!(taken(queue, 9), [0]);
        assert!(queue.is_empty());
    }
}
