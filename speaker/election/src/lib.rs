//! Who is alive, who owns each address, how it is handed over.

mod claim;
mod election;
mod handover;
mod liveness;
mod member;
mod node;
mod order;
mod owner;
mod phase;
mod receive;
mod send;
mod timing;
mod vocabulary;
mod watch;
mod wire;

pub use election::{Election, MemberView, OwnerView};
pub use member::Health;
pub use node::NodeId;
pub use timing::{Timing, UnsafeTiming};
pub use vocabulary::{
    Action, Address, Drop, Event, Evidence, GainReason, Link, LoseReason, Observed, Phase, Settings, Wanted, Witness,
};
pub use wire::{Key, WeakSecret};
