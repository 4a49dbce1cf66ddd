//! Pods' networks: an address of each family from the node's pod networks, in a network namespace behind a routed veth.
//!
//! The node has a route to each address and is the pod's next hop; nothing is bridged, so a pod's frames never reach the LAN as such.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::netns::Namespace;

/// Last bytes of pods' addresses. The lower ones are left to networks that others make on the node.
const ROOM: std::ops::RangeInclusive<u8> = 100..=250;

/// The pods' next hop. On every veth, and nowhere else.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The node's pod networks and what is taken of them.
#[derive(Debug)]
pub(super) struct Networks {
    node: Namespace,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    numbers: BTreeSet<u8>,
    /// Where the search begins: a number is used again as late as possible, because others may still have its pod in mind.
    next: u8,
}

impl Networks {
    pub(super) fn new(namespace: &str, networks: &[IpNet]) -> Result<Self> {
        let v4 = networks.iter().find_map(|network| match network {
            IpNet::V4(network) => Some(network.network()),
            IpNet::V6(_) => None,
        });
        let v6 = networks.iter().find_map(|network| match network {
            IpNet::V6(network) => Some(network.network()),
            IpNet::V4(_) => None,
        });
        Ok(Self { node: Namespace::open(namespace)?, v4, v6, taken: Arc::default() })
    }

    /// Makes a network for one pod. Blocks for some tens of milliseconds.
    pub(super) fn add(&self) -> Result<Network> {
        let number = self.take()?;
        let made = self.make(number);
        if made.is_err() {
            lock(&self.taken).numbers.remove(&number);
        }
        made
    }

    fn take(&self) -> Result<u8> {
        let mut taken = lock(&self.taken);
        let from = taken.next.max(*ROOM.start());
        let number = (from..=*ROOM.end())
            .chain(*ROOM.start()..from)
            .find(|number| !taken.numbers.contains(number))
            .context("the node has no room for more pods")?;
        taken.numbers.insert(number);
        taken.next = number.checked_add(1).filter(|next| ROOM.contains(next)).unwrap_or(*ROOM.start());
        Ok(number)
    }

    fn make(&self, number: u8) -> Result<Network> {
        let v4 = self.v4.map(|network| {
            let [a, b, c, _] = network.octets();
            (Ipv4Addr::new(a, b, c, number), Ipv4Addr::new(a, b, c, 1))
        });
        let v6 = self.v6.map(|network| {
            let mut segments = network.segments();
            segments[7] = u16::from(number);
            Ipv6Addr::from(segments)
        });
        let link = format!("veth{number}");
        let namespace = Namespace::create(&format!("{}-p{number}", self.node.name()))?;
        let mut node = format!("link add {link} type veth peer name eth0 netns {}\n", namespace.name());
        let mut pod = String::new();
        if let Some((address, gateway)) = v4 {
            // The node answers for its address in the pod network on every interface.
            node += &format!(
                "address replace {gateway}/32 dev lo\nlink set {link} up\nroute add {address}/32 dev {link}\n"
            );
            pod += &format!(
                "address add {address}/32 dev eth0\nlink set eth0 up\nroute add {gateway} dev eth0\nroute add default via {gateway}\n"
            );
        }
        if let Some(address) = v6 {
            node += &format!(
                "address add {GATEWAY_V6}/64 dev {link} nodad\nlink set {link} up\nroute add {address}/128 dev {link}\n"
            );
            pod += &format!(
                "address add {address}/128 dev eth0 nodad\nlink set eth0 up\nroute add default via {GATEWAY_V6} dev eth0\n"
            );
        }
        self.node.ip(&node).and_then(|()| namespace.ip(&pod)).inspect_err(|_| {
            let _ = namespace.clone().delete();
        })?;
        Ok(Network {
            addresses: v4.map(|(address, _)| address.into()).into_iter().chain(v6.map(IpAddr::from)).collect(),
            namespace,
            link,
            node: self.node.clone(),
            number,
            taken: Arc::clone(&self.taken),
        })
    }
}

/// One pod's network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) namespace: Namespace,
    pub(super) addresses: Vec<IpAddr>,
    link: String,
    node: Namespace,
    number: u8,
    taken: Arc<Mutex<Taken>>,
}

impl Network {
    /// Kills what still runs in it, removes it and gives its addresses back. Blocks.
    pub(super) fn remove(self) -> Result<()> {
        self.namespace.delete()?;
        // The kernel removes the veth with the namespace, in its own time; the name must be free before the number is.
        let _gone_already = self.node.ip(&format!("link del {}\n", self.link));
        lock(&self.taken).numbers.remove(&self.number);
        Ok(())
    }
}

fn lock(taken: &Mutex<Taken>) -> std::sync::MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}
