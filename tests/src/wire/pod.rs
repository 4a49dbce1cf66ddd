//! Pods: namespaces behind a node, on a routed veth as most network plugins do it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError},
};

use anyhow::{Context, Result};

use super::{Node, plan};
use crate::netns::Namespace;

/// A pod's network. It goes with [`Pod::remove`] or with the lab, not when dropped.
#[derive(Debug)]
pub struct Pod {
    /// Where its processes run; the interface is `eth0`.
    pub namespace: Namespace,
    /// From the node's pod range.
    pub v4: Ipv4Addr,
    /// From the node's pod range.
    pub v6: Ipv6Addr,
    /// Its node.
    pub node: Arc<Node>,
    number: u8,
}

impl Pod {
    /// Both addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Kills what runs in it and removes it; its addresses are free again.
    pub fn remove(self) -> Result<()> {
        self.namespace.delete()?;
        // A veth goes with its peer's namespace, which the kernel tears down in its own time. Be sure before the name is free.
        let _gone_already = self.node.namespace.ip(&format!("link del {}\n", interface(self.number)));
        self.node.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        Ok(())
    }
}

impl Node {
    /// Adds a pod network with the next free addresses of the node.
    pub fn add_pod(self: &Arc<Self>) -> Result<Pod> {
        let number = {
            let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            let free = (FIRST..=LAST).find(|number| !pods.contains(number));
            let number = free.with_context(|| format!("{} has no room for more pods", self.name))?;
            pods.insert(number);
            number
        };
        let made = self.make_pod(number);
        if made.is_err() {
            self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
        made
    }

    fn make_pod(self: &Arc<Self>, number: u8) -> Result<Pod> {
        let (a, b) = (self.pod_v4.network().octets(), self.pod_v6.network().segments());
        let v4 = Ipv4Addr::new(a[0], a[1], a[2], number);
        let v6 = Ipv6Addr::new(b[0], b[1], b[2], b[3], 0, 0, 0, u16::from(number));
        let namespace = Namespace::create(&format!("{}-pod{number}", self.namespace.name()))?;
        let link = interface(number);
        self.namespace.ip(&format!(
            "link add {link} type veth peer name eth0 netns {pod}\naddress add {GATEWAY_V6}/64 dev {link} nodad\n\
             link set {link} up\nroute add {v4}/32 dev {link}\nroute add {v6}/128 dev {link}\n",
            pod = namespace.name(),
        ))?;
        let gateway = gateway_v4(self.number);
        namespace.ip(&format!(
            "address add {v4}/32 dev eth0\naddress add {v6}/128 dev eth0 nodad\nlink set eth0 up\n\
             route add {gateway} dev eth0\nroute add default via {gateway}\nroute add default via {GATEWAY_V6} dev eth0\n"
        ))?;
        self.namespace.wait_for_link(&link)?;
        namespace.wait_for_link("eth0")?;
        Ok(Pod { namespace, v4, v6, node: Arc::clone(self), number })
    }
}

/// The node's own address in its pod range: what its pods see it as, and their next hop. It is on the node's `lo`.
pub(super) fn gateway_v4(node: u8) -> Ipv4Addr {
    let [a, b, c, _] = plan::pods_v4(node).network().octets();
    Ipv4Addr::new(a, b, c, 1)
}

fn interface(number: u8) -> String {
    format!("pod{number}")
}

const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Leaves room below for addresses that the node uses itself.
const FIRST: u8 = 10;
const LAST: u8 = 250;
