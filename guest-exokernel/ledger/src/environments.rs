//! Environments in the ledger: their records and what their quotas still allow.

use exo_abi::environment::{AbortReason, EnvironmentEntry, NAME_MAX, State};
use exo_abi::{Call, EnvironmentId, Error};

use crate::Ledger;

/// What an environment may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Frames.
    pub frames: u32,
    /// Page-table frames.
    pub tables: u32,
    /// Capabilities.
    pub capabilities: u32,
    /// DMA mappings.
    pub dma_mappings: u32,
    /// Most slots of the slice vector.
    pub slices: u32,
}

/// Index in the environment table. Nobody's and the kernel's are beyond every table.
#[inline(always)]
pub(crate) fn environment_index(id: EnvironmentId) -> usize {
    usize::from(id.0).wrapping_sub(1)
}

impl Ledger<'_> {
    /// The record of `id`.
    pub fn environment(&self, id: EnvironmentId) -> Result<&EnvironmentEntry, Error> {
        self.tables
            .environments
            .get(environment_index(id))
            .ok_or(Error::BadArgument)
    }

    /// The record of `id`, to change.
    pub(crate) fn environment_mut(&mut self, id: EnvironmentId) -> Option<&mut EnvironmentEntry> {
        self.tables.environments.get_mut(environment_index(id))
    }

    /// Whether an environment is there, and has not ended.
    pub fn is_alive(&self, id: EnvironmentId) -> bool {
        self.environment(id)
            .is_ok_and(|entry| State::from_number(entry.state).is_some_and(State::is_alive))
    }

    /// Starts the record of an environment. One that is alive is left as it is.
    pub fn add_environment(
        &mut self,
        id: EnvironmentId,
        name: &[u8; NAME_MAX],
        vcpu: u32,
        quotas: Quotas,
    ) {
        if self.is_alive(id) {
            return;
        }
        let Some(entry) = self.environment_mut(id) else {
            return;
        };
        entry.name = *name;
        entry.state = State::Runnable as u32;
        entry.abort_reason = AbortReason::None as u32;
        entry.exit_status = 0;
        entry.vcpu = vcpu;
        entry.frames_quota = quotas.frames;
        entry.tables_quota = quotas.tables;
        entry.capabilities_quota = quotas.capabilities;
        entry.dma_mappings_quota = quotas.dma_mappings;
        entry.slices_quota = quotas.slices;
        self.tables.summary.environments_alive =
            self.tables.summary.environments_alive.saturating_add(1);
    }

    /// Changes between running and the ways of waiting. What has ended stays so: an event that comes late wakes nobody.
    pub fn set_state(&mut self, id: EnvironmentId, state: State) {
        let wanted = matches!(
            state,
            State::Runnable | State::Waiting | State::AwaitingReply
        );
        if wanted
            && self.is_alive(id)
            && let Some(entry) = self.environment_mut(id)
        {
            entry.state = state as u32;
        }
    }

    /// Records that an environment ended by itself. The first end counts.
    pub fn record_exit(&mut self, id: EnvironmentId, status: u64) {
        if !self.is_alive(id) {
            return;
        }
        if let Some(entry) = self.environment_mut(id) {
            entry.state = State::Exited as u32;
            entry.accepts = 0;
            entry.exit_status = status;
        }
        self.tables.summary.environments_alive =
            self.tables.summary.environments_alive.saturating_sub(1);
    }

    /// Records that the kernel ended an environment, and at which fault: `[vector, error code, instruction, address]`.
    pub fn record_abort(&mut self, id: EnvironmentId, reason: AbortReason, fault: [u64; 4]) {
        if !self.is_alive(id) {
            return;
        }
        if let Some(entry) = self.environment_mut(id) {
            entry.state = State::Aborted as u32;
            entry.accepts = 0;
            entry.abort_reason = reason as u32;
            let [vector, error_code, instruction, address] = fault;
            entry.abort_vector = vector;
            entry.abort_error_code = error_code;
            entry.abort_instruction = instruction;
            entry.abort_address = address;
        }
        self.tables.summary.environments_alive =
            self.tables.summary.environments_alive.saturating_sub(1);
    }

    /// Says who runs on a vCPU from now on.
    pub fn set_running(&mut self, vcpu: usize, id: EnvironmentId) {
        if let Some(running) = self.tables.summary.running.get_mut(vcpu) {
            *running = id;
        }
    }

    /// Who runs on a vCPU.
    pub fn running(&self, vcpu: usize) -> EnvironmentId {
        let running = self.tables.summary.running.get(vcpu);
        running.copied().unwrap_or(EnvironmentId::NOBODY)
    }

    /// Counts an entry into the kernel.
    pub fn count_call(&mut self, id: EnvironmentId, call: Call) {
        if let Some(count) = self
            .environment_mut(id)
            .and_then(|entry| entry.calls.get_mut(call.index()))
        {
            *count = count.wrapping_add(1);
        }
    }

    /// Counts a device interrupt.
    pub fn count_interrupt(&mut self, id: EnvironmentId) {
        if let Some(entry) = self.environment_mut(id) {
            entry.interrupts = entry.interrupts.wrapping_add(1);
        }
    }

    /// Whether `id` may have `count` more page-table frames.
    pub fn check_tables_quota(&self, id: EnvironmentId, count: u32) -> Result<(), Error> {
        let entry = self.environment(id)?;
        match entry.tables.checked_add(count) {
            Some(sum) if sum <= entry.tables_quota => Ok(()),
            _ => Err(Error::Quota),
        }
    }

    /// Says how many page-table frames the pool has, once, before the first is charged.
    pub fn set_table_pool(&mut self, count: u64) {
        self.table_pool = count;
        self.tables.summary.free_tables = count;
    }

    /// Charges page-table frames.
    pub fn add_tables(&mut self, id: EnvironmentId, count: u32) {
        if let Some(entry) = self.environment_mut(id) {
            entry.tables = entry.tables.saturating_add(count);
            let free = &mut self.tables.summary.free_tables;
            *free = free.saturating_sub(u64::from(count));
        }
    }

    /// Takes the charge of page-table frames back.
    pub fn remove_tables(&mut self, id: EnvironmentId, count: u32) {
        if let Some(entry) = self.environment_mut(id)
            && let Some(left) = entry.tables.checked_sub(count)
        {
            entry.tables = left;
            let free = &mut self.tables.summary.free_tables;
            *free = free.saturating_add(u64::from(count));
        }
    }
}
