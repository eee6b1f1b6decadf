//! Mappings of files. What is shared, or may not be written, is the file's own frames; private memory that may be written is copied when
//! it is first touched.

use alloc::rc::Rc;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};

use super::fault::FAULT_PAGES;
use super::region::{Kind, Region, Shown};
use super::{Memory, is_present, mapping, round_up};
use crate::errno::{Errno, Result};
use crate::files::node::Node;

impl Memory {
    /// Maps a file from `offset` on, at `place` or at an address of our choice.
    pub fn map_file(
        &mut self,
        place: Option<u64>,
        bytes: u64,
        rights: Rights,
        (node, offset): (&Rc<Node>, u64),
        is_shared: bool,
    ) -> Result {
        let bytes = round_up(bytes).filter(|&bytes| bytes != 0);
        let bytes = bytes.ok_or(Errno::EINVAL)?;
        node.data().map_err(|_| Errno::ENODEV)?.borrow_mut().keep();
        let start = match place {
            Some(start) => self.map_anonymous_at(start, bytes, Rights::NONE)?,
            None => self.map_lazy(bytes, Rights::NONE)?,
        };
        let kind = match is_shared || !rights.contains(Rights::WRITE) {
            true => Kind::Image,
            false => Kind::Lazy,
        };
        let region = Region {
            file: Some(Shown {
                node: node.clone(),
                origin: start.wrapping_sub(offset),
                is_shared,
            }),
            ..Region::new(start + bytes, rights, kind)
        };
        self.regions.insert(start, region);
        Ok(start)
    }

    /// Brings the pages of a file that a fault at `page` needs, in the region that starts at `start`.
    pub(super) fn show(&mut self, start: u64, page: u64, shown: &Shown) -> Result<()> {
        let region = self.regions.get(&start).ok_or(Errno::EFAULT)?;
        let (kind, rights) = (region.kind, region.rights);
        // Neighbours come along, as far as they are not there and lie in the same page table and in the file.
        let table_end = (page | (BLOCK_SIZE - 1)) + 1;
        let limit = region
            .end
            .min(table_end)
            .min(page + FAULT_PAGES * PAGE_SIZE);
        let next = region.pages.range(page..).next();
        let limit = next.map_or(limit, |(&next, _)| limit.min(next));
        let mut data = shown
            .node
            .data()?
            .try_borrow_mut()
            .map_err(|_| Errno::EFAULT)?;
        let first = page.wrapping_sub(shown.origin) / PAGE_SIZE;
        let left = data.size().div_ceil(PAGE_SIZE).checked_sub(first);
        let count = left.unwrap_or(0).min((limit - page) / PAGE_SIZE);
        if count == 0 {
            return Err(Errno::EFAULT);
        }
        let addresses = (0..count).map(|number| page + number * PAGE_SIZE);
        if kind == Kind::Lazy {
            let frame = self.map_clean(page, count, rights).ok_or(Errno::ENOMEM)?;
            let pages = addresses.zip(frame..);
            let region = self.regions.get_mut(&start).ok_or(Errno::EFAULT)?;
            region.pages.extend(pages);
            for number in 0..count {
                data.copy_page(first + number, frame + number, self)?;
            }
            return Ok(());
        }
        let frames = (first..first + count).map(|number| match shown.is_shared {
            true => data.page(number, self),
            false => data.page_to_read(number, self),
        });
        let frames: Vec<u64> = frames.collect::<Result<_>>()?;
        let region = self.regions.get_mut(&start).ok_or(Errno::EFAULT)?;
        region.pages.extend(addresses.zip(frames));
        let pages = region.pages.range(page..page + count * PAGE_SIZE);
        let absent = pages
            .map(|(&address, &frame)| (address, frame))
            .filter(|(address, _)| !is_present(address));
        mapping::map_pages(absent, rights, |frame| self.capabilities.of(frame))
    }

    /// Has private regions of files that get the right to be written copy what they show when it is touched again.
    pub(super) fn let_write(&mut self, start: u64, end: u64, rights: Rights) -> Result<()> {
        if !rights.contains(Rights::WRITE) {
            return Ok(());
        }
        for region in self.regions.range_mut(start..end).map(|(_, region)| region) {
            let is_private = region.file.as_ref().is_some_and(|shown| !shown.is_shared);
            if is_private && region.kind == Kind::Image {
                let pages = core::mem::take(&mut region.pages);
                mapping::unmap(pages.into_keys().filter(is_present))?;
                region.kind = Kind::Lazy;
            }
        }
        Ok(())
    }
}
