//! Every annotation, label, Secret, Lease and field-manager name, once.
//!
//! The `metallb.io` names are what existing manifests carry and what Herald therefore reads and writes.

/// The API group of the kinds kept from MetalLB.
pub const GROUP: &str = "metallb.io";
/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "herald";
/// The namespace Herald's own objects live in, unless a flag says otherwise.
pub const DEFAULT_NAMESPACE: &str = "herald-system";
/// The Lease that elects the acting controller.
pub const LEASE: &str = "herald-controller";

/// The Secret that holds the key of the heartbeats.
pub const DEFAULT_KEY_SECRET: &str = "memberlist";
/// The data key inside [`DEFAULT_KEY_SECRET`].
pub const SECRET_KEY: &str = "secretkey";
/// The UDP and TCP port of the heartbeats between speakers.
pub const HEARTBEAT_PORT: u16 = 7790;
/// The HTTPS port of `/metrics`.
pub const METRICS_PORT: u16 = 9120;
/// The Service that the API server reaches the webhooks through.
pub const WEBHOOK_SERVICE: &str = "webhook";
/// The path of the webhook that converts between versions.
pub const CONVERT_PATH: &str = "/convert";
/// The port of `/healthz` and `/readyz`.
pub const HEALTH_PORT: u16 = 17472;

/// Service annotation, in: the only pool to allocate from.
pub const POOL_ANNOTATION: &str = "metallb.io/address-pool";
/// Service annotation, in: the wanted addresses, comma separated, at most one per family.
pub const ADDRESSES_ANNOTATION: &str = "metallb.io/loadBalancerIPs";
/// Service annotation, in: services with the same key may share an address.
pub const SHARING_ANNOTATION: &str = "metallb.io/allow-shared-ip";
/// Service annotation, out: the pool the addresses came from.
pub const ALLOCATED_FROM_ANNOTATION: &str = "metallb.io/ip-allocated-from-pool";

/// Deprecated spelling of [`POOL_ANNOTATION`]; read only where the new one is absent.
pub const POOL_ANNOTATION_DEPRECATED: &str = "metallb.universe.tf/address-pool";
/// Deprecated spelling of [`ADDRESSES_ANNOTATION`]; read only where the new one is absent.
pub const ADDRESSES_ANNOTATION_DEPRECATED: &str = "metallb.universe.tf/loadBalancerIPs";
/// Deprecated spelling of [`SHARING_ANNOTATION`]; read only where the new one is absent.
pub const SHARING_ANNOTATION_DEPRECATED: &str = "metallb.universe.tf/allow-shared-ip";
/// Deprecated spelling of [`ALLOCATED_FROM_ANNOTATION`]; read only where the new one is absent, never written or removed.
pub const ALLOCATED_FROM_ANNOTATION_DEPRECATED: &str = "metallb.universe.tf/ip-allocated-from-pool";

/// Node label, by presence: this node announces nothing, unless a flag says to ignore the label.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// Node annotation: this node announces nothing, `true` from now on, `on-cordon` while it is unschedulable.
pub const DRAIN_ANNOTATION: &str = "heraldlb.io/drain";
/// Label of status objects: the node they speak of.
pub const NODE_LABEL: &str = "metallb.io/node";
/// Label of status objects: the name of their Service.
pub const SERVICE_NAME_LABEL: &str = "metallb.io/service-name";
/// Label of status objects: the namespace of their Service.
pub const SERVICE_NAMESPACE_LABEL: &str = "metallb.io/service-namespace";
/// Label of ConfigurationStates: `controller` or `speaker`.
pub const COMPONENT_TYPE_LABEL: &str = "metallb.io/component-type";
/// The name of the controller's ConfigurationState. Those of speakers are named `speaker-` and their node.
pub const CONTROLLER_STATE: &str = "controller";
/// The condition of the controller's ConfigurationState.
pub const CONTROLLER_CONDITION: &str = "poolReconcilerValid";
/// The condition of a speaker's ConfigurationState.
pub const SPEAKER_CONDITION: &str = "configReconcilerValid";
/// Label of ConfigurationStates of speakers: their node.
pub const NODE_NAME_LABEL: &str = "metallb.io/node-name";

/// The API group of what Herald offers beyond MetalLB.
pub const HERALD_GROUP: &str = "heraldlb.io";
/// Pool annotation: how long the addresses of a deleted Service are kept for one of the same name, as `24h`, `90m` or `30s`.
pub const RETAIN_ANNOTATION: &str = "heraldlb.io/retain-addresses";
/// Pool annotation: how many of its addresses a namespace may hold at once, as `team-a=5,*=10`.
pub const QUOTAS_ANNOTATION: &str = "heraldlb.io/namespace-quotas";
/// Service and pool annotation: with `true` it is not deleted, and a pool not edited so that it leaves out addresses in use.
/// `config/webhook` asks for the same key and value.
pub const PROTECTION_ANNOTATION: &str = "heraldlb.io/deletion-protection";
/// Label of the AddressReservations that the controller writes: what for.
pub const RESERVATION_ROLE_LABEL: &str = "heraldlb.io/role";
