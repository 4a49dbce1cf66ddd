//! Messages read by hand, and the table of a peer that takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;
pub(crate) const REFRESH: u8 = 5;

/// Cuts a stream into messages: type and body. The rest stays.
pub(crate) fn messages(stream: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while stream.len() >= 19 {
        assert_eq!(stream[..16], [0xff; 16], "the marker");
        let length = usize::from(u16::from_be_bytes([stream[16], stream[17]]));
        assert!(length >= 19, "a length of {length}");
        if stream.len() < length {
            break;
        }
        let message: Vec<u8> = stream.drain(..length).collect();
        found.push((message[18], message[19..].to_vec()));
    }
    found
}

/// What a peer holds: for each prefix, its next hop and its other attributes as they travelled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) routes: BTreeMap<IpNet, Held>,
    /// Families whose end-of-RIB was read, by AFI.
    pub(crate) ended: BTreeSet<u16>,
    /// How many prefixes were announced and withdrawn in all.
    pub(crate) announced: usize,
    pub(crate) withdrawn: usize,
    pub(crate) updates: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) next_hop: IpAddr,
    /// Type code to value, NEXT_HOP and MP_REACH_NLRI aside.
    pub(crate) attributes: BTreeMap<u8, Vec<u8>>,
}

impl Table {
    pub(crate) fn take(&mut self, body: &[u8]) {
        self.updates += 1;
        let mut octets = Octets(body);
        let withdrawn = prefixes(octets.block(), 1);
        let mut attributes = Octets(octets.block());
        let nlri = prefixes(octets.0, 1);
        let (mut kept, mut next_hop, mut reach) = (BTreeMap::new(), None, None);
        let mut unreach = None;
        while !attributes.0.is_empty() {
            let flags = attributes.u8();
            let code = attributes.u8();
            let value = if flags & 0x10 == 0 {
                let length = attributes.u8();
                attributes.take(length.into())
            } else {
                attributes.block()
            };
            match code {
                3 => next_hop = Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(value).unwrap()))),
                14 => reach = Some(read_reach(value)),
                15 => {
                    let afi = u16::from_be_bytes([value[0], value[1]]);
                    assert_eq!(value[2], 1, "unicast");
                    unreach = Some((afi, prefixes(&value[3..], afi)));
                }
                _ => assert!(kept.insert(code, value.to_vec()).is_none(), "attribute {code} twice"),
            }
        }
        if body == [0; 4] {
            self.ended.insert(1);
        }
        let (afi, gone) = unreach.unwrap_or_default();
        if afi != 0 && gone.is_empty() {
            self.ended.insert(afi);
        }
        for prefix in withdrawn.into_iter().chain(gone) {
            self.withdrawn += 1;
            assert!(self.routes.remove(&prefix).is_some(), "{prefix} is withdrawn and was not held");
        }
        let classic = nlri.into_iter().map(|prefix| (prefix, next_hop.expect("NLRI goes with NEXT_HOP")));
        let (next_hop, nlri) = reach.unwrap_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), Vec::new()));
        for (prefix, next_hop) in classic.chain(nlri.into_iter().map(|prefix| (prefix, next_hop))) {
            self.announced += 1;
            self.routes.insert(prefix, Held { next_hop, attributes: kept.clone() });
        }
    }
}

fn read_reach(value: &[u8]) -> (IpAddr, Vec<IpNet>) {
    let mut octets = Octets(value);
    let afi = octets.u16();
    assert_eq!(octets.u8(), 1, "unicast");
    let length = octets.u8().into();
    let next_hop = octets.take(length);
    let next_hop = match length {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(next_hop).unwrap())),
        16 | 32 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(&next_hop[..16]).unwrap())),
        other => panic!("a next hop of {other} octets"),
    };
    assert_eq!(octets.u8(), 0, "reserved");
    (next_hop, prefixes(octets.0, afi))
}

fn prefixes(octets: &[u8], afi: u16) -> Vec<IpNet> {
    let mut octets = Octets(octets);
    let mut found = Vec::new();
    while !octets.0.is_empty() {
        let bits = octets.u8();
        let bytes = octets.take(usize::from(bits).div_ceil(8));
        let mut address = [0; 16];
        address[..bytes.len()].copy_from_slice(bytes);
        found.push(match afi {
            1 => Ipv4Net::new(Ipv4Addr::from(<[u8; 4]>::try_from(&address[..4]).unwrap()), bits).unwrap().into(),
            2 => Ipv6Net::new(Ipv6Addr::from(address), bits).unwrap().into(),
            other => panic!("AFI {other}"),
        });
    }
    found
}

struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }
    fn u16(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }
    fn block(&mut self) -> &'a [u8] {
        let length = self.u16();
        self.take(length.into())
    }
}
