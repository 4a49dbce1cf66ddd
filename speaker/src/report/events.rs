//! Kubernetes events on Services, in MetalLB's vocabulary.
//!
//! Events are for people who read `kubectl describe`. They go through a bounded queue and are dropped when the API server is
//! away: nothing waits for them.

use crate::{metrics::Protocol, source::uids::Uids};
use herald_crds::{api::reason::SpeakerReason, model::ServiceKey};
use herald_l2::MacAddr;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use std::net::IpAddr;
use tokio::sync::mpsc;

/// Events that may wait: a node death moves this many Services at once without losing one.
const QUEUE: usize = 1024;

/// The way to write events.
pub(crate) struct Events(mpsc::Sender<(ServiceKey, Event)>);

impl Events {
    /// Starts the writer.
    pub(crate) fn start(client: Client, pod: Option<String>, uids: Uids) -> Self {
        let (queue, mut inbox) = mpsc::channel::<(ServiceKey, Event)>(QUEUE);
        let recorder = Recorder::new(client, Reporter { controller: "metallb-speaker".to_owned(), instance: pod });
        tokio::spawn(async move {
            while let Some((service, event)) = inbox.recv().await {
                let target = ObjectReference {
                    api_version: Some(Service::api_version(&()).into_owned()),
                    kind: Some(Service::kind(&()).into_owned()),
                    namespace: Some(service.namespace.clone()),
                    name: Some(service.name.clone()),
                    uid: uids.of(&service),
                    ..ObjectReference::default()
                };
                if let Err(error) = recorder.publish(&event, &target).await {
                    tracing::debug!(%service, error = herald_runtime::watch::chain(&error), "event not written");
                }
            }
        });
        Self(queue)
    }

    pub(crate) fn node_assigned(&self, service: &ServiceKey, node: &str, by: Protocol) {
        let note = format!("announcing from node \"{node}\" with protocol \"{}\"", by.as_str());
        self.send(service, EventType::Normal, SpeakerReason::NodeAssigned, note, "Announce");
    }

    pub(crate) fn announce_failed(&self, service: &ServiceKey, node: &str) {
        let note = format!(
            "node \"{node}\" was chosen and has none of the interfaces that the L2Advertisement names; correct spec.interfaces, or \
             exclude the node with spec.nodeSelectors"
        );
        self.send(service, EventType::Warning, SpeakerReason::AnnounceFailed, note, "Announce");
    }

    pub(crate) fn conflict(&self, service: &ServiceKey, ip: IpAddr, mac: MacAddr, course: &str) {
        let note = format!(
            "host {mac}, which is no node of this cluster, has or claims {ip}; {course}; take the address from that host, or out of the IPAddressPool"
        );
        self.send(service, EventType::Warning, SpeakerReason::AddressConflict, note, "Announce");
    }

    fn send(&self, service: &ServiceKey, type_: EventType, reason: SpeakerReason, note: String, action: &str) {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        let _ = self.0.try_send((service.clone(), event));
    }
}
