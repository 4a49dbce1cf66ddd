//! What both binaries need around their work: flags, logs, health and metrics endpoints, TLS, guarded watches, the
//! ConfigurationState, the shutdown signal.
//!
//! Nothing here decides anything about addresses. A binary gives its work to [`process::run`], makes its [`kube::Client`] with
//! [`client::connect`], follows objects with [`watch::watch`], serves [`admin`] and ends on [`signal::shutdown`].
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it owns clocks, sockets and locks")]

pub mod admin;
pub mod client;
pub mod error;
pub mod flags;
pub mod log;
pub mod process;
pub mod signal;
pub mod state;
pub mod tls;
pub mod watch;
