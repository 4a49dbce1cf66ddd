//! The socket that heartbeats travel on.

use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// DSCP CS6 (network control), so that a queue full of user traffic does not delay heartbeats.
const TRAFFIC_CLASS: u32 = 0xc0;

/// Binds the node's own address, so that peers see heartbeats come from it.
///
/// # Errors
/// The address is not (yet) on an interface, or the port is taken.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS)?,
        SocketAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS)?,
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
