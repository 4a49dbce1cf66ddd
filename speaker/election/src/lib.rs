//! Who is alive, who owns each address, how it is handed over: the election of one segment, as a machine without clock, socket or lock.
//!
//! The speakers of a segment send each other sealed heartbeats over the very wire that the addresses are announced on. From what it hears, and from
//! what the others say they hear, each node decides for itself who lives; from the claims it has heard, who owns what. Nobody is
//! asked for permission: a node claims, and says so. The rules are made so that two that claim find out on first contact, and agree who stays.
//!
//! ```text
//!   set(now, Wanted)         members, addresses, candidates --.
//!   handle(now, Event)       tick, datagram, link, neighbour --+--> Election --> poll() Prepare, Gain, Lose, Keep, Suspend, Resume, Reassert, Send, Report
//!   deadline()               when to tick next <---------------'
//! ```
//!
//! # Promises, why they hold, and where they are tested
//!
//! **I1, one claimant per epoch.** An epoch carries a mark of its claimant and is above all that the claimant has seen and made (claims have a total
//! order: quorate, epoch, score, node; even if two marks were equal). *`world.rs` checks it at every gain of every run.*
//!
//! **I2, one owner.** In a component that has been whole for `T_dead` and two heartbeats: *at most one*, because owners exchange their claims on the
//! first message, by digest and repair ever after, and of two claims the order lets exactly one stay; *at least one*, because an address without a live claim
//! is taken by the first live candidate, and by the next a step later if it does not. *`after_any_storm_there_is_one_owner_and_then_nothing_moves`,
//! `the_minority_owner_yields_on_contact`, `a_claim_made_alone_never_beats_the_majoritys_incumbent`.*
//!
//! **I3, no silent announcement.** `Gain` leaves `poll` after the claim has, and only with a carrier, after listening, outside a suspension, and if somebody
//! hears this node. An owner that stood still is suspended before it can answer and resumes only by proof that is newer than the stall. *`a_claim_is_sent_before_its_gain`,
//! `a_frozen_owner_is_replaced_and_silent_when_it_thaws`, `an_isolated_node_never_claims`, and asserts in `world.rs`.*
//!
//! **I4, stickiness.** The order of candidates is asked only while an address has no owner; nothing takes an address from a live one but a
//! better claim, its own wish, or its death; death takes two observers that measured it and nobody fresh that disagrees. *`a_returning_owner_takes_nothing_back`,
//! `rows_16_and_17_random_loss_moves_nothing`, `row_13_*`, `row_15_*`, `row_18_*`, `row_19_*`, `row_20_*`.*
//!
//! **I5, make before break.** In a hand-over the heir's shell makes ready first, or half of `T_dead` is over; then the heir claims; and the old owner falls silent when it
//! sees that claim. *`planned.rs`, `prepare.rs`.*
//!
//! **I6, monotony.** While a claim made with a majority lives, no lower epoch and no claim made without one is accepted, and every new claim is above all that its
//! claimant has seen. When it has died, the best claim among the living counts, even a lower one: a node that went on refusing it would disagree for good with
//! one that never heard of the dead one (seed 3866 of the storms). *`while_a_majoritys_claim_lives_no_lower_epoch_and_no_minority_is_accepted`,
//! `a_claim_is_above_all_that_its_claimant_has_seen`.*
//!
//! **Updates.** A process that takes the place of another on the same node goes on under the same claims, and nothing moves. *`succession.rs`, here and among the
//! tests.*
//!
//! **Speed.** A silent death is noticed within `T_dead` and two heartbeats. *`a_silent_owner_is_replaced_within_t_dead_and_two_heartbeats`.* A killed process, whose
//! kernel refuses heartbeats, within a heartbeat and a half; forged refusals move nothing (refusal.rs). *`refusals.rs`.*
//!
//! **Bad bytes** are values: a datagram is counted under one [`Drop`] and changes nothing. *`drops.rs`, `wire/tests.rs`.*
//!
//! # What it does not do
//!
//! It sends no ARP and knows no Service. It does not check the data plane. It does not say where addresses *should* be: it spreads them by rendezvous when they lose
//! their owner and otherwise leaves them. On both sides of a partition an address has an owner; fencing across partitions needs an arbiter that Herald's fast
//! path does without.

mod claim;
mod election;
mod handover;
mod liveness;
mod member;
mod node;
mod order;
mod owner;
mod phase;
mod prepare;
mod receive;
mod refusal;
mod send;
mod succession;
mod timing;
mod vocabulary;
mod watch;
mod wire;

pub use election::{Election, MemberView, OwnerView};
pub use member::Health;
pub use node::NodeId;
pub use succession::{Bequest, Testament};
pub use timing::{Timing, UnsafeTiming};
pub use vocabulary::{
    Action, Address, Drop, Event, Evidence, Fitness, Foresight, GainReason, Link, LoseReason, Observed, Phase,
    Settings, Wanted, Witness,
};
pub use wire::{Key, WeakSecret};
