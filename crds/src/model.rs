//! The single interpreter of what users write.
//!
//! ```text
//!   Config (every object, namespaces, nodes)  --resolve-->  Resolved + Problems
//!   Config + a candidate                      --admit---->  warnings, or the Problems it would make
//!   Problems, waiting   --configuration_state-->  the status of a ConfigurationState
//!   core Service        --From-->          Service
//!   EndpointSlices      --endpoints_of-->  [Endpoint]
//!   core Node           --From-->          NodeFacts
//! ```
//!
//! Configuration is small and resolved whole; Services and endpoints are many and are read one by one. Reading never fails: what makes
//! no sense becomes a [`Problem`] or an error value in the field it concerns, and everything else goes on.

mod admit;
mod advert;
mod age;
mod bfd;
mod bgp_advert;
mod community;
mod concern;
mod duration;
mod endpoint;
mod node;
mod peer;
mod pool;
mod problem;
mod quota;
mod range;
mod resolve;
mod select;
mod service;
mod snapshot;
mod state;
mod waiting;

pub use admit::{Candidate, Change, Warning, admit};
pub use advert::{Interfaces, L2Advert, Preference};
pub use bfd::BfdProfile;
pub use bgp_advert::{BgpAdvert, Peers};
pub use community::Community;
pub use concern::concerns;
pub use endpoint::{Endpoint, endpoints_of};
pub use node::NodeFacts;
pub use peer::{Peer, Place, RemoteAs};
pub use pool::{Allocation, Pool, saturate};
pub use problem::{Kind, ObjectRef, Problem, ProblemReason};
pub use quota::Quotas;
pub use range::{Family, Range, RangeError, parse_ip};
pub use resolve::{Resolved, resolve};
pub use select::{Labels, Selector, SelectorError};
pub use service::{FamilyPolicy, Port, Protocol, RequestError, Service, ServiceKey, ServiceKind, TrafficPolicy};
pub use snapshot::{Config, Password, SecretFacts};
pub use state::{Findings, configuration_state};
pub use waiting::{Missing, Waiting};
