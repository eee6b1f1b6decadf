//! `struct stat` (linux, arch/x86/include/uapi/asm/stat.h), in bytes.

use alloc::vec::Vec;

use linux_raw_sys::general::STATX_BASIC_STATS;

use super::device::Device;
use super::node::{Content, Node};

/// Block size that programs are told.
pub const BLOCK_BYTES: u64 = 4096;
/// Unit of `st_blocks`.
const SECTOR_BYTES: u64 = 512;

/// Number of the one device that everything lies on.
pub const DEVICE: u64 = 1;

/// Device number of a node that is a device, else 0.
pub fn device_number(node: &Node) -> u64 {
    match node.content {
        Content::Device(device) => device.number(),
        Content::Terminal(_) => Device::Terminal.number(),
        _ => 0,
    }
}

/// Bytes that a node takes.
pub fn stored(node: &Node) -> u64 {
    match &node.content {
        Content::Regular(data) => data.borrow().stored(),
        _ => 0,
    }
}

/// What `stat` writes.
pub fn encode(node: &Node) -> Vec<u8> {
    const SECOND: u64 = 1_000_000_000;
    let attributes = node.attributes.get();
    let [accessed, modified, changed] =
        [node.accessed.get(), attributes.modified, node.changed.get()]
            .map(|time| [time / SECOND, time % SECOND]);
    let words = [
        DEVICE,
        node.number,
        u64::from(node.link_count()),
        u64::from(attributes.user) << 32 | u64::from(node.mode()),
        u64::from(attributes.group), // then padding
        device_number(node),
        node.size(),
        BLOCK_BYTES,
        stored(node).div_ceil(SECTOR_BYTES),
        accessed[0],
        accessed[1],
        modified[0],
        modified[1],
        changed[0],
        changed[1],
        0,
        0,
        0,
    ];
    words
        .iter()
        .flat_map(|word: &u64| word.to_le_bytes())
        .collect()
}

/// What `statx` writes (linux, include/uapi/linux/stat.h).
pub fn encode_extended(node: &Node) -> Vec<u8> {
    const SECOND: u64 = 1_000_000_000;
    let attributes = node.attributes.get();
    let mut bytes = Vec::new();
    let mut half = |value: u64| bytes.extend((value as u32).to_le_bytes());
    let word = |half: &mut dyn FnMut(u64), value: u64| {
        half(value & 0xffff_ffff);
        half(value >> 32);
    };
    half(u64::from(STATX_BASIC_STATS));
    half(BLOCK_BYTES);
    word(&mut half, 0); // attributes
    half(u64::from(node.link_count()));
    half(u64::from(attributes.user));
    half(u64::from(attributes.group));
    half(u64::from(node.mode())); // then padding
    word(&mut half, node.number);
    word(&mut half, node.size());
    word(&mut half, stored(node).div_ceil(SECTOR_BYTES));
    word(&mut half, 0); // known attributes
    let born = 0;
    for time in [
        node.accessed.get(),
        born,
        node.changed.get(),
        attributes.modified,
    ] {
        word(&mut half, time / SECOND);
        half(time % SECOND);
        half(0);
    }
    let device = device_number(node);
    for number in [device >> 8, device & 0xff, 0, DEVICE] {
        half(number);
    }
    bytes.resize(EXTENDED_BYTES, 0);
    bytes
}

/// Bytes of `struct statx`.
const EXTENDED_BYTES: usize = 256;

/// What `statfs` writes (`struct statfs`, linux, include/uapi/asm-generic/statfs.h): of tmpfs.
pub const FILE_SYSTEM: [u64; 15] = [
    0x0102_1994, // type
    BLOCK_BYTES,
    1 << 20, // blocks
    1 << 19, // free
    1 << 19, // free to all
    1 << 20, // files
    1 << 19, // free
    0,       // number
    255,     // longest name
    BLOCK_BYTES,
    0,
    0,
    0,
    0,
    0,
];
