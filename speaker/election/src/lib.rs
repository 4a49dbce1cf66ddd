//! Who is alive, who owns each address, how it is handed over.

mod claim;
mod election;
mod node;
mod order;
mod timing;
mod vocabulary;
mod wire;

pub use election::{Election, Health, MemberView, OwnerView};
pub use node::NodeId;
pub use timing::{Timing, UnsafeTiming};
pub use vocabulary::{
    Action, Address, Drop, Event, Evidence, GainReason, Link, LoseReason, Observed, Phase, Settings, Wanted, Witness,
};
pub use wire::{Key, WeakSecret};
