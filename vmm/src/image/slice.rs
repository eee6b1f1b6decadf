//! Lengths of time slices as people write them: `10 ms`, `500us`, `none`.

use serde::Deserialize;

use crate::machine::host::HostKind;

/// Shortest slice that can be asked for, in microseconds.
const SHORTEST: u64 = 100;
/// The same on shadow KVM, where ring 0 is emulated: a forced switch takes some 1,000 instructions of it, at about 1 us, in parts of which each has to
/// end within the slice that it begins. With shorter ones a machine does nothing but switch.
const SHORTEST_ON_SHADOW: u64 = 300;
/// Longest slice that can be asked for, in microseconds: half a second.
const LONGEST: u64 = 500_000;

/// The length of a time slice in microseconds; 0: slices have no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SliceLength(pub u64);

impl SliceLength {
    /// Where nobody says otherwise.
    pub const DEFAULT: Self = Self(10_000);

    /// Refuses slices that are shorter than a switch on the host, of which `kind` is asked only where that matters.
    pub fn check(self, kind: impl FnOnce() -> HostKind) -> Result<Self, String> {
        let short = self.0 != 0 && self.0 < SHORTEST_ON_SHADOW;
        if short && kind() == HostKind::Shadow {
            return Err(format!(
                "slices of {} us are shorter than a switch on this host, whose KVM emulates ring 0 (shadow KVM); --slice '{SHORTEST_ON_SHADOW} us' is the shortest here",
                self.0
            ));
        }
        Ok(self)
    }
}

impl std::str::FromStr for SliceLength {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed == "none" {
            return Ok(Self(0));
        }
        let digits = trimmed
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let scale = match unit.trim() {
            "us" => Some(1),
            "ms" => Some(1000),
            _ => None,
        };
        let length = number.parse::<u64>().ok().zip(scale);
        length
            .and_then(|(number, scale)| number.checked_mul(scale))
            .filter(|length| (SHORTEST..=LONGEST).contains(length))
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is no length of a slice; write one from 100 us to 500 ms, as in `10 ms`, or `none`")
            })
    }
}

impl TryFrom<String> for SliceLength {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_shorter_than_a_switch_are_refused_on_shadow_kvm_only() {
        for (length, kind, allowed) in [
            (100, HostKind::Shadow, false),
            (299, HostKind::Shadow, false),
            (300, HostKind::Shadow, true),
            (0, HostKind::Shadow, true),
            (100, HostKind::Hardware, true),
            (100, HostKind::Nested, true),
        ] {
            let checked = SliceLength(length).check(|| kind);
            assert_eq!(checked.is_ok(), allowed, "{length} us, {kind:?}");
        }
    }

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, length) in [
            ("10 ms", 10_000),
            ("500us", 500),
            (" 100 us ", 100),
            ("500 ms", 500_000),
            ("none", 0),
        ] {
            assert_eq!(text.parse(), Ok(SliceLength(length)), "{text}");
        }
        for text in [
            "",
            "10",
            "10 s",
            "99 us",
            "501 ms",
            "0 ms",
            "-1 ms",
            "99999999999999999999 ms",
        ] {
            assert!(text.parse::<SliceLength>().is_err(), "{text}");
        }
    }
}
