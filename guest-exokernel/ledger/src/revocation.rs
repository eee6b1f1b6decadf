//! Revocation in the ledger: what is guaranteed, how much may be owned at all, how much is held of each kind, and the log.

use exo_abi::revocation::{RevocationEntry, RevocationEvent, RevocationKind};
use exo_abi::{Capability, EnvironmentId, Error, Kind};

use crate::Ledger;

impl Ledger<'_> {
    /// Makes all that `id` holds its guaranteed set, which is never taken by force. To be called once, before it runs. Cost: linear
    /// in what it holds.
    pub fn guarantee(&mut self, id: EnvironmentId) {
        let mut next = self.newest_capability(id);
        while let Some(capability) = next {
            next = self.older_capability(id, capability);
            if let Some(entry) = self.slot_mut(capability.slot()) {
                entry.guaranteed = 1;
            }
        }
        if let Some(environment) = self.environment_mut(id) {
            environment.frames_guaranteed = environment.frames;
        }
    }

    /// How much `id` holds of a kind, as revocation counts it. For vCPUs, its slices.
    pub fn amount_held(&self, id: EnvironmentId, kind: RevocationKind) -> u32 {
        let Ok(environment) = self.environment(id) else {
            return 0;
        };
        let kind = match kind {
            RevocationKind::Frames => return environment.frames,
            RevocationKind::Slices | RevocationKind::Vcpus => Kind::Slice,
            RevocationKind::Queues => Kind::Queue,
            RevocationKind::Extents => Kind::Extent,
            RevocationKind::Ports => Kind::Ports,
        };
        environment.held.get(kind as usize).copied().unwrap_or(0)
    }

    /// Whether `capability` of `id` counts for a kind, and may be taken by force: by how much its end lowers [`Self::amount_held`].
    /// Frames that others own are theirs to give back.
    pub fn amount_of(
        &self,
        id: EnvironmentId,
        capability: Capability,
        kind: RevocationKind,
    ) -> u64 {
        let Ok(entry) = self.capability(id, capability) else {
            return 0;
        };
        if entry.guaranteed != 0 {
            return 0;
        }
        match (kind, Kind::from_number(entry.kind)) {
            (RevocationKind::Frames, Some(Kind::Frames | Kind::Blocks)) if entry.parent == 0 => {
                entry.count
            }
            (RevocationKind::Slices | RevocationKind::Vcpus, Some(Kind::Slice))
            | (RevocationKind::Queues, Some(Kind::Queue))
            | (RevocationKind::Extents, Some(Kind::Extent))
            | (RevocationKind::Ports, Some(Kind::Ports)) => 1,
            _ => 0,
        }
    }

    /// Sets how many frames environments may own together. Who owns more keeps them, until they are revoked.
    pub fn set_frames_limit(&mut self, frames: u64) {
        self.tables.summary.frames_limit = frames;
    }

    /// Whether environments may own `count` more frames.
    pub(crate) fn check_frames_limit(&self, count: u64) -> Result<(), Error> {
        let summary = &self.tables.summary;
        match summary.frames_owned.checked_add(count) {
            Some(sum) if sum <= summary.frames_limit => Ok(()),
            _ => Err(Error::Exhausted),
        }
    }

    /// Writes an event to the log. Constant cost.
    pub fn log_revocation(
        &mut self,
        event: RevocationEvent,
        environment: EnvironmentId,
        kind: u8,
        serial: u64,
        time: u64,
        (first, count): (u64, u64),
    ) {
        let length = self.tables.revocations.len() as u64;
        let index = self.events.checked_rem(length).unwrap_or(0) as usize;
        self.events = self.events.saturating_add(1);
        let number = self.events;
        if let Some(entry) = self.tables.revocations.get_mut(index) {
            *entry = RevocationEntry {
                number,
                time,
                first,
                count,
                serial: serial as u32,
                environment,
                event: event as u8,
                kind,
            };
        }
    }
}
