//! The socket that heartbeats travel on, and what comes back where nobody listens.

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

/// DSCP CS6 (network control), so that a queue full of user traffic does not delay heartbeats.
const TRAFFIC_CLASS: u32 = 0xc0;

/// Binds the node's own address, so that peers see heartbeats come from it. A process that takes the place of another one binds before that one closes, so that
/// no peer is told that nobody listens.
///
/// # Errors
/// The address is not (yet) on an interface, or the port is taken.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS)?,
        SocketAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS)?,
    }
    // The kernel then keeps who refused which datagram. Without it a killed peer is noticed by its silence.
    let _ = match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sends one datagram. A heartbeat that cannot be sent is one that is lost.
pub(crate) fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if socket.send_to(datagram, to).is_err_and(refused) {
        // That was about an earlier datagram, perhaps to somebody else; this one was not sent.
        let _ = socket.send_to(datagram, to);
    }
}

/// To whom datagrams were sent whose kernel answered that nobody listens there (RFC 792 and RFC 4443: port unreachable), at most so many at once.
pub(crate) fn refusals(socket: &UdpSocket, most: usize) -> Vec<SocketAddr> {
    let mut refused = Vec::new();
    for _ in 0..most {
        // What was refused is quoted, but only where it went matters.
        let mut quoted = [0; 64];
        let mut parts = [IoSliceMut::new(&mut quoted)];
        let mut control = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let Ok(message) = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) else {
            break;
        };
        let refusal = message.cmsgs().is_ok_and(|mut errors| {
            errors.any(|error| match error {
                ControlMessageOwned::Ipv4RecvErr(error, _) => is_refusal(&error, libc::SO_EE_ORIGIN_ICMP),
                ControlMessageOwned::Ipv6RecvErr(error, _) => is_refusal(&error, libc::SO_EE_ORIGIN_ICMP6),
                _ => false,
            })
        });
        refused.extend(message.address.as_ref().and_then(address).filter(|_| refusal));
    }
    refused
}

fn is_refusal(error: &libc::sock_extended_err, origin: u8) -> bool {
    error.ee_origin == origin && i32::try_from(error.ee_errno).is_ok_and(|errno| errno == Errno::ECONNREFUSED as i32)
}

fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_port_that_nobody_listens_on_is_told_from_one_that_somebody_does() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let socket = bind(host.parse().unwrap()).unwrap();
            let listener = UdpSocket::bind(host).unwrap();
            let gone = UdpSocket::bind(host).unwrap().local_addr().unwrap();
            send(&socket, b"heartbeat", listener.local_addr().unwrap());
            send(&socket, b"heartbeat", gone);
            let deadline = Instant::now() + Duration::from_secs(10);
            let mut refused = Vec::new();
            while refused.is_empty() && Instant::now() < deadline {
                refused = refusals(&socket, 10);
            }
            assert_eq!(refused, [gone]);
            // The refusal of that one does not swallow the next to this one.
            send(&socket, b"another", listener.local_addr().unwrap());
            let mut buffer = [0; 16];
            listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            assert_eq!(listener.recv(&mut buffer).unwrap(), 9);
            assert_eq!(listener.recv(&mut buffer).unwrap(), 7);
        }
    }
}
