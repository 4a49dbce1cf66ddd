//! The kinds of `metallb.io`, one kind one file, and the reasons that statuses and events give.

mod ip_address_pool;
mod l2_advertisement;
pub mod reason;

pub use ip_address_pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use l2_advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};
