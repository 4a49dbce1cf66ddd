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

/// The peers that this node announces a Service to, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peers(pub(crate) BTreeSet<String>);

/// Changes since the last look.
#[derive(Debug)]
pub(super) struct Said<T> {
    /// What is announced of a Service from here on; nothing where it no longer is.
    pub(super) services: BTreeMap<ServiceKey, Option<T>>,
    /// Whether the speaker of a node is heard from here on.
    pub(super) heard: BTreeMap<String, bool>,
    /// Whether something was taken over from a node that cannot clean up.
    pub(super) take_over: bool,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { services: BTreeMap::new(), heard: BTreeMap::new(), take_over: false }
    }
}

/// The reporter's end and the writer's end; both are the same.
pub(crate) struct Board<T>(Arc<Shared<T>>);

struct Shared<T> {
    said: Mutex<Option<Said<T>>>,
    news: Notify,
}

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self(Arc::new(Shared { said: Mutex::default(), news: Notify::new() }))
    }
}

impl<T> Board<T> {
    /// Shows how a Service is announced from here on.
    pub(crate) fn show(&self, service: &ServiceKey, announced: Option<T>) {
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
    pub(super) async fn changed(&self) -> Said<T> {
        loop {
            let said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner).take();
            match said {
                Some(said) => return said,
                None => self.0.news.notified().await,
            }
        }
    }

    fn say(&self, what: impl FnOnce(&mut Said<T>)) {
        what(self.0.said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
        self.0.news.notify_one();
    }
}
