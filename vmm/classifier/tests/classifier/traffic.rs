//! Packets as networks carry them, and the filters that programs bind for them.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use exo_abi::term::{Comparison, END_OF_PRODUCT, Source, Term};
use exo_verifier::Filter;

/// Where fields of an Ethernet frame with an IPv4 packet without options lie: offset and bytes.
const ETHERTYPE: (u32, u8) = (12, 2);
const VERSION: (u32, u8) = (14, 1);
const FRAGMENT: (u32, u8) = (20, 2);
const PROTOCOL: (u32, u8) = (23, 1);
const SOURCE: (u32, u8) = (26, 4);
const DESTINATION: (u32, u8) = (30, 4);
const SOURCE_PORT: (u32, u8) = (34, 2);
const DESTINATION_PORT: (u32, u8) = (36, 2);

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TCP: u64 = 6;
const UDP: u64 = 17;

/// A comparison of a field: where it is (offset and bytes), mask, value.
pub type Field = ((u32, u8), u64, u64);

/// What a program waits for.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// UDP to a port.
    Udp(u16),
    /// New and old TCP connections to a port of this host.
    Listen(u16),
    /// One TCP connection: the other side, its port, the own port.
    Connection(Ipv4Addr, u16, u16),
}

impl Flow {
    /// Flow `number` of a machine where half of the flows are UDP, and the others connections and their listeners.
    pub fn typical(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        match number % 4 {
            0 => Self::Connection(Ipv4Addr::new(192, 168, high, low), 443, 40_000 + number),
            2 => Self::Listen(20_000 + number),
            _ => Self::Udp(1024 + number),
        }
    }

    /// The filter for it.
    pub fn filter(self) -> Filter {
        Filter::verify(product(&self.fields())).expect("the filter means something")
    }

    fn fields(self) -> Vec<Field> {
        let exact = |field: (u32, u8), value| (field, u64::MAX >> (64 - 8 * field.1), value);
        let address = |address: Ipv4Addr| u64::from(u32::from(address));
        let mut fields = vec![
            exact(ETHERTYPE, 0x0800),
            exact(VERSION, 0x45),
            // No fragment but the first: the others have no ports.
            (FRAGMENT, 0x1fff, 0),
        ];
        match self {
            Self::Udp(port) => fields.extend([
                exact(PROTOCOL, UDP),
                exact(DESTINATION_PORT, u64::from(port)),
            ]),
            Self::Listen(port) => fields.extend([
                exact(PROTOCOL, TCP),
                exact(DESTINATION, address(HOST)),
                exact(DESTINATION_PORT, u64::from(port)),
            ]),
            Self::Connection(peer, peer_port, port) => fields.extend([
                exact(PROTOCOL, TCP),
                exact(SOURCE, address(peer)),
                exact(DESTINATION, address(HOST)),
                exact(SOURCE_PORT, u64::from(peer_port)),
                exact(DESTINATION_PORT, u64::from(port)),
            ]),
        }
        fields
    }

    /// A packet of it with so many bytes of payload.
    pub fn packet(self, payload: usize) -> Vec<u8> {
        let stranger = Ipv4Addr::new(172, 16, 0, 9);
        let from = match self {
            Self::Connection(peer, ..) => peer,
            _ => stranger,
        };
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(
            from.octets(),
            HOST.octets(),
            64,
        );
        let mut packet = Vec::new();
        let payload = vec![0x5a; payload];
        match self {
            Self::Udp(port) => builder.udp(5353, port).write(&mut packet, &payload),
            Self::Listen(port) => {
                let builder = builder.tcp(50_000, port, 1, 65_535);
                builder.syn().write(&mut packet, &payload)
            }
            Self::Connection(_, peer_port, port) => {
                let builder = builder.tcp(peer_port, port, 7, 65_535);
                builder.ack(9).write(&mut packet, &payload)
            }
        }
        .expect("a packet can be written to memory");
        packet
    }
}

/// The terms of one product.
pub fn product(fields: &[Field]) -> Vec<Term> {
    let mut terms: Vec<Term> = fields
        .iter()
        .map(|&((offset, width), mask, value)| Term {
            comparison: Comparison::Equal as u8,
            source: Source::Packet as u8,
            width,
            flags: 0,
            offset,
            capability: 0,
            frame: 0,
            mask,
            value,
        })
        .collect();
    if let Some(last) = terms.last_mut() {
        last.flags = END_OF_PRODUCT;
    }
    terms
}
