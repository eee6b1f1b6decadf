//! How the Linux personality finds call sites: its own source, tested here because its crate links for ring 3 only.

extern crate alloc;

use alloc::vec::Vec;

/// What the module that is tested takes from its parent.
const JUMP_BYTES: usize = 5;

#[path = "../../libos/linux/src/rewrite/site.rs"]
mod site;

use site::{Left, Site, find_all, find_trapped};

const START: u64 = 0x40_1000;
/// `mov eax, 1`
const NUMBER: [u8; 5] = [0xb8, 1, 0, 0, 0];
/// `xor eax, eax`
const ZERO: [u8; 2] = [0x31, 0xc0];
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `cmp rax, -4096`
const COMPARE: [u8; 6] = [0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];
const RETURN: u8 = 0xc3;
const NOP: u8 = 0x90;

/// Code with enough before it that decoding can begin anywhere.
fn text(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = vec![NOP; 200];
    for part in parts {
        text.extend_from_slice(part);
    }
    text.extend([RETURN; 32]);
    text
}

fn only(text: &[u8]) -> (u64, Result<Site, Left>) {
    let mut all = find_all(text, START);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_jump_takes_the_place_of_the_number() {
    let (address, found) = only(&text(&[&NUMBER, &SYSCALL, &COMPARE]));
    assert_eq!(address, START + 205);
    let site = found.expect("there is room");
    assert_eq!((site.start, site.bytes()), (START + 200, 5));
    assert_eq!((&site.before[..], &site.behind[..]), (&NUMBER[..], &[][..]));
    assert_eq!(site.resume(), START + 207);
}

#[test]
fn several_short_instructions_make_room_together() {
    // mov edi, esi; xor eax, eax; syscall: four bytes before it are too few, and a nop is one more.
    let (_, found) = only(&text(&[&[0x89, 0xf7], &ZERO, &SYSCALL]));
    let site = found.expect("there is room");
    assert_eq!(site.before, [NOP, 0x89, 0xf7, 0x31, 0xc0]);
}

#[test]
fn where_there_is_no_room_before_it_there_may_be_behind() {
    let (address, found) = only(&text(&[&[RETURN], &ZERO, &SYSCALL, &COMPARE]));
    let site = found.expect("there is room");
    assert_eq!((site.start, site.bytes()), (address, 8));
    assert_eq!(
        (&site.before[..], &site.behind[..]),
        (&[][..], &COMPARE[..])
    );
    assert_eq!(site.resume(), address + 8);
}

#[test]
fn without_room_on_either_side_it_stays() {
    let (_, found) = only(&text(&[&[RETURN], &ZERO, &SYSCALL, &[RETURN]]));
    assert_eq!(found, Err(Left::NoRoom));
}

#[test]
fn a_branch_to_an_instruction_that_would_go_is_respected() {
    // jmp to the second of two instructions before the syscall, from before and from behind, short and near.
    let pair = [0x89, 0xf7, 0x48, 0x31, 0xc0];
    let before = text(&[&[0xeb, 2], &pair, &SYSCALL]);
    let behind = text(&[&pair, &SYSCALL, &[0x75, 0xf9]]);
    let mut near = text(&[&pair, &SYSCALL, &[RETURN; 400], &[0x0f, 0x84]]);
    near.truncate(200 + 7 + 402);
    near.extend((-(406i32 + 5)).to_le_bytes());
    near.extend([RETURN; 32]);
    for text in [before, behind, near] {
        assert_eq!(only(&text).1, Err(Left::BranchTarget));
    }
    // One to the first of them is no harm: it finds the jump.
    assert!(only(&text(&[&[0xeb, 0], &pair, &SYSCALL])).1.is_ok());
}

#[test]
fn bytes_inside_another_instruction_are_no_syscall() {
    // mov eax, 0x050f; and the same in a displacement.
    assert_eq!(find_all(&text(&[&[0xb8, 0x0f, 0x05, 0, 0]]), START), []);
    assert_eq!(
        find_all(&text(&[&[0x8b, 0x80, 0x0f, 0x05, 0, 0]]), START),
        []
    );
}

#[test]
fn a_prefix_before_the_number_belongs_to_its_instruction() {
    // mov r8d, 1; syscall
    let site = only(&text(&[&[0x41], &NUMBER, &SYSCALL]))
        .1
        .expect("there is room");
    assert_eq!(site.before, [0x41, 0xb8, 1, 0, 0, 0]);
}

#[test]
fn one_that_has_trapped_needs_less_to_be_found() {
    // Where decoding begins in what is before the function, it goes wrong for a while.
    let mut code = vec![0u8; 201];
    let function = [&[0x48, 0x8d, 0x7f, 0x00][..]; 6].concat();
    code.extend([&function[..], &NUMBER, &SYSCALL, &[RETURN; 32]].concat());
    let address = START + 201 + 24 + 5;
    let site = find_trapped(&code, START, address).expect("there is room");
    assert_eq!((site.start, &site.before[..]), (address - 5, &NUMBER[..]));
    // A call that is on its way returns behind it: what is there stays.
    let behind = text(&[&[RETURN], &ZERO, &SYSCALL, &COMPARE]);
    assert_eq!(find_trapped(&behind, START, START + 203), Err(Left::NoRoom));
}

#[test]
fn any_bytes_are_looked_through_without_a_fault() {
    let mut state = 1u64;
    for length in 0..600 {
        let text: Vec<u8> = (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                // Many of the bytes that matter.
                [0x0f, 0x05, 0xeb, 0x75, 0xe9, (state >> 40) as u8][(state >> 33) as usize % 6]
            })
            .collect();
        for (address, found) in find_all(&text, START) {
            let Ok(site) = found else { continue };
            assert!(site.bytes() >= JUMP_BYTES && site.start >= START);
            assert!(site.start <= address && site.resume() <= START + length);
        }
    }
}
