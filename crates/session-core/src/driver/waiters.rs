//! The callers that wait for one request's session, and how they are woken.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

use crate::short_list::ShortList;

/// The callers that wait for one request's session.
///
/// The store's future keeps the waker that it was last polled with. With one waiter, that is the
/// waiter's own. With more, it wakes all of them, because any of them may have stopped waiting.
#[derive(Default)]
pub(crate) struct Waiters {
    wakers: ShortList<(u64, Waker)>,
    last: u64,
    all: Option<Arc<All>>,
}

#[derive(Default)]
struct All(Mutex<Vec<Waker>>);

impl Waiters {
    /// The waker to poll with, if others wait besides `waiter`, whose own is `waker`.
    pub(crate) fn with_others(&mut self, waiter: Option<u64>, waker: &Waker) -> Option<Waker> {
        let others = || self.wakers.iter().filter(|(of, _)| Some(*of) != waiter);
        others().next()?;
        let wakers = others().map(|(_, other)| other.clone());
        let wakers = wakers.chain([waker.clone()]).collect();
        let all = self.all.get_or_insert_default();
        *all.0.lock().unwrap_or_else(PoisonError::into_inner) = wakers;
        Some(Waker::from(all.clone()))
    }

    /// Registers `waker` as the waker of `waiter`.
    pub(crate) fn register(&mut self, waiter: &mut Option<u64>, waker: &Waker) {
        let number = *waiter.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        match self.wakers.iter_mut().find(|(of, _)| *of == number) {
            Some((_, known)) => known.clone_from(waker),
            None => self.wakers.push((number, waker.clone())),
        }
    }

    /// Wakes all but `waiter`.
    pub(crate) fn wake_others(&self, waiter: Option<u64>) {
        for (number, waker) in self.wakers.iter() {
            if Some(*number) != waiter {
                waker.wake_by_ref();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Removes `waiter` and wakes the others.
    pub(crate) fn remove(&mut self, waiter: Option<u64>) {
        if self.wakers.is_empty() {
            return;
        }
        self.wakers.retain(|(number, _)| Some(*number) != waiter);
        self.wake_others(None);
    }
}

impl Wake for All {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in wakers {
            waker.wake();
        }
    }
}
