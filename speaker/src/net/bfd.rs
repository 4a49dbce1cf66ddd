//! The sockets of BFD: one per port, family and VRF to receive on, one per session to send from (RFC 5881 §4, RFC 5883 §5).

use herald_bfd::{Hops, InterfaceIndex, Packet, Path};
use nix::{
    libc::{in_pktinfo, in6_pktinfo},
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    num::NonZeroU32,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

/// DSCP CS6 (network control), so that a queue full of user traffic is not taken for a dead peer.
const TRAFFIC_CLASS: u32 = 0xc0;

/// What a packet has to arrive with over one hop (RFC 5881 §5), and the most it can start with over several.
const TTL: u32 = 255;

/// The two families of addresses, each with a socket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    fn socket(self, device: Option<InterfaceIndex>) -> io::Result<Socket> {
        let domain = match self {
            Self::V4 => Domain::IPV4,
            Self::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        let device = device.and_then(|index| NonZeroU32::new(index.0));
        match self {
            Self::V4 => socket.bind_device_by_index_v4(device)?,
            Self::V6 => {
                socket.set_only_v6(true)?;
                socket.bind_device_by_index_v6(device)?;
            }
        }
        Ok(socket)
    }
}

/// Which packets a receiving socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) hops: Hops,
    pub(crate) family: Family,
    pub(crate) vrf: Option<InterfaceIndex>,
}

impl Port {
    /// Where the packets of a session come in.
    pub(crate) const fn of(path: &Path) -> Self {
        Self { hops: path.hops, family: Family::of(path.peer), vrf: path.vrf }
    }
}

/// Receives.
pub(crate) struct Inbox {
    port: Port,
    socket: Socket,
}

impl Inbox {
    /// Binds the port on all addresses.
    ///
    /// # Errors
    /// The port is taken, or the VRF is gone.
    pub(crate) fn open(port: Port) -> io::Result<Self> {
        let socket = port.family.socket(port.vrf)?;
        match port.family {
            Family::V4 => {
                setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            Family::V6 => {
                setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        socket.bind(&SocketAddr::new(port.family.unspecified(), port.hops.port()).into())?;
        Ok(Self { port, socket })
    }

    /// Takes the next packet.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Packet<'a>> {
        let mut control = nix::cmsg_space!(in6_pktinfo, in_pktinfo, i32);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let unspecified = self.port.family.unspecified();
        let from = message.address.as_ref().and_then(address_of).unwrap_or(unspecified);
        // What the kernel does not say stays at a value that no session accepts.
        let (mut to, mut interface, mut ttl_hops) = (unspecified, 0, 0);
        for part in message.cmsgs()? {
            match part {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    to = IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                    interface = u32::try_from(info.ipi_ifindex).unwrap_or_default();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    to = IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    interface = info.ipi6_ifindex;
                }
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                    ttl_hops = u8::try_from(ttl).unwrap_or_default();
                }
                _ => {}
            }
        }
        let length = message.bytes;
        let Port { hops, vrf, .. } = self.port;
        let interface = InterfaceIndex(interface);
        Ok(Packet { hops, vrf, interface, from, to, ttl_hops, bytes: &buffer[..length] })
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends the packets of one session.
pub(crate) struct Outlet {
    socket: Socket,
    to: SocketAddr,
}

impl Outlet {
    /// Binds the source port.
    ///
    /// # Errors
    /// The port is taken, or the session's own address or interface is not (yet) there.
    pub(crate) fn open(path: &Path, source_port: u16) -> io::Result<Self> {
        let family = Family::of(path.peer);
        let socket = family.socket(path.interface.or(path.vrf))?;
        match family {
            Family::V4 => {
                socket.set_ttl_v4(TTL)?;
                socket.set_tos_v4(TRAFFIC_CLASS)?;
            }
            Family::V6 => {
                socket.set_unicast_hops_v6(TTL)?;
                socket.set_tclass_v6(TRAFFIC_CLASS)?;
            }
        }
        let scope = path.interface.map(|index| index.0);
        let from = with_scope(path.local.unwrap_or(family.unspecified()), source_port, scope);
        socket.bind(&from.into())?;
        Ok(Self { socket, to: with_scope(path.peer, path.hops.port(), scope) })
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// There is no way to the peer at this moment.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &self.to.into()).map(drop)
    }
}

/// A link-local address means nothing without its interface.
fn with_scope(ip: IpAddr, port: u16, scope: Option<u32>) -> SocketAddr {
    match (ip, scope) {
        (IpAddr::V6(ip), Some(scope)) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, scope).into(),
        _ => SocketAddr::new(ip, port),
    }
}

fn address_of(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
