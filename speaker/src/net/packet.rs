//! Packet sockets: ARP and NDP frames of one interface, whole, with the time at which the kernel received each.
//!
//! A socket is bound to one interface and one EtherType, so that no other traffic reaches it (never promiscuous, never
//! `ETH_P_ALL`). IPv6 has one EtherType for everything: a socket filter lets neighbour solicitations and advertisements
//! through and nothing else. Frames that this host sends do not come back: only `ETH_P_ALL` sockets see those.

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt::ReceiveTimestampns,
};
use pnet::datalink::{self, ChannelType, Config, NetworkInterface};
use socket2::{Domain, SockFilter, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The two protocols by which neighbours ask for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Neighbour {
    /// ARP, for IPv4 (RFC 826).
    Arp,
    /// NDP, for IPv6 (RFC 4861).
    Ndp,
}

impl Neighbour {
    const fn ethertype(self) -> u16 {
        match self {
            Self::Arp => 0x0806,
            Self::Ndp => 0x86dd,
        }
    }
}

/// One protocol on one interface.
pub(crate) struct PacketSocket {
    socket: Socket,
    // Binding goes through pnet, which has the one safe way to name an interface in a `bind`; dropping its channel closes a
    // duplicate of the descriptor, not ours.
    _bound: datalink::Channel,
}

impl PacketSocket {
    /// Opens a non-blocking socket that receives and sends one protocol's frames on one interface.
    ///
    /// # Errors
    /// The interface is gone, or CAP_NET_RAW is missing.
    pub(crate) fn open(interface: &str, index: u32, protocol: Neighbour) -> io::Result<Self> {
        // Protocol 0 receives nothing until bound, so that no frame gets in before the filter.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        if protocol == Neighbour::Ndp {
            socket.attach_filter(&NEIGHBOUR_DISCOVERY)?;
        }
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        let target = NetworkInterface {
            name: interface.to_owned(),
            description: String::new(),
            index,
            mac: None,
            ips: Vec::new(),
            flags: 0,
        };
        let config = Config {
            promiscuous: false,
            socket_fd: Some(socket.try_clone()?.into_raw_fd()),
            channel_type: ChannelType::Layer3(protocol.ethertype()),
            ..Config::default()
        };
        let bound = datalink::channel(&target, config)?;
        Ok(Self { socket, _bound: bound })
    }

    /// Takes the next frame, and when the kernel received it.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `ENETDOWN` once after the interface went down.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<(&'a [u8], Instant)> {
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let age = message
            .cmsgs()?
            .find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(age_of(Duration::from(stamp))),
                _ => None,
            })
            .unwrap_or_default();
        let length = message.bytes;
        let now = Instant::now();
        Ok((&buffer[..length], now.checked_sub(age).unwrap_or(now)))
    }

    /// Sends one whole frame.
    ///
    /// # Errors
    /// `ENETDOWN` and friends; `WouldBlock` when the queue is full.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How long ago a wall-clock stamp of the kernel was. A clock that was set back meanwhile gives zero.
fn age_of(stamp: Duration) -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(stamp)
}

/// Lets ICMPv6 types 135 and 136 (RFC 4861 §4.3, §4.4) without extension headers through.
const NEIGHBOUR_DISCOVERY: [SockFilter; 7] = {
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6), // IPv6 next header
        SockFilter::new(JUMP_EQUAL, 0, 4, 58),
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40), // ICMPv6 type
        SockFilter::new(JUMP_EQUAL, 1, 0, 135),
        SockFilter::new(JUMP_EQUAL, 0, 1, 136),
        SockFilter::new(RETURN, 0, 0, 0x4_0000),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};
