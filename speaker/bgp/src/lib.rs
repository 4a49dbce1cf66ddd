//! A BGP speaker that originates routes and learns none.
//!
//! Pure: no clock, no socket, no randomness, no log. Bytes of a TCP connection go in with the time they were received,
//! bytes come out. What a peer sends is bounded, validated and counted, not stored.

pub mod iana;
pub mod wire;
