//! Machines that boot a kernel of a few bytes.

use std::io::Write;
use std::sync::{Arc, Mutex};

use exo_abi::port::ExitCode;

use super::ending::End;
use super::{Attachments, Machine, Parts};
use crate::crash::Crashes;
use crate::error::Error;
use crate::image::attachment::AttachedFiles;
use crate::image::bundle::Bundle;
use crate::image::executable::Executable;
use crate::image::fixture::Elf;
use crate::image::manifest::Manifest;
use crate::image::planner::Choices;
use crate::image::slice::SliceLength;

/// Output that the test can look at.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Boots `code` on a machine with `vcpus`; nothing where there is no KVM here.
fn boot(code: &[u8], vcpus: u32) -> Option<(End, String)> {
    let folder = tempfile::tempdir().unwrap();
    let kernel = folder.path().join("kernel");
    std::fs::write(&kernel, Elf::kernel(code).bytes()).unwrap();
    std::fs::write(folder.path().join("program"), Elf::program().bytes()).unwrap();
    let manifest = Manifest::parse(
        "description = \"\"\n[[environment]]\nname = \"one\"\nprogram = \"program\"\n",
        "test",
    )
    .unwrap();
    let choices = Choices {
        origin: "test",
        programs: folder.path(),
        arguments: &[],
        vcpus,
        slice: SliceLength::DEFAULT,
        functions: true,
        files: AttachedFiles::default(),
        disks: &[],
    };
    let bundle = Bundle::plan(&manifest, choices).unwrap();
    let kernel = Executable::read("kernel", &kernel).unwrap();
    let output = Output::default();
    let parts = Parts {
        kernel: &kernel,
        bundle,
        memory: manifest.memory,
        vcpus,
        command_line: "",
        output: Box::new(output.clone()),
        errors: Box::new(std::io::sink()),
        statistics: false,
        crashes: Crashes::default(),
        stops: None,
    };
    let mut machine = match Machine::new(parts, |_, _| Ok(Attachments::default())) {
        Ok(machine) => machine,
        Err(Error::NoKvm(reason) | Error::NotPermitted(reason)) => {
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let outcome = machine.run().unwrap();
    machine.stop();
    let output = output.0.lock().unwrap().clone();
    Some((outcome.end, String::from_utf8(output).unwrap()))
}

/// `out` of `code` to the exit port: `mov $code, %eax; mov $0xf4, %dx; out %eax, %dx`.
fn exit(code: u8) -> [u8; 10] {
    [0xb8, code, 0, 0, 0, 0x66, 0xba, 0xf4, 0, 0xef]
}

#[test]
fn bundle_is_found_by_the_start_information_and_strings_are_printed() {
    let mut code = vec![
        0x66, 0xba, 0xf8, 0x03, // mov $0x3f8, %dx
        0x8b, 0x43, 0x10, // mov 16(%ebx), %eax: modules
        0x8b, 0x30, // mov (%eax), %esi: address of the first
        0xb9, 8, 0, 0, 0, // mov $8, %ecx
        0xf3, 0x6e, // rep outsb
        0xb0, b'\n', // mov $10, %al
        0xee,  // out %al, %dx
    ];
    code.extend_from_slice(&exit(0));
    if let Some(ended) = boot(&code, 1) {
        assert_eq!(
            ended,
            (End::Asked(ExitCode::Orderly), "EXOBUNDL\n".to_owned())
        );
    }
}

#[test]
fn exit_codes_are_told_and_waiting_vcpus_are_stopped() {
    if let Some((end, _)) = boot(&exit(1), 3) {
        assert_eq!(end, End::Asked(ExitCode::Panic));
    }
    if let Some((end, _)) = boot(&exit(77), 2) {
        assert_eq!(end, End::AskedStrangely(77));
    }
}

#[test]
fn a_triple_fault_tells_where_it_happened() {
    // ud2, with no interrupt table
    if let Some((End::Failed { what, registers }, _)) = boot(&[0x0f, 0x0b], 1) {
        assert!(
            what.contains("vCPU 0") && what.contains("rip 0x100000"),
            "{what}"
        );
        assert!(registers.contains("0f 0b"), "{registers}");
    }
}
