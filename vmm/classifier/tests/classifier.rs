//! The classifier against the filters one by one, on real packets and on small packets of which all can be tried.

mod classifier {
    pub mod small;
    pub mod traffic;
}

use classifier::small::{SmallFilter, all_packets};
use classifier::traffic::{Flow, product};
use exo_abi::EnvironmentId;
use exo_classifier::{Claim, Classifier, FilterId, LOOKUP_STEPS_MAX, Refused};
use exo_verifier::Filter;
use proptest::prelude::*;

const ANN: EnvironmentId = EnvironmentId(1);
const BOB: EnvironmentId = EnvironmentId(2);

/// The filters one by one, the oldest first.
#[derive(Default)]
struct Naive(Vec<(Claim, Filter)>);

impl Naive {
    fn classify(&self, packet: &[u8]) -> Option<Claim> {
        let taker = self.0.iter().find(|(_, filter)| filter.accepts(packet));
        taker.map(|(claim, _)| *claim)
    }
}

#[test]
fn each_packet_of_a_thousand_flows_goes_to_its_owner() {
    let mut classifier = Classifier::default();
    let flows: Vec<Flow> = (0..1000).map(Flow::typical).collect();
    for (number, flow) in flows.iter().enumerate() {
        let owner = EnvironmentId(number as u16 + 1);
        classifier.insert(owner, &flow.filter()).unwrap();
    }
    for (number, flow) in flows.iter().enumerate() {
        let claim = classifier.classify(&flow.packet(100)).unwrap();
        assert_eq!(claim.owner, EnvironmentId(number as u16 + 1));
        assert_eq!(classifier.classify(&flow.packet(0)), Some(claim));
    }
    assert_eq!(classifier.classify(&Flow::Udp(9).packet(10)), None);
    assert_eq!(classifier.classify(&[]), None);
    let mut arp = Flow::Udp(1024).packet(10);
    arp[13] = 6;
    assert_eq!(classifier.classify(&arp), None);
}

#[test]
fn anothers_packets_cannot_be_taken_and_the_refusal_names_the_owner() {
    let mut classifier = Classifier::default();
    let first = classifier.insert(ANN, &Flow::Udp(53).filter()).unwrap();
    let claim = Claim {
        owner: ANN,
        filter: first,
    };
    let everything = Filter::verify(product(&[((0, 1), 0, 0)])).unwrap();
    let ports_52_to_55 = Filter::verify(product(&[((36, 2), 0xfffc, 52)])).unwrap();
    for filter in [Flow::Udp(53).filter(), everything, ports_52_to_55] {
        assert_eq!(
            classifier.insert(BOB, &filter),
            Err(Refused::Overlap(claim))
        );
        assert!(
            classifier.insert(ANN, &filter).is_ok(),
            "own ones may overlap"
        );
        classifier.remove(FilterId(classifier.claims().last().unwrap().filter.0));
    }
    assert!(classifier.insert(BOB, &Flow::Udp(54).filter()).is_ok());
    // The oldest of an owner's filters gets the packet.
    classifier.insert(ANN, &Flow::Udp(53).filter()).unwrap();
    assert_eq!(classifier.classify(&Flow::Udp(53).packet(1)), Some(claim));
}

#[test]
fn what_is_given_up_can_be_taken_by_others() {
    let mut classifier = Classifier::default();
    let first = classifier.insert(ANN, &Flow::Udp(53).filter()).unwrap();
    classifier.insert(ANN, &Flow::Listen(80).filter()).unwrap();
    assert_eq!(classifier.remove(first), Some(ANN));
    assert_eq!(classifier.remove(first), None);
    assert_eq!(classifier.classify(&Flow::Udp(53).packet(1)), None);
    classifier.insert(BOB, &Flow::Udp(53).filter()).unwrap();
    let owner = |flow: Flow| {
        classifier
            .classify(&flow.packet(1))
            .map(|claim| claim.owner)
    };
    assert_eq!(owner(Flow::Udp(53)), Some(BOB));
    assert_eq!(owner(Flow::Listen(80)), Some(ANN));
    classifier.remove_owner(ANN);
    assert_eq!(classifier.classify(&Flow::Listen(80).packet(1)), None);
    classifier.remove_owner(BOB);
    assert_eq!(classifier.claims().count(), 0);
    assert_eq!(classifier.classify(&Flow::Udp(53).packet(1)), None);
}

#[test]
fn a_product_that_contradicts_itself_is_refused() {
    let mut terms = product(&[((12, 2), 0xffff, 0x0800)]);
    terms.extend(product(&[((12, 2), 0xffff, 0x0800), ((13, 1), 0x0f, 1)]));
    let filter = Filter::verify(terms).unwrap();
    let refused = Classifier::default().insert(ANN, &filter);
    assert_eq!(refused, Err(Refused::TakesNothing { product: 1 }));
}

#[test]
fn nobody_can_make_packets_dear_for_the_others() {
    let mut classifier = Classifier::default();
    classifier.insert(BOB, &Flow::Udp(53).filter()).unwrap();
    // Each looks at another set of bits, which no hash table can merge.
    let mut dear = 0;
    let refused = loop {
        let fields = [((12, 2), 0xffff, 0x0806), ((20, 2), 0x8000 | dear, 0x8000)];
        let filter = Filter::verify(product(&fields)).unwrap();
        match classifier.insert(ANN, &filter) {
            Ok(_) => dear += 1,
            Err(refused) => break refused,
        }
    };
    let Refused::TooDear { steps } = refused else {
        panic!("{refused}");
    };
    assert!(steps > LOOKUP_STEPS_MAX && dear > 50, "{steps} {dear}");
    let claim = classifier.classify(&Flow::Udp(53).packet(1)).unwrap();
    assert_eq!(claim.owner, BOB);
}

#[test]
fn values_with_the_same_hash_do_not_spoil_a_table() {
    // The inverse of the multiplier (Newton): multiples of it hash to the same place under the first multiplier.
    let multiplier = 0x9e37_79b9_7f4a_7c15u64;
    let mut inverse = 1u64;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(multiplier.wrapping_mul(inverse)));
    }
    assert_eq!(multiplier.wrapping_mul(inverse), 1);
    let mut classifier = Classifier::default();
    for number in 0..100u64 {
        let value = inverse.wrapping_mul(number);
        let filter = Filter::verify(product(&[((8, 8), u64::MAX, value)])).unwrap();
        classifier
            .insert(EnvironmentId(number as u16 + 1), &filter)
            .unwrap();
    }
    for number in 0..100u64 {
        let mut packet = [0; 16];
        packet[8..].copy_from_slice(&inverse.wrapping_mul(number).to_be_bytes());
        let claim = classifier.classify(&packet).unwrap();
        assert_eq!(claim.owner, EnvironmentId(number as u16 + 1));
    }
    assert!(classifier.program().size() < 64 << 10);
}

proptest! {
    #[test]
    fn small_filters_are_refused_and_merged_as_all_packets_say(
        filters in prop::collection::vec((1u16..4, any::<SmallFilter>()), 1..12),
        removed in prop::collection::vec(0usize..12, 0..4),
    ) {
        let mut classifier = Classifier::default();
        let mut naive = Naive::default();
        let packets: Vec<Vec<u8>> = all_packets().collect();
        for (owner, small) in filters {
            let owner = EnvironmentId(owner);
            let filter = small.filter();
            let takes_by_another = |(claim, other): &&(Claim, Filter)| {
                claim.owner != owner && packets.iter().any(|packet| other.accepts(packet) && filter.accepts(packet))
            };
            let first = naive.0.iter().find(takes_by_another).map(|(claim, _)| *claim);
            match (classifier.insert(owner, &filter), first) {
                (Ok(filter_id), None) => naive.0.push((Claim { owner, filter: filter_id }, filter)),
                (Err(Refused::Overlap(named)), Some(first)) => prop_assert_eq!(named, first),
                (Err(Refused::TakesNothing { product }), _) => {
                    let terms = small.product(product);
                    let product = Filter::verify(terms).unwrap();
                    prop_assert!(!packets.iter().any(|packet| product.accepts(packet)));
                }
                (answer, first) => prop_assert!(false, "{answer:?}, though all packets say {first:?}"),
            }
        }
        for packet in &packets {
            prop_assert_eq!(classifier.classify(packet), naive.classify(packet));
        }
        for index in removed {
            if index < naive.0.len() {
                let (claim, _) = naive.0.remove(index);
                prop_assert_eq!(classifier.remove(claim.filter), Some(claim.owner));
            }
        }
        for packet in &packets {
            prop_assert_eq!(classifier.classify(packet), naive.classify(packet));
        }
    }

    #[test]
    fn real_packets_go_where_the_filters_say(
        flows in prop::collection::vec((1u16..5, 0u16..40), 1..30),
        packets in prop::collection::vec((0u16..40, 0usize..80, any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..60),
    ) {
        let mut classifier = Classifier::default();
        let mut naive = Naive::default();
        for (owner, number) in flows {
            let (owner, filter) = (EnvironmentId(owner), Flow::typical(number).filter());
            if let Ok(id) = classifier.insert(owner, &filter) {
                naive.0.push((Claim { owner, filter: id }, filter));
            }
        }
        for (number, payload, place, byte, is_cut) in packets {
            let mut packet = Flow::typical(number).packet(payload);
            prop_assert_eq!(classifier.classify(&packet), naive.classify(&packet));
            let place = place.index(packet.len());
            if is_cut {
                packet.truncate(place);
            } else {
                packet[place] = byte;
            }
            prop_assert_eq!(classifier.classify(&packet), naive.classify(&packet));
        }
    }
}
