//! The testkit: a Kubernetes cluster in network namespaces, faults, probes, captures.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it has a clock, threads and sockets")]

pub mod cleanup;
pub mod netns;
pub mod probe;
pub mod wire;
