//! Reading ARP and neighbour discovery from frames: pure; whatever is not one of them, or is cut short, is nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::Mac;

/// What a frame says about addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Who has `target`? `sender` asks. With the sender 0.0.0.0 or :: it is a probe for duplicates.
    Request,
    /// An answer: ARP reply, or solicited neighbour advertisement.
    Reply,
    /// An ARP request for the sender's own address.
    GratuitousRequest,
    /// An ARP reply about the sender's own address to nobody in particular.
    GratuitousReply,
    /// A neighbour advertisement that nobody solicited.
    UnsolicitedAdvertisement,
}

/// One ARP or neighbour discovery frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From the Ethernet header: who put it on the wire.
    pub source: Mac,
    /// From the Ethernet header.
    pub destination: Mac,
    /// Its kind.
    pub kind: Kind,
    /// The address which the frame says is at `sender_mac`: the ARP sender, the advertised target, the solicitation's source.
    pub sender: IpAddr,
    /// The link address in the message: ARP sender hardware address, link-layer address option. Missing in some solicitations.
    pub sender_mac: Option<Mac>,
    /// Whom it is for: the ARP target, the solicited target, the advertisement's destination.
    pub target: IpAddr,
    /// The override flag of an advertisement; ARP always overrides.
    pub overrides: bool,
}

impl Frame {
    /// Reads a frame from its Ethernet header on.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (destination, source) = (mac(bytes, 0)?, mac(bytes, 6)?);
        match u16_at(bytes, 12)? {
            0x0806 => arp(bytes.get(14..)?, source, destination),
            0x86dd => ndp(bytes.get(14..)?, source, destination),
            _ => None,
        }
    }

    /// Whether it tells everybody, unasked, where an address is.
    #[must_use]
    pub fn announces(&self) -> bool {
        matches!(self.kind, Kind::GratuitousRequest | Kind::GratuitousReply | Kind::UnsolicitedAdvertisement)
    }
}

/// An ARP request, or a neighbour solicitation, as the owner of `sender` at `mac` would send it to all.
#[must_use]
pub fn request(mac: Mac, sender: IpAddr, target: IpAddr) -> Option<Vec<u8>> {
    match (sender, target) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => Some(arp_request(mac, sender, target)),
        (IpAddr::V6(sender), IpAddr::V6(target)) => Some(solicitation(mac, sender, target)),
        _ => None,
    }
}

fn arp(arp: &[u8], source: Mac, destination: Mac) -> Option<Frame> {
    // Ethernet and IPv4, with lengths 6 and 4.
    if arp.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let (sender, target) = (v4(arp, 14)?, v4(arp, 24)?);
    let kind = match (u16_at(arp, 6)?, sender == target) {
        (1, false) => Kind::Request,
        (1, true) => Kind::GratuitousRequest,
        (2, false) => Kind::Reply,
        (2, true) => Kind::GratuitousReply,
        _ => return None,
    };
    let sender_mac = mac(arp, 8);
    Some(Frame { source, destination, kind, sender: sender.into(), sender_mac, target: target.into(), overrides: true })
}

fn ndp(ip: &[u8], source: Mac, destination: Mac) -> Option<Frame> {
    const ICMP_V6: u8 = 58;
    if ip.first()? >> 4 != 6 || *ip.get(6)? != ICMP_V6 {
        return None;
    }
    let (from, to) = (v6(ip, 8)?, v6(ip, 24)?);
    let icmp = ip.get(40..)?;
    let about = v6(icmp, 8);
    match *icmp.first()? {
        SOLICITATION => Some(Frame {
            source,
            destination,
            kind: Kind::Request,
            sender: from.into(),
            sender_mac: option(icmp, SOURCE_LINK_ADDRESS),
            target: about?.into(),
            overrides: false,
        }),
        ADVERTISEMENT => {
            let flags = *icmp.get(4)?;
            let kind = if flags & 0x40 == 0 { Kind::UnsolicitedAdvertisement } else { Kind::Reply };
            Some(Frame {
                source,
                destination,
                kind,
                sender: about?.into(),
                sender_mac: option(icmp, TARGET_LINK_ADDRESS),
                target: to.into(),
                overrides: flags & 0x20 != 0,
            })
        }
        _ => None,
    }
}

/// Finds a link-layer address option after the fixed part of a solicitation or advertisement.
fn option(icmp: &[u8], wanted: u8) -> Option<Mac> {
    let mut at = 24;
    loop {
        let (kind, length) = (*icmp.get(at)?, usize::from(*icmp.get(at + 1)?) * 8);
        if length == 0 {
            return None;
        }
        if kind == wanted {
            return mac(icmp, at + 2);
        }
        at += length;
    }
}

fn arp_request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac.0);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

fn solicitation(mac: Mac, sender: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let t = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, t[13], t[14], t[15]]);
    let mut icmp = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend(t);
    icmp.extend([SOURCE_LINK_ADDRESS, 1]);
    icmp.extend(mac.0);
    let sum = checksum(sender, group, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = vec![0x33, 0x33, 0xff, t[13], t[14], t[15]];
    frame.extend(mac.0);
    // Version 6, the length, ICMPv6, hop limit 255: RFC 4861 §4.3.
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(sender.octets());
    frame.extend(group.octets());
    frame.extend(icmp);
    frame
}

/// Over the pseudo header of RFC 8200 §8.1 and a message of even length.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, icmp: &[u8]) -> u16 {
    let pseudo = source.segments().into_iter().chain(destination.segments()).map(u32::from).sum::<u32>() + 58;
    let words = icmp.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = pseudo + icmp.len() as u32 + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn mac(bytes: &[u8], at: usize) -> Option<Mac> {
    Some(Mac(bytes.get(at..at + 6)?.try_into().ok()?))
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn a_request_that_we_write_reads_as_one_in_both_families() {
        for (sender, target) in [("10.66.2.1", "10.66.100.1"), ("fe80::c", "fd00:10:66::100:1")] {
            let (sender, target): (IpAddr, IpAddr) = (sender.parse().unwrap(), target.parse().unwrap());
            let frame = Frame::parse(&request(NODE, sender, target).unwrap()).unwrap();
            assert_eq!((Kind::Request, sender, target), (frame.kind, frame.sender, frame.target));
            assert_eq!((NODE, Some(NODE)), (frame.source, frame.sender_mac));
        }
    }

    #[test]
    fn kinds_of_arp_are_told_apart() {
        let vip = "10.66.100.1".parse().unwrap();
        let mut gratuitous = request(NODE, vip, vip).unwrap();
        assert_eq!(Kind::GratuitousRequest, Frame::parse(&gratuitous).unwrap().kind);
        gratuitous[21] = 2;
        assert_eq!(Kind::GratuitousReply, Frame::parse(&gratuitous).unwrap().kind);
        gratuitous[41] = 9;
        assert_eq!(Kind::Reply, Frame::parse(&gratuitous).unwrap().kind);
    }

    #[test]
    fn a_frame_cut_short_anywhere_is_nothing() {
        for target in ["10.66.100.1", "fd00:10:66::100:1"] {
            let target: IpAddr = target.parse().unwrap();
            let frame = request(NODE, target, target).unwrap();
            let fixed = if target.is_ipv4() { frame.len() } else { frame.len() - 8 };
            for length in 0..fixed {
                assert_eq!(None, Frame::parse(&frame[..length]), "{length}");
            }
        }
    }
}
