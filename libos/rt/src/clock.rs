//! The clock: time stamps as nanoseconds, by one multiplication, here and in the [object](crate::vdso) by which programs read it.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::processor;

/// Nanoseconds of 10^6 ticks of a counter of 1 kHz.
const SCALE: u64 = 1_000_000;
/// Bits behind the point of what a time stamp is multiplied by.
pub(crate) const FRACTION_BITS: u32 = 32;

/// Nanoseconds of a tick, with a fraction; 0: not known yet.
pub(crate) static TICK: AtomicU64 = AtomicU64::new(0);

fn tick() -> u64 {
    match TICK.load(Ordering::Relaxed) {
        0 => {
            let tick = (SCALE << FRACTION_BITS) / processor::time_stamp_khz().max(1);
            TICK.store(tick, Ordering::Relaxed);
            tick
        }
        tick => tick,
    }
}

/// Nanoseconds since the time stamp counter was zero.
pub fn nanoseconds() -> u64 {
    ((u128::from(processor::time_stamp()) * u128::from(tick())) >> FRACTION_BITS) as u64
}

/// The first time stamp that is no less than so many nanoseconds.
pub fn time_stamp_of(nanoseconds: u64) -> u64 {
    let stamp = (u128::from(nanoseconds) << FRACTION_BITS).div_ceil(u128::from(tick()));
    u64::try_from(stamp).unwrap_or(u64::MAX)
}
