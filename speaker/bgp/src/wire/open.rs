//! OPEN: who a speaker is and what it can do (RFC 4271 §4.2).
//!
//! ```text
//!  0         1         3           5            9        10
//! +---------+---------+-----------+------------+--------+---------------------+
//! | version | my AS   | hold time | identifier | length | optional parameters |
//! +---------+---------+-----------+------------+--------+---------------------+
//!
//! parameter: | type 1 | length 1 | value |, a value of type 2 holds: | code 1 | length 1 | value |  ...
//!
//! with more than 255 octets of parameters (RFC 9072 §2):
//!  9           10                           11                13
//! +-----------+----------------------------+-----------------+---------------------------------+
//! | length 255| type 255: all lengths are 2| extended length | parameters with a length of two |
//! +-----------+----------------------------+-----------------+---------------------------------+
//! ```

use std::net::Ipv4Addr;

use super::reader::Reader;
use super::writer::{with_length8, with_length16};
use super::{Asn, Capability, DecodeError, EncodeError, Problem};
use crate::iana::{AS_TRANS, ParameterType, VERSION};

/// An OPEN message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Version of the protocol; [`VERSION`] in every message that decodes.
    pub version: u8,
    /// The sender's AS number, [`AS_TRANS`] if it needs four octets.
    pub my_as: u16,
    /// The longest silence that the sender accepts, in seconds: 0 for no timer, otherwise 3 and more.
    pub hold_time: u16,
    /// The sender's identifier; never 0.0.0.0 in a message that decodes.
    pub identifier: Ipv4Addr,
    /// What the sender can do, in the order in which it says so. The same capability may stand there more than once.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// Builds the message of a speaker in `asn`, which also stands in [`Capability::FourOctetAs`] if the caller adds that.
    pub fn new(asn: Asn, hold_time: u16, identifier: Ipv4Addr, capabilities: Vec<Capability>) -> Self {
        let my_as = u16::try_from(asn.0).unwrap_or(AS_TRANS);
        Self { version: VERSION, my_as, hold_time, identifier, capabilities }
    }

    /// Returns the sender's AS number: the one with four octets if there is one (RFC 6793 §4.1).
    pub fn asn(&self) -> Asn {
        let four_octets = self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        four_octets.unwrap_or(Asn(u32::from(self.my_as)))
    }

    /// Reads the body. The fixed part is there: a shorter message is refused by its header.
    pub(super) fn read(mut body: Reader<'_>) -> Result<Self, DecodeError> {
        let start = body.offset();
        let fixed: Option<[u8; 10]> = body.array();
        let [version, as1, as2, hold1, hold2, id @ .., length] = fixed.unwrap_or_default();
        if version != VERSION {
            return Err(DecodeError::new(start, Problem::Version { found: version }));
        }
        let my_as = u16::from_be_bytes([as1, as2]);
        if my_as == 0 {
            return Err(DecodeError::new(start + 1, Problem::ZeroAs));
        }
        let hold_time = u16::from_be_bytes([hold1, hold2]);
        if matches!(hold_time, 1 | 2) {
            return Err(DecodeError::new(start + 3, Problem::HoldTime { found: hold_time }));
        }
        let identifier = Ipv4Addr::from(id);
        if identifier.is_unspecified() {
            return Err(DecodeError::new(start + 5, Problem::ZeroIdentifier));
        }
        let capabilities = read_parameters(body, length)?;
        Ok(Self { version, my_as, hold_time, identifier, capabilities })
    }

    /// Writes the body. All capabilities stand in one parameter, in their order.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self { version, .. } if *version != VERSION => return Err(EncodeError::Version(*version)),
            Self { my_as: 0, .. } => return Err(EncodeError::ZeroAs),
            Self { hold_time: 1 | 2, .. } => return Err(EncodeError::HoldTime(self.hold_time)),
            Self { identifier: Ipv4Addr::UNSPECIFIED, .. } => return Err(EncodeError::ZeroIdentifier),
            _ => {}
        }
        bytes.push(self.version);
        bytes.extend(self.my_as.to_be_bytes());
        bytes.extend(self.hold_time.to_be_bytes());
        bytes.extend(self.identifier.octets());
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capabilities.push(capability.code());
            let too_long = |octets| EncodeError::CapabilityTooLong { code: capability.code(), octets };
            with_length8(&mut capabilities, too_long, |bytes| capability.write(bytes))?;
        }
        let parameter = ParameterType::Capabilities.number();
        match u8::try_from(capabilities.len() + 2) {
            _ if capabilities.is_empty() => bytes.push(0),
            // Older peers know nothing else: the long form only where the short one does not do.
            Ok(length) if length < u8::MAX => {
                bytes.extend([length, parameter, length - 2]);
                bytes.extend(capabilities);
            }
            _ => {
                let extended = ParameterType::ExtendedLength.number();
                bytes.extend([u8::MAX, extended]);
                with_length16(bytes, EncodeError::ParametersTooLong, |bytes| {
                    bytes.push(parameter);
                    with_length16(bytes, EncodeError::ParametersTooLong, |bytes| {
                        bytes.extend(capabilities);
                        Ok(())
                    })
                })?;
            }
        }
        Ok(())
    }
}

/// How long a length is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    One,
    /// RFC 9072 §2.
    Two,
}

fn read_parameters(mut body: Reader<'_>, length: u8) -> Result<Vec<Capability>, DecodeError> {
    let at = body.offset() - 1;
    let (mut lengths, mut said) = (Lengths::One, usize::from(length));
    // The length is of no account then, but that it is none (RFC 9072 §2).
    if length != 0 && body.rest().first() == Some(&ParameterType::ExtendedLength.number()) {
        let left = body.left();
        let extended = body.u8().and_then(|_| body.u16());
        let overrun = || DecodeError::new(at, Problem::ParametersLength { found: 3, left });
        (lengths, said) = (Lengths::Two, extended.ok_or_else(overrun)?.into());
    }
    if said != body.left() {
        return Err(DecodeError::new(at, Problem::ParametersLength { found: said, left: body.left() }));
    }
    let mut capabilities = Vec::new();
    while !body.is_empty() {
        let (at, left) = (body.offset(), body.left());
        let header = match lengths {
            Lengths::One => 2,
            Lengths::Two => 3,
        };
        let overrun = |found| DecodeError::new(at, Problem::ParameterLength { found, left });
        let kind = body.u8().unwrap_or_default();
        let length = match lengths {
            Lengths::One => body.u8().map(usize::from),
            Lengths::Two => body.u16().map(usize::from),
        };
        let length = length.ok_or_else(|| overrun(header))?;
        let value = body.part(length).ok_or_else(|| overrun(header + length))?;
        if ParameterType::of(kind) != Some(ParameterType::Capabilities) {
            return Err(DecodeError::new(at, Problem::ParameterType { found: kind }));
        }
        read_capabilities(value, &mut capabilities)?;
    }
    Ok(capabilities)
}

fn read_capabilities(mut value: Reader<'_>, capabilities: &mut Vec<Capability>) -> Result<(), DecodeError> {
    while !value.is_empty() {
        let (at, left) = (value.offset(), value.left());
        let overrun = |found| DecodeError::new(at, Problem::CapabilityLength { found, left });
        let code = value.u8().unwrap_or_default();
        let length = usize::from(value.u8().ok_or_else(|| overrun(2))?);
        let content = value.part(length).ok_or_else(|| overrun(2 + length))?;
        let capability = Capability::read(code, content)?;
        if capability == Capability::FourOctetAs(Asn(0)) {
            return Err(DecodeError::new(at + 2, Problem::ZeroAs));
        }
        capabilities.push(capability);
    }
    Ok(())
}
