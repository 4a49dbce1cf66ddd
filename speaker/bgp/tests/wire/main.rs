//! The wire format from outside: every error with its place, everything back as it was written, anything at all without a
//! panic, and two decoders of other people as judges.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panic")]

mod errors;
mod flaws;
mod fuzz;
mod independent;
mod refusals;
mod roundtrip;
mod values;

/// Puts a header before a body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An UPDATE of its three parts. Attributes begin at octet 23 if nothing is withdrawn.
pub(crate) fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

/// ORIGIN, AS_PATH of 64513 in four octets, NEXT_HOP 192.0.2.1: 20 octets.
pub(crate) const GOOD: [u8; 20] = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 1, 0x40, 3, 4, 192, 0, 2, 1];

/// 198.51.100.0/24.
pub(crate) const NET: [u8; 4] = [24, 198, 51, 100];
