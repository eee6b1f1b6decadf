//! Snapshots as text, to the letter.

use super::*;
use crate::observe::bindings::{BindingState, SliceState};
use crate::observe::snapshot::{EnvironmentState, QueueState, RevocationState, SummaryState};

/// A machine with two environments and a disk.
pub fn snapshot() -> Snapshot {
    let environment = |number, name: &str, state: &str| EnvironmentState {
        number,
        name: name.into(),
        state: state.into(),
        vcpu: 0,
        calls: 12,
        upcalls: 3,
        interrupts: 4,
        vm_exits: 5,
        ticks: 6_000_000,
        forced_switches: 0,
        penalties: 0,
        frames: 1024,
        frames_quota: 2048,
        frames_guaranteed: 512,
        tables: 6,
        tables_quota: 64,
        capabilities: 7,
        capabilities_quota: 32,
        dma_mappings: 1,
        dma_mappings_quota: 16,
    };
    Snapshot {
        machine: MachineState {
            name: "hash-1".into(),
            image: "hash".into(),
            process: 77,
            running_us: 3_723_400_000,
            tsc_khz: 2_000_000,
            memory_kib: 64 << 10,
            resident_kib: Some(5000),
            vm_exits: 10,
            consistent: true,
        },
        summary: SummaryState {
            free_blocks: 20,
            split_frames_used: 30,
            frames_owned: 2048,
            frames_limit: 8192,
            free_tables: 100,
            capabilities_used: 14,
            environments_alive: 2,
        },
        vcpus: vec![1, 0],
        environments: vec![
            environment(1, "attacker", "runnable"),
            environment(2, "victim", "waiting"),
        ],
        functions: vec![FunctionState {
            name: "disk".into(),
            owner: 2,
            queues: vec![QueueState {
                doorbells: 1,
                interrupts: 2,
                requests: 300,
                bytes: 4096,
                stop_reason: "none".into(),
            }],
        }],
        slices: vec![
            SliceState {
                vcpu: 0,
                owner: 2,
                slots: 4,
                ticks: 4_000_000,
            },
            SliceState {
                vcpu: 0,
                owner: 0,
                slots: 60,
                ticks: 0,
            },
        ],
        bindings: vec![BindingState {
            kind: "queue".into(),
            holder: 1,
            resource: 0,
            first: 1,
            count: 1,
            bound: true,
        }],
        revocations: vec![RevocationState {
            number: 1,
            time: 99,
            serial: 5,
            event: "taken".into(),
            environment: 1,
            kind: "blocks".into(),
            first: 0x200,
            count: 512,
        }],
    }
}

#[test]
fn everything_is_shown_in_columns() {
    let expected = "\
hash-1 (hash), process 77, running 1:02:03, 10 exits to the VMM
memory 64 MiB, resident 5000 KiB, 2048 of 8192 frames owned, 20 free blocks of 2 MiB, 100 free tables, 14 capabilities
vCPUs  0: attacker, 1: idle

#  ENVIRONMENT  STATE     VCPU  TIME  CALLS  UPCALLS  INTERRUPTS  EXITS     FRAMES  TABLES  CAPABILITIES   DMA
1  attacker     runnable     0  3 ms     12        3           4      5  1024/2048    6/64          7/32  1/16
2  victim       waiting      0  3 ms     12        3           4      5  1024/2048    6/64          7/32  1/16

FUNCTION  QUEUE  OWNER   REQUESTS  BYTES  DOORBELLS  INTERRUPTS  STOPPED
disk          0  victim       300   4096          1           2  -

VCPU  SLOTS  OWNER   TIME
   0      4  victim  2 ms
   0     60  -       0 ms

KIND   HOLDER    OF    FIRST  COUNT  BOUND
queue  attacker  disk      1      1  yes

EVENT  REQUEST  WHAT   ENVIRONMENT  KIND    FIRST  COUNT
    1        5  taken  attacker     blocks  0x200    512
";
    assert_eq!(everything(&snapshot()), expected);
}

#[test]
fn tables_without_a_row_are_left_out() {
    let mut one = snapshot();
    one.functions.clear();
    assert!(!everything(&one).contains("FUNCTION"));
    one.machine.consistent = false;
    assert!(head(&one).contains("changed while they were read"));
}

#[test]
fn rates_are_between_two_snapshots() {
    let before = snapshot();
    let mut now = snapshot();
    now.machine.running_us += 2_000_000;
    now.environments[0].calls += 5000;
    let rows = &sections(&now, Some(&before))[0].rows;
    assert_eq!(rows[0][5], "CALLS/S");
    assert_eq!((rows[1][5].as_str(), rows[2][5].as_str()), ("2500", "0"));
    let rows = &sections(&before, Some(&before))[0].rows;
    assert_eq!(rows[1][5], "0");
}
