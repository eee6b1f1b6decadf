//! The security argument in executable form: each image below `images/attacks` attacks one property, beside a victim.
//!
//! The attacker itself asserts the exact error or fault record of each attempt and ends with 0 only if all were right; some
//! attacks end the attacker, and then the record that the kernel left is asserted here. The victim checks its memory after the
//! attacker has ended, and uses the machine further, so its status 0 says that nothing was touched and that the VM carries on.

use std::collections::BTreeSet;

use exo_abi::environment::AbortReason;
use exo_abi::upcall::{UPCALL_ENTRY_STRIDE, Vector};
use exo_tests::outcome::End;
use exo_tests::{Disk, Machine, Outcome, home, require_kvm};

const ATTACKER: &str = "attacker";
const VICTIM: &str = "victim";

/// Where attack programs put what they map, and what they leave unmapped.
const PLAYGROUND: u64 = 0x2000_0000;
/// Page-fault error codes (Intel SDM volume 3, section 4.7) of a user that writes, or executes, a page that is not there.
const NOT_PRESENT_WRITE: u64 = 0b00110;
const NOT_PRESENT_EXECUTE: u64 = 0b10100;
const INVALID_OPCODE: u64 = Vector::InvalidOpcode as u64;
const PAGE_FAULT: u64 = Vector::PageFault as u64;

/// How an attack has to end.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// Every attempt was refused exactly as the attacker expected.
    Refused,
    /// The kernel ended the attacker for this reason, with this record: vector, error code, faulting address.
    Ended(AbortReason, u64, u64, u64),
}

fn check(image: &str, verdict: Verdict) {
    require_kvm!();
    for vcpus in [1, 2, 4] {
        let outcome = Machine::new(format!("attacks/{image}")).vcpus(vcpus).run();
        check_outcome(&outcome, verdict);
    }
}

fn check_outcome(outcome: &Outcome, verdict: Verdict) {
    outcome.expect_end(VICTIM, &End::Exited(0));
    match verdict {
        Verdict::Refused => {
            outcome.expect_end(ATTACKER, &End::Exited(0));
            assert_eq!(outcome.status(), 0, "{}", outcome.describe());
        }
        Verdict::Ended(reason, vector, error_code, address) => {
            let End::Aborted(abort) = outcome.end(ATTACKER) else {
                panic!("the attacker was not ended\n{}", outcome.describe());
            };
            let found = (
                abort.reason.as_str(),
                abort.vector,
                abort.error_code,
                abort.address,
            );
            assert_eq!(
                found,
                (reason.name(), vector, error_code, address),
                "{}",
                outcome.describe()
            );
            assert_eq!(outcome.status(), 120, "{}", outcome.describe());
        }
    }
}

/// One test per image, and the list of images that have one.
macro_rules! attacks {
    ($($test:ident $image:literal $verdict:expr;)+) => {
        $(#[test] fn $test() { check($image, $verdict); })+
        const IMAGES: &[&str] = &[$($image),+];
    };
}

attacks! {
    allocate_foreign_frame "allocate-foreign-frame" Verdict::Refused;
    allocate_nonsense "allocate-nonsense" Verdict::Refused;
    available_jump "available-jump" Verdict::Refused;
    beside_ports "beside-ports" Verdict::Refused;
    bad_flags "bad-flags" Verdict::Refused;
    bad_rights "bad-rights" Verdict::Refused;
    bad_upcall "bad-upcall" Verdict::Refused;
    batch_limits "batch-limits" Verdict::Refused;
    derive_beyond "derive-beyond" Verdict::Refused;
    descriptor_chain "descriptor-chain" Verdict::Refused;
    device_registers "device-registers" Verdict::Refused;
    disk_extent "disk-extent" Verdict::Refused;
    dma_descriptor "dma-descriptor" Verdict::Refused;
    dma_indirect "dma-indirect" Verdict::Refused;
    dma_map_foreign "dma-map-foreign" Verdict::Refused;
    dma_rights "dma-rights" Verdict::Refused;
    dma_ring "dma-ring" Verdict::Refused;
    execute_data "execute-data" Verdict::Refused;
    exit_in_flight "exit-in-flight" Verdict::Refused;
    extents "extents" Verdict::Refused;
    flags_after_gate "flags-after-gate" Verdict::Refused;
    foreign_environments "foreign-environments" Verdict::Refused;
    foreign_function "foreign-function" Verdict::Refused;
    foreign_ports "foreign-ports" Verdict::Refused;
    foreign_queue "foreign-queue" Verdict::Refused;
    foreign_slices "foreign-slices" Verdict::Refused;
    late_slice "late-slice" Verdict::Refused;
    yield_nobody "yield-nobody" Verdict::Refused;
    forge_capability "forge-capability" Verdict::Refused;
    forged_predicates "forged-predicates" Verdict::Refused;
    free_mapped "free-mapped" Verdict::Refused;
    give_unwilling "give-unwilling" Verdict::Refused;
    freed_predicate "freed-predicate" Verdict::Refused;
    guess_capability "guess-capability" Verdict::Refused;
    indirect_table "indirect-table" Verdict::Refused;
    launder_capability "launder-capability" Verdict::Refused;
    length_overflow "length-overflow" Verdict::Refused;
    local_descriptors "local-descriptors" Verdict::Refused;
    map_beyond_memory "map-beyond-memory" Verdict::Refused;
    map_beyond_program_range "map-beyond-program-range" Verdict::Refused;
    map_foreign_frame "map-foreign-frame" Verdict::Refused;
    map_interface_page "map-interface-page" Verdict::Refused;
    map_kernel_frame "map-kernel-frame" Verdict::Refused;
    nested_fault "nested-fault" Verdict::Ended(
        AbortReason::NestedFault,
        PAGE_FAULT,
        NOT_PRESENT_EXECUTE,
        PLAYGROUND + UPCALL_ENTRY_STRIDE * INVALID_OPCODE,
    );
    no_upcall "no-upcall" Verdict::Ended(AbortReason::NoUpcall, INVALID_OPCODE, 0, 0);
    noncanonical_stack "noncanonical-stack" Verdict::Refused;
    outlive_giver "outlive-giver" Verdict::Refused;
    own_function "own-function" Verdict::Refused;
    outlive_mapping "outlive-mapping" Verdict::Refused;
    own_page_tables "own-page-tables" Verdict::Refused;
    privileged_instructions "privileged-instructions" Verdict::Refused;
    protect_under_another "protect-under-another" Verdict::Refused;
    queue_setup "queue-setup" Verdict::Refused;
    quota_capabilities "quota-capabilities" Verdict::Refused;
    quota_dma "quota-dma" Verdict::Refused;
    quota_frames "quota-frames" Verdict::Refused;
    quota_tables "quota-tables" Verdict::Refused;
    read_freed_frame "read-freed-frame" Verdict::Refused;
    read_only_disk "read-only-disk" Verdict::Refused;
    registers_after_switch "registers-after-switch" Verdict::Refused;
    request_shape "request-shape" Verdict::Refused;
    reset_in_flight "reset-in-flight" Verdict::Refused;
    reuse_capability "reuse-capability" Verdict::Refused;
    revoke_without_right "revoke-without-right" Verdict::Refused;
    revoked_in_flight "revoked-in-flight" Verdict::Refused;
    shared_function "shared-function" Verdict::Refused;
    software_interrupts "software-interrupts" Verdict::Refused;
    stale_derived "stale-derived" Verdict::Refused;
    stale_mapping "stale-mapping" Verdict::Refused;
    strange_access "strange-access" Verdict::Refused;
    timers "timers" Verdict::Refused;
    touch_device_unmapped "touch-device-unmapped" Verdict::Refused;
    touch_kernel "touch-kernel" Verdict::Refused;
    transfer "transfer" Verdict::Refused;
    transfer_ping_pong "transfer-ping-pong" Verdict::Refused;
    turn_code "turn-code" Verdict::Refused;
    unknown_call "unknown-call" Verdict::Refused;
    unmap_unmapped "unmap-unmapped" Verdict::Refused;
    upcall_stack_unmapped "upcall-stack-unmapped" Verdict::Ended(AbortReason::NestedFault, PAGE_FAULT, NOT_PRESENT_WRITE, PLAYGROUND - 8);
    window_tables "window-tables" Verdict::Refused;
    wake_sleeper "wake-sleeper" Verdict::Refused;
    write_environment_page "write-environment-page" Verdict::Refused;
    write_interface_page "write-interface-page" Verdict::Refused;
    write_shared "write-shared" Verdict::Refused;
    write_tables "write-tables" Verdict::Refused;
    wrong_kind "wrong-kind" Verdict::Refused;
}

#[test]
fn every_attack_image_has_a_test() {
    let folder = home::home().join("images/attacks");
    let images: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    let tested: BTreeSet<String> = IMAGES.iter().map(|&image| image.to_owned()).collect();
    assert_eq!(images, tested, "images on the left, tests on the right");
}

#[test]
fn stale_mappings_are_gone_on_four_processors() {
    require_kvm!();
    let outcome = Machine::new("attacks/stale-mapping").vcpus(4).run();
    check_outcome(&outcome, Verdict::Refused);
}

#[test]
fn disk_extent_leaves_the_rest_of_the_file_alone() {
    require_kvm!();
    let disk = Disk::with_size(1 << 20);
    let before = disk.bytes();
    let outcome = Machine::new("attacks/disk-extent").disk(disk.path()).run();
    check_outcome(&outcome, Verdict::Refused);
    let after = disk.bytes();
    // The manifest gives it 16 sectors from sector 8 on.
    let (start, end) = (8 * 512, (8 + 16) * 512);
    assert!(
        before[..start] == after[..start],
        "something before the extent has changed"
    );
    assert!(
        before[end..] == after[end..],
        "something behind the extent has changed"
    );
}

#[test]
fn read_only_disk_leaves_the_file_alone() {
    require_kvm!();
    let disk = Disk::with_size(1 << 20);
    let before = disk.sha256();
    let outcome = Machine::new("attacks/read-only-disk")
        .disk(disk.path())
        .run();
    check_outcome(&outcome, Verdict::Refused);
    assert_eq!(disk.sha256(), before);
}

#[test]
fn extents_leaves_the_rest_of_the_file_alone() {
    require_kvm!();
    let disk = Disk::with_size(1 << 20);
    let before = disk.bytes();
    let outcome = Machine::new("attacks/extents")
        .disk(disk.path())
        .disk(Disk::with_size(4096).path())
        .run();
    check_outcome(&outcome, Verdict::Refused);
    let after = disk.bytes();
    // The attacker may write sectors 12 to 20.
    let (start, end) = (12 * 512, 20 * 512);
    assert!(
        before[..start] == after[..start],
        "something before the extent has changed"
    );
    assert!(
        before[end..] == after[end..],
        "something behind the extent has changed"
    );
    assert!(before != after, "the extent itself is written");
}
