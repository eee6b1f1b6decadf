//! Who a program is, and what it may do with a file (path_resolution(7), capabilities(7)).

use super::node::Node;
use crate::errno::{Errno, Result};

/// Right to execute a file, or to go through a directory.
pub const EXECUTE: u32 = 1;
/// Right to write.
pub const WRITE: u32 = 2;
/// Right to read.
pub const READ: u32 = 4;

/// User and group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User; 0 is the superuser.
    pub user: u32,
    /// Group.
    pub group: u32,
}

impl Credentials {
    /// Refuses what the mode of a file does not allow. The superuser may everything, but execute what nobody may.
    pub fn check(self, node: &Node, wanted: u32) -> Result<()> {
        let attributes = node.attributes.get();
        let bits = if self.user == 0 {
            let may_execute = node.is_directory() || attributes.mode & 0o111 != 0;
            READ | WRITE | u32::from(may_execute)
        } else if self.user == attributes.user {
            attributes.mode >> 6
        } else if self.group == attributes.group {
            attributes.mode >> 3
        } else {
            attributes.mode
        };
        if wanted & !bits == 0 {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Refuses who is neither the owner nor the superuser.
    pub fn check_owner(self, node: &Node) -> Result<()> {
        if self.user == 0 || self.user == node.attributes.get().user {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }
}
