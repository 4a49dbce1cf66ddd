//! What this node should announce, and why not.
