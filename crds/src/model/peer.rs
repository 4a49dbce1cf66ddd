//! A BGP peer that is known to make sense.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::bfd::BfdProfile;
use super::duration::parse_duration;
use super::problem::{Kind, Mistakes, Problem, ProblemReason};
use super::range::parse_ip;
use super::resolve::Resolved;
use super::select::{compile_all, matching_nodes};
use super::snapshot::{Config, Password};
use super::waiting::{Missing, Waiting};
use crate::api::{BGPPeer, BGPPeerSpec, DynamicAsn};

/// A router, and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name of the object.
    pub name: String,
    /// The AS number of this side.
    pub my_asn: u32,
    /// The AS number shown to the router in place of `my_asn`.
    pub local_asn: Option<u32>,
    /// The AS numbers of the router that are taken.
    pub remote: RemoteAs,
    /// Where the router is.
    pub place: Place,
    /// Its TCP port.
    pub port: u16,
    /// The address of this side.
    pub source: Option<IpAddr>,
    /// The hold time to propose; nothing means the default. Zero means that the session is never given up for silence.
    pub hold: Option<Duration>,
    /// The interval of keepalives; there is one exactly if there is a hold time, and it is never longer.
    pub keepalive: Option<Duration>,
    /// The time between attempts to connect; nothing means the default.
    pub connect: Option<Duration>,
    /// The BGP identifier of this side; nothing means that the node chooses.
    pub router_id: Option<Ipv4Addr>,
    /// The nodes that talk to the router, by name.
    pub nodes: BTreeSet<String>,
    /// The password of the TCP connection.
    pub password: Option<Password>,
    /// The settings of the BFD session; nothing means that there is none.
    pub bfd: Option<BfdProfile>,
    /// Whether the router is asked to keep routes over a restart of this side.
    pub graceful_restart: bool,
    /// Whether the router is several hops away.
    pub multi_hop: bool,
    /// The Linux VRF that the session lives in.
    pub vrf: Option<String>,
    /// Whether routes of both families are exchanged, whatever the family of the session.
    pub both_families: bool,
}

impl Peer {
    /// Whether the router is in our AS. Nothing is certain about one that is not told to be: `External` is not.
    pub fn is_internal(&self) -> bool {
        match self.remote {
            RemoteAs::Exactly(asn) => asn == self.my_asn,
            RemoteAs::Internal => true,
            RemoteAs::External => false,
        }
    }
}

/// Which AS numbers of a router are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteAs {
    /// This one.
    Exactly(u32),
    /// Ours, whichever it is.
    Internal,
    /// Any but ours.
    External,
}

/// Where a router is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At an address.
    Address(IpAddr),
    /// Behind an interface of the node; its link-local address is found there.
    Interface(String),
}

impl Peer {
    /// Reads a peer; with what it waits for, if it does. `profiles` are the BFD profiles in force.
    pub(super) fn read(
        name: &str,
        object: &BGPPeer,
        config: &Config,
        so_far: &Resolved,
    ) -> Result<Result<Peer, Waiting>, Vec<Problem>> {
        let mut mistakes = Mistakes::of(Kind::BGPPeer, name);
        let spec = &object.spec;
        if spec.my_asn == 0 {
            mistakes.add(ProblemReason::BadNumber, "spec.myASN is 0: write the AS number of this side");
        }
        let remote = read_remote(spec, &mut mistakes);
        let place = read_place(spec, &mut mistakes);
        if !(1..=16384).contains(&spec.peer_port) {
            let message = format!("spec.peerPort is {}: use a number from 1 to 16384", spec.peer_port);
            mistakes.add(ProblemReason::BadNumber, message);
        }
        let source = read_ip("spec.sourceAddress", &spec.source_address, &mut mistakes);
        let router_id = read_router_id(spec, &mut mistakes);
        let (hold, keepalive) = read_timers(spec, &mut mistakes);
        let connect = read_connect_time(spec, &mut mistakes);
        let internal = remote == Some(RemoteAs::Internal) || spec.peer_asn != 0 && spec.peer_asn == spec.my_asn;
        if spec.ebgp_multi_hop && internal {
            let message = "spec.ebgpMultiHop is only for routers of another AS, and this one is of ours: remove it";
            mistakes.add(ProblemReason::Contradiction, message);
        }
        let texts = [("interface", &spec.interface), ("vrf", &spec.vrf), ("password", &spec.password)];
        for (field, _) in texts.iter().filter(|(_, text)| text.contains(['\n', '\r'])) {
            mistakes.add(ProblemReason::BadText, format!("spec.{field} holds a line break: write it on one line"));
        }
        let mut missing = Vec::new();
        let password = read_password(spec, config, &mut missing, &mut mistakes);
        let bfd = match spec.bfd_profile.as_str() {
            "" => None,
            profile if so_far.bfd_profiles.contains_key(profile) => so_far.bfd_profiles.get(profile).cloned(),
            profile => {
                missing.push(Missing::BfdProfile(profile.to_owned()));
                None
            }
        };
        let node_selectors = compile_all("spec.nodeSelectors", &spec.node_selectors, &mut mistakes);
        // What could not be read has left a mistake behind, which keeps these stand-ins from being seen.
        let unnumbered = matches!(place, Some(Place::Interface(_)));
        let peer = mistakes.or(Peer {
            name: name.to_owned(),
            my_asn: spec.my_asn,
            local_asn: Some(spec.local_asn).filter(|&asn| asn != 0),
            remote: remote.unwrap_or(RemoteAs::Exactly(0)),
            place: place.unwrap_or(Place::Interface(String::new())),
            port: spec.peer_port,
            source,
            hold,
            keepalive,
            connect,
            router_id,
            nodes: matching_nodes(&spec.node_selectors, &node_selectors, config),
            password,
            bfd,
            graceful_restart: spec.enable_graceful_restart,
            multi_hop: spec.ebgp_multi_hop,
            vrf: Some(spec.vrf.clone()).filter(|vrf| !vrf.is_empty()),
            both_families: (spec.dual_stack_address_family || unnumbered) && !spec.disable_mp,
        })?;
        Ok(Waiting::unless(Kind::BGPPeer, name, missing, peer))
    }
}

fn read_remote(spec: &BGPPeerSpec, mistakes: &mut Mistakes) -> Option<RemoteAs> {
    match (spec.peer_asn, spec.dynamic_asn) {
        (0, Some(DynamicAsn::Internal)) => Some(RemoteAs::Internal),
        (0, Some(DynamicAsn::External)) => Some(RemoteAs::External),
        (0, None) => {
            let message = "neither spec.peerASN nor spec.dynamicASN is written: write one of them";
            mistakes.add(ProblemReason::Missing, message);
            None
        }
        (asn, None) => Some(RemoteAs::Exactly(asn)),
        (_, Some(_)) => {
            let message = "both spec.peerASN and spec.dynamicASN are written: remove one of them";
            mistakes.add(ProblemReason::Contradiction, message);
            None
        }
    }
}

fn read_place(spec: &BGPPeerSpec, mistakes: &mut Mistakes) -> Option<Place> {
    match (spec.peer_address.as_str(), spec.interface.as_str()) {
        ("", "") => {
            let message = "neither spec.peerAddress nor spec.interface is written: write one of them";
            mistakes.add(ProblemReason::Missing, message);
            None
        }
        ("", interface) => Some(Place::Interface(interface.to_owned())),
        (address, "") => read_ip("spec.peerAddress", address, mistakes).map(Place::Address),
        _ => {
            let message = "both spec.peerAddress and spec.interface are written: remove one of them";
            mistakes.add(ProblemReason::Contradiction, message);
            None
        }
    }
}

fn read_ip(field: &str, text: &str, mistakes: &mut Mistakes) -> Option<IpAddr> {
    if text.is_empty() {
        return None;
    }
    let ip = parse_ip(text);
    if ip.is_none() {
        mistakes.add(ProblemReason::BadAddresses, format!("{field}: \"{text}\" is not an IP address"));
    }
    ip
}

fn read_router_id(spec: &BGPPeerSpec, mistakes: &mut Mistakes) -> Option<Ipv4Addr> {
    match read_ip("spec.routerID", &spec.router_id, mistakes)? {
        IpAddr::V4(id) if !id.is_unspecified() => Some(id),
        other => {
            let message = format!("spec.routerID is {other}: write an IPv4 address other than 0.0.0.0");
            mistakes.add(ProblemReason::BadAddresses, message);
            None
        }
    }
}

fn read_time(field: &str, text: Option<&str>, mistakes: &mut Mistakes) -> Option<Duration> {
    let text = text?;
    let time = parse_duration(text);
    if time.is_none() {
        let message = format!("{field}: \"{text}\" is not a duration such as 90s or 1m30s");
        mistakes.add(ProblemReason::BadTimer, message);
    }
    time
}

/// The longest time that fits an OPEN message (RFC 4271 §4.2), and FRR's timers.
const LONGEST: Duration = Duration::from_secs(u16::MAX as u64);

/// The hold time and the keepalive interval, in whole seconds as far as the hold time goes (RFC 4271 §4.2 counts it in seconds).
fn read_timers(spec: &BGPPeerSpec, mistakes: &mut Mistakes) -> (Option<Duration>, Option<Duration>) {
    let hold = read_time("spec.holdTime", spec.hold_time.as_deref(), mistakes);
    let keepalive = read_time("spec.keepaliveTime", spec.keepalive_time.as_deref(), mistakes);
    let hold = hold.map(|hold| Duration::from_secs(hold.as_secs()));
    let (hold, keepalive) = match (hold, keepalive) {
        (None, None) => return (None, None),
        (Some(hold), None) => (hold, hold / 3),
        (None, Some(keepalive)) => (keepalive.saturating_mul(3), keepalive),
        (Some(hold), Some(keepalive)) => (hold, keepalive),
    };
    if !hold.is_zero() && hold < Duration::from_secs(3) || hold > LONGEST {
        let message = format!("the hold time is {hold:?}: use 0s, or a time from 3s to 65535s");
        mistakes.add(ProblemReason::BadTimer, message);
    } else if keepalive > hold {
        let message = format!(
            "spec.keepaliveTime ({keepalive:?}) is longer than the hold time ({hold:?}): use at most a third of it"
        );
        mistakes.add(ProblemReason::BadTimer, message);
    }
    (Some(hold), Some(keepalive))
}

fn read_connect_time(spec: &BGPPeerSpec, mistakes: &mut Mistakes) -> Option<Duration> {
    let time = read_time("spec.connectTime", spec.connect_time.as_deref(), mistakes)?;
    if time < Duration::from_secs(1) || time > LONGEST || time.subsec_nanos() != 0 {
        let message = format!("spec.connectTime is {time:?}: use whole seconds from 1s to 65535s");
        mistakes.add(ProblemReason::BadTimer, message);
    }
    Some(time)
}

const SECRET_TYPE: &str = "kubernetes.io/basic-auth";

fn read_password(
    spec: &BGPPeerSpec,
    config: &Config,
    missing: &mut Vec<Missing>,
    mistakes: &mut Mistakes,
) -> Option<Password> {
    let written = Some(spec.password.as_str()).filter(|text| !text.is_empty());
    let named = spec.password_secret.as_ref().map(|secret| secret.name.as_str()).filter(|name| !name.is_empty());
    let name = match (written, named) {
        (None, None) => return None,
        (Some(text), None) => return Some(Password::new(text)),
        (Some(_), Some(_)) => {
            let message = "both spec.password and spec.passwordSecret are written: remove one of them";
            mistakes.add(ProblemReason::Contradiction, message);
            return None;
        }
        (None, Some(name)) => name,
    };
    let Some(secret) = config.secrets.get(name) else {
        missing.push(Missing::Secret(name.to_owned()));
        return None;
    };
    let wrong = if secret.kind != SECRET_TYPE {
        format!("is of type \"{}\": it must be of type {SECRET_TYPE}", secret.kind)
    } else {
        match &secret.password {
            None => "has no text under the key \"password\": add it".to_owned(),
            Some(password) if password.reveal().contains(['\n', '\r']) => {
                "holds a password with a line break: write it on one line".to_owned()
            }
            Some(password) => return Some(password.clone()),
        }
    };
    mistakes.add(ProblemReason::BadSecret, format!("spec.passwordSecret: the Secret {name} {wrong}"));
    None
}
