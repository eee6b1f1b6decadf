//! What each environment page holds for turns; yield.S and transfer.S read and write it too, with the kernel's lock held.
//!
//! Those that own no slot of their vCPU stand in a ring there: whoever runs, and those that wait for their turns. One that awaits a
//! reply may stand in it still.

use core::mem::offset_of;

use exo_abi::environment::{EnvironmentPage, TurnNotes};

use super::assembly::{USER_CODE, USER_DATA, USER_FLAGS};
use super::environment_pages::EnvironmentPages;
use super::shared_page::SharedPage;

/// Offset of a field of the notes.
macro_rules! note {
    ($field:ident) => {
        offset_of!(EnvironmentPage, turn) + offset_of!(TurnNotes, $field)
    };
}

/// Behind who is in no ring comes this page, whose terms are 0.
static NOWHERE: SharedPage = SharedPage::new();

impl EnvironmentPages {
    fn nowhere() -> Self {
        Self::new(NOWHERE.physical())
    }

    /// Writes what never changes of the notes: where a turn begins. It is in no ring.
    pub fn start_turn_notes(self, code: u64) {
        let words = [
            code,
            u64::from(USER_CODE),
            USER_FLAGS,
            0,
            u64::from(USER_DATA),
        ];
        for (number, word) in words.into_iter().enumerate() {
            self.set(note!(frame) + 8 * number, word);
        }
        self.leave_ring();
    }

    /// Says that it is in no ring.
    pub fn leave_ring(self) {
        self.set(note!(terms), 0);
        self.set(note!(next), Self::nowhere().place());
    }

    /// Who comes behind it; `None`: it is in no ring.
    pub fn next_in_ring(self) -> Option<Self> {
        let next = Self::at(self.get(note!(next)));
        (next != Self::nowhere()).then_some(next)
    }

    /// Who comes before it, where it is in a ring.
    pub fn previous_in_ring(self) -> Self {
        Self::at(self.get(note!(previous)))
    }

    /// Says that `next` comes behind it.
    pub fn link(self, next: Self) {
        self.set(note!(next), next.place());
        next.set(note!(previous), self.place());
    }

    /// Says whether a yield of who has the same terms may begin its turn.
    pub fn set_yielded_to(self, may: bool) {
        self.set(note!(terms), if may { self.terms() } else { 0 });
    }
}

/// Who has this place; `None` for 0.
pub fn pages_at(place: u64) -> Option<EnvironmentPages> {
    (place != 0).then(|| EnvironmentPages::at(place))
}
