//! Announces addresses from a node.

fn main() {}
