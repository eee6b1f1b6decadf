//! I/O ports in a manifest: `"0x3f8-0x3ff"`, or one port alone.

use exo_abi::bundle::ENVIRONMENT_PORTS_MAX;
use exo_abi::port::{CONSOLE_PORT, KERNEL_PORTS, PORTS_END, PortRange};
use serde::Deserialize;

use super::Environment;

/// A run of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Ports(PortRange);

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| {
            let text = text.trim();
            match text.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16),
                None => text.parse(),
            }
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let (Ok(first), Ok(last)) = (number(first), number(last)) else {
            return Err(format!(
                "ports {text:?} are no numbers; write \"0x3f8-0x3ff\", or one port alone"
            ));
        };
        if first > last || last >= PORTS_END {
            return Err(format!(
                "ports {text:?} must ascend, and lie below {PORTS_END:#x}"
            ));
        }
        let range = PortRange {
            first,
            count: last - first + 1,
        };
        if !range.is_grantable() {
            let kept =
                KERNEL_PORTS.map(|(first, count)| format!("{first:#x}-{:#x}", first + count - 1));
            return Err(format!(
                "ports {text:?} are the kernel's in part; it keeps {}",
                kept.join(" and ")
            ));
        }
        Ok(Self(range))
    }
}

impl Environment {
    /// All ports that it may use, that of the console first.
    pub fn port_ranges(&self) -> impl Iterator<Item = PortRange> {
        let console = self.console.then_some(PortRange {
            first: CONSOLE_PORT,
            count: 1,
        });
        console
            .into_iter()
            .chain(self.ports.iter().map(|ports| ports.0))
    }

    pub(super) fn check_ports(&self) -> Result<(), String> {
        if self.port_ranges().count() > ENVIRONMENT_PORTS_MAX {
            return Err(format!(
                "it names more than {ENVIRONMENT_PORTS_MAX} runs of ports, the console included"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(u16, u16), String> {
        Ports::try_from(text.to_owned()).map(|ports| (ports.0.first, ports.0.count))
    }

    #[test]
    fn runs_and_single_ports_are_read() {
        assert_eq!(parse("0x3f8-0x3ff"), Ok((0x3f8, 8)));
        assert_eq!(parse("96"), Ok((0x60, 1)));
        assert_eq!(parse("0x0 - 0xf3"), Ok((0, 0xf4)));
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        for text in [
            "",
            "-",
            "com1",
            "0x3ff-0x3f8",
            "0x400",
            "0x3ff-0x400",
            "65536",
            "0x-1",
            "0xf4",
            "0xf7",
            "0xf0-0xf4",
            "0-0x3ff",
            "0x510",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
