//! A cache of frames that can be given back: chunks of frames, each filled with what its address says.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};

use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::{Capability, Error};
use exo_rt::revocation::{self, Request};
use exo_rt::{gate, probe, tables, window};

use crate::Verdict;
use crate::victim::pattern;

/// Frames of a chunk: what is allocated together is given back together.
pub const CHUNK: u64 = 64;

/// A run of frames.
#[derive(Clone, Copy)]
pub struct Chunk {
    /// Names it.
    pub capability: Capability,
    /// First frame.
    pub first: u64,
    /// Frames.
    pub count: u64,
}

impl Chunk {
    /// Takes frames that nobody owns, and writes to each of them.
    pub fn allocate(count: u64) -> Result<Self, Error> {
        let capability = gate::frame_allocate(ANY_FRAME, count, 0)?;
        let first = tables::capability(capability.slot()).map_or(0, |entry| entry.first);
        let chunk = Self {
            capability,
            first,
            count,
        };
        for frame in chunk.first..chunk.first + count {
            // The window shows it, since the allocation was done.
            let _ = probe::write(window::address_of(frame), pattern(frame << PAGE_SHIFT));
        }
        Ok(chunk)
    }

    /// Fails unless every frame holds what was written there.
    pub fn check(&self) -> Verdict {
        for frame in self.first..self.first + self.count {
            let address = window::address_of(frame);
            let found = probe::read(address).map_err(|fault| fault.to_string())?;
            if found != pattern(address - window::address_of(0)) {
                return Err(format!("frame {frame:#x} has changed: {found:#x}"));
            }
        }
        Ok(())
    }
}

/// All chunks, the oldest first.
#[derive(Default)]
pub struct Cache(VecDeque<Chunk>);

impl Cache {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `frames` more.
    pub fn grow(&mut self, frames: u64) -> Result<(), String> {
        let mut left = frames;
        while left != 0 {
            let count = left.min(CHUNK);
            let chunk = Chunk::allocate(count);
            self.0.push_back(chunk.map_err(|error| error.to_string())?);
            left -= count;
        }
        Ok(())
    }

    /// Frames that it holds.
    pub fn frames(&self) -> u64 {
        self.0.iter().map(|chunk| chunk.count).sum()
    }

    /// Gives the oldest chunks back until the request is answered, or nothing is left.
    pub fn shrink(&mut self, request: &Request) -> Result<(), String> {
        while !revocation::is_answered(request.serial)
            && let Some(chunk) = self.0.pop_front()
        {
            match gate::capability_free(chunk.capability) {
                // Too late, the kernel has taken it.
                Ok(()) | Err(Error::BadCapability) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Fails unless everything that is left holds what was written there.
    pub fn check(&self) -> Verdict {
        self.0.iter().try_for_each(Chunk::check)
    }
}
