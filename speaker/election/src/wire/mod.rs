//! What goes over the wire.

mod seal;

pub use seal::{Key, WeakSecret};
