//! The node's interfaces, addresses and default routes, followed through netlink.
//!
//! Notifications say only that something changed; then everything is dumped again. So a notification that was lost, doubled
//! or cannot be decoded costs nothing but the next dump, and the view is always one that the kernel gave whole.

use crate::node::{Interface, NodeView};
use futures::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_connection, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        address::AddressAttribute,
        link::{LinkAttribute, LinkFlags},
        neighbour::{NeighbourAddress, NeighbourAttribute},
        route::{RouteAddress, RouteAttribute},
    },
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// After a dump, how long further notifications gather: pods coming and going make dozens within milliseconds, and a link
/// that goes down must still be known well within a heartbeat.
const GATHER: Duration = Duration::from_millis(5);
/// The longest time between dumps: neighbours come and go without notifications being asked for, since there are many.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Wait before the next try after netlink failed.
const RETRY: Duration = Duration::from_secs(1);

const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// Publishes the node's view until nobody listens. Failures are logged and tried again.
pub(crate) async fn follow(views: watch::Sender<Option<NodeView>>) {
    while !views.is_closed() {
        if let Err(error) = run(&views).await {
            tracing::error!(%error, "cannot follow the node's interfaces, trying again");
        }
        sleep(RETRY).await;
    }
}

async fn run(views: &watch::Sender<Option<NodeView>>) -> io::Result<()> {
    // Subscribed first and dumped second, on two connections, so that nothing falls in between and answers are not mixed
    // with notifications.
    let (notifier, _, mut news) = new_multicast_connection(&GROUPS)?;
    let (requester, handle, _) = new_connection()?;
    let tasks = [tokio::spawn(notifier), tokio::spawn(requester)];
    let result = async {
        loop {
            let view = dump(&handle).await.map_err(io::Error::other)?;
            views.send_if_modified(|current| {
                let changed = current.as_ref() != Some(&view);
                if changed {
                    *current = Some(view);
                }
                changed
            });
            sleep(GATHER).await;
            let look_again = sleep(LOOK_AGAIN);
            tokio::pin!(look_again);
            loop {
                tokio::select! {
                    message = news.next() => match message {
                        None => return Err(io::Error::other("netlink notifications ended")),
                        Some((message, _)) => if matters(&message.payload) { break },
                    },
                    () = views.closed() => return Ok(()),
                    () = &mut look_again => break,
                }
            }
            while news.try_recv().is_ok() {}
        }
    }
    .await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    result
}

/// Whether a notification can change the view. Routes to pods come and go by the hundred; only default routes are looked at.
fn matters(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route)) => {
            route.header.destination_prefix_length == 0
        }
        _ => true,
    }
}

async fn dump(handle: &Handle) -> Result<NodeView, rtnetlink::Error> {
    let mut view = NodeView::default();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        let flags = link.header.flags;
        let mut interface = Interface {
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            neighbours: flags.contains(LinkFlags::Broadcast)
                && !flags.intersects(LinkFlags::Noarp | LinkFlags::Loopback),
            enslaved: false,
            addresses: Vec::new(),
            gateways: Vec::new(),
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Address(bytes) => interface.mac = bytes.try_into().ok(),
                LinkAttribute::Controller(_) => interface.enslaved = true,
                _ => {}
            }
        }
        view.interfaces.insert(link.header.index, interface);
    }
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        // IFA_LOCAL is the own address where the two differ (point to point); IPv6 has IFA_ADDRESS alone.
        let ip = address
            .attributes
            .iter()
            .find_map(|attribute| if let AddressAttribute::Local(ip) = attribute { Some(*ip) } else { None })
            .or_else(|| {
                address
                    .attributes
                    .iter()
                    .find_map(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None })
            });
        let interface = view.interfaces.get_mut(&address.header.index);
        if let (Some(ip), Some(interface)) = (ip, interface)
            && let Ok(network) = IpNet::new(ip, address.header.prefix_len)
        {
            interface.addresses.push(network);
        }
    }
    let mut neighbours = handle.neighbours().get().execute();
    while let Some(neighbour) = neighbours.try_next().await? {
        let (mut ip, mut mac) = (None, None);
        for attribute in neighbour.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => ip = Some(IpAddr::V4(address)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => ip = Some(IpAddr::V6(address)),
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes).ok(),
                _ => {}
            }
        }
        if let (Some(ip), Some(mac)) = (ip, mac) {
            view.neighbours.insert(ip, mac);
        }
    }
    let requests = [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
    for request in requests {
        let mut routes = handle.route().get(request).execute();
        while let Some(route) = routes.try_next().await? {
            if route.header.destination_prefix_length != 0 {
                continue;
            }
            let (mut gateway, mut device) = (None, None);
            for attribute in route.attributes {
                match attribute {
                    RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(IpAddr::V4(ip)),
                    RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some(IpAddr::V6(ip)),
                    RouteAttribute::Oif(index) => device = Some(index),
                    _ => {}
                }
            }
            if let (Some(gateway), Some(interface)) =
                (gateway, device.and_then(|index| view.interfaces.get_mut(&index)))
                && !interface.gateways.contains(&gateway)
            {
                interface.gateways.push(gateway);
            }
        }
    }
    Ok(view)
}
