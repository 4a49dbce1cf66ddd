//! Frames as bytes. `pnet_packet` is known here and nowhere else; bounds and lengths are checked before its views are
//! asked for anything that depends on them.

pub(crate) mod arp;
pub(crate) mod ethernet;
pub(crate) mod ndp;
