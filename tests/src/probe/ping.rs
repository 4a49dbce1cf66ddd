//! One ICMP echo, for "does this reach that".

use std::{
    io::{self, ErrorKind, Read as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Namespace;

/// Sends one echo request from a namespace; the round trip time, or nothing when no answer came in time.
pub fn ping(from: &Namespace, address: IpAddr, within: Duration) -> Result<Option<Duration>> {
    from.enter(|| match echo(address, within) {
        Ok(took) => Ok(Some(took)),
        Err(error) if is_silence(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("ping {address}")),
    })?
}

fn echo(address: IpAddr, within: Duration) -> io::Result<Duration> {
    let (domain, protocol, request, reply) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    // Connected, it hears only what comes from there.
    socket.connect(&SocketAddr::new(address, 0).into())?;
    let started = Instant::now();
    socket.send(&message(request))?;
    let expected = message(reply);
    let mut buffer = [0; 256];
    loop {
        let left = within.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.read(&mut buffer)?;
        // Raw IPv4 sockets deliver the IP header, raw IPv6 ones do not.
        let header = if address.is_ipv4() { usize::from(buffer[0] & 0xf) * 4 } else { 0 };
        let got = buffer[..length].get(header..).unwrap_or_default();
        if got.len() == expected.len() && got[0] == reply && got[4..] == expected[4..] {
            return Ok(started.elapsed());
        }
    }
}

/// No route, nobody there, no answer in time: all mean that the address is not reached.
fn is_silence(error: &io::Error) -> bool {
    use ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(error.kind(), HostUnreachable | NetworkUnreachable | TimedOut | WouldBlock)
}

fn message(kind: u8) -> Vec<u8> {
    let identifier = (std::process::id() as u16).to_be_bytes();
    let mut message = vec![kind, 0, 0, 0, identifier[0], identifier[1], 0, 1];
    message.extend_from_slice(b"herald");
    let sum = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
    // For IPv6 the kernel fills in its own, which covers the addresses.
    message[2..4].copy_from_slice(&folded.to_be_bytes());
    message
}
