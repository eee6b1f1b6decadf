//! Which answers a run has seen: a run that only ever was refused proves little.

use std::collections::BTreeMap;

use exo_abi::Error;

/// What must be seen in a run that is worth its name.
const EXPECTED: &[(&str, &[Option<Error>])] = &[
    (
        "allocate",
        &[
            None,
            Some(Error::BadArgument),
            Some(Error::BadCount),
            Some(Error::BadAddress),
            Some(Error::Quota),
            Some(Error::OutOfRange),
            Some(Error::Taken),
            Some(Error::Exhausted),
        ],
    ),
    (
        "claim",
        &[
            None,
            Some(Error::BadCount),
            Some(Error::Quota),
            Some(Error::OutOfRange),
            Some(Error::Taken),
        ],
    ),
    (
        "free",
        &[None, Some(Error::BadCapability), Some(Error::InUse)],
    ),
    (
        "map",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::BadCount),
            Some(Error::OutOfRange),
            Some(Error::BadState),
        ],
    ),
    (
        "map_dma",
        &[
            None,
            Some(Error::BadArgument),
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::BadCount),
            Some(Error::OutOfRange),
            Some(Error::Quota),
        ],
    ),
    (
        "bind",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::BadState),
        ],
    ),
    (
        "bind_queue",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::BadCount),
            Some(Error::BadState),
        ],
    ),
    (
        "allocate_slices",
        &[
            None,
            Some(Error::OutOfRange),
            Some(Error::Taken),
            Some(Error::Quota),
        ],
    ),
    (
        "bind_slices",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::BadArgument),
            Some(Error::BadState),
            Some(Error::Quota),
        ],
    ),
    ("make", &[None, Some(Error::Quota)]),
    (
        "derive",
        &[
            None,
            Some(Error::BadArgument),
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::BadCount),
            Some(Error::OutOfRange),
            Some(Error::Quota),
        ],
    ),
    (
        "give_away",
        &[
            None,
            Some(Error::BadArgument),
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::InUse),
            Some(Error::Unwilling),
            Some(Error::Quota),
        ],
    ),
    ("accept", &[None, Some(Error::BadArgument)]),
    (
        "revoke",
        &[None, Some(Error::BadCapability), Some(Error::NotPermitted)],
    ),
    ("give", &[None, Some(Error::Quota)]),
    ("give_numbers", &[None, Some(Error::Quota)]),
    (
        "create",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::OutOfRange),
            Some(Error::Taken),
            Some(Error::BadArgument),
            Some(Error::Quota),
        ],
    ),
    (
        "start",
        &[
            None,
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::OutOfRange),
            Some(Error::BadState),
        ],
    ),
    (
        "end_other",
        &[None, Some(Error::BadCapability), Some(Error::BadState)],
    ),
    (
        "copy",
        &[
            None,
            Some(Error::BadArgument),
            Some(Error::BadCapability),
            Some(Error::WrongKind),
            Some(Error::NotPermitted),
            Some(Error::Unwilling),
            Some(Error::Quota),
        ],
    ),
    ("table", &[None, Some(Error::Quota)]),
    ("end", &[None]),
];

/// How often each kind of operation got each answer.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<(&'static str, Option<Error>), u64>);

impl Answers {
    /// Counts one.
    pub fn count(&mut self, name: &'static str, answer: Result<(), Error>) {
        *self.0.entry((name, answer.err())).or_default() += 1;
    }

    /// Asserts that each expected answer came.
    pub fn assert_all_were_seen(&self) {
        for (name, answers) in EXPECTED {
            for answer in *answers {
                let seen = self.0.contains_key(&(name, *answer));
                assert!(seen, "{name} never answered {answer:?}: {self:?}");
            }
        }
    }
}
