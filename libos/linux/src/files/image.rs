//! An ext2, ext3 or ext4 image as root file system, read by the `ext4-view` crate from the attached blocks.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::error::Error;

use exo_rt::program_memory;
use ext4_view::{Ext4, Ext4Read, File, Metadata, PathBuf};

use super::data::{Base, Data, Source};
use super::node::{Attributes, Content, Directory, Names, Node};
use super::root::Origin;
use super::store::Store;
use crate::errno::{Errno, Result};
use crate::options::Attachment;

/// An image in memory.
struct Reader(Attachment);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        start: u64,
        into: &mut [u8],
    ) -> core::result::Result<(), Box<dyn Error + Send + Sync + 'static>> {
        let end = start.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.0.bytes) {
            return Err("the image ends before".into());
        }
        program_memory::read(self.0.view() + start, into).map_err(|_| "it cannot be read".into())
    }
}

/// A directory of an image.
#[derive(Debug)]
pub struct ImageDirectory {
    image: Ext4,
    store: Rc<Store>,
    path: PathBuf,
}

/// What the image says is wrong is an input or output error.
fn broken<T>(result: core::result::Result<T, ext4_view::Ext4Error>) -> Result<T> {
    result.map_err(|_| Errno::EIO)
}

/// Contents of a file, read from its start to its end as long as nobody jumps.
struct Contents(File);

impl Source for Contents {
    fn read(&mut self, offset: u64, to: u64, bytes: u64) -> Result<()> {
        if self.0.position() != offset {
            broken(self.0.seek_to(offset))?;
        }
        let mut buffer = vec![0; bytes as usize];
        let mut left = buffer.as_mut_slice();
        while !left.is_empty() {
            let moved = broken(self.0.read_bytes(left))?;
            if moved == 0 {
                return Err(Errno::EIO);
            }
            left = left.get_mut(moved..).unwrap_or_default();
        }
        Ok(program_memory::write(to, &buffer)?)
    }
}

fn attributes(metadata: &Metadata) -> Attributes {
    let modified = metadata.modified();
    let seconds = u64::try_from(modified.seconds()).unwrap_or(0);
    Attributes {
        mode: u32::from(metadata.mode() & 0o7777),
        user: metadata.uid(),
        group: metadata.gid(),
        modified: seconds.saturating_mul(1_000_000_000) + u64::from(modified.nanoseconds()),
    }
}

impl ImageDirectory {
    /// The root directory of an image.
    pub fn open(place: Attachment, store: &Rc<Store>) -> Result<Rc<Node>> {
        let image = broken(Ext4::load(Box::new(Reader(place))))?;
        let path = PathBuf::new("/");
        let metadata = broken(image.metadata(&path))?;
        let directory = Self {
            image,
            store: store.clone(),
            path,
        };
        let content = Content::Directory(Directory::of(Origin::Image(directory)));
        Ok(Node::new(store, content, attributes(&metadata)))
    }

    /// Its names.
    pub fn names(self) -> Result<Names> {
        let mut names = Names::new();
        for entry in broken(self.image.read_dir(&self.path))? {
            let entry = broken(entry)?;
            let name: Vec<u8> = entry.file_name().as_ref().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            let path = entry.path();
            let metadata = broken(self.image.symlink_metadata(&path))?;
            let kind = metadata.file_type();
            let content = if kind.is_dir() {
                Content::Directory(Directory::of(Origin::Image(Self {
                    image: self.image.clone(),
                    store: self.store.clone(),
                    path,
                })))
            } else if kind.is_symlink() {
                let target = broken(self.image.read_link(&path))?;
                Content::Link(AsRef::<[u8]>::as_ref(&target).to_vec())
            } else if kind.is_regular_file() {
                let contents = Contents(broken(self.image.open(&path))?);
                let base = Base::Source(RefCell::new(Box::new(contents)));
                Content::Regular(RefCell::new(Data::over(&self.store, base, metadata.len())))
            } else {
                // Numbers of devices are not shown by the crate, and `/dev` is the personality's own.
                continue;
            };
            names.insert(name, Node::new(&self.store, content, attributes(&metadata)));
        }
        Ok(names)
    }
}
