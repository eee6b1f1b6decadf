//! Generated programs, most of them nearly right, against an interpreter that was written apart from the verifier and knows no better
//! than to do what a program says.
//!
//! None may be accepted that this interpreter finds unsafe: reading what was not given, not ending, or meaning nothing. What is accepted
//! has to evaluate alike, and what the interpreter finds safe and plain has to be accepted. `EXO_SEED` repeats a run, `EXO_PROGRAMS`
//! makes it longer.

mod generated_programs {
    pub mod generator;
    pub mod random;
    pub mod reference;
    pub mod world;
}

use exo_abi::term::Term;
use exo_verifier::{Filter, Loaded, Predicate, WordSource};
use generated_programs::generator;
use generated_programs::random::Random;
use generated_programs::reference::{self, Answer};
use generated_programs::world::World;

/// Worlds in which an accepted program is evaluated.
const EVALUATIONS: usize = 8;

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    refused: u64,
    held: u64,
    not_held: u64,
    unsafe_by: std::collections::BTreeMap<&'static str, u64>,
}

impl Counts {
    fn count_answer(&mut self, held: bool) {
        if held {
            self.held += 1;
        } else {
            self.not_held += 1;
        }
    }

    /// A test in which nothing is refused, or nothing is accepted, tests nothing.
    fn assert_all_was_seen(&self, programs: u64) {
        let tenth = programs / 10;
        let seen = [self.accepted, self.refused, self.held, self.not_held];
        assert!(seen.iter().all(|&count| count > tenth), "{self:?}");
        for kind in ["out of bounds", "no end", "undefined"] {
            assert!(
                self.unsafe_by.get(kind).is_some_and(|&count| count > 0),
                "no program was unsafe by {kind}: {self:?}"
            );
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is no number: give one in decimal")))
}

/// Runs `check` for as many programs as asked for, and says how to repeat it.
fn for_each_program(mut check: impl FnMut(&mut Random, &mut Counts)) {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number_from("EXO_SEED").unwrap_or(clock.unwrap().as_nanos() as u64);
    let programs = number_from("EXO_PROGRAMS").unwrap_or(100_000);
    // A failing test shows this line, and the number of the program says how far to go.
    println!("EXO_SEED={seed} EXO_PROGRAMS={programs}");
    let mut random = Random::new(seed);
    let mut counts = Counts::default();
    for _ in 0..programs {
        check(&mut random, &mut counts);
    }
    println!("{counts:?}");
    if programs >= 10_000 {
        counts.assert_all_was_seen(programs);
    }
}

/// Compares the verdicts; whether the program was accepted.
fn is_accepted(counts: &mut Counts, terms: &[Term], verdict: bool, first: Answer) -> bool {
    match first {
        Answer::Unsafe(kind) => {
            *counts.unsafe_by.entry(kind).or_default() += 1;
            assert!(!verdict, "accepted, but {kind}: {terms:#?}");
        }
        Answer::Value(_) => assert!(
            verdict || !reference::is_plain(terms),
            "refused, but safe and plain: {terms:#?}"
        ),
    }
    if verdict {
        counts.accepted += 1;
    } else {
        counts.refused += 1;
    }
    verdict
}

#[test]
fn no_unsafe_predicate_is_accepted_and_accepted_ones_evaluate_alike() {
    for_each_program(|random, counts| {
        let terms = generator::predicate(random);
        let mut predicate = Predicate::NONE;
        let verdict = predicate
            .bind(terms.iter().copied(), World::may_read)
            .is_ok();
        let first = reference::run_predicate(&terms, &World::for_predicate(random, &terms));
        if !is_accepted(counts, &terms, verdict, first) {
            assert!(predicate.tests().is_empty(), "refused, and kept: {terms:?}");
            return;
        }
        for _ in 0..EVALUATIONS {
            let world = World::for_predicate(random, &terms);
            let held = predicate.holds(|word| {
                // What the kernel reads without looking: so it has to be right here.
                assert_eq!(word.address % 8, 0);
                Loaded::Operand(match word.source {
                    WordSource::Time => world.time,
                    WordSource::CallPage => world.call_word(word.address),
                    WordSource::Frame => {
                        let frame = word.address / 4096;
                        World::may_read(word.capability, frame).expect("it was checked");
                        world.frame_word(frame, word.address % 4096)
                    }
                })
            });
            let expected = reference::run_predicate(&terms, &world);
            assert_eq!(Answer::Value(held), expected, "{terms:#?}\n{world:?}");
            counts.count_answer(held);
        }
    });
}

#[test]
fn no_unsafe_filter_is_accepted_and_accepted_ones_evaluate_alike() {
    for_each_program(|random, counts| {
        let terms = generator::filter(random);
        let filter = Filter::verify(terms.iter().copied());
        let first = reference::run_filter(&terms, &generator::packet(random, &terms));
        if !is_accepted(counts, &terms, filter.is_ok(), first) {
            return;
        }
        let filter = filter.unwrap();
        for _ in 0..EVALUATIONS {
            let packet = generator::packet(random, &terms);
            let held = filter.accepts(&packet);
            let expected = reference::run_filter(&terms, &packet);
            assert_eq!(Answer::Value(held), expected, "{terms:#?}\n{packet:?}");
            counts.count_answer(held);
        }
    });
}
