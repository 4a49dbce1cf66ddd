//! The kinds of `metallb.io`, one kind one file, and the reasons that statuses and events give.
//!
//! The types accept whatever MetalLB accepts. What makes no sense in them is for [`crate::model`] to say, object by object.

mod crd;
mod ip_address_pool;
mod l2_advertisement;
pub mod reason;

use serde::{Deserialize, Deserializer};

pub use crd::{crds, manifests};
pub use ip_address_pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use l2_advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};

/// Reads `null`, as an empty key in YAML gives it, like a key that is not there.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
