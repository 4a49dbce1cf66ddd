//! The lab's wiring: machines on one Ethernet segment, each a network namespace.
//!
//! ```text
//!                 switch: bridge br0, one port per member, named like it
//!      ┌─────────────┬────────────┬────────────┬──────────────┬──────────────┐
//!    node1         node2 ...   control      client1 ...     router ────────outside
//!    10.66.1.1     10.66.1.2   10.66.0.10   10.66.2.1       10.66.0.1        10.99.0.10
//!    │ routed                  (API server) (no Kubernetes)  10.99.0.1
//!    pods 10.244.1.0/24
//! ```
//!
//! Addresses for VIPs on the same segment: [`plan::VIPS_V4`], [`plan::VIPS_V6`]. Each lab has the same addresses: labs share
//! nothing, so that several run side by side. MAC addresses name their owner: see [`plan`].
//!
//! The bridge neither learns by protocols nor speaks: no spanning tree, no snooping, no address, no netfilter. A port that is cut
//! by [`crate::fault`] keeps its carrier, as a cable does when the switch behind it loses power on another path.

pub mod plan;
mod pod;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{cleanup::Lab, netns::Namespace};
pub use plan::Mac;
pub use pod::Pod;

/// What to build.
#[derive(Clone, Debug)]
pub struct WireOptions {
    /// Kubernetes nodes, 1 to 99.
    pub nodes: u8,
    /// Machines on the segment that are not part of the cluster, 1 to 99.
    pub clients: u8,
    /// A router with one more client behind it; it is everybody's default route then.
    pub router: bool,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self { nodes: 3, clients: 1, router: false }
    }
}

/// A machine on the segment.
#[derive(Clone, Debug)]
pub struct Member {
    /// Short name: the namespace is `LAB-name`, the switch's port is called the same.
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// Of its interface [`plan::INTERFACE`].
    pub mac: Mac,
    /// On the segment, or behind the router for `outside`.
    pub v4: Ipv4Addr,
    /// As `v4`.
    pub v6: Ipv6Addr,
}

impl Member {
    /// Both addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Makes it ask again who has `ip`, as a machine that has not talked to it for a while.
    pub fn forget(&self, ip: IpAddr) -> Result<()> {
        self.namespace.output("ip", &["neigh", "flush", "to", &ip.to_string()]).map(|_| ())
    }

    /// The address of the same family as `other`.
    #[must_use]
    pub fn address_like(&self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.v4.into() } else { self.v6.into() }
    }
}

/// A Kubernetes node: a member that forwards and has pods behind it.
#[derive(Debug)]
pub struct Node {
    member: Member,
    /// 1-based.
    pub number: u8,
    /// The pods' addresses; routed to this node by the other nodes and the control plane.
    pub pod_v4: ipnet::Ipv4Net,
    /// As `pod_v4`.
    pub pod_v6: ipnet::Ipv6Net,
    pods: Mutex<std::collections::BTreeSet<u8>>,
}

impl std::ops::Deref for Node {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

/// The whole wiring. Dropped, everything is gone; see [`crate::cleanup`].
#[derive(Debug)]
pub struct Wire {
    /// Has the bridge and its ports.
    pub switch: Namespace,
    /// In order of their numbers; node `i` is at `i - 1`: see [`Wire::node`].
    pub nodes: Vec<Arc<Node>>,
    /// Where the API server lives.
    pub control_plane: Arc<Member>,
    /// At least one.
    pub clients: Vec<Arc<Member>>,
    /// Forwards between the segment and `outside`.
    pub router: Option<Arc<Member>>,
    /// Behind the router; not a member of the segment.
    pub outside: Option<Arc<Member>>,
    lab: Lab,
}

impl Wire {
    /// Builds it in a lab of its own and returns when frames pass on every port.
    pub fn build(options: WireOptions) -> Result<Self> {
        Self::build_in(Lab::new()?, options)
    }

    /// Builds it in a lab that the caller made.
    pub fn build_in(lab: Lab, options: WireOptions) -> Result<Self> {
        if !(1..=99).contains(&options.nodes) || !(1..=99).contains(&options.clients) {
            bail!("a wire has 1 to 99 nodes and 1 to 99 clients, not {} and {}", options.nodes, options.clients);
        }
        let places = plan::places(&options);
        let mut names = vec!["switch"];
        names.extend(places.iter().map(|place| place.name.as_str()));
        let mut namespaces = lab.namespaces(&names)?.into_iter();
        let switch = namespaces.next().context("the switch was asked for")?;
        let members: Vec<(plan::Place, Namespace)> = places.into_iter().zip(namespaces).collect();

        set_up_switch(&switch, &members)?;
        thread::scope(|scope| {
            let started: Vec<_> = members
                .iter()
                .map(|(place, namespace)| scope.spawn(|| set_up_member(place, namespace, &options)))
                .collect();
            started
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        wait_for_ports(&switch)?;
        Self::assemble(lab, switch, members)
    }

    fn assemble(lab: Lab, switch: Namespace, members: Vec<(plan::Place, Namespace)>) -> Result<Self> {
        let (mut nodes, mut clients) = (Vec::new(), Vec::new());
        let (mut control_plane, mut router, mut outside) = (None, None, None);
        for (place, namespace) in members {
            let plan::Place { name, role, mac, v4, v6 } = place;
            let member = Member { name, namespace, mac, v4, v6 };
            match role {
                plan::Role::Node(number) => nodes.push(Arc::new(Node {
                    member,
                    number,
                    pod_v4: plan::pods_v4(number),
                    pod_v6: plan::pods_v6(number),
                    pods: Mutex::default(),
                })),
                plan::Role::Client(_) => clients.push(Arc::new(member)),
                plan::Role::ControlPlane => control_plane = Some(Arc::new(member)),
                plan::Role::Router => router = Some(Arc::new(member)),
                plan::Role::Outside => outside = Some(Arc::new(member)),
            }
        }
        let control_plane = control_plane.context("every plan has a control plane")?;
        Ok(Self { switch, nodes, control_plane, clients, router, outside, lab })
    }

    /// The lab it belongs to: its name, its directory.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Lets everything outlive this value and this process: see [`Lab::keep`].
    pub fn keep(&mut self) -> Result<()> {
        self.lab.keep()
    }

    /// Node `number`, from 1.
    #[must_use]
    pub fn node(&self, number: usize) -> Arc<Node> {
        Arc::clone(&self.nodes[number - 1])
    }

    /// The first client.
    #[must_use]
    pub fn client(&self) -> Arc<Member> {
        Arc::clone(&self.clients[0])
    }

    /// Everything with a port on the switch, nodes first.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let nodes = self.nodes.iter().map(|node| &node.member);
        nodes
            .chain(std::iter::once(&*self.control_plane))
            .chain(self.clients.iter().map(|client| &**client))
            .chain(self.router.as_deref())
    }

    /// The member with this MAC address, if it is on the segment.
    #[must_use]
    pub fn member_by_mac(&self, mac: Mac) -> Option<&Member> {
        self.members().find(|member| member.mac == mac)
    }
}

fn set_up_switch(switch: &Namespace, members: &[(plan::Place, Namespace)]) -> Result<()> {
    switch.sysctls(&[
        ("net/ipv6/conf/all/disable_ipv6", "1"),
        ("net/ipv6/conf/default/disable_ipv6", "1"),
        ("net/bridge/bridge-nf-call-iptables", "0"),
        ("net/bridge/bridge-nf-call-ip6tables", "0"),
        ("net/bridge/bridge-nf-call-arptables", "0"),
    ])?;
    let mut script = format!(
        "link add {bridge} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {bridge} up\n",
        bridge = plan::BRIDGE,
        mac = plan::BRIDGE_MAC,
    );
    for (place, namespace) in members {
        let plan::Place { name, role, mac, .. } = place;
        if matches!(role, plan::Role::Outside) {
            continue;
        }
        script += &format!(
            "link add {name} type veth peer name {} address {mac} netns {}\nlink set {name} master {} up\n",
            plan::INTERFACE,
            namespace.name(),
            plan::BRIDGE,
        );
    }
    switch.ip(&script)
}

fn set_up_member(place: &plan::Place, namespace: &Namespace, options: &WireOptions) -> Result<()> {
    if matches!(place.role, plan::Role::Outside) {
        // The router makes this link, being the only one on it.
        return Ok(());
    }
    if matches!(place.role, plan::Role::Node(_) | plan::Role::Router) {
        namespace.sysctls(FORWARDING)?;
    }
    let plan::Place { v4, v6, .. } = place;
    let interface = plan::INTERFACE;
    let mut script = format!(
        "address add {v4}/{} dev {interface}\naddress add {v6}/{} dev {interface} nodad\nlink set {interface} up\n",
        plan::LAN_V4_PREFIX,
        plan::LAN_V6_PREFIX,
    );
    if matches!(place.role, plan::Role::Node(_) | plan::Role::ControlPlane) {
        for number in (1..=options.nodes).filter(|number| place.role != plan::Role::Node(*number)) {
            script += &format!(
                "route add {} via {}\nroute add {} via {}\n",
                plan::pods_v4(number),
                plan::node_v4(number),
                plan::pods_v6(number),
                plan::node_v6(number)
            );
        }
    }
    if let plan::Role::Node(number) = place.role {
        script += &format!("address add {}/32 dev lo\n", pod::gateway_v4(number));
    }
    if options.router && place.role != plan::Role::Router {
        script += &format!("route add default via {}\nroute add default via {}\n", plan::ROUTER_V4, plan::ROUTER_V6);
    }
    namespace.ip(&script)?;
    namespace.wait_for_link(interface)?;
    if place.role == plan::Role::Router { set_up_outside(namespace) } else { Ok(()) }
}

/// Links the router to the client behind it.
fn set_up_outside(router: &Namespace) -> Result<()> {
    let outside = Namespace::open(&plan::sibling(router.name(), "outside"))?;
    router.ip(&format!(
        "link add eth1 address {} type veth peer name eth0 address {} netns {}\n\
         address add {}/24 dev eth1\naddress add {}/64 dev eth1 nodad\nlink set eth1 up\n",
        plan::ROUTER_OUTSIDE_MAC,
        plan::OUTSIDE_MAC,
        outside.name(),
        plan::ROUTER_OUTSIDE_V4,
        plan::ROUTER_OUTSIDE_V6,
    ))?;
    outside.ip(&format!(
        "address add {}/24 dev eth0\naddress add {}/64 dev eth0 nodad\nlink set eth0 up\n\
         route add default via {}\nroute add default via {}\n",
        plan::OUTSIDE_V4,
        plan::OUTSIDE_V6,
        plan::ROUTER_OUTSIDE_V4,
        plan::ROUTER_OUTSIDE_V6,
    ))?;
    outside.wait_for_link("eth0")?;
    router.wait_for_link("eth1")
}

/// A port forwards only when the bridge has noticed its carrier.
fn wait_for_ports(switch: &Namespace) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let ports = switch.output("bridge", &["link", "show"])?;
        if ports.lines().all(|port| port.contains("state forwarding")) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the switch's ports do not forward after 5 s:\n{ports}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

const FORWARDING: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    // Setting `forwarding` lets the kernel take router advertisements for a host's no longer, but be plain about it.
    ("net/ipv6/conf/all/accept_ra", "0"),
];
