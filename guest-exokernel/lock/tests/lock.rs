//! The lock under loom: every order of two vCPUs.
#![cfg(loom)]

use exo_lock::Lock;
use loom::thread;
use std::sync::Arc;

/// Loom itself fails the test if two hold the lock at once, or if one does not see what the other wrote.
#[test]
fn vcpus_exclude_each_other() {
    loom::model(|| {
        let lock = Arc::new(Lock::new(0u32));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || (0..2).for_each(|_| *lock.lock(|| {}) += 1))
        };
        (0..2).for_each(|_| *lock.lock(|| {}) += 1);
        other.join().unwrap();
        assert_eq!(*lock.lock(|| {}), 4);
    });
}
