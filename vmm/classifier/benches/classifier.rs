//! What it costs to find the owner of a packet among 1, 10, 100 and 1,000 filters; `scripts/benchmark-classifier` runs it.
//!
//! The numbers of filters take turns within each round, and what is stated is the ratio to one filter in the same round: times of
//! another machine, or of another minute, would say nothing.

#[path = "../tests/classifier/traffic.rs"]
mod traffic;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use exo_abi::EnvironmentId;
use exo_classifier::{Claim, Classifier};
use exo_tests::start_time::Sample;
use exo_verifier::Filter;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use traffic::Flow;

const FILTERS: [u16; 4] = [1, 10, 100, 1000];
/// Packets that take turns, of all filters alike, so that neither branches nor caches know what comes next.
const PACKETS: usize = 4096;

/// Filters of many owners, packets for them, and the times of both ways to find the owner.
struct Case {
    classifier: Classifier,
    naive: Vec<(Claim, Filter)>,
    packets: Vec<Vec<u8>>,
    merged_ns: Sample,
    one_by_one_ns: Sample,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Case {
    fn new(flows: &[Flow]) -> Self {
        let mut classifier = Classifier::default();
        let mut naive = Vec::new();
        for (number, flow) in flows.iter().enumerate() {
            let (owner, filter) = (EnvironmentId(number as u16 + 1), flow.filter());
            let id = classifier
                .insert(owner, &filter)
                .expect("typical filters do not overlap");
            naive.push((Claim { owner, filter: id }, filter));
        }
        let mut state = 3;
        let packets = (0..PACKETS)
            .map(|_| {
                let flow = flows[(next_random(&mut state) % flows.len() as u64) as usize];
                flow.packet((next_random(&mut state) % 200) as usize)
            })
            .collect();
        Self {
            classifier,
            naive,
            packets,
            merged_ns: Sample::default(),
            one_by_one_ns: Sample::default(),
        }
    }

    /// Times both ways once, after both have agreed.
    fn run(&mut self) {
        let Self {
            classifier,
            naive,
            packets,
            ..
        } = self;
        let one_by_one = |packet: &[u8]| {
            let taker = naive.iter().find(|(_, filter)| filter.accepts(packet));
            taker.map(|(claim, _)| *claim)
        };
        // The naive way is slow; a part of the packets tells enough.
        let few = (PACKETS / naive.len()).max(64);
        let merged_ns = time(packets, 8, |packet| classifier.classify(packet));
        let one_by_one_ns = time(&packets[..few], 1, one_by_one);
        self.merged_ns.add(merged_ns);
        self.one_by_one_ns.add(one_by_one_ns);
    }
}

/// Nanoseconds per packet.
fn time(packets: &[Vec<u8>], repetitions: u32, classify: impl Fn(&[u8]) -> Option<Claim>) -> f64 {
    let start = processor_time();
    for _ in 0..repetitions {
        for packet in packets {
            black_box(classify(black_box(packet))).expect("each packet belongs to somebody");
        }
    }
    let elapsed = processor_time().saturating_sub(start);
    elapsed.as_nanos() as f64 / f64::from(repetitions) / packets.len() as f64
}

/// What this thread has used of a processor: what others use of it meanwhile does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A series of numbers of filters of one sort.
struct Series {
    name: &'static str,
    cases: Vec<Case>,
}

impl Series {
    fn new(name: &'static str, flow: impl Fn(u16) -> Flow) -> Self {
        let cases = FILTERS.map(|count| Case::new(&(0..count).map(&flow).collect::<Vec<_>>()));
        Self {
            name,
            cases: cases.into(),
        }
    }

    /// Ratios to the first case, round by round.
    fn ratios(&self, times: impl Fn(&Case) -> &Sample) -> Vec<Sample> {
        let base = times(&self.cases[0]).values();
        let of = |case| {
            let mut ratios = Sample::default();
            for (time, base) in times(case).values().iter().zip(base) {
                ratios.add(time / base);
            }
            ratios
        };
        self.cases.iter().map(of).collect()
    }
}

fn main() -> ExitCode {
    let (mut json, mut rounds) = (false, 50u32);
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(argument) = arguments.next() {
        let number = |word: Option<String>| word.and_then(|word| word.parse().ok());
        match (argument.as_str(), rounds) {
            ("--json", _) => json = true,
            ("--rounds", _) => match number(arguments.next()) {
                Some(number) if number > 0 => rounds = number,
                _ => return usage(),
            },
            _ => return usage(),
        }
    }
    let mut all = [
        Series::new("UDP ports", |number| Flow::Udp(1024 + number)),
        Series::new("UDP ports, listeners, connections", Flow::typical),
    ];
    for round in 0..=rounds {
        for series in &mut all {
            for case in &mut series.cases {
                case.run();
                if round == 0 {
                    // The first round warms caches and is not counted.
                    (case.merged_ns, case.one_by_one_ns) = Default::default();
                }
            }
        }
    }
    if json {
        print_json(&all, rounds);
    } else {
        print_table(&all, rounds);
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: scripts/benchmark-classifier [--json] [--rounds N]");
    ExitCode::from(2)
}

fn print_json(all: &[Series], rounds: u32) {
    let mut rows = Vec::new();
    for series in all {
        for (index, case) in series.cases.iter().enumerate() {
            rows.push(json!({
                "filters_of": series.name, "filters": FILTERS[index],
                "merged_ns": case.merged_ns.values(), "one_by_one_ns": case.one_by_one_ns.values(),
                "merged_ratio_median": series.ratios(|case| &case.merged_ns)[index].median(),
                "one_by_one_ratio_median": series.ratios(|case| &case.one_by_one_ns)[index].median(),
                "program_bytes": case.classifier.program().size(),
            }));
        }
    }
    println!(
        "{}",
        json!({"rounds": rounds, "packets": PACKETS, "rows": rows})
    );
}

fn print_table(all: &[Series], rounds: u32) {
    println!("cost per packet as a ratio to one filter in the same round; {rounds} rounds");
    println!(
        "| filters of | filters | merged: median | quartiles | range | one by one: median | program, KiB |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for series in all {
        let merged = series.ratios(|case| &case.merged_ns);
        let one_by_one = series.ratios(|case| &case.one_by_one_ns);
        for (index, case) in series.cases.iter().enumerate() {
            let at = |part| merged[index].quantile(part);
            println!(
                "| {} | {} | {:.2} | {:.2} to {:.2} | {:.2} to {:.2} | {:.1} | {:.1} |",
                series.name,
                FILTERS[index],
                merged[index].median(),
                at(0.25),
                at(0.75),
                at(0.0),
                at(1.0),
                one_by_one[index].median(),
                case.classifier.program().size() as f64 / 1024.0,
            );
        }
    }
}
