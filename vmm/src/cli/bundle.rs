//! `exo bundle`: writes the boot module of an image to a file, for other VMMs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::BundleOptions;
use crate::error::Error;
use crate::image::attachment::AttachedFiles;
use crate::image::bundle::{Bundle, BundleTarget};
use crate::image::home::Home;
use crate::image::manifest::Manifest;
use crate::image::planner::Choices;

/// Bytes that are copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Writes the bundle; gives the exit status.
pub fn write(options: &BundleOptions) -> Result<u8, Error> {
    let home = Home::find();
    let path = home.manifest(&options.image)?;
    let manifest = Manifest::read(&path)?;
    let bundle = Bundle::plan(
        &manifest,
        Choices {
            origin: &path.display().to_string(),
            programs: &home.programs()?,
            arguments: &options.arguments,
            vcpus: manifest.vcpus,
            slice: manifest.slice,
            // The functions are this VMM's: another one has others, and no control device. What is left runs anywhere.
            functions: false,
            files: AttachedFiles::default(),
            disks: &[],
        },
    )?;
    let failed = |error| Error::file("bundle", &options.output, &error, "make its folder first");
    let file = File::create(&options.output).map_err(failed)?;
    file.set_len(bundle.bytes()).map_err(failed)?;
    bundle.write(&mut Output(file)).map_err(failed)?;
    Ok(0)
}

/// A new file; what is not written is a hole, and reads as zero.
struct Output(File);

impl BundleTarget for Output {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn copy(&mut self, offset: u64, file: &File, from: u64, length: u64) -> io::Result<()> {
        let mut chunk = vec![0; length.min(CHUNK_BYTES) as usize];
        let mut done = 0;
        while done < length {
            chunk.truncate((length - done).min(CHUNK_BYTES) as usize);
            file.read_exact_at(&mut chunk, from + done)?;
            self.0.write_all_at(&chunk, offset + done)?;
            done += chunk.len() as u64;
        }
        Ok(())
    }
}
