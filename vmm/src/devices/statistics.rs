//! What the functions of a machine have done, for reports.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::signals::QueueCounters;
use crate::pci::function::Function;

/// What a function has done.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionStatistics {
    /// Its name in the image; that of the IOMMU is `iommu`.
    pub name: String,
    /// By queue.
    pub queues: Vec<QueueStatistics>,
}

/// What a queue has done.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatistics {
    /// Times that the driver rang.
    pub doorbells: u64,
    /// Interrupts sent.
    pub interrupts: u64,
    /// Requests given back.
    pub requests: u64,
    /// Bytes of payload moved.
    pub bytes: u64,
    /// Why it was stopped last, or `none`.
    pub stop_reason: &'static str,
}

impl FunctionStatistics {
    /// Those of a function.
    pub fn of(name: &str, function: &Function) -> Self {
        let queues = 0..function.servers().len() as u16;
        Self {
            name: name.to_owned(),
            queues: queues
                .map(|queue| QueueStatistics::of(function, queue))
                .collect(),
        }
    }
}

impl QueueStatistics {
    fn of(function: &Function, queue: u16) -> Self {
        let signals = function.signals();
        let count = |pick: fn(&QueueCounters) -> &AtomicU64| {
            let counters = signals.counters(queue);
            counters.map_or(0, |counters| pick(counters).load(Ordering::Relaxed))
        };
        Self {
            doorbells: count(|counters| &counters.doorbells),
            interrupts: count(|counters| &counters.interrupts),
            requests: count(|counters| &counters.requests),
            bytes: count(|counters| &counters.bytes),
            stop_reason: signals.last_stop_reason(queue).name(),
        }
    }
}
