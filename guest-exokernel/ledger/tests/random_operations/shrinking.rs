//! The same with proptest, which makes a failing run as short as it can.

use proptest::prelude::*;

use super::comparison::Comparison;
use super::operation::Operation;

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 24 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_runs_keep_the_ledger_sound(
        runs in prop::collection::vec(any::<[u64; 6]>(), 1..if cfg!(miri) { 10 } else { 120 }),
    ) {
        let mut comparison = Comparison::new();
        for words in runs {
            let operation = Operation::from_words(words);
            if let Err(difference) = comparison.run(operation) {
                prop_assert!(false, "{:?}: {}", operation, difference);
            }
        }
    }
}
