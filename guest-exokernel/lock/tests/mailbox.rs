//! TLB shootdown under loom: no frame changes hands while a translation of it is remembered, and nobody waits for ever.
#![cfg(loom)]
#![allow(unsafe_code)]

use exo_lock::{Lock, Mailbox};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

/// A vCPU's way of looking a page up: it remembers what it found until it flushes.
struct Translations(bool);

/// What two vCPUs share.
struct Machine {
    lock: Lock<u32>,
    mailbox: Mailbox,
    /// The page-table entry: whether the frame is mapped.
    mapped: AtomicBool,
    /// The interrupt line of the vCPU that is asked.
    interrupt: AtomicBool,
    /// The frame. Loom fails the test if one reads what another writes at the same time.
    frame: UnsafeCell<u32>,
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: Lock::new(0),
            mailbox: Mailbox::new(),
            mapped: AtomicBool::new(true),
            interrupt: AtomicBool::new(false),
            frame: UnsafeCell::new(1),
        })
    }

    /// Takes the frame from the other vCPU, as the kernel does, and gives it to somebody who writes it.
    fn revoke(&self, wait: bool) {
        let mut guard = self.lock.lock(|| {});
        self.mapped.store(false, Ordering::Relaxed);
        self.mailbox.request();
        self.interrupt.store(true, Ordering::Release);
        while wait && !self.mailbox.is_served() {
            thread::yield_now();
        }
        // SAFETY: loom checks what is asserted here: nobody reads the frame any more.
        self.frame.with_mut(|frame| unsafe { *frame = 2 });
        *guard += 1;
    }

    /// Serves, as the interrupt handler and the wait for the lock do.
    fn serve(&self, translations: &mut Translations) {
        self.mailbox.serve(|| translations.0 = false);
    }

    /// Goes on in ring 3 until the interrupt comes, and handles it.
    fn take_interrupt(&self, translations: &mut Translations) {
        while !self.interrupt.load(Ordering::Acquire) {
            thread::yield_now();
        }
        self.serve(translations);
    }

    /// A load of ring 3 through what is remembered, or what is looked up.
    fn load(&self, translations: &mut Translations) {
        translations.0 |= self.mapped.load(Ordering::Relaxed);
        if translations.0 {
            // SAFETY: loom checks it.
            let value = self.frame.with(|frame| unsafe { *frame });
            assert_eq!(value, 1, "the frame has another owner");
        }
    }
}

/// Ring 3 is interrupted between two loads.
fn interrupted(wait: bool) {
    loom::model(move || {
        let machine = Machine::new();
        let other = {
            let machine = machine.clone();
            thread::spawn(move || {
                let mut translations = Translations(false);
                machine.load(&mut translations);
                machine.take_interrupt(&mut translations);
                machine.load(&mut translations);
            })
        };
        machine.revoke(wait);
        other.join().unwrap();
    });
}

#[test]
fn a_frame_is_given_on_after_the_flush() {
    interrupted(true);
}

#[test]
#[should_panic]
fn without_the_wait_it_would_be_given_on_too_early() {
    interrupted(false);
}

/// The vCPU that is asked is on its way into the kernel: it waits for the lock with interrupts off.
fn contended(serves: bool) {
    loom::model(move || {
        let machine = Machine::new();
        let other = {
            let machine = machine.clone();
            thread::spawn(move || {
                let mut translations = Translations(false);
                machine.load(&mut translations);
                let guard = machine.lock.lock(|| {
                    if serves {
                        machine.serve(&mut translations);
                    }
                });
                drop(guard);
                machine.take_interrupt(&mut translations);
                machine.load(&mut translations);
            })
        };
        machine.revoke(true);
        other.join().unwrap();
    });
}

#[test]
fn who_waits_for_the_lock_serves_its_holder() {
    contended(true);
}

#[test]
#[should_panic]
fn without_that_both_would_wait_for_ever() {
    contended(false);
}

#[test]
fn two_vcpus_ask_a_third() {
    loom::model(|| {
        let machine = Machine::new();
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let machine = machine.clone();
                thread::spawn(move || machine.revoke(true))
            })
            .collect();
        let mut translations = Translations(true);
        let mut served = 0;
        while served < 2 {
            machine.mailbox.serve(|| {
                translations.0 = false;
                served += 1;
            });
            thread::yield_now();
        }
        for other in asking {
            other.join().unwrap();
        }
        machine.load(&mut translations);
    });
}
