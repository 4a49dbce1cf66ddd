//! What a client sees: probes that run in its namespace and report what was lost, for how long, and who answered.

mod ping;

pub use ping::ping;
