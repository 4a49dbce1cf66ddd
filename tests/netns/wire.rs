//! The wire half of the lab, tried on real namespaces: needs root.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, reason = "tests of a shell")]

mod build;
