//! TCP towards BGP peers: the options that have to be in place before the first segment.
//!
//! Segments go out with a TTL of 255, whatever the distance: a peer that checks it (RFC 5082) takes us, and one behind routers is reached.

use herald_crds::model::Password;
use nix::{libc, setsockopt_impl, sockopt_impl, sys::socket::setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};
use tokio::net::TcpSocket;

/// DSCP CS6 (network control), so that a queue full of user traffic does not take the session down.
const TRAFFIC_CLASS: u32 = 0xc0;
const TTL: u32 = 255;
/// What fits the kernel's structure.
pub(crate) const LONGEST_PASSWORD: usize = libc::TCP_MD5SIG_MAXKEYLEN;

/// Between which addresses a connection runs, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The other side; with its interface if it is link-local.
    pub(crate) peer: SocketAddr,
    /// This side; the kernel's choice, if nothing is written.
    pub(crate) local: Option<IpAddr>,
    /// The VRF device that the peer is in.
    pub(crate) vrf: Option<String>,
    /// What both sides sign segments with (RFC 2385).
    pub(crate) password: Option<Password>,
}

impl Link {
    /// Whether both lead to the same peer over the same way; the password aside, which a connection may outlive.
    pub(crate) fn same_way(&self, other: &Self) -> bool {
        self.names(other) && self.local == other.local
    }

    /// Whether both lead to the same peer.
    pub(crate) fn names(&self, other: &Self) -> bool {
        self.peer == other.peer && self.vrf == other.vrf
    }

    /// Opens a socket that is ready to connect.
    ///
    /// # Errors
    /// The address of this side or the VRF is not there, or the password is too long for the kernel.
    pub(crate) fn open(&self) -> io::Result<TcpSocket> {
        let domain = Domain::for_address(self.peer);
        let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        match self.peer {
            SocketAddr::V4(_) => {
                socket.set_ttl_v4(TTL)?;
                socket.set_tos_v4(TRAFFIC_CLASS)?;
            }
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_unicast_hops_v6(TTL)?;
                socket.set_tclass_v6(TRAFFIC_CLASS)?;
            }
        }
        if let Some(vrf) = &self.vrf {
            socket.bind_device(Some(vrf.as_bytes()))?;
        }
        if let Some(password) = &self.password {
            setsockopt(&socket, Md5, &Key::new(self.peer, password)?)?;
        }
        if let Some(local) = self.local {
            socket.bind(&self.with_scope(local).into())?;
        }
        Ok(TcpSocket::from_std_stream(socket.into()))
    }

    /// A link-local address means nothing without its interface.
    fn with_scope(&self, ip: IpAddr) -> SocketAddr {
        match (ip, self.peer) {
            (IpAddr::V6(ip), SocketAddr::V6(peer)) => SocketAddrV6::new(ip, 0, 0, peer.scope_id()).into(),
            _ => SocketAddr::new(ip, 0),
        }
    }
}

/// Signs the segments of a connection that is up with another password from here on.
///
/// # Errors
/// It is too long for the kernel.
pub(crate) fn set_password(
    socket: &impl std::os::fd::AsFd,
    peer: SocketAddr,
    password: Option<&Password>,
) -> io::Result<()> {
    let key = match password {
        Some(password) => Key::new(peer, password)?,
        None => Key::none(peer),
    };
    Ok(setsockopt(socket, Md5, &key)?)
}

sockopt_impl!(Md5, SetOnly, libc::IPPROTO_TCP, libc::TCP_MD5SIG, Key);

/// The kernel's `struct tcp_md5sig`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
#[expect(unreachable_pub, reason = "nix makes its option public, and this is the option's value")]
pub struct Key {
    address: [u8; 128],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: i32,
    key: [u8; LONGEST_PASSWORD],
}

impl Key {
    /// Takes the key of a peer away.
    fn none(peer: SocketAddr) -> Self {
        let mut address = [0; 128];
        // The kernel looks at the family and the address; the family is in the order of this machine.
        match peer.ip() {
            IpAddr::V4(ip) => {
                address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                address[4..8].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                address[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                address[8..24].copy_from_slice(&ip.octets());
            }
        }
        Self { address, flags: 0, prefix_len: 0, key_len: 0, interface: 0, key: [0; LONGEST_PASSWORD] }
    }

    fn new(peer: SocketAddr, password: &Password) -> io::Result<Self> {
        let text = password.reveal().as_bytes();
        let mut this = Self::none(peer);
        let place = this.key.get_mut(..text.len()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the password has {} octets: use at most {LONGEST_PASSWORD}", text.len()),
            )
        })?;
        place.copy_from_slice(text);
        this.key_len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        Ok(this)
    }
}
