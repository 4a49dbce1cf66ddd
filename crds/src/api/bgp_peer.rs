//! `BGPPeer`: a router that addresses are announced to. `v1beta2` is stored; `v1beta1` is still served, and converted both ways.

pub mod convert;
pub mod v1beta1;
pub mod v1beta2;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing: the kind has a status, and MetalLB never wrote any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BGPPeerStatus {}

fn is_false(yes: &bool) -> bool {
    !*yes
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
