//! Octets of a message, put at its end, and the lengths before them.

use super::EncodeError;

/// Writes a part that a two-octet length stands before.
///
/// # Errors
///
/// What the part says, or `too_long` with the length that does not fit.
pub(super) fn with_length16(
    bytes: &mut Vec<u8>,
    too_long: impl FnOnce(usize) -> EncodeError,
    part: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let at = bytes.len();
    bytes.extend([0; 2]);
    part(bytes)?;
    let octets = bytes.len() - at - 2;
    let length = u16::try_from(octets).map_err(|_| too_long(octets))?;
    bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes a part that a length of one octet stands before.
///
/// # Errors
///
/// What the part says, or `too_long` with the length that does not fit.
pub(super) fn with_length8(
    bytes: &mut Vec<u8>,
    too_long: impl FnOnce(usize) -> EncodeError,
    part: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let at = bytes.len();
    bytes.push(0);
    part(bytes)?;
    let octets = bytes.len() - at - 1;
    bytes[at] = u8::try_from(octets).map_err(|_| too_long(octets))?;
    Ok(())
}
