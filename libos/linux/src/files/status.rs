//! `struct stat` (linux, arch/x86/include/uapi/asm/stat.h), in bytes.

use alloc::vec::Vec;

use linux_raw_sys::general::{S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};

use super::device::Device;
use super::node::{Content, Node};

/// Block size that programs are told.
const BLOCK_BYTES: u64 = 4096;
/// Unit of `st_blocks`.
const SECTOR_BYTES: u64 = 512;

/// Type and permissions of a node.
pub fn mode(node: &Node) -> u32 {
    let kind = match node.content {
        Content::Regular(_) => S_IFREG,
        Content::Directory(_) => S_IFDIR,
        Content::Link(_) => S_IFLNK,
        Content::Device(_) | Content::Terminal(_) => S_IFCHR,
        Content::Pipe(_) | Content::Stream(..) => S_IFIFO,
        Content::Socket(_) => S_IFSOCK,
        // Files without a name are of no type.
        Content::Counter(_) | Content::Timer(_) | Content::Signals(_) | Content::Epoll(_) => 0,
    };
    kind | node.mode.get()
}

/// Device number of a node that is a device, else 0.
fn device_number(node: &Node) -> u64 {
    match node.content {
        Content::Device(device) => device.number(),
        Content::Terminal(_) => Device::Terminal.number(),
        _ => 0,
    }
}

/// What `stat` writes.
pub fn encode(node: &Node) -> Vec<u8> {
    const SECOND: u64 = 1_000_000_000;
    let modified = node.modified.get();
    let time = [modified / SECOND, modified % SECOND];
    let words = [
        1, // device
        node.number,
        u64::from(node.links.get()),
        u64::from(mode(node)), // mode, then user
        0,                     // group, then padding
        device_number(node),
        node.size(),
        BLOCK_BYTES,
        node.size().div_ceil(SECTOR_BYTES),
        time[0],
        time[1],
        time[0],
        time[1],
        time[0],
        time[1],
        0,
        0,
        0,
    ];
    words
        .iter()
        .flat_map(|word: &u64| word.to_le_bytes())
        .collect()
}
