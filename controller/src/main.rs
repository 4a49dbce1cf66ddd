//! Allocates addresses to Services; the only writer of their status.

fn main() {}
