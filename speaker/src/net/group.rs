//! Membership in multicast groups: what makes the network card and snooping switches deliver a solicitation to this node.
//!
//! Plain UDP sockets that never receive; joining through them also makes the kernel send MLD reports.

use socket2::{Domain, Socket, Type};
use std::{collections::BTreeMap, io, net::Ipv6Addr};

/// Memberships a socket takes before the next one is opened. The kernel charges each to the socket's option memory
/// (`net.core.optmem_max`): 2,339 fit by today's default, 365 by that of kernels before 6.6.
const PER_SOCKET: usize = 300;

/// The groups that this process is a member of, by interface.
#[derive(Default)]
pub(crate) struct Groups {
    sockets: Vec<(Socket, usize)>,
    members: BTreeMap<(u32, Ipv6Addr), usize>,
}

impl Groups {
    /// Joins a group on an interface. Joining twice is once.
    ///
    /// # Errors
    /// The interface is gone, or the kernel refuses.
    pub(crate) fn join(&mut self, interface: u32, group: Ipv6Addr) -> io::Result<()> {
        if self.members.contains_key(&(interface, group)) {
            return Ok(());
        }
        let index = match self.sockets.iter().position(|(_, count)| *count < PER_SOCKET) {
            Some(index) => index,
            None => {
                self.sockets.push((Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?, 0));
                self.sockets.len() - 1
            }
        };
        let (socket, count) = &mut self.sockets[index];
        socket.join_multicast_v6(&group, interface)?;
        *count += 1;
        self.members.insert((interface, group), index);
        Ok(())
    }

    /// Leaves a group on an interface. Leaving what was not joined is nothing; an interface that is gone took its
    /// memberships along.
    pub(crate) fn leave(&mut self, interface: u32, group: Ipv6Addr) {
        if let Some(index) = self.members.remove(&(interface, group)) {
            let (socket, count) = &mut self.sockets[index];
            let _ = socket.leave_multicast_v6(&group, interface);
            *count -= 1;
        }
    }
}
