//! What a frame leads to.
//!
//! ```text
//!   about an address we own    request           -> answer, learn the asker
//!                              claim by another  -> Conflict; a stranger's: corrective round
//!                              reply to us       -> Confirmed: that client knows us
//!   about one we stand by for  request           -> learn the asker, say nothing
//!   anything else              -> Ignored(why)
//! ```
//!
//! A claim is an ARP message whose sender address is ours, an advertisement of our address, or a solicitation from it,
//! with a MAC address that is not ours. A probe (sender 0.0.0.0 or ::) claims nothing yet; it is answered, which is
//! how its sender learns that the address is taken.

use std::net::IpAddr;
use std::time::Instant;

use super::port::Claim;
use super::{Action, Announcer, Out, Question, role_on};
use crate::clients::Heard;
use crate::wire::arp::{Arp, Operation};
use crate::wire::ethernet::{Ethernet, Protocol, multicast};
use crate::wire::ndp::{Message, Ndp};
use crate::{Claimant, Client, Drop, InterfaceIndex, MacAddr, Observed, Role};

/// Where and when a frame came in.
#[derive(Clone, Copy)]
struct Arrival {
    now: Instant,
    received: Instant,
    interface: InterfaceIndex,
    ethernet: Ethernet,
    /// Our MAC address there.
    mac: MacAddr,
}

impl Arrival {
    /// Says how the sender regards us: whoever writes to our MAC address about an address knows who owns it.
    fn heard(&self) -> Heard {
        if self.ethernet.destination == self.mac { Heard::KnowingUs } else { Heard::Asking }
    }
}

impl Announcer {
    pub(super) fn receive(&mut self, now: Instant, interface: InterfaceIndex, received: Instant, bytes: &[u8]) {
        if let Err(reason) = self.frame(now, interface, received, bytes) {
            self.report(Observed::Ignored(reason));
        }
    }

    fn frame(&mut self, now: Instant, interface: InterfaceIndex, received: Instant, bytes: &[u8]) -> Result<(), Drop> {
        let mac = self.ports.get(&interface).ok_or(Drop::UnknownInterface)?.mac();
        if self.stale(now, received) {
            return Err(Drop::Stale);
        }
        let (ethernet, payload) = Ethernet::parse(bytes)?;
        self.stranger(ethernet.source)?;
        let arrival = Arrival { now, received, interface, ethernet, mac };
        match ethernet.protocol {
            Protocol::Arp if ethernet.destination == mac || ethernet.destination == MacAddr::BROADCAST => {
                self.arp(arrival, Arp::parse(payload)?)
            }
            Protocol::Arp => Err(Drop::NotForUs),
            Protocol::Ipv6 => {
                let ndp = Ndp::parse(payload)?;
                let group = ndp.destination.is_multicast() && ethernet.destination == multicast(ndp.destination);
                if ethernet.destination == mac || group { self.ndp(arrival, ndp) } else { Err(Drop::NotForUs) }
            }
        }
    }

    fn arp(&mut self, arrival: Arrival, arp: Arp) -> Result<(), Drop> {
        self.stranger(arp.sender_mac)?;
        if arp.sender_ip.is_multicast() || arp.sender_ip.is_broadcast() || arp.sender_ip.is_loopback() {
            return Err(Drop::SenderIp);
        }
        let client = Client { ip: arp.sender_ip.into(), mac: arp.sender_mac };
        let ip = IpAddr::from(arp.target_ip);
        if self.owns(arrival.interface, client.ip) {
            return self.claim(arrival, client);
        }
        if arp.operation == Operation::Reply {
            return self.confirmation(arrival, ip, client);
        }
        if client.ip == ip && self.addresses.contains_key(&ip) {
            return Err(Drop::NothingAsked);
        }
        if self.request(arrival, ip, client)? == Role::Owner {
            let frame = self.ports[&arrival.interface].voice().answer_v4(arp.target_ip, client.mac, arp.sender_ip);
            self.answer(arrival, ip, client, frame);
        }
        Ok(())
    }

    fn ndp(&mut self, arrival: Arrival, ndp: Ndp) -> Result<(), Drop> {
        // A solicitation without the option comes from one that has our address already and checks it (RFC 4861
        // §4.3: the option may be left out of unicast ones); the frame tells where the answer goes.
        let mac = ndp.mac.unwrap_or(arrival.ethernet.source);
        self.stranger(mac)?;
        let ip = IpAddr::from(ndp.target);
        match ndp.message {
            Message::Advertisement { .. } if self.owns(arrival.interface, ip) => {
                self.claim(arrival, Client { ip, mac })
            }
            Message::Advertisement { .. } => self.confirmation(arrival, ndp.destination.into(), Client { ip, mac }),
            Message::Solicitation => {
                let client = Client { ip: ndp.source.into(), mac };
                if self.owns(arrival.interface, client.ip) {
                    return self.claim(arrival, client);
                }
                if self.request(arrival, ip, client)? == Role::Owner {
                    let voice = self.ports[&arrival.interface].voice();
                    let frame = if ndp.source.is_unspecified() {
                        voice.defence_v6(ndp.target)
                    } else {
                        voice.answer_v6(ndp.target, client.mac, ndp.source)
                    };
                    self.answer(arrival, ip, client, frame);
                }
                Ok(())
            }
        }
    }

    /// Refuses what cannot be the MAC address of another station.
    fn stranger(&self, mac: MacAddr) -> Result<(), Drop> {
        if self.own.contains(&mac) {
            return Err(Drop::Own);
        }
        if mac.is_unicast() { Ok(()) } else { Err(Drop::SenderMac) }
    }

    fn owns(&self, interface: InterfaceIndex, ip: IpAddr) -> bool {
        self.ports.get(&interface).is_some_and(|port| port.owns(ip))
    }

    /// Takes a request for `ip`; returns what we are for it there.
    fn request(&mut self, arrival: Arrival, ip: IpAddr, client: Client) -> Result<Role, Drop> {
        if !self.addresses.contains_key(&ip) {
            return Err(Drop::NotOurAddress);
        }
        let role = role_on(&self.addresses, ip, arrival.interface).ok_or(Drop::OtherInterface)?;
        self.learn(arrival, ip, client, arrival.heard());
        self.report(Observed::Request { ip, interface: arrival.interface, client, role });
        Ok(role)
    }

    /// Takes a reply: it counts if it answers our directed request, which only a frame to our MAC address can do.
    fn confirmation(&mut self, arrival: Arrival, ip: IpAddr, client: Client) -> Result<(), Drop> {
        if arrival.heard() != Heard::KnowingUs || !self.owns(arrival.interface, ip) || client.ip.is_unspecified() {
            return Err(Drop::NothingAsked);
        }
        self.learn(arrival, ip, client, Heard::KnowingUs);
        self.report(Observed::Confirmed { ip, interface: arrival.interface, client });
        Ok(())
    }

    /// Probes are nobody yet, and who speaks for another announced address is a node, not a client.
    fn learn(&mut self, arrival: Arrival, ip: IpAddr, client: Client, heard: Heard) {
        if !client.ip.is_unspecified() && !self.addresses.contains_key(&client.ip) {
            self.clients.learn(arrival.now, ip, arrival.interface, client, heard);
        }
    }

    fn claim(&mut self, arrival: Arrival, claimed: Client) -> Result<(), Drop> {
        let claimant = if self.peers.contains(&claimed.mac) { Claimant::Peer } else { Claimant::Foreign };
        let port = self.ports.get_mut(&arrival.interface).ok_or(Drop::UnknownInterface)?;
        let defend = claimant == Claimant::Foreign;
        match port.claimed(arrival.now, claimed.ip, defend, &self.settings, &self.clients, &mut self.rounds) {
            Claim::Repeated => Err(Drop::RepeatedClaim),
            Claim::Report => {
                self.report(Observed::Conflict {
                    ip: claimed.ip,
                    interface: arrival.interface,
                    mac: claimed.mac,
                    claimant,
                });
                Ok(())
            }
        }
    }

    fn answer(&mut self, arrival: Arrival, ip: IpAddr, client: Client, frame: Vec<u8>) {
        let interface = arrival.interface;
        let answers = Some(Question { ip, interface, mac: arrival.mac, received: arrival.received });
        self.out.push_back(Out { action: Action::Send { interface, frame }, answers });
        self.out.push_back(Out { action: Action::Report(Observed::Answered { ip, interface, client }), answers });
    }

    fn report(&mut self, observed: Observed) {
        self.out.push_back(Out { action: Action::Report(observed), answers: None });
    }
}
