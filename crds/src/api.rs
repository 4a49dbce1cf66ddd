//! The kinds of `metallb.io`, one kind one file, and the reasons that statuses and events give.
//!
//! The types accept whatever MetalLB accepts. What makes no sense in them is for [`crate::model`] to say, object by object.

mod bfd_profile;
mod bgp_advertisement;
pub mod bgp_peer;
mod community;
mod configuration_state;
mod crd;
pub mod herald;
mod ip_address_pool;
mod l2_advertisement;
pub mod reason;
mod service_bgp_status;
mod service_l2_status;

use serde::{Deserialize, Deserializer};

pub use bfd_profile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgp_peer::BGPPeerStatus;
pub use bgp_peer::v1beta2::{BGPPeer, BGPPeerSpec, DynamicAsn, PasswordSecret};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use configuration_state::{
    ConfigurationResult, ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus,
};
pub use crd::{crds, manifests};
pub use ip_address_pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use l2_advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};
pub use service_bgp_status::{MetalLBServiceBGPStatus, ServiceBGPStatus, ServiceBGPStatusSpec};
pub use service_l2_status::{InterfaceInfo, MetalLBServiceL2Status, ServiceL2Status, ServiceL2StatusSpec};

/// Reads `null`, as an empty key in YAML gives it, like a key that is not there.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Lets an object be read whose `spec` is missing or null, as one with every default. The derived root type insists on the field, but lets a
/// type that can be made from nothing have its way, which is what reading an Option does (`#[serde(remote = "Self")]` on the spec gives the
/// derived reader and writer the names `Spec::deserialize` and `Spec::serialize`).
macro_rules! spec_may_be_missing {
    ($spec:ident) => {
        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Written($spec);
                impl<'de> serde::Deserialize<'de> for Written {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        $spec::deserialize(deserializer).map(Written)
                    }
                }
                let written: Option<Written> = Option::deserialize(deserializer)?;
                Ok(written.map(|Written(spec)| spec).unwrap_or_default())
            }
        }

        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $spec::serialize(self, serializer)
            }
        }
    };
}
use spec_may_be_missing;
