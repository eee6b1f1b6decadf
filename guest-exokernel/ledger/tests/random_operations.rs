//! Random operations of hostile environments, against a model that knows no tables, with an audit after each.
//!
//! `EXO_SEED` repeats a run, `EXO_OPERATIONS` makes it longer. A refused operation must have changed no byte.

#[allow(dead_code)]
mod machine;

mod random_operations {
    mod answers;
    pub mod comparison;
    pub mod made;
    pub mod model;
    pub mod operation;
    mod shrinking;
    mod slices;
    mod target;
    mod tree;
    mod tree_comparison;
}

use random_operations::comparison::Comparison;
use random_operations::operation::Operation;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for tests, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is no number: give one in decimal")))
}

#[test]
fn random_operations_keep_the_ledger_sound() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number_from("EXO_SEED").unwrap_or(clock.unwrap().as_nanos() as u64);
    let operations = number_from("EXO_OPERATIONS").unwrap_or(1_000_000);
    println!("EXO_SEED={seed} EXO_OPERATIONS={operations}");
    let mut random = Random(seed);
    let mut comparison = Comparison::new();
    for step in 0..operations {
        let operation = Operation::from_words(std::array::from_fn(|_| random.next()));
        if let Err(difference) = comparison.run(operation) {
            panic!("EXO_SEED={seed}: step {step}, {operation:?}: {difference}");
        }
    }
    if operations >= 1_000_000 {
        comparison.assert_all_answers_were_seen();
    }
}
