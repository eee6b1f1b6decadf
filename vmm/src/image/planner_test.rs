//! Bundles: what is in them, byte by byte, and what is refused.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::*;
use crate::image::bundle::BundleTarget;
use crate::image::fixture::{EXECUTE, Elf, Part, READ, WRITE};
use crate::image::slice::SliceLength;

/// A bundle in memory.
#[derive(Default)]
struct Target(Vec<u8>);

impl BundleTarget for Target {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        self.0.resize(self.0.len().max(end), 0);
        self.0[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, file: &File, from: u64, length: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, from)?;
        self.write(offset, &bytes)
    }
}

struct Setup {
    folder: tempfile::TempDir,
    manifest: String,
    arguments: Vec<String>,
    vcpus: u32,
}

impl Setup {
    /// Two environments with a function each.
    fn new(program: &Elf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p"), program.bytes()).unwrap();
        let mut manifest = "description = \"\"\nvcpus = 2\n".to_owned();
        for name in ["a", "b"] {
            manifest.push_str(&format!(
                "[[function]]\nname = \"disk-{name}\"\ndevice = \"block\"\n"
            ));
            manifest.push_str(&format!(
                "[[environment]]\nname = \"{name}\"\nprogram = \"p\"\narguments = [\"x\"]\nfunctions = [\"disk-{name}\"]\n"
            ));
        }
        Self {
            folder,
            manifest,
            arguments: Vec::new(),
            vcpus: 2,
        }
    }

    fn plan(&self) -> Result<Bundle, Error> {
        let path = PathBuf::from(self.folder.path());
        let choices = Choices {
            origin: "t",
            programs: &path,
            arguments: &self.arguments,
            vcpus: self.vcpus,
            slice: SliceLength::DEFAULT,
            functions: true,
            files: AttachedFiles::default(),
            disks: &[],
        };
        Bundle::plan(&Manifest::parse(&self.manifest, "t")?, choices)
    }

    fn refusal(&self) -> String {
        let message = self.plan().expect_err("must be refused").to_string();
        assert!(
            !message.contains('\n') && message.contains("; "),
            "{message}"
        );
        message
    }
}

/// Code, and behind it data of which two bytes are in the file and the rest are zero.
fn program() -> Elf {
    let mut elf = Elf::program();
    elf.parts.push(Part {
        address: 0x50_0ffe,
        physical: 0,
        flags: READ | WRITE,
        bytes: vec![7, 8],
        memory_size: 0x1003,
    });
    elf
}

#[test]
fn pages_are_where_the_records_say() {
    let mut setup = Setup::new(&program());
    setup.arguments = vec!["one".into(), "two words".into()];
    let bundle = setup.plan().unwrap();
    let mut target = Target::default();
    bundle.write(&mut target).unwrap();
    let header = bundle.header;
    assert_eq!(
        (
            header.environment_count,
            header.function_count,
            header.vcpus
        ),
        (2, 3, 2)
    );
    assert_eq!((header.tables, header.capabilities), (128, 64));
    // Records in page 0; then code, three pages of data, arguments: twice.
    assert_eq!(header.pages, 1 + 2 * 5);
    let [a, b] = bundle.environments.as_slice() else {
        panic!("environments")
    };
    assert_eq!((a.first_page, a.pages, b.first_page, b.pages), (1, 5, 6, 5));
    assert_eq!((a.vcpu, b.vcpu), (0, 1));
    let [code, data, arguments, ..] = a.segments;
    assert_eq!(
        (code.address, code.first_page, code.pages, code.rights),
        (0x40_0000, 1, 1, Rights::READ_EXECUTE.0)
    );
    assert_eq!(
        (data.address, data.first_page, data.pages, data.rights),
        (0x50_0000, 2, 3, Rights::READ_WRITE.0)
    );
    // A page of distance from the data.
    assert_eq!(
        (arguments.address, arguments.first_page, arguments.rights),
        (0x50_4000, 5, Rights::READ.0)
    );
    assert_eq!((a.arguments, a.argument_count), (0x50_4000, 2));
    assert_eq!(a.segments[3], Segment::default());
    assert_eq!(target.0[0x1000..0x1002], [0x0f, 0x0b]);
    assert_eq!(target.0[0x2ffd..0x3001], [0, 7, 8, 0]);
    assert_eq!(&target.0[0x5000..0x500f], b"one\0two words\0\0");
    // The second environment keeps the manifest's arguments, and has pages of its own.
    assert_eq!(&target.0[0xa000..], b"x\0");
    assert_eq!(
        (a.function_count, a.functions[0], b.functions[0]),
        (1, 1, 2)
    );
    assert_eq!(a.frames_quota, 5 + 1024 + 1024);
    assert_eq!(&target.0[..8], b"EXOBUNDL");
}

#[test]
fn without_functions_nobody_has_any() {
    let setup = Setup::new(&program());
    let path = PathBuf::from(setup.folder.path());
    let choices = Choices {
        origin: "t",
        programs: &path,
        arguments: &[],
        vcpus: 2,
        slice: SliceLength::DEFAULT,
        functions: false,
        files: AttachedFiles::default(),
        disks: &[],
    };
    let bundle = Bundle::plan(&Manifest::parse(&setup.manifest, "t").unwrap(), choices).unwrap();
    assert_eq!(
        (bundle.header.function_count, bundle.functions.len()),
        (0, 0)
    );
    assert!(
        bundle
            .environments
            .iter()
            .all(|record| record.function_count == 0)
    );
}

#[test]
fn programs_that_cannot_be_mapped_are_refused() {
    let with = |change: fn(&mut Elf)| {
        let mut elf = program();
        change(&mut elf);
        Setup::new(&elf).refusal()
    };
    for (message, reason) in [
        (
            with(|elf| elf.parts[1].address = 0x40_0800),
            "shares a page",
        ),
        (with(|elf| elf.parts[1].address = 0), "shares a page"),
        (
            with(|elf| elf.parts[1].address = PROGRAM_END - 1),
            "lies outside",
        ),
        (
            with(|elf| elf.parts[1].address = 0xffff_8000_0000_0000),
            "lies outside",
        ),
        (with(|elf| elf.entry = 0x50_1000), "entry outside its code"),
        (
            with(|elf| elf.parts[0].flags = READ),
            "entry outside its code",
        ),
        (
            with(|elf| elf.parts[1].memory_size = 1 << 39),
            "is too large",
        ),
        (
            with(|elf| elf.parts[1].memory_size = 1 << 45),
            "is too large",
        ),
        (
            with(|elf| {
                for index in 0..8 {
                    let mut part = elf.parts[0].clone();
                    part.address += 0x1_0000 * (index + 1);
                    part.flags = READ | EXECUTE;
                    elf.parts.insert(1, part);
                }
            }),
            "more than 8 segments",
        ),
    ] {
        assert!(message.contains(reason), "{reason:?} is not in {message:?}");
    }
}

#[test]
fn quotas_that_are_exceeded_from_the_start_are_refused() {
    let mut setup = Setup::new(&program());
    let manifest = setup.manifest.clone();
    setup.manifest = format!("{manifest}quota = {{ frames = 1028 }}\n");
    assert!(
        setup
            .refusal()
            .contains("quota.frames = 1028, but program and memory alone are 1029")
    );
    setup.manifest = format!("{manifest}quota = {{ frames = 1029 }}\n");
    assert_eq!(setup.plan().unwrap().environments[1].frames_quota, 1029);
    setup.manifest = format!("{manifest}quota = {{ capabilities = 2 }}\n");
    assert!(
        setup
            .refusal()
            .contains("quota.capabilities = 2, but it starts with 3")
    );
}

#[test]
fn command_line_can_ask_for_too_much_or_too_little() {
    let mut setup = Setup::new(&program());
    setup.manifest = setup
        .manifest
        .replace("name = \"a\"", "name = \"a\"\nvcpu = 1");
    setup.vcpus = 1;
    assert!(setup.refusal().contains("give --vcpus 2 or more"));
    setup.vcpus = 2;
    setup.arguments = vec!["x".repeat(70_000)];
    assert!(setup.refusal().contains("at most 65536 fit; give less"));
}
