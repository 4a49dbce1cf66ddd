//! Messages of a peer, written by hand.

use std::net::Ipv4Addr;

use crate::reader::{KEEPALIVE, NOTIFICATION, OPEN, REFRESH, UPDATE};

pub(crate) const PEER_AS: u32 = 64513;
pub(crate) const PEER_ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An OPEN in the making.
pub(crate) struct Open {
    pub(crate) version: u8,
    pub(crate) asn: u32,
    pub(crate) hold: u16,
    pub(crate) id: Ipv4Addr,
    /// Code and value.
    pub(crate) capabilities: Vec<(u8, Vec<u8>)>,
}

impl Default for Open {
    fn default() -> Self {
        Self { version: 4, asn: PEER_AS, hold: 90, id: PEER_ID, capabilities: all(PEER_AS) }
    }
}

/// Both families, route refresh plain and enhanced, four octets.
pub(crate) fn all(asn: u32) -> Vec<(u8, Vec<u8>)> {
    vec![
        (1, vec![0, 1, 0, 1]),
        (1, vec![0, 2, 0, 1]),
        (2, Vec::new()),
        (70, Vec::new()),
        (65, asn.to_be_bytes().to_vec()),
    ]
}

/// Graceful restart with the N bit, no family of its own.
pub(crate) fn graceful() -> (u8, Vec<u8>) {
    (64, vec![0x40, 120])
}

impl Open {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let my_as = u16::try_from(self.asn).unwrap_or(23456);
        let mut body = vec![self.version];
        body.extend(my_as.to_be_bytes());
        body.extend(self.hold.to_be_bytes());
        body.extend(self.id.octets());
        let mut parameters = Vec::new();
        for (code, value) in &self.capabilities {
            let length = u8::try_from(value.len()).unwrap();
            parameters.extend([2, length + 2, *code, length]);
            parameters.extend(value);
        }
        body.push(u8::try_from(parameters.len()).unwrap());
        body.extend(parameters);
        message(OPEN, &body)
    }
}

pub(crate) fn open() -> Vec<u8> {
    Open::default().bytes()
}

pub(crate) fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

pub(crate) fn notification(code: u8, subcode: u8, data: &[u8]) -> Vec<u8> {
    message(NOTIFICATION, &[&[code, subcode], data].concat())
}

pub(crate) fn refresh(afi: u8) -> Vec<u8> {
    message(REFRESH, &[0, afi, 0, 1])
}

/// An eBGP UPDATE in four octets for IPv4 prefixes as they travel.
pub(crate) fn update(nlri: &[u8]) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0];
    attributes.extend([0x40, 2, 6, 2, 1]);
    attributes.extend(PEER_AS.to_be_bytes());
    attributes.extend([0x40, 3, 4, 192, 0, 2, 254]);
    update_of(&attributes, nlri)
}

pub(crate) fn update_of(attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(UPDATE, &body)
}
