//! The kinds of `heraldlb.io`: what Herald offers beyond MetalLB. Nothing changes for a cluster that has none of them.

mod address_reservation;

pub use address_reservation::{AddressReservation, AddressReservationSpec, Beneficiary};
