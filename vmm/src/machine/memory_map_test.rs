//! Machines of every size, and kernels that lie in the wrong place.

use std::path::Path;

use exo_abi::layout::KERNEL_DATA;

use super::*;
use crate::image::attachment::AttachedFiles;
use crate::image::fixture::Elf;
use crate::image::manifest::Manifest;
use crate::image::planner::Choices;
use crate::image::slice::SliceLength;

fn bundle(folder: &Path, grant: &str) -> Bundle {
    std::fs::write(folder.join("p"), Elf::program().bytes()).unwrap();
    let text = format!(
        "description = \"\"\n[[environment]]\nname = \"a\"\nprogram = \"p\"\nmemory = \"{grant}\"\nquota = {{ tables = 1 }}"
    );
    let choices = Choices {
        origin: "t",
        programs: folder,
        arguments: &[],
        vcpus: 1,
        slice: SliceLength::DEFAULT,
        functions: true,
        files: AttachedFiles::default(),
        disks: &[],
    };
    Bundle::plan(&Manifest::parse(&text, "t").unwrap(), choices).unwrap()
}

fn kernel(folder: &Path, physical: u64, memory_size: u64) -> Executable {
    let mut elf = Elf::kernel(&[0x90]);
    elf.parts[0].physical = physical;
    elf.parts[0].memory_size = memory_size;
    let path = folder.join("kernel");
    std::fs::write(&path, elf.bytes()).unwrap();
    Executable::read("kernel", &path).unwrap()
}

#[test]
fn bundle_lies_where_the_kernels_own_memory_ends() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path(), KERNEL_DATA, 0x1000);
    let map = MemoryMap::new(&kernel, &bundle(folder.path(), "4 MiB"), Size(64 << 20)).unwrap();
    assert_eq!(map.bundle, map.layout.end);
    assert_eq!(map.layout.end % BLOCK_SIZE, 0);
    assert!(map.layout.environment_pages.start >= KERNEL_DATA + 0x1000);
}

#[test]
fn too_little_memory_is_refused_with_enough() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path(), KERNEL_DATA, 0x1000);
    let bundle = bundle(folder.path(), "32 MiB");
    // Kernel and its tables 6 MiB, bundle 2 MiB, grant 32 MiB.
    for size in [2u64, 4, 32, 38] {
        let message = MemoryMap::new(&kernel, &bundle, Size(size << 20))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("give --memory 64 MiB or more"),
            "{message}"
        );
    }
    MemoryMap::new(&kernel, &bundle, Size(40 << 20)).unwrap();
    let message = MemoryMap::new(
        &kernel,
        &self::bundle(folder.path(), "256 GiB"),
        Size(64 << 20),
    )
    .unwrap_err();
    assert!(
        message.to_string().contains("no machine has enough memory"),
        "{message}"
    );
}

#[test]
fn kernels_outside_their_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(folder.path(), "4 MiB");
    for (physical, size) in [
        (0, 0x1000),
        (START_INFO, 1),
        (KERNEL_LIMIT - 1, 2),
        (1 << 40, 1),
        (0x10_0000, 1 << 30),
    ] {
        let kernel = kernel(folder.path(), physical, size);
        let message = MemoryMap::new(&kernel, &bundle, Size(64 << 20))
            .unwrap_err()
            .to_string();
        assert!(message.contains("has a segment at physical"), "{message}");
    }
}
