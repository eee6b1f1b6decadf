//! ACPI tables: processors and the place of PCI configuration space, for guests that look there.
//!
//! Our kernel reads none of this, as the bundle tells it more; another PVH guest has only these (ACPI 6.5, section 5.2).

use acpi_tables::madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};
use vm_memory::{Bytes, GuestAddress};

use crate::error::Error;
use crate::memory::GuestMemory;
use crate::pci::placement::{ECAM_BASE, ECAM_SIZE};

/// Where the tables start: what scans for them without being told looks here, too (section 5.2.5.1).
pub const TABLES: u64 = 0xe_0000;
/// Where local APICs answer (Intel SDM volume 3, section 11.4.1).
const LOCAL_APIC: u32 = 0xfee0_0000;
/// Configuration space of one bus in ECAM.
const BUS_BYTES: u64 = 1 << 20;
const OEM: [u8; 6] = *b"EXOVSR";
const OEM_TABLE: [u8; 8] = *b"EXOVISOR";
/// Tables start at multiples of this.
const ALIGNMENT: usize = 16;

/// Collects the bytes of a table.
#[derive(Default)]
struct Collected(Vec<u8>);

impl AmlSink for Collected {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

/// All tables in one run of bytes, to lie at [`TABLES`], and the address of the first, the RSDP.
fn make(vcpus: u32, has_functions: bool) -> Vec<u8> {
    // The RSDP has a fixed size, so the tables that it leads to can come behind it.
    let mut run = vec![0; Rsdp::len().next_multiple_of(ALIGNMENT)];
    let mut xsdt = XSDT::new(OEM, OEM_TABLE, 1);
    let mut madt = MADT::new(
        OEM,
        OEM_TABLE,
        1,
        LocalInterruptController::Address(LOCAL_APIC),
    );
    for number in 0..vcpus {
        // At most VCPUS_MAX: the numbers fit.
        madt.add_structure(ProcessorLocalApic::new(
            number as u8,
            number as u8,
            EnabledStatus::Enabled,
        ));
    }
    xsdt.add_entry(append(&mut run, &madt));
    if has_functions {
        let mut mcfg = MCFG::new(OEM, OEM_TABLE, 1);
        let last_bus = (ECAM_SIZE / BUS_BYTES).saturating_sub(1);
        mcfg.add_ecam(ECAM_BASE, 0, 0, last_bus as u8);
        xsdt.add_entry(append(&mut run, &mcfg));
    }
    let rsdp = Rsdp::new(OEM, append(&mut run, &xsdt));
    let mut first = Collected::default();
    rsdp.to_aml_bytes(&mut first);
    for (byte, source) in run.iter_mut().zip(first.0) {
        *byte = source;
    }
    run
}

/// Puts a table behind the others; gives its address.
fn append(run: &mut Vec<u8>, table: &dyn Aml) -> u64 {
    run.resize(run.len().next_multiple_of(ALIGNMENT), 0);
    let address = TABLES + run.len() as u64;
    let mut bytes = Collected::default();
    table.to_aml_bytes(&mut bytes);
    run.append(&mut bytes.0);
    address
}

/// Writes the tables; gives the address of the RSDP.
pub fn write(memory: &GuestMemory, vcpus: u32, has_functions: bool) -> Result<u64, Error> {
    memory
        .write_slice(&make(vcpus, has_functions), GuestAddress(TABLES))
        .map_err(|error| Error::System(format!("ACPI tables do not fit guest memory: {error}")))?;
    Ok(TABLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> u64 {
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
    }

    /// The table at this address of the run, after its checksum has been checked.
    fn table(run: &[u8], address: u64) -> &[u8] {
        let start = &run[(address - TABLES) as usize..];
        let table = &start[..number(&start[4..8]) as usize];
        assert_eq!(sum(table), 0);
        table
    }

    #[test]
    fn tables_are_found_from_the_first_as_a_guest_does() {
        let run = make(3, true);
        assert_eq!(&run[..8], b"RSD PTR ");
        assert_eq!((sum(&run[..20]), sum(&run[..36])), (0, 0));
        let xsdt = table(&run, number(&run[24..32]));
        assert_eq!(&xsdt[..4], b"XSDT");
        let entries: Vec<_> = xsdt[36..].chunks(8).map(number).collect();
        let [madt, mcfg] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        let madt = table(&run, *madt);
        assert_eq!(&madt[..4], b"APIC");
        // Type 0, 8 bytes, processor, APIC, enabled: three times.
        let processors: Vec<_> = madt[44..]
            .chunks(8)
            .map(|one| (one[0], one[1], one[3], one[4]))
            .collect();
        assert_eq!(processors, [(0, 8, 0, 1), (0, 8, 1, 1), (0, 8, 2, 1)]);
        let mcfg = table(&run, *mcfg);
        assert_eq!(&mcfg[..4], b"MCFG");
        assert_eq!(
            (number(&mcfg[44..52]), mcfg[54], mcfg[55]),
            (ECAM_BASE, 0, 0)
        );
    }

    #[test]
    fn without_functions_there_is_no_configuration_space() {
        let run = make(1, false);
        assert_eq!(table(&run, number(&run[24..32])).len(), 36 + 8);
    }
}
