//! Who gets which address.
//!
//! A [`Book`] knows the pools and who holds what. [`plan_one`] says what becomes of one Service, [`Book::apply`] notes it down, and
//! [`plan`] is the fold of the two over all Services in a stated order. The shell writes the decisions to the API server and calls [`plan_one`]
//! again for those who wait whenever the book says [`Effect::Freed`].
//!
//! ```text
//!   Service.status ──adopt──┐
//!   pools ──set_pools──▶  Book ──▶ plan_one(service, book) ──▶ Decision ──▶ Service.status, Events
//!                           ▲                                     │
//!                           └────────────── apply ────────────────┘
//! ```
//!
//! # Promises
//!
//! * An address in use is never moved by a plan: a Service that holds addresses which its pool and its own request still allow keeps them,
//!   whatever happens to other Services, whatever pools appear.
//! * Two Services hold one address only if `share` says so.
//! * A restart plans nothing: a book rebuilt from statuses that a plan wrote decides Keep for each of them.
//! * Every claim is assigned, kept, or refused with a reason its owner can act on. A request that cannot be satisfied takes nothing away.
//! * A reserved address is given to nobody but those it is kept for, unless its reservation yields and there is nothing else left.
//! * A configuration error releases nothing: while an object is set aside, addresses outside all pools stay with their Services.
//! * The same objects give the same plan, in whatever order they come.
//!
//! The properties are tested in `tests/promises.rs`. Planning costs O(pools + log addresses in use), for a /30 as for a /8 or a /64; a sharing
//! Service adds the number of addresses held under its key.
//!
//! Not here: load-balancer classes (the caller plans only what it handles), clocks, writes, anything kept beyond the statuses.

mod book;
mod free;
mod keep;
mod line;
mod order;
mod pick;
mod plan;
mod protect;
mod refusal;
mod reservation;
mod share;
mod shelf;

pub use book::{Assignment, Book, Effect, Usage};
pub use keep::ReleaseReason;
pub use order::turn;
pub use plan::{Cause, Decision, plan, plan_one};
pub use protect::{Protection, is_protected, may_delete_pool, may_edit_pool};
pub use refusal::{Families, Lack, NotAllowed, Refusal};
pub use reservation::{Keeper, Reservation};
pub use share::{Clash, Why};
