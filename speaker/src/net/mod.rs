//! Every raw socket, socket option, netlink and nftables call of the speaker. Nothing here decides; nothing elsewhere opens a socket.

pub(crate) mod bfd;
pub(crate) mod flows;
pub(crate) mod group;
pub(crate) mod guard;
pub(crate) mod heartbeat;
pub(crate) mod netlink;
pub(crate) mod packet;
pub(crate) mod realtime;
pub(crate) mod tcp;
