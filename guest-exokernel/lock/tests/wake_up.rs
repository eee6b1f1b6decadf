//! Sleep and wake-up under loom: whoever sleeps is woken, and a halted vCPU is interrupted. A lost wake-up is a deadlock, which loom reports.
#![cfg(loom)]

use exo_lock::{Lock, Sleeper, fall_asleep, wake};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;

/// What the lock covers.
#[derive(Default)]
struct Kernel {
    asleep: bool,
    runnable: bool,
    idle: bool,
}

/// What is outside: the event, and the interrupt line of the sleeper's vCPU.
#[derive(Default)]
struct Outside {
    event: AtomicBool,
    pending: Mutex<bool>,
    interrupt: Condvar,
}

impl Outside {
    /// Sends an interrupt, which stays pending until it is taken.
    fn interrupt(&self) {
        *self.pending.lock().unwrap() = true;
        self.interrupt.notify_one();
    }

    /// `sti; hlt`.
    fn halt(&self) {
        let mut pending = self.pending.lock().unwrap();
        while !*pending {
            pending = self.interrupt.wait(pending).unwrap();
        }
        *pending = false;
    }
}

struct View<'v>(&'v mut Kernel, &'v Outside);

impl Sleeper for View<'_> {
    fn has_event(&mut self) -> bool {
        self.1.event.load(Ordering::Relaxed)
    }
    fn is_asleep(&mut self) -> bool {
        self.0.asleep
    }
    fn set_asleep(&mut self) {
        self.0.asleep = true;
    }
    fn set_runnable(&mut self) {
        self.0.asleep = false;
        self.0.runnable = true;
    }
    fn is_idle_elsewhere(&mut self) -> bool {
        self.0.idle
    }
    fn interrupt(&mut self) {
        self.1.interrupt();
    }
}

/// How the protocol may be broken.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    /// The sleeper looks for events before it has the lock.
    EarlyLook,
    /// The event is written after the wake-up.
    LateEvent,
    /// The vCPU notes that it is idle after it has given the lock up.
    LateIdle,
}

fn sleep_and_wake(broken: Broken) {
    loom::model(move || {
        let lock = Arc::new(Lock::new(Kernel::default()));
        let outside = Arc::new(Outside::default());
        let waker = {
            let (lock, outside) = (lock.clone(), outside.clone());
            thread::spawn(move || {
                if broken != Broken::LateEvent {
                    outside.event.store(true, Ordering::Relaxed);
                }
                wake(&mut View(&mut lock.lock(|| {}), &outside));
                outside.event.store(true, Ordering::Relaxed);
            })
        };
        let early = outside.event.load(Ordering::Relaxed);
        let mut kernel = lock.lock(|| {});
        let asleep = if broken == Broken::EarlyLook {
            kernel.asleep = !early;
            !early
        } else {
            fall_asleep(&mut View(&mut kernel, &outside))
        };
        drop(kernel);
        // What the vCPU's scheduler does then.
        while asleep {
            let mut kernel = lock.lock(|| {});
            kernel.idle = false;
            if kernel.runnable {
                break;
            }
            kernel.idle = broken != Broken::LateIdle;
            drop(kernel);
            if broken == Broken::LateIdle {
                lock.lock(|| {}).idle = true;
            }
            outside.halt();
        }
        waker.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    sleep_and_wake(Broken::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn looking_before_the_lock_would_lose_one() {
    sleep_and_wake(Broken::EarlyLook);
}

#[test]
#[should_panic(expected = "deadlock")]
fn telling_before_writing_would_lose_one() {
    sleep_and_wake(Broken::LateEvent);
}

#[test]
#[should_panic(expected = "deadlock")]
fn noting_idleness_without_the_lock_would_lose_one() {
    sleep_and_wake(Broken::LateIdle);
}
