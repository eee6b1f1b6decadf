//! Extents in a manifest: which part of a disk a function shows at first, and which parts an environment holds.

use exo_abi::bundle::{ENVIRONMENT_EXTENTS_MAX, ExtentGrant};
use serde::Deserialize;

use super::Environment;

/// Sectors of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// First sector.
    pub first: u64,
    /// How many.
    pub sectors: u64,
}

/// A part of a disk that an environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskExtent {
    /// Which disk: index of the `--disk` options.
    #[serde(default)]
    pub disk: u32,
    /// Which part of it; the whole where this is absent.
    #[serde(default)]
    pub extent: Option<Extent>,
    /// It may not be written.
    #[serde(default)]
    pub readonly: bool,
}

impl Extent {
    /// Refuses what is on no disk.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.first.checked_add(self.sectors) {
            Some(_) => Ok(()),
            None => Err("extent is beyond any disk; give first and sectors".into()),
        }
    }
}

impl DiskExtent {
    /// What of a disk with `sectors` sectors it is; `None` where the disk does not have it.
    pub fn on_disk(&self, sectors: u64) -> Option<ExtentGrant> {
        let Extent {
            first,
            sectors: count,
        } = self.extent.unwrap_or(Extent { first: 0, sectors });
        let end = first.checked_add(count)?;
        (end <= sectors).then_some(ExtentGrant {
            disk: self.disk,
            writable: u32::from(!self.readonly),
            first,
            sectors: count,
        })
    }
}

impl Environment {
    pub(super) fn check_extents(&self) -> Result<(), String> {
        if self.extents.len() > ENVIRONMENT_EXTENTS_MAX {
            return Err(format!(
                "it names more than {ENVIRONMENT_EXTENTS_MAX} extents; derive the others from larger ones"
            ));
        }
        for extent in self.extents.iter().filter_map(|extent| extent.extent) {
            extent.check()?;
            if extent.sectors == 0 {
                return Err("an extent has no sectors; give it some, or leave it out".into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_on_their_disk_or_refused() {
        let whole = DiskExtent {
            disk: 1,
            extent: None,
            readonly: true,
        };
        let grant = whole.on_disk(8).unwrap();
        assert_eq!(
            (grant.disk, grant.writable, grant.first, grant.sectors),
            (1, 0, 0, 8)
        );
        for (first, sectors, fits) in [
            (7, 1, true),
            (0, 9, false),
            (8, 1, false),
            (u64::MAX, 2, false),
        ] {
            let part = DiskExtent {
                extent: Some(Extent { first, sectors }),
                ..whole
            };
            assert_eq!(part.on_disk(8).is_some(), fits);
        }
    }
}
