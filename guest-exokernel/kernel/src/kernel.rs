//! The kernel's state, behind its one lock.

use exo_abi::environment::ENVIRONMENTS_MAX;
use exo_abi::{Capability, EnvironmentId, Error};
use exo_ledger::Ledger;
use exo_lock::Lock;
use exo_verifier::Predicate;

use crate::hw::memory::Once;
use crate::hw::paging::{AddressSpace, TablePool};
use crate::hw::shootdown;
use crate::hw::switch::Context;
use crate::hw::vcpu::VCPUS_MAX;
use crate::iommu::Iommu;
use crate::predicates::{PREDICATES_MAX, Predicates};
use crate::revocation::Open;
use crate::routes::Routes;
use crate::sleepers::Sleepers;
use crate::timer::Timer;

/// What the kernel keeps of an environment beside its record in the ledger.
pub struct Environment {
    /// Its page tables.
    pub space: AddressSpace,
    /// How to run it.
    pub context: Context,
    /// Bit e: event counter e is in use.
    pub events: u32,
    /// Where its wakeup predicate stands, once it has bound one.
    pub predicate: Option<u16>,
    /// Whether it sleeps on that, where it sleeps.
    pub awaits_predicate: bool,
    /// The capability by which others enter it, from which theirs are derived.
    pub entry: Capability,
    /// What the host asks back of it.
    pub revocation: Open,
    /// Whether something was counted for it, while what it runs was interrupted, of which it is still to be told by an upcall.
    pub untold: bool,
    /// The slots of its vCPU that it owns, as a mask.
    pub slots: u64,
    /// Turns that it has to miss.
    pub debt: u32,
    /// When it wants to be woken, while `sleeper` is not zero.
    pub wake_at: u64,
    /// Its place among the sleepers of its vCPU, plus one; 0: it has none.
    pub sleeper: usize,
    /// When an event is to come to it; 0: at no moment.
    pub event_at: u64,
    /// Environments out of its quotas that have not ended.
    pub made: u32,
}

/// What the kernel keeps of a vCPU.
pub struct Vcpu {
    /// Slots whose owners could run, or run, as a mask.
    pub ready: u64,
    /// The slot that is running.
    pub position: usize,
    /// Who gets the rest of the slice; nobody: it is over.
    pub donated: EnvironmentId,
    /// Who has been added while it ran, and runs no more, although nobody has been chosen yet: the lock is let go in between.
    pub left: EnvironmentId,
    /// Who was told of the end of the slice that ended at this moment, and let another go on: see [`crate::transfer`].
    pub handed_on: (EnvironmentId, u64),
    /// When the slot that is running was charged last, as a time stamp.
    pub since: u64,
    /// Its timer.
    pub timer: Timer,
    /// Who sleeps until a moment.
    pub sleepers: Sleepers,
    /// Where its device vectors lead.
    pub routes: Routes,
}

/// Everything that changes.
pub struct Kernel {
    /// Who owns what.
    pub ledger: Ledger<'static>,
    /// Frames for page tables.
    pub pool: TablePool,
    /// Where the pages of environment 1 lie, and behind them those of the others.
    pub environment_pages: u64,
    /// Entry 0 is environment 1.
    pub environments: &'static mut [Environment; ENVIRONMENTS_MAX],
    /// By number.
    pub vcpus: &'static mut [Vcpu; VCPUS_MAX],
    /// What environments sleep on.
    pub predicates: Predicates,
    /// The IOMMU, where there is one.
    pub iommu: Option<Iommu>,
    /// [`exo_abi::bundle::Features`].
    pub features: u64,
    /// Whether vCPUs have a timer that fires at a time stamp.
    pub has_timer: bool,
    /// Length of a slice in ticks of the time stamp counter; 0: slices have no end.
    pub slice_ticks: u64,
    /// Ticks between the end of a slice and the moment at which it is too late to yield.
    pub grace_ticks: u64,
    /// First of the list of environments with an open request of revocation.
    pub first_revocation: EnvironmentId,
}

/// The state. `None` until boot has made it.
pub static KERNEL: Lock<Option<Kernel>> = Lock::new(None);

/// Memory for [`Kernel::environments`].
pub static ENVIRONMENTS: Once<[Environment; ENVIRONMENTS_MAX]> = Once::new(
    [const {
        Environment {
            space: AddressSpace::NONE,
            context: Context::NONE,
            events: 0,
            predicate: None,
            awaits_predicate: false,
            entry: Capability::NONE,
            revocation: Open::NONE,
            untold: false,
            slots: 0,
            debt: 0,
            wake_at: 0,
            sleeper: 0,
            event_at: 0,
            made: 0,
        }
    }; ENVIRONMENTS_MAX],
);

/// Memory for [`Kernel::predicates`].
pub static PREDICATES: Once<[Predicate; PREDICATES_MAX]> =
    Once::new([const { Predicate::NONE }; PREDICATES_MAX]);

/// Memory for [`Kernel::vcpus`].
pub static VCPUS: Once<[Vcpu; VCPUS_MAX]> = Once::new(
    [const {
        Vcpu {
            ready: 0,
            position: 0,
            donated: EnvironmentId::NOBODY,
            left: EnvironmentId::NOBODY,
            handed_on: (EnvironmentId::NOBODY, 0),
            since: 0,
            timer: Timer::NEW,
            sleepers: Sleepers::NONE,
            routes: Routes::NONE,
        }
    }; VCPUS_MAX],
);

/// Runs `work` with the lock held, and lets readers of the exported tables know. Before boot has made the state there is nothing to do it with.
pub fn with_kernel<R>(work: impl FnOnce(&mut Kernel) -> R) -> R {
    let mut guard = KERNEL.lock(shootdown::serve);
    match guard.as_mut() {
        Some(kernel) => {
            kernel.ledger.begin_change();
            let result = work(kernel);
            kernel.ledger.end_change();
            result
        }
        None => panic!("the kernel was entered before it had booted"),
    }
}

impl Kernel {
    /// The kernel's side of an environment.
    pub fn environment(&mut self, id: EnvironmentId) -> Result<&mut Environment, Error> {
        let index = usize::from(id.0).checked_sub(1).ok_or(Error::BadArgument)?;
        self.environments.get_mut(index).ok_or(Error::BadArgument)
    }

    /// Whether the machine has a feature.
    pub fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }
}
