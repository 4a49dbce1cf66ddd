//! As many prefixes as fit into one UPDATE.

use std::collections::BTreeSet;

use crate::iana::MessageType;
use crate::route::NotSent;
use crate::wire::{Attributes, Encoding, Family, Message, NextHop, Nlri, Prefix, Reach, Unreach, Update};

/// What prefixes inside of an attribute take more: its length has two octets once they are many. One alone never is.
const LONG_LENGTH: usize = 1;

/// Takes prefixes out of a set, from the front, and returns the message that announces them.
///
/// # Errors
///
/// The attributes leave no room for a prefix.
pub(super) fn announce(
    encoding: &Encoding,
    family: Family,
    mut attributes: Attributes,
    next_hop: NextHop,
    prefixes: &mut BTreeSet<Prefix>,
) -> Result<(Vec<u8>, Vec<Prefix>), NotSent> {
    let classic = match (family, next_hop) {
        (Family::V4Unicast, NextHop::V4(ip)) => Some(ip),
        _ => None,
    };
    attributes.next_hop = classic;
    let update = |nlri| match classic {
        Some(_) => Update { attributes: attributes.clone(), nlri, ..Update::default() },
        None => {
            let reach = Some(Reach { family, next_hop, nlri });
            Update { attributes: attributes.clone(), reach, ..Update::default() }
        }
    };
    let in_attribute = if classic.is_some() { 0 } else { LONG_LENGTH };
    pack(encoding, prefixes, in_attribute, update).ok_or(NotSent::TooLong)
}

/// Takes prefixes out of a set and returns the message that withdraws them, nothing if there are none.
pub(super) fn withdraw(
    encoding: &Encoding,
    family: Family,
    prefixes: &mut BTreeSet<Prefix>,
) -> Option<(Vec<u8>, Vec<Prefix>)> {
    let update = |nlri| match family {
        Family::V4Unicast => Update { withdrawn: nlri, ..Update::default() },
        Family::V6Unicast => Update { unreach: Some(Unreach { family, nlri }), ..Update::default() },
    };
    let in_attribute = match family {
        Family::V4Unicast => 0,
        Family::V6Unicast => LONG_LENGTH,
    };
    pack(encoding, prefixes, in_attribute, update)
}

/// Writes a message that is short by its nature.
pub(super) fn encode(encoding: &Encoding, message: &Message) -> Option<Vec<u8>> {
    message.encode(encoding).ok()
}

fn pack(
    encoding: &Encoding,
    prefixes: &mut BTreeSet<Prefix>,
    in_attribute: usize,
    update: impl Fn(Vec<Nlri>) -> Update,
) -> Option<(Vec<u8>, Vec<Prefix>)> {
    let write =
        |said: &[Prefix]| encode(encoding, &Message::Update(update(said.iter().copied().map(Nlri::from).collect())));
    let first = *prefixes.first()?;
    let alone = write(&[first])?;
    let limit = encoding.max_len(MessageType::Update);
    let mut length = alone.len() + in_attribute;
    let mut said = vec![first];
    for prefix in prefixes.iter().skip(1) {
        length += prefix.wire_len();
        if length > limit {
            break;
        }
        said.push(*prefix);
    }
    let bytes = if said.len() == 1 { alone } else { write(&said)? };
    for _ in &said {
        prefixes.pop_first();
    }
    Some((bytes, said))
}
