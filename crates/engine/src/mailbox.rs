//! A queue from many threads to one, which takes what is there in one go. Unlike the channels of libraries, it never
//! spins and never yields before it sleeps: on a machine with few cores, a thread that yields comes back after
//! everybody else had a turn, and the committer must not be that thread.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::quiet::Quiet;

/// Room for so many messages is kept when there are none.
const KEPT: usize = 1_024;

struct State<T> {
    messages: VecDeque<T>,
    /// The receiver waits for the next message.
    asleep: bool,
    /// The receiver is gone.
    closed: bool,
}

struct Mailbox<T> {
    quiet: Arc<Quiet>,
    state: Mutex<State<T>>,
    arrived: Condvar,
    len: AtomicUsize,
}

impl<T> Mailbox<T> {
    // Nothing that can panic happens under this lock but the receiver's count of what it takes, which changes nothing.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, state: &mut State<T>, mut full: impl FnMut(&T) -> bool) -> Vec<T> {
        let taken = state.messages.iter().position(&mut full).map_or(state.messages.len(), |last| last + 1);
        let messages: Vec<T> = state.messages.drain(..taken).collect();
        if state.messages.is_empty() && state.messages.capacity() > KEPT {
            // A burst is over; its room is not kept.
            state.messages = VecDeque::new();
        }
        self.len.store(state.messages.len(), Ordering::Relaxed);
        messages
    }
}

/// Where messages are put.
pub(crate) struct Sender<T>(Arc<Mailbox<T>>);

/// Where they are taken. Once it is dropped, nothing can be sent.
pub(crate) struct Receiver<T>(Arc<Mailbox<T>>);

/// A queue. What is in it is work until its receiver says that it is [`done`](Receiver::done).
pub(crate) fn mailbox<T>(quiet: &Arc<Quiet>) -> (Sender<T>, Receiver<T>) {
    let state = State { messages: VecDeque::new(), asleep: false, closed: false };
    let mailbox = Arc::new(Mailbox {
        quiet: quiet.clone(),
        state: Mutex::new(state),
        arrived: Condvar::new(),
        len: AtomicUsize::new(0),
    });
    (Sender(mailbox.clone()), Receiver(mailbox))
}

impl<T> Sender<T> {
    /// Puts a message at the end; gives it back if nobody will take it.
    pub(crate) fn send(&self, message: T) -> Result<(), T> {
        // Not under the lock: this may wait for whoever needs it.
        self.0.quiet.enter();
        self.send_entered(message).inspect_err(|_| self.0.quiet.leave(1))
    }

    /// The same for a message that was counted as work before.
    pub(crate) fn send_entered(&self, message: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(message);
        }
        state.messages.push_back(message);
        self.0.len.store(state.messages.len(), Ordering::Relaxed);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.0.arrived.notify_one();
        }
        Ok(())
    }

    /// Whether nothing waits, as far as this thread knows.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::Relaxed) == 0
    }
}

impl<T> Receiver<T> {
    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Takes what waits, up to the first message with which it is enough. Nothing, if nothing waits.
    pub(crate) fn take(&self, enough: impl FnMut(&T) -> bool) -> Vec<T> {
        self.0.take(&mut self.0.lock(), enough)
    }

    /// The same, but waits until there is a message.
    pub(crate) fn wait(&self, enough: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.0.lock();
        while state.messages.is_empty() {
            state.asleep = true;
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        self.0.take(&mut state, enough)
    }

    /// So many of those that were taken are done, and what follows from them is under way.
    pub(crate) fn done(&self, many: usize) {
        self.0.quiet.leave(many);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.messages);
        drop(state);
        // Not under the lock: what is dropped may send.
        let many = left.len();
        drop(left);
        self.0.quiet.leave(many);
    }
}

/// For [`Receiver::take`] and [`Receiver::wait`]: at most so many.
pub(crate) fn at_most<T>(most: usize) -> impl FnMut(&T) -> bool {
    let mut taken = 0;
    move |_| {
        taken += 1;
        taken >= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_order_and_in_portions() {
        let (sender, receiver) = mailbox(&Arc::default());
        for message in 0..5 {
            assert_eq!(sender.send(message), Ok(()));
        }
        assert_eq!((receiver.len(), sender.is_empty()), (5, false));
        assert_eq!(receiver.take(at_most(2)), [0, 1]);
        assert_eq!(receiver.wait(|message| *message == 3), [2, 3]);
        assert_eq!(receiver.wait(at_most(10)), [4]);
        assert!(receiver.take(at_most(10)).is_empty() && sender.is_empty());
    }

    #[test]
    fn who_waits_is_woken_and_a_gone_receiver_takes_nothing() {
        let (sender, receiver) = mailbox(&Arc::default());
        let taken = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.wait(at_most(1)));
            assert_eq!(sender.send(7), Ok(()));
            waiting.join().expect("no panic")
        });
        assert_eq!(taken, [7]);
        drop(receiver);
        assert_eq!(sender.send(8), Err(8));
    }
}
