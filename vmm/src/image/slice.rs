//! Lengths of time slices as people write them: `10 ms`, `500us`, `none`.

use serde::Deserialize;

/// Shortest slice that can be asked for, in microseconds. On shadow KVM a switch takes longer than this one.
const SHORTEST: u64 = 100;
/// Longest slice that can be asked for, in microseconds: half a second.
const LONGEST: u64 = 500_000;

/// The length of a time slice in microseconds; 0: slices have no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SliceLength(pub u64);

impl SliceLength {
    /// Where nobody says otherwise.
    pub const DEFAULT: Self = Self(10_000);
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
