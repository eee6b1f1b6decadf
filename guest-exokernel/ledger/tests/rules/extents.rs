//! Disk extents: split, given, bound to functions of their disk, taken back.

use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{Ledger, Name};

use crate::machine::*;

/// What the kernel does at boot with an extent of the manifest: sectors 100 to 200 of a disk.
fn give_extent(ledger: &mut Ledger, disk: u32, rights: Rights) -> Capability {
    let name = Name {
        kind: Kind::Extent,
        resource: disk,
        first: 100,
        count: 100,
    };
    ledger.add_capability(ONE, name, rights)
}

fn bind(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    extent: Capability,
    function: Capability,
) -> Result<(), Error> {
    let (_, index) = ledger.check_bind_extent(holder, extent, function)?;
    ledger.commit_bind_extent(extent, index);
    ledger.audit().unwrap();
    Ok(())
}

#[test]
fn an_extent_is_split_inside_itself_only() {
    let mut ledger = machine();
    let whole = give_extent(&mut ledger, 1, Rights::CAPABILITY);
    let part = derive(&mut ledger, ONE, whole, (150, 50), Rights::CAPABILITY).unwrap();
    let entry = ledger.entry(part).unwrap();
    assert_eq!((entry.resource, entry.first, entry.count), (1, 150, 50));
    for range in [(149, 1), (150, 51), (200, 1), (100, 10), (u64::MAX, 2)] {
        let answer = derive(&mut ledger, ONE, part, range, Rights::READ);
        assert_eq!(answer, Err(Error::OutOfRange), "{range:?}");
    }
    let readable = Rights::READ.union(Rights::DERIVE);
    let readable = derive(&mut ledger, ONE, part, (150, 50), readable).unwrap();
    let answer = derive(&mut ledger, ONE, readable, (150, 1), Rights::READ_WRITE);
    assert_eq!(answer, Err(Error::NotPermitted));
    ledger.audit().unwrap();
}

#[test]
fn an_extent_is_bound_to_a_bound_function_of_its_disk() {
    let mut ledger = machine();
    let extent = give_extent(&mut ledger, 1, Rights::CAPABILITY);
    let hidden = give_extent(&mut ledger, 1, Rights::WRITE);
    let other_disk = give_function(&mut ledger, 0, ONE);
    let function = give_function(&mut ledger, 2, ONE);
    let neighbour = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(other_disk, 0);
    let before = snapshot(&ledger);
    let refusals = [
        (TWO, extent, function, Error::BadCapability),
        (ONE, function, function, Error::WrongKind),
        (ONE, extent, extent, Error::WrongKind),
        (ONE, hidden, function, Error::NotPermitted),
        (ONE, extent, other_disk, Error::OutOfRange),
        (ONE, extent, function, Error::BadState),
    ];
    for (holder, extent, function, error) in refusals {
        let answer = bind(&mut ledger, holder, extent, function);
        assert_eq!(answer, Err(error));
    }
    assert_eq!(snapshot(&ledger), before);
    ledger.commit_bind(function, 2);
    ledger.commit_bind(neighbour, 1);
    bind(&mut ledger, ONE, extent, function).unwrap();
    let part = derive(&mut ledger, ONE, extent, (100, 1), Rights::READ).unwrap();
    for (extent, function) in [(extent, neighbour), (part, function)] {
        let answer = bind(&mut ledger, ONE, extent, function);
        assert_eq!(answer, Err(Error::BadState));
    }
    bind(&mut ledger, ONE, part, neighbour).unwrap();
}

#[test]
fn a_function_shows_nothing_when_its_extent_is_freed_or_it_is_unbound() {
    let mut ledger = machine();
    let extent = give_extent(&mut ledger, 1, Rights::CAPABILITY);
    let part = derive(&mut ledger, ONE, extent, (100, 1), Rights::READ).unwrap();
    let function = give_function(&mut ledger, 2, ONE);
    ledger.commit_bind(function, 2);
    bind(&mut ledger, ONE, part, function).unwrap();
    assert_eq!(give(&mut ledger, ONE, part, TWO), Err(Error::InUse));
    assert_eq!(revoke(&mut ledger, ONE, extent, 9), Ok(true));
    assert_eq!(ledger.function(2).unwrap().extent, 0);
    ledger.audit().unwrap();
    bind(&mut ledger, ONE, extent, function).unwrap();
    free(&mut ledger, ONE, function).unwrap();
    assert_eq!(ledger.entry(extent).unwrap().bound, 0);
    assert_eq!(ledger.function(2).unwrap().extent, 0);
    ledger.audit().unwrap();
}
