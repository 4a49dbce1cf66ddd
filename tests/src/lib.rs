//! The testkit: a Kubernetes cluster in network namespaces, faults, probes, captures.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it has a clock, threads and sockets")]

pub mod capture;
pub mod cleanup;
pub mod cluster;
pub mod control_plane;
pub mod fault;
pub mod herald;
pub mod keepalived;
pub mod kube_proxy;
pub mod kubectl;
pub mod kubelet;
pub mod netns;
pub mod pki;
pub mod pods;
pub mod probe;
pub mod process;
pub mod router;
pub mod wire;
