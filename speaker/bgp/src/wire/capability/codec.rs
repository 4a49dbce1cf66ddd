//! Capabilities as octets: what stands after their code and length.

use super::{AddPathFamily, AddPathMode, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart, Role};
use crate::iana::CapabilityCode;
use crate::wire::reader::Reader;
use crate::wire::{AfiSafi, Asn, DecodeError, EncodeError, Problem};

/// The F bit of a family that is kept over a restart.
const FORWARDING: u8 = 0x80;

/// The R bit.
const RESTARTED: u16 = 0x8000;

/// The N bit.
const NOTIFICATION: u16 = 0x4000;

impl Capability {
    /// Reads a value. A code that is not known keeps it as it is.
    pub(in crate::wire) fn read(code: u8, mut value: Reader<'_>) -> Result<Self, DecodeError> {
        let Some(known) = CapabilityCode::of(code) else { return Ok(Self::unknown(code, value)) };
        let whole = value;
        let wrong = |expected| {
            let problem = Problem::CapabilityValue { code, found: whole.left(), expected };
            DecodeError::new(whole.offset(), problem)
        };
        let capability = match known {
            CapabilityCode::MultiProtocol => {
                let [high, low, _, safi] = value.array().ok_or_else(|| wrong("4"))?;
                (Self::MultiProtocol(AfiSafi { afi: u16::from_be_bytes([high, low]), safi }), "4")
            }
            CapabilityCode::RouteRefresh => (Self::RouteRefresh, "0"),
            CapabilityCode::EnhancedRouteRefresh => (Self::EnhancedRouteRefresh, "0"),
            CapabilityCode::ExtendedMessage => (Self::ExtendedMessage, "0"),
            CapabilityCode::FourOctetAs => (Self::FourOctetAs(Asn(value.u32().ok_or_else(|| wrong("4"))?)), "4"),
            CapabilityCode::Role => (Self::Role(Role::of(value.u8().ok_or_else(|| wrong("1"))?)), "1"),
            CapabilityCode::ExtendedNextHop => (Self::ExtendedNextHop(next_hops(&mut value)), "a multiple of 6"),
            CapabilityCode::GracefulRestart => {
                let restart = graceful_restart(&mut value).ok_or_else(|| wrong("2 and a multiple of 4"))?;
                (Self::GracefulRestart(restart), "2 and a multiple of 4")
            }
            CapabilityCode::AddPath => {
                let paths = add_path(&mut value);
                if !value.is_empty() {
                    return Err(wrong("a multiple of 4"));
                }
                // A direction that has no meaning makes the whole of it one that is not known (RFC 7911 §4).
                (paths.map_or_else(|| Self::unknown(code, whole), Self::AddPath), "a multiple of 4")
            }
        };
        match capability {
            (capability, _) if value.is_empty() => Ok(capability),
            (_, expected) => Err(wrong(expected)),
        }
    }

    fn unknown(code: u8, value: Reader<'_>) -> Self {
        Self::Unknown { code, bytes: value.rest().to_vec() }
    }

    /// Writes the value.
    pub(in crate::wire) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::MultiProtocol(AfiSafi { afi, safi }) => {
                bytes.extend(afi.to_be_bytes());
                bytes.extend([0, *safi]);
            }
            Self::RouteRefresh | Self::EnhancedRouteRefresh | Self::ExtendedMessage => {}
            Self::FourOctetAs(Asn(0)) => return Err(EncodeError::ZeroAs),
            Self::FourOctetAs(Asn(asn)) => bytes.extend(asn.to_be_bytes()),
            Self::Role(role) => bytes.push(role.number()),
            Self::ExtendedNextHop(pairs) => {
                for ExtendedNextHop { family: AfiSafi { afi, safi }, next_hop_afi } in pairs {
                    bytes.extend(afi.to_be_bytes());
                    bytes.extend([0, *safi]);
                    bytes.extend(next_hop_afi.to_be_bytes());
                }
            }
            Self::GracefulRestart(restart) => {
                if restart.time > GracefulRestart::MAX_TIME {
                    return Err(EncodeError::RestartTime(restart.time));
                }
                let bit = |set, bit| if set { bit } else { 0 };
                let head = bit(restart.restart_state, RESTARTED) | bit(restart.notification_bit, NOTIFICATION);
                bytes.extend((head | restart.time).to_be_bytes());
                for GracefulFamily { family: AfiSafi { afi, safi }, forwarding } in &restart.families {
                    bytes.extend(afi.to_be_bytes());
                    bytes.extend([*safi, if *forwarding { FORWARDING } else { 0 }]);
                }
            }
            Self::AddPath(families) => {
                for AddPathFamily { family: AfiSafi { afi, safi }, mode } in families {
                    bytes.extend(afi.to_be_bytes());
                    bytes.extend([*safi, mode.number()]);
                }
            }
            Self::Unknown { code, bytes: value } => {
                if CapabilityCode::of(*code).is_some_and(|known| known != CapabilityCode::AddPath) {
                    return Err(EncodeError::KnownCapability(*code));
                }
                bytes.extend_from_slice(value);
            }
        }
        Ok(())
    }
}

impl AddPathMode {
    fn number(self) -> u8 {
        match self {
            Self::Receive => 1,
            Self::Send => 2,
            Self::Both => 3,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::Receive, Self::Send, Self::Both].into_iter().find(|mode| mode.number() == number)
    }
}

fn next_hops(value: &mut Reader<'_>) -> Vec<ExtendedNextHop> {
    let entries = std::iter::from_fn(|| value.array());
    let pair = |[a1, a2, s1, safi, n1, n2]: [u8; 6]| {
        let family = AfiSafi { afi: u16::from_be_bytes([a1, a2]), safi };
        // The field of the SAFI has two octets here; what does not fit one is no family.
        (s1 == 0).then_some(ExtendedNextHop { family, next_hop_afi: u16::from_be_bytes([n1, n2]) })
    };
    entries.filter_map(pair).collect()
}

fn graceful_restart(value: &mut Reader<'_>) -> Option<GracefulRestart> {
    let head = value.u16()?;
    let entries = std::iter::from_fn(|| value.array());
    let family = |[a1, a2, safi, flags]: [u8; 4]| GracefulFamily {
        family: AfiSafi { afi: u16::from_be_bytes([a1, a2]), safi },
        forwarding: flags & FORWARDING != 0,
    };
    Some(GracefulRestart {
        restart_state: head & RESTARTED != 0,
        notification_bit: head & NOTIFICATION != 0,
        time: head & GracefulRestart::MAX_TIME,
        families: entries.map(family).collect(),
    })
}

/// Returns nothing if a direction has no meaning. Takes all whole entries either way.
fn add_path(value: &mut Reader<'_>) -> Option<Vec<AddPathFamily>> {
    let entries: Vec<[u8; 4]> = std::iter::from_fn(|| value.array()).collect();
    let family = |[a1, a2, safi, mode]: [u8; 4]| {
        let family = AfiSafi { afi: u16::from_be_bytes([a1, a2]), safi };
        Some(AddPathFamily { family, mode: AddPathMode::of(mode)? })
    };
    entries.into_iter().map(family).collect()
}
