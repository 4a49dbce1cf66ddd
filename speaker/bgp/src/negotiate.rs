//! What two OPENs agree on, or why they cannot.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::cease::KeepsRoutes;
use crate::iana::{AS_TRANS, CapabilityCode, ErrorCode, OpenSubcode, afi, safi};
use crate::peer::{Offer, RemoteAs, Settings};
use crate::restart::{self, Comeback};
use crate::wire::{
    AddPathFamily, AddPathMode, AfiSafi, Asn, Capability, Encoding, ExtendedNextHop, Families, Family, Notification,
    Open, PeerKind, Role,
};

/// What a session agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_as: Asn,
    /// iBGP or eBGP.
    pub kind: PeerKind,
    /// The peer's BGP Identifier.
    pub peer_id: Ipv4Addr,
    /// How long the peer may be silent; nothing if that does not matter.
    pub hold_time: Option<Duration>,
    /// How often we say that we live; nothing if the hold time is none.
    pub keepalive_time: Option<Duration>,
    /// What may be sent.
    pub families: Families,
    /// What we offered and the peer did not, which is a mistake on one side more often than not.
    pub families_missing: Families,
    /// How messages to the peer are written.
    pub sending: Encoding,
    /// How messages of the peer are read.
    pub receiving: Encoding,
    /// The peer may ask for everything again (RFC 2918).
    pub route_refresh: bool,
    /// Answers to that are marked (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// When the peer keeps our routes after the session is gone.
    pub keeps_routes: KeepsRoutes,
    /// The peer says that it has restarted (RFC 4724, R bit).
    pub peer_restarted: bool,
    /// Our part and the peer's, if either says so (RFC 9234).
    pub roles: (Option<Role>, Option<Role>),
}

impl Negotiated {
    /// Returns the value of OTC on routes to this peer: our AS, if only customers may learn them (RFC 9234 §5).
    pub(crate) fn only_to_customer(&self, local_as: Asn) -> Option<Asn> {
        let ours = self.roles.0.filter(|_| self.kind == PeerKind::External)?;
        matches!(ours, Role::Provider | Role::Peer | Role::RouteServer).then_some(local_as)
    }
}

/// Why the peer's OPEN is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is another AS than configured.
    WrongAs {
        /// What the peer says.
        found: Asn,
        /// What we were told.
        expected: RemoteAs,
        /// Our own, as the peer sees it.
        ours: Asn,
    },
    /// Its AS needs four octets, and it cannot say it.
    AsTrans {
        /// What we were told.
        expected: RemoteAs,
    },
    /// Two speakers of one AS with the same identifier (RFC 6286 §2.1).
    SameIdentifier(Ipv4Addr),
    /// There is nothing to exchange.
    NoCommonFamily {
        /// Ours.
        ours: Families,
        /// The peer's, as far as we know them.
        theirs: Families,
    },
    /// The two do not fit (RFC 9234 §4.2).
    RoleMismatch {
        /// Ours.
        ours: Role,
        /// The peer's.
        theirs: Role,
    },
}

impl Refusal {
    /// Returns the message that tells the peer.
    pub(crate) fn notification(&self) -> Notification {
        let open = |subcode: OpenSubcode| Notification::new(ErrorCode::Open, subcode.number());
        match self {
            Self::WrongAs { .. } | Self::AsTrans { .. } => open(OpenSubcode::BadPeerAs),
            Self::SameIdentifier(_) => open(OpenSubcode::BadBgpIdentifier),
            Self::NoCommonFamily { ours, .. } => {
                let data = ours.iter().flat_map(required).collect();
                Notification { data, ..open(OpenSubcode::UnsupportedCapability) }
            }
            Self::RoleMismatch { .. } => open(OpenSubcode::RoleMismatch),
        }
    }

    /// Returns the reason as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::WrongAs { .. } | Self::AsTrans { .. } => "wrong_as",
            Self::SameIdentifier(_) => "same_identifier",
            Self::NoCommonFamily { .. } => "no_common_family",
            Self::RoleMismatch { .. } => "role_mismatch",
        }
    }
}

/// The capability that the peer would need, as an OPEN would say it (RFC 5492 §5).
fn required(family: Family) -> [u8; 6] {
    let AfiSafi { afi, safi } = AfiSafi::from(family);
    let [high, low] = afi.to_be_bytes();
    [CapabilityCode::MultiProtocol.number(), 4, high, low, 0, safi]
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongAs { found, expected: RemoteAs::Exactly(asn), .. } => {
                write!(f, "the peer is in AS {found}, expected {asn}: correct the peer's AS here or its own AS there")
            }
            Self::WrongAs { found, expected: RemoteAs::Internal, ours } => {
                write!(
                    f,
                    "the peer is in AS {found}, expected our own, {ours}, for iBGP: correct one of them, or make the peer external"
                )
            }
            Self::WrongAs { found, expected: RemoteAs::External, .. } => {
                write!(
                    f,
                    "the peer is in AS {found}, which is our own, expected another for eBGP: correct one of them, or make the peer internal"
                )
            }
            Self::AsTrans { expected } => {
                let expected = match expected {
                    RemoteAs::Exactly(asn) => format!("AS {asn}"),
                    RemoteAs::Internal => "our own AS".into(),
                    RemoteAs::External => "an AS".into(),
                };
                write!(
                    f,
                    "the peer says AS_TRANS ({AS_TRANS}) without the 4-octet AS capability, expected {expected}: enable 4-octet AS numbers on the peer"
                )
            }
            Self::SameIdentifier(id) => {
                write!(
                    f,
                    "the peer has our own BGP identifier, {id}, in the same AS: give one of the two another router ID"
                )
            }
            Self::NoCommonFamily { ours, theirs } => {
                write!(
                    f,
                    "the peer takes {}, we announce {}: activate one of ours on the peer",
                    list(*theirs),
                    list(*ours)
                )
            }
            Self::RoleMismatch { ours, theirs } => {
                write!(
                    f,
                    "our role is {ours}, the peer's is {theirs}, which do not fit: provider goes with customer, route server with its client, peer with peer"
                )
            }
        }
    }
}

fn list(families: Families) -> String {
    let names: Vec<String> = families.iter().map(|family| family.to_string()).collect();
    if names.is_empty() { "no family we know".into() } else { names.join(" and ") }
}

/// Returns our OPEN.
pub(crate) fn our_open(now: Instant, settings: &Settings, comeback: &Comeback) -> Open {
    let asn = settings.shown_as();
    let mut capabilities: Vec<Capability> =
        settings.families.iter().map(|family| Capability::MultiProtocol(family.into())).collect();
    capabilities.extend([
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(asn),
    ]);
    if settings.extended_next_hop == Offer::Yes && settings.families.contains(Family::V4Unicast) {
        let pair = ExtendedNextHop { family: Family::V4Unicast.into(), next_hop_afi: afi::IPV6 };
        capabilities.push(Capability::ExtendedNextHop(vec![pair]));
    }
    if settings.add_path == Offer::Yes {
        let receive = |family: Family| AddPathFamily { family: family.into(), mode: AddPathMode::Receive };
        capabilities.push(Capability::AddPath(settings.families.iter().map(receive).collect()));
    }
    capabilities.extend(comeback.capability(now, settings));
    let internal = match settings.remote_as {
        RemoteAs::Exactly(remote) => remote == asn,
        RemoteAs::Internal => true,
        RemoteAs::External => false,
    };
    capabilities.extend(settings.role.filter(|_| !internal).map(Capability::Role));
    Open::new(asn, settings.hold_seconds(), settings.router_id, capabilities)
}

/// Compares the two OPENs.
///
/// # Errors
///
/// Why the peer's is not acceptable.
pub(crate) fn negotiate(settings: &Settings, ours: &Open, theirs: &Open) -> Result<Negotiated, Refusal> {
    let local_as = settings.shown_as();
    let peer_as = theirs.asn();
    check_as(settings.remote_as, local_as, theirs)?;
    let kind = if peer_as == local_as { PeerKind::Internal } else { PeerKind::External };
    if kind == PeerKind::Internal && theirs.identifier == ours.identifier {
        return Err(Refusal::SameIdentifier(ours.identifier));
    }
    let offered = families(theirs);
    let common = settings.families.intersection(offered);
    if common.is_empty() && !settings.families.is_empty() {
        return Err(Refusal::NoCommonFamily { ours: settings.families, theirs: offered });
    }
    let told = (roles(ours).next(), roles(theirs).next());
    // Of two that differ, one does not fit (RFC 9234 §4.2).
    if let Some(ours) = told.0
        && kind == PeerKind::External
        && let Some(theirs) = roles(theirs).find(|theirs| !fit(ours, *theirs))
    {
        return Err(Refusal::RoleMismatch { ours, theirs });
    }

    let both = |code| has(ours, code) && has(theirs, code);
    let encoding = Encoding {
        four_octet_as: both(CapabilityCode::FourOctetAs),
        extended_message: false,
        add_path: Families::NONE,
        extended_next_hop: extended_next_hop(ours).intersection(extended_next_hop(theirs)),
        peer: kind,
    };
    let hold_time = Some(ours.hold_time.min(theirs.hold_time)).filter(|seconds| *seconds != 0);
    let hold_time = hold_time.map(|seconds| Duration::from_secs(seconds.into()));
    Ok(Negotiated {
        peer_as,
        kind,
        peer_id: theirs.identifier,
        hold_time,
        keepalive_time: hold_time.map(|hold| keepalive(settings, hold)),
        families: common,
        families_missing: settings.families.iter().filter(|family| !common.contains(*family)).collect(),
        // RFC 8654 §4: each may send long messages if the other takes them, whatever it says itself.
        sending: Encoding { extended_message: has(theirs, CapabilityCode::ExtendedMessage), ..encoding },
        receiving: Encoding {
            extended_message: has(ours, CapabilityCode::ExtendedMessage),
            add_path: paths(ours, AddPathMode::receives).intersection(paths(theirs, AddPathMode::sends)),
            ..encoding
        },
        route_refresh: both(CapabilityCode::RouteRefresh),
        enhanced_route_refresh: both(CapabilityCode::EnhancedRouteRefresh),
        keeps_routes: restart::keeps_routes(ours, theirs),
        peer_restarted: restart::promise(theirs).is_some_and(|promise| promise.restart_state),
        roles: told,
    })
}

fn check_as(expected: RemoteAs, ours: Asn, theirs: &Open) -> Result<(), Refusal> {
    let found = theirs.asn();
    let right = match expected {
        RemoteAs::Exactly(asn) => found == asn,
        RemoteAs::Internal => found == ours,
        RemoteAs::External => found != ours,
    };
    if right {
        Ok(())
    } else if found == Asn(AS_TRANS.into()) && !has(theirs, CapabilityCode::FourOctetAs) {
        Err(Refusal::AsTrans { expected })
    } else {
        Err(Refusal::WrongAs { found, expected, ours })
    }
}

/// A third of the hold time (RFC 4271 §10), or what is configured if that is more often.
fn keepalive(settings: &Settings, hold: Duration) -> Duration {
    let third = hold / 3;
    match settings.keepalive_time {
        Some(time) if !time.is_zero() => time.min(third),
        _ => third,
    }
}

fn has(open: &Open, code: CapabilityCode) -> bool {
    open.capabilities.iter().any(|capability| capability.code() == code.number())
}

/// A peer that names no family takes IPv4 unicast: there was nothing else before RFC 4760.
fn families(open: &Open) -> Families {
    if !has(open, CapabilityCode::MultiProtocol) {
        return [Family::V4Unicast].into_iter().collect();
    }
    let named = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::MultiProtocol(family) => family.family(),
        _ => None,
    });
    named.collect()
}

fn extended_next_hop(open: &Open) -> Families {
    let pairs = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::ExtendedNextHop(pairs) => Some(pairs),
        _ => None,
    });
    let over_v6 = pairs.flatten().filter(|pair| pair.next_hop_afi == afi::IPV6 && pair.family.safi == safi::UNICAST);
    over_v6.filter_map(|pair| pair.family.family()).filter(|family| *family == Family::V4Unicast).collect()
}

fn paths(open: &Open, direction: fn(AddPathMode) -> bool) -> Families {
    let entries = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::AddPath(entries) => Some(entries),
        _ => None,
    });
    let wanted = entries.flatten().filter(|entry| direction(entry.mode));
    wanted.filter_map(|entry| entry.family.family()).collect()
}

fn roles(open: &Open) -> impl Iterator<Item = Role> {
    open.capabilities.iter().filter_map(|capability| match capability {
        Capability::Role(role) => Some(*role),
        _ => None,
    })
}

/// RFC 9234 §4.2, table 2.
fn fit(ours: Role, theirs: Role) -> bool {
    matches!(
        (ours, theirs),
        (Role::Provider, Role::Customer)
            | (Role::Customer, Role::Provider)
            | (Role::RouteServer, Role::RouteServerClient)
            | (Role::RouteServerClient, Role::RouteServer)
            | (Role::Peer, Role::Peer)
    )
}

#[cfg(test)]
mod tests;
