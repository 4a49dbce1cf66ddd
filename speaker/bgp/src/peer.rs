//! One peer as a session knows it: protocol words only.
//!
//! Where its address is, how it is reached (source address, TTL, password, VRF) and whose object it comes from is the
//! shell's business.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::wire::{Asn, Families, Role};

/// What is agreed with one peer before the first word is spoken.
///
/// A change of what an OPEN says, or of what is accepted in the peer's, resets a session that stands; any other change is
/// taken over in flight. [`Settings::same_session`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our autonomous system.
    pub local_as: Asn,
    /// The autonomous system shown to this peer instead of [`local_as`](Self::local_as): in the OPEN and, alone, in the
    /// AS_PATH (`local-as … no-prepend replace-as`).
    pub local_as_override: Option<Asn>,
    /// Who the peer must be.
    pub remote_as: RemoteAs,
    /// Our BGP Identifier. Must differ from the peer's on iBGP (RFC 6286 §2.1), and not be zero.
    pub router_id: Ipv4Addr,
    /// What our OPEN proposes; the smaller of both proposals counts. Whole seconds; zero means that no KEEPALIVE is
    /// exchanged and a silent peer is never noticed; one and two seconds are not allowed and are taken as three.
    pub hold_time: Duration,
    /// Time between KEEPALIVEs, if it is to be shorter than a third of the negotiated hold time.
    pub keepalive_time: Option<Duration>,
    /// The longest wait between two attempts. The first waits are shorter: one second, two, four …
    pub connect_retry_time: Duration,
    /// Which routes we would like to send.
    pub families: Families,
    /// IPv4 routes with IPv6 next hops, on sessions over IPv6 (RFC 8950).
    pub extended_next_hop: Offer,
    /// Let the peer send several paths for a prefix (RFC 7911). They are counted like the others; useful to see that a peer
    /// does it, and for nothing else.
    pub add_path: Offer,
    /// Ask the peer to keep our routes while we restart (RFC 4724, RFC 8538).
    pub graceful_restart: Option<Restart>,
    /// What we are to the peer (RFC 9234). Means something on eBGP only, and is left out on iBGP.
    pub role: Option<Role>,
    /// Who dials.
    pub dial: Dial,
    /// Our addresses that serve as next hop where the session's own address is of the other family.
    pub own: OwnAddresses,
}

impl Settings {
    /// Settings with every optional part at its default: both families of the table, active, no graceful restart.
    pub fn new(local_as: Asn, remote_as: RemoteAs, router_id: Ipv4Addr) -> Self {
        Self {
            local_as,
            local_as_override: None,
            remote_as,
            router_id,
            hold_time: HOLD_TIME,
            keepalive_time: None,
            connect_retry_time: CONNECT_RETRY_TIME,
            families: Families::ALL,
            extended_next_hop: Offer::No,
            add_path: Offer::No,
            graceful_restart: None,
            role: None,
            dial: Dial::Active,
            own: OwnAddresses::default(),
        }
    }

    /// Returns the autonomous system that the peer sees.
    pub fn shown_as(&self) -> Asn {
        self.local_as_override.unwrap_or(self.local_as)
    }

    /// Returns whether a session made with the other settings may go on with these.
    pub fn same_session(&self, other: &Self) -> bool {
        let open = |settings: &Self| {
            let own = OwnAddresses::default();
            Self { connect_retry_time: CONNECT_RETRY_TIME, dial: Dial::Active, own, ..settings.clone() }
        };
        open(self) == open(other)
    }

    /// Returns the hold time as an OPEN says it: whole seconds, never one or two.
    pub(crate) fn hold_seconds(&self) -> u16 {
        match self.hold_time.as_secs() {
            0 if self.hold_time.is_zero() => 0,
            seconds => u16::try_from(seconds.max(MINIMUM_HOLD_SECONDS.into())).unwrap_or(u16::MAX),
        }
    }
}

/// Who the peer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This autonomous system and no other.
    Exactly(Asn),
    /// Whoever says our own autonomous system: iBGP.
    Internal,
    /// Whoever says another than ours: eBGP.
    External,
}

/// Whether the peer hears of something that we can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// It does not, and we do not do it.
    #[default]
    No,
    /// It does, and if it can do the same, it is done.
    Yes,
}

/// Who dials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dial {
    /// We do. A connection that the peer makes is welcome as well.
    #[default]
    Active,
    /// The peer does.
    Passive,
}

/// What a peer may expect of us when our process goes and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// How long the peer keeps our routes while we are away; at most 4095 s fit the wire.
    pub restart_time: Duration,
    /// Whether this process follows one that left its routes behind.
    pub start: Start,
}

/// What came before this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing that a peer could still hold.
    #[default]
    Fresh,
    /// An instance whose routes the peer may still hold, while the node kept forwarding.
    Restarted,
}

/// Addresses of ours that are next hops where the session itself gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// For IPv4 routes over a session on IPv6.
    pub v4: Option<Ipv4Addr>,
    /// A global address, for IPv6 routes over a session on IPv4 or on link-local addresses.
    pub v6: Option<Ipv6Addr>,
    /// Of the interface towards the peer.
    pub link_local: Option<Ipv6Addr>,
}

/// What MetalLB's own speaker proposes. Halved, a router that stops its control plane for a minute (an upgrade in service)
/// loses our routes; doubled, a dead node without BFD attracts traffic for minutes.
pub const HOLD_TIME: Duration = Duration::from_secs(90);

/// The ceiling of the wait between attempts. A router that comes back is found within this; a node with 100 unreachable
/// peers dials three a second.
pub const CONNECT_RETRY_TIME: Duration = Duration::from_secs(30);

/// RFC 4271 §4.2: zero, or at least this.
pub(crate) const MINIMUM_HOLD_SECONDS: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(Asn(64512), RemoteAs::Exactly(Asn(64513)), Ipv4Addr::new(192, 0, 2, 1))
    }

    #[test]
    fn a_hold_time_is_zero_or_at_least_three_seconds_and_fits_the_open() {
        for (given, said) in
            [(0, 0), (1, 3000), (999, 3000), (2000, 3000), (3000, 3000), (90_000, 90_000), (90_500, 90_000)]
        {
            let settings = Settings { hold_time: Duration::from_millis(given), ..settings() };
            assert_eq!(u64::from(settings.hold_seconds()) * 1000, said, "{given} ms");
        }
        let settings = Settings { hold_time: Duration::from_secs(100_000), ..settings() };
        assert_eq!(settings.hold_seconds(), u16::MAX);
    }

    #[test]
    fn only_what_an_open_says_or_checks_resets_a_session() {
        let before = settings();
        let own = OwnAddresses { v4: Some(Ipv4Addr::LOCALHOST), ..OwnAddresses::default() };
        let retry = Settings { connect_retry_time: Duration::from_secs(5), dial: Dial::Passive, own, ..before.clone() };
        assert!(retry.same_session(&before));
        for change in [
            Settings { local_as_override: Some(Asn(65000)), ..before.clone() },
            Settings { remote_as: RemoteAs::External, ..before.clone() },
            Settings { hold_time: Duration::from_secs(9), ..before.clone() },
            Settings { families: Families::NONE, ..before.clone() },
            Settings { extended_next_hop: Offer::Yes, ..before.clone() },
        ] {
            assert!(!change.same_session(&before), "{change:?}");
        }
    }

    #[test]
    fn the_peer_sees_the_override_instead_of_our_own_as() {
        let settings = Settings { local_as_override: Some(Asn(65000)), ..settings() };
        assert_eq!(settings.shown_as(), Asn(65000));
    }
}
