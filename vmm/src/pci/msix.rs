//! MSI-X of one function (PCI 3.0, section 6.8.2): table, pending bits, masks, and the events behind the vectors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exo_abi::function::{MSIX_BAR_SIZE, MSIX_PENDING, MSIX_TABLE, PCI_MSIX_ENABLE};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::machine::interrupts::{InterruptRouter, Message};

/// Bytes of a table entry: address, data, control.
const ENTRY_SIZE: u64 = 16;
/// Bit of the message control word that masks all vectors.
pub const FUNCTION_MASK: u16 = 1 << 14;
/// Bit of an entry's control word that masks the vector.
const VECTOR_MASK: u32 = 1;

/// The vectors of one function.
pub struct Msix {
    router: Arc<dyn InterruptRouter>,
    first_route: u32,
    state: Mutex<State>,
}

struct State {
    /// Enable and function mask, as in the message control word.
    control: u16,
    vectors: Vec<Vector>,
}

struct Vector {
    message: Message,
    masked: bool,
    pending: bool,
    /// Made when the vector is first usable, so that vectors nobody uses cost nothing.
    event: Option<EventFd>,
    installed: Option<Message>,
}

impl Msix {
    /// `count` vectors, masked as after a reset, which use the router's routes from `first_route` on.
    pub fn new(router: Arc<dyn InterruptRouter>, first_route: u32, count: u32) -> Self {
        let vectors = (0..count)
            .map(|_| Vector {
                message: Message {
                    address: 0,
                    data: 0,
                },
                masked: true,
                pending: false,
                event: None,
                installed: None,
            })
            .collect();
        Self {
            router,
            first_route,
            state: Mutex::new(State {
                control: 0,
                vectors,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enable and function mask bits of the message control word.
    pub fn control(&self) -> u16 {
        self.lock().control
    }

    /// The kernel wrote the message control word.
    pub fn set_control(&self, control: u16) {
        let mut state = self.lock();
        state.control = control & (PCI_MSIX_ENABLE | FUNCTION_MASK);
        for index in 0..state.vectors.len() {
            self.update(&mut state, index);
        }
    }

    /// Whether MSI-X is on; else interrupts go nowhere but into the ISR status.
    pub fn is_enabled(&self) -> bool {
        self.control() & PCI_MSIX_ENABLE != 0
    }

    /// Raises a vector: at once, or when it is unmasked. False where MSI-X is off, or there is no such vector.
    pub fn signal(&self, vector: u16) -> bool {
        let mut state = self.lock();
        if state.control & PCI_MSIX_ENABLE == 0 {
            return false;
        }
        let index = usize::from(vector);
        match state.vectors.get_mut(index) {
            Some(entry) => entry.pending = true,
            None => return false,
        }
        self.update(&mut state, index);
        true
    }

    /// Brings the route of a vector up to date, and delivers what is pending, if it is neither masked nor off.
    fn update(&self, state: &mut State, index: usize) {
        let active = state.control & (PCI_MSIX_ENABLE | FUNCTION_MASK) == PCI_MSIX_ENABLE;
        let Some(vector) = state.vectors.get_mut(index) else {
            return;
        };
        if !active || vector.masked {
            return;
        }
        if vector.event.is_none() {
            vector.event = EventFd::new(EFD_NONBLOCK).ok();
        }
        let Some(event) = &vector.event else {
            return;
        };
        if vector.installed != Some(vector.message) {
            let route = self.first_route + index as u32;
            if self.router.install(route, vector.message, event).is_err() {
                return; // stays pending, where the guest can see it
            }
            vector.installed = Some(vector.message);
        }
        if vector.pending && event.write(1).is_ok() {
            vector.pending = false;
        }
    }

    /// A load from BAR 4.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let state = self.lock();
        for (place, byte) in (offset..MSIX_BAR_SIZE).zip(data) {
            *byte = state.byte(place);
        }
    }

    /// A store to BAR 4: whole, aligned words of the table; all else is ignored.
    pub fn write(&self, offset: u64, data: &[u8]) {
        if !offset.is_multiple_of(4) || offset >= MSIX_BAR_SIZE || !matches!(data.len(), 4 | 8) {
            return;
        }
        let mut state = self.lock();
        for (place, word) in (offset..).step_by(4).zip(data.chunks_exact(4)) {
            let value = word.iter().rev().fold(0, |sum, &b| sum << 8 | u32::from(b));
            let Some(index) = state.set_word(place, value) else {
                continue;
            };
            self.update(&mut state, index);
        }
    }
}

impl State {
    /// The byte at `offset` of BAR 4.
    fn byte(&self, offset: u64) -> u8 {
        if let Some(offset) = offset.checked_sub(MSIX_PENDING) {
            let first = (offset as usize).saturating_mul(8);
            let vectors = self.vectors.iter().skip(first).take(8).enumerate();
            return vectors.fold(0, |bits, (bit, vector)| {
                bits | u8::from(vector.pending) << bit
            });
        }
        let offset = offset - MSIX_TABLE;
        let Some(vector) = self.vectors.get((offset / ENTRY_SIZE) as usize) else {
            return 0;
        };
        let entry = u128::from(vector.message.address)
            | u128::from(vector.message.data) << 64
            | u128::from(vector.masked) << 96;
        (entry >> (8 * (offset % ENTRY_SIZE))) as u8
    }

    /// Sets the word at `offset` of BAR 4; returns which vector changed.
    fn set_word(&mut self, offset: u64, value: u32) -> Option<usize> {
        let offset = offset.checked_sub(MSIX_TABLE)?;
        let index = (offset / ENTRY_SIZE) as usize;
        let vector = self.vectors.get_mut(index)?;
        let message = &mut vector.message;
        match offset % ENTRY_SIZE {
            0 => message.address = message.address >> 32 << 32 | u64::from(value & !3),
            4 => message.address = message.address & 0xffff_ffff | u64::from(value) << 32,
            8 => message.data = value,
            _ => vector.masked = value & VECTOR_MASK != 0,
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u32, Message, EventFd)>>);

    impl InterruptRouter for Recorder {
        fn install(&self, route: u32, message: Message, event: &EventFd) -> io::Result<()> {
            let event = event.try_clone()?;
            self.0.lock().unwrap().push((route, message, event));
            Ok(())
        }
        fn remove(&self, _: u32, _: &EventFd) -> io::Result<()> {
            Ok(())
        }
    }

    impl Recorder {
        fn taken(&self) -> u64 {
            let routes = self.0.lock().unwrap();
            routes.iter().filter_map(|route| route.2.read().ok()).sum()
        }
    }

    fn msix() -> (Arc<Recorder>, Msix) {
        let router = Arc::new(Recorder::default());
        let msix = Msix::new(router.clone(), 10, 2);
        msix.write(16, &0xfee0_0000u32.to_le_bytes());
        msix.write(20, &0u32.to_le_bytes());
        msix.write(24, &0x41u32.to_le_bytes());
        (router, msix)
    }

    fn word(msix: &Msix, offset: u64) -> u32 {
        let mut data = [0; 4];
        msix.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn masked_vectors_become_pending_and_are_delivered_once_when_unmasked() {
        let (router, msix) = msix();
        msix.set_control(PCI_MSIX_ENABLE);
        assert_eq!(word(&msix, 28), 1, "masked after reset");
        assert!(msix.signal(1));
        assert!(msix.signal(1));
        assert_eq!(word(&msix, MSIX_PENDING), 2);
        assert_eq!(router.taken(), 0);
        msix.write(28, &0u32.to_le_bytes());
        assert_eq!(router.taken(), 1);
        assert_eq!(word(&msix, MSIX_PENDING), 0);
        let route = &router.0.lock().unwrap()[0];
        let message = Message {
            address: 0xfee0_0000,
            data: 0x41,
        };
        assert_eq!((route.0, route.1), (11, message));
    }

    #[test]
    fn the_function_mask_holds_all_vectors() {
        let (router, msix) = msix();
        msix.write(28, &0u32.to_le_bytes());
        msix.set_control(PCI_MSIX_ENABLE | FUNCTION_MASK);
        assert!(msix.signal(1));
        assert_eq!(router.taken(), 0);
        msix.set_control(PCI_MSIX_ENABLE);
        assert_eq!(router.taken(), 1);
    }

    #[test]
    fn nothing_is_signalled_while_off_or_by_vectors_that_are_not_there() {
        let (router, msix) = msix();
        msix.write(28, &0u32.to_le_bytes());
        assert!(!msix.signal(1));
        msix.set_control(PCI_MSIX_ENABLE);
        assert!(!msix.signal(2));
        assert!(!msix.signal(u16::MAX));
        assert_eq!(router.taken(), 0);
    }

    #[test]
    fn a_new_message_is_installed_before_the_next_signal() {
        let (router, msix) = msix();
        msix.set_control(PCI_MSIX_ENABLE);
        msix.write(28, &0u32.to_le_bytes());
        msix.write(24, &0x42u32.to_le_bytes());
        msix.signal(1);
        assert_eq!(router.0.lock().unwrap().last().unwrap().1.data, 0x42);
    }

    #[test]
    fn odd_accesses_change_nothing() {
        let (_, msix) = msix();
        for offset in [25, 0x1000, 0x20, u64::MAX - 3] {
            msix.write(offset, &[0xff; 4]);
        }
        msix.write(24, &[0xff; 2]);
        assert_eq!(word(&msix, 24), 0x41);
        assert_eq!(word(&msix, u64::MAX - 3), 0);
    }
}
