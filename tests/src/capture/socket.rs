//! A raw packet socket: what every interface of a namespace sends and receives, with the kernel's time.

use std::{
    io::IoSliceMut,
    os::fd::{AsRawFd as _, OwnedFd},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, send,
            setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};

/// An open socket. It belongs to the namespace of the thread that opened it, whoever reads from it.
pub(crate) struct PacketSocket {
    fd: OwnedFd,
}

/// What was received, beside the frame's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) length: usize,
    /// When the kernel saw it.
    pub(crate) at: Instant,
    pub(crate) interface: u32,
    /// Sent by this interface, not received.
    pub(crate) outgoing: bool,
}

impl PacketSocket {
    /// Opens one that hears all interfaces, with a limit for each [`PacketSocket::receive`].
    pub(crate) fn open(wait: Duration) -> Result<Self> {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .context("open a packet socket")?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
        let wait = TimeVal::microseconds(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX).max(1));
        setsockopt(&fd, sockopt::ReceiveTimeout, &wait)?;
        Ok(Self { fd })
    }

    /// Binds it to one interface, so that it can send; it hears only that one then.
    pub(crate) fn bind(&self, interface: &str) -> Result<()> {
        let addresses = nix::ifaddrs::getifaddrs().context("list the interfaces")?;
        let link = addresses
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .with_context(|| format!("there is no interface {interface}"))?;
        nix::sys::socket::bind(self.fd.as_raw_fd(), &link).with_context(|| format!("bind to {interface}"))
    }

    /// Sends a frame out of the interface that it is bound to.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<()> {
        send(self.fd.as_raw_fd(), frame, MsgFlags::empty()).map(|_| ()).context("send a frame")
    }

    /// The next frame, or nothing when none came in time. Longer frames are cut to the buffer.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut vectors = [IoSliceMut::new(buffer)];
        let message =
            match recvmsg::<LinkAddr>(self.fd.as_raw_fd(), &mut vectors, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => message,
                // The interface may go down; its socket says so once and hears it again when it is up.
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
                Err(error) => return Err(error).context("receive from a packet socket"),
            };
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let address = message.address.context("a packet socket names the interface of each frame")?;
        Ok(Some(Received {
            length: message.bytes,
            at: stamp.map_or_else(Instant::now, monotonic),
            interface: u32::try_from(address.ifindex()).unwrap_or(0),
            outgoing: address.pkttype() == PACKET_OUTGOING,
        }))
    }
}

/// The kernel stamps frames by the wall clock: what it read a moment ago, by our clock.
fn monotonic(stamp: Duration) -> Instant {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let age = wall.duration_since(SystemTime::UNIX_EPOCH + stamp).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// Some seconds of every frame on the segment, should the reader be held up.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// From the kernel's `if_packet.h`.
const PACKET_OUTGOING: u8 = 4;
