//! Waiting to the microsecond. Tokio's timer is 1 ms coarse and 1 ms late; this one is a timerfd that the
//! worker's runtime polls, with a heap of deadlines behind it. One per thread; no locks.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::clock::monotonic_ns;

/// A source of alarms. Cheap to clone.
#[derive(Clone)]
pub struct Timer {
    shared: Rc<Shared>,
}

struct Shared {
    state: RefCell<State>,
    wake_at: backend::WakeAt,
}

#[derive(Default)]
struct State {
    /// Earliest first. Holds stale entries, told by a deadline that is not the slot's own.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// What the backend was last set to; while alarms fire, nothing is earlier, as it is about to be set anyway.
    set_to_ns: Option<u64>,
}

#[derive(Default)]
struct Slot {
    deadline_ns: Option<u64>,
    fired: bool,
    waker: Option<Waker>,
}

impl Timer {
    /// Makes a timer and the task that drives it on the current thread.
    ///
    /// # Errors
    /// The system has no descriptor left for it.
    pub fn new() -> io::Result<Timer> {
        let shared = Rc::new(Shared { state: RefCell::default(), wake_at: backend::WakeAt::new()? });
        tokio::task::spawn_local(drive(shared.clone()));
        Ok(Timer { shared })
    }

    /// A new alarm of this timer.
    pub fn alarm(&self) -> Alarm {
        let mut state = self.shared.state.borrow_mut();
        let slot = state.free.pop().unwrap_or(state.slots.len());
        if slot == state.slots.len() {
            state.slots.push(Slot::default());
        }
        Alarm { shared: self.shared.clone(), slot }
    }

    /// Waits until the monotonic clock shows `deadline_ns`.
    pub async fn sleep_until(&self, deadline_ns: u64) {
        let mut alarm = self.alarm();
        std::future::poll_fn(|cx| alarm.poll_until(cx, deadline_ns)).await;
    }
}

/// One waiter. Holds at most one deadline at a time.
pub struct Alarm {
    shared: Rc<Shared>,
    slot: usize,
}

impl Alarm {
    /// Ready when the monotonic clock shows `deadline_ns`. Another deadline than at the last call replaces that one.
    /// Reads no clock: until it is ready a repeated call costs a comparison.
    pub fn poll_until(&mut self, cx: &mut Context<'_>, deadline_ns: u64) -> Poll<()> {
        let mut state = self.shared.state.borrow_mut();
        let slot = &mut state.slots[self.slot];
        if slot.deadline_ns != Some(deadline_ns) {
            *slot = Slot { deadline_ns: Some(deadline_ns), fired: false, waker: Some(cx.waker().clone()) };
            state.heap.push(Reverse((deadline_ns, self.slot)));
            if state.set_to_ns.is_none_or(|set| deadline_ns < set) {
                state.set_to_ns = Some(deadline_ns);
                self.shared.wake_at.set(deadline_ns);
            }
            return Poll::Pending;
        }
        if slot.fired {
            slot.deadline_ns = None;
            return Poll::Ready(());
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = self.shared.state.borrow_mut();
        state.slots[self.slot] = Slot::default();
        state.free.push(self.slot);
    }
}

/// Runs for as long as the thread's event loop does.
async fn drive(shared: Rc<Shared>) {
    let mut due = Vec::new();
    loop {
        shared.wake_at.elapsed().await;
        fire(&shared, monotonic_ns(), &mut due);
        due.drain(..).for_each(Waker::wake);
        // Who is woken mostly waits again: the backend is set once, behind them.
        after_the_woken().await;
        set(&shared);
    }
}

/// Lets those run that are ready now.
async fn after_the_woken() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Marks what is due and adds whom to wake to `due`.
fn fire(shared: &Shared, now_ns: u64, due: &mut Vec<Waker>) {
    let mut state = shared.state.borrow_mut();
    while let Some(&Reverse((deadline_ns, index))) = state.heap.peek() {
        let slot = &mut state.slots[index];
        let stale = slot.deadline_ns != Some(deadline_ns) || slot.fired;
        if !stale && deadline_ns > now_ns {
            break;
        }
        if !stale {
            slot.fired = true;
            due.extend(slot.waker.take());
        }
        state.heap.pop();
    }
    state.set_to_ns = Some(0);
}

/// Sets the backend to what is due next.
fn set(shared: &Shared) {
    let mut state = shared.state.borrow_mut();
    state.set_to_ns = state.heap.peek().map(|&Reverse((deadline_ns, _))| deadline_ns);
    if let Some(deadline_ns) = state.set_to_ns {
        shared.wake_at.set(deadline_ns);
    }
}

#[cfg(target_os = "linux")]
mod backend {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use tokio::io::unix::AsyncFd;

    /// A timerfd.
    pub(super) struct WakeAt(AsyncFd<OwnedFd>);

    impl WakeAt {
        pub(super) fn new() -> io::Result<WakeAt> {
            // SAFETY: no pointers; a negative result is an error, else a descriptor nobody else owns.
            let fd = unsafe {
                let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                OwnedFd::from_raw_fd(fd)
            };
            // SAFETY: the descriptor is owned by the AsyncFd from here on and closed only with it.
            Ok(WakeAt(unsafe { AsyncFd::register(fd)? }))
        }

        pub(super) fn set(&self, deadline_ns: u64) {
            // All zeroes would disarm it.
            let deadline_ns = deadline_ns.max(1);
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let at = libc::timespec {
                tv_sec: (deadline_ns / 1_000_000_000) as libc::time_t,
                tv_nsec: (deadline_ns % 1_000_000_000) as libc::c_long,
            };
            let spec = libc::itimerspec { it_interval: zero, it_value: at };
            // SAFETY: the descriptor is a timerfd and the pointers are valid or null as allowed; it cannot fail so.
            unsafe {
                libc::timerfd_settime(
                    self.0.as_raw_fd(),
                    libc::TFD_TIMER_ABSTIME,
                    &spec,
                    std::ptr::null_mut(),
                )
            };
        }

        /// The descriptor is not read: it is watched for edges, each expiry is one, and setting the time anew takes
        /// back what was not read of the one before.
        pub(super) async fn elapsed(&self) {
            if let Ok(mut guard) = self.0.readable().await {
                guard.clear_ready();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod backend {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    /// Tokio's own timer, as exact as it is.
    pub(super) struct WakeAt {
        deadline_ns: Cell<u64>,
        changed: tokio::sync::Notify,
    }

    impl WakeAt {
        pub(super) fn new() -> io::Result<WakeAt> {
            Ok(WakeAt { deadline_ns: Cell::new(u64::MAX), changed: tokio::sync::Notify::new() })
        }

        pub(super) fn set(&self, deadline_ns: u64) {
            self.deadline_ns.set(deadline_ns);
            self.changed.notify_one();
        }

        pub(super) async fn elapsed(&self) {
            loop {
                let left = self.deadline_ns.get().saturating_sub(super::monotonic_ns());
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_nanos(left.min(1 << 50))) => {
                        self.deadline_ns.set(u64::MAX);
                        return;
                    }
                    () = self.changed.notified() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_local_set<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test)
    }

    #[test]
    fn alarms_fire_in_the_order_of_their_deadlines_and_never_early() {
        on_local_set(async {
            let timer = Timer::new().unwrap();
            let start = monotonic_ns();
            let order = Rc::new(RefCell::new(Vec::new()));
            let tasks = [30u64, 10, 20].map(|ms| {
                let (timer, order) = (timer.clone(), order.clone());
                tokio::task::spawn_local(async move {
                    timer.sleep_until(start + ms * 1_000_000).await;
                    order.borrow_mut().push((ms, monotonic_ns() - start));
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
            let order = order.borrow();
            assert_eq!(order.iter().map(|&(ms, _)| ms).collect::<Vec<_>>(), [10, 20, 30]);
            assert!(order.iter().all(|&(ms, at_ns)| at_ns >= ms * 1_000_000));
        });
    }

    #[test]
    fn a_replaced_deadline_does_not_fire_and_a_past_one_fires_at_once() {
        on_local_set(async {
            let timer = Timer::new().unwrap();
            let mut alarm = timer.alarm();
            let far = monotonic_ns() + 3_600_000_000_000;
            std::future::poll_fn(|cx| {
                assert!(alarm.poll_until(cx, far).is_pending());
                Poll::Ready(())
            })
            .await;
            std::future::poll_fn(|cx| alarm.poll_until(cx, 1)).await;
        });
    }
}
