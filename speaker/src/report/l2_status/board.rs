//! What is to be shown, on the way from the reporter to whoever writes it.
//!
//! News come together by Service: as much as changes while the API server is away, no more waits than there are Services.

use herald_crds::model::ServiceKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// How this node answers for a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The interfaces, if the advertisements name some; otherwise it is all of them.
    pub(crate) interfaces: BTreeSet<String>,
    /// Whether it owns all addresses of the Service, so that nobody else answers for any.
    pub(crate) whole: bool,
}

/// Changes since the last look.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What is announced of a Service from here on; nothing where it no longer is.
    pub(super) services: BTreeMap<ServiceKey, Option<Announced>>,
    /// Whether the speaker of a node is heard from here on.
    pub(super) heard: BTreeMap<String, bool>,
    /// Whether something was taken over from a node that cannot clean up.
    pub(super) take_over: bool,
}

/// The reporter's end and the writer's end; both are the same.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Shared>);

#[derive(Default)]
struct Shared {
    said: Mutex<Option<Said>>,
    news: Notify,
}

impl Board {
    /// Shows how a Service is announced from here on.
    pub(crate) fn show(&self, service: &ServiceKey, announced: Option<Announced>) {
        self.say(|said| drop(said.services.insert(service.clone(), announced)));
    }

    /// Says whether the speaker of a node is heard.
    pub(crate) fn hear(&self, node: String, heard: bool) {
        self.say(|said| {
            said.heard.insert(node, heard);
        });
    }

    /// Says that something was taken over from a node that cannot clean up.
    pub(crate) fn take_over(&self) {
        self.say(|said| said.take_over = true);
    }

    /// Waits for changes and takes them.
    pub(super) async fn changed(&self) -> Said {
        loop {
            let said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner).take();
            match said {
                Some(said) => return said,
                None => self.0.news.notified().await,
            }
        }
    }

    fn say(&self, what: impl FnOnce(&mut Said)) {
        what(self.0.said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
        self.0.news.notify_one();
    }
}
