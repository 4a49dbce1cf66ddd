//! Writes the CRDs that the Rust types stand for.

fn main() {}
