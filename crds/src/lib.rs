//! The metallb.io API: what users may write, and what it means.
//!
//! ```text
//!   api     one kind one file: the Rust types the CRDs in config/crd are generated from
//!   keys    every annotation, label, Secret and Lease name, once
//!   model   the single interpreter: Config -> Resolved + Problems, core Services and EndpointSlices -> facts
//! ```
//!
//! # Promises
//!
//! * [`model::resolve`] is total and order-independent: any set of objects gives a [`model::Resolved`], the same one
//!   whatever order they arrived in.
//! * A [`model::Problem`] names an object its owner can edit, and sets aside only that object.
//! * No two pools in a [`model::Resolved`] overlap.
//!
//! The properties are tested in `tests/resolve_promises.rs`. Nothing here logs, waits, or talks to anybody.

pub mod api;
pub mod keys;
pub mod model;

pub use api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};
