//! Frames by hand: what a neighbour sends, and what it reads from ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_l2::MacAddr;

/// What a frame of ours says, in a neighbour's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// Ethernet destination; sender; target.
    ArpRequest {
        to: MacAddr,
        sender: (IpAddr, MacAddr),
        target: IpAddr,
    },
    ArpReply {
        to: MacAddr,
        sender: (IpAddr, MacAddr),
        target: (IpAddr, MacAddr),
    },
    Advertisement {
        to: MacAddr,
        from: IpAddr,
        destination: IpAddr,
        target: (IpAddr, MacAddr),
        flags: u8,
    },
    Solicitation {
        to: MacAddr,
        source: (IpAddr, MacAddr),
        destination: IpAddr,
        target: IpAddr,
    },
}

impl Said {
    /// The address and the MAC address the frame binds together.
    pub(crate) fn binding(&self) -> (IpAddr, MacAddr) {
        match *self {
            Self::ArpRequest { sender, .. } | Self::ArpReply { sender, .. } => sender,
            Self::Advertisement { target, .. } => target,
            Self::Solicitation { source, .. } => source,
        }
    }
}

/// Reads a frame as strictly as a host would; panics on anything a host would drop.
pub(crate) fn read(frame: &[u8]) -> Said {
    let to = mac(&frame[..6]);
    match frame[12..14] {
        [0x08, 0x06] => {
            assert_eq!(frame.len(), 42);
            assert_eq!(frame[14..20], [0, 1, 8, 0, 6, 4]);
            let sender = (v4(&frame[28..32]), mac(&frame[22..28]));
            let target = (v4(&frame[38..42]), mac(&frame[32..38]));
            assert_eq!(frame[6..12], frame[22..28], "sender and source agree");
            match frame[20..22] {
                [0, 1] => {
                    assert_eq!(target.1, MacAddr::ZERO);
                    Said::ArpRequest { to, sender, target: target.0 }
                }
                [0, 2] => Said::ArpReply { to, sender, target },
                _ => panic!("operation {:?}", &frame[20..22]),
            }
        }
        [0x86, 0xdd] => {
            assert_eq!(frame.len(), 86);
            assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
            assert_eq!(sum(&frame[22..54], &frame[54..]), 0xffff, "checksum");
            let (from, destination) = (v6(&frame[22..38]), v6(&frame[38..54]));
            let target = v6(&frame[62..78]);
            let option = mac(&frame[80..86]);
            assert_eq!(frame[6..12], frame[80..86], "option and source agree");
            if let IpAddr::V6(group) = destination
                && group.is_multicast()
            {
                assert_eq!(to, group_mac(group));
            }
            match frame[54] {
                135 => {
                    assert_eq!((frame[55], frame[78], frame[79]), (0, 1, 1));
                    Said::Solicitation { to, source: (from, option), destination, target }
                }
                136 => {
                    assert_eq!((frame[55], frame[78], frame[79]), (0, 2, 1));
                    Said::Advertisement { to, from, destination, target: (target, option), flags: frame[58] }
                }
                other => panic!("type {other}"),
            }
        }
        _ => panic!("ethertype {:?}", &frame[12..14]),
    }
}

/// An ARP message: operation 1 or 2.
pub(crate) fn arp(to: MacAddr, operation: u8, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(to.0);
    frame.extend(sender.0.0);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(sender.0.0);
    frame.extend(sender.1.octets());
    frame.extend(target.0.0);
    frame.extend(target.1.octets());
    frame.resize(60, 0);
    frame
}

/// "Who has `target`? Tell `sender`", to everybody.
pub(crate) fn who_has(target: Ipv4Addr, sender: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    arp(MacAddr::BROADCAST, 1, sender, (MacAddr::ZERO, target))
}

/// A neighbour discovery message with at most one option.
pub(crate) fn ndp(
    ends: (MacAddr, MacAddr),
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<MacAddr>,
) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    body.extend(target.octets());
    if let Some(mac) = option {
        body.extend([if kind == 135 { 1 } else { 2 }, 1]);
        body.extend(mac.0);
    }
    let mut addresses = source.octets().to_vec();
    addresses.extend(destination.octets());
    let checksum = !sum(&addresses, &body);
    body[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = Vec::new();
    frame.extend(ends.1.0);
    frame.extend(ends.0.0);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, body.len() as u8, 58, 255]);
    frame.extend(addresses);
    frame.extend(body);
    frame
}

/// A solicitation for `target` to its group, with the asker's link-layer address.
pub(crate) fn solicit(target: Ipv6Addr, sender: (MacAddr, Ipv6Addr)) -> Vec<u8> {
    let group = group(target);
    ndp((sender.0, group_mac(group)), sender.1, group, 135, 0, target, Some(sender.0))
}

/// A probe whether somebody has `target` (duplicate address detection).
pub(crate) fn dad(target: Ipv6Addr, sender: MacAddr) -> Vec<u8> {
    let group = group(target);
    ndp((sender, group_mac(group)), Ipv6Addr::UNSPECIFIED, group, 135, 0, target, None)
}

pub(crate) fn group(target: Ipv6Addr) -> Ipv6Addr {
    let octets = target.octets();
    let mut group: Ipv6Addr = "ff02::1:ff00:0".parse().unwrap();
    let mut bytes = group.octets();
    bytes[13..].copy_from_slice(&octets[13..]);
    group = bytes.into();
    group
}

pub(crate) fn group_mac(group: Ipv6Addr) -> MacAddr {
    let o = group.octets();
    MacAddr([0x33, 0x33, o[12], o[13], o[14], o[15]])
}

fn sum(addresses: &[u8], body: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum()
    };
    let mut total = words(addresses) + body.len() as u32 + 58 + words(body);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

fn mac(bytes: &[u8]) -> MacAddr {
    MacAddr(bytes.try_into().unwrap())
}

fn v4(bytes: &[u8]) -> IpAddr {
    <[u8; 4]>::try_from(bytes).unwrap().into()
}

fn v6(bytes: &[u8]) -> IpAddr {
    <[u8; 16]>::try_from(bytes).unwrap().into()
}
