//! The Secrets that BGP peers name, each followed by its name.
//!
//! A Secret that nobody names is never asked for: what this process does not hold, nobody can take from it. Rights may be narrowed to the
//! names in use (`resourceNames`), since each list and each watch is for one name.

use super::{config, snapshot::News};
use futures::StreamExt;
use herald_crds::model::SecretFacts;
use herald_runtime::watch::{Change, watch};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, core::DeserializeGuard, runtime::watcher};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};
use tokio::{sync::mpsc, task::AbortHandle};

/// One watch for each name.
pub(super) struct Secrets {
    api: Api<DeserializeGuard<Secret>>,
    news: mpsc::Sender<News>,
    followed: BTreeMap<String, AbortHandle>,
}

impl Secrets {
    /// Follows nothing yet.
    pub(super) fn new(client: Client, namespace: &str, news: mpsc::Sender<News>) -> Self {
        Self { api: Api::namespaced(client, namespace), news, followed: BTreeMap::new() }
    }

    /// Follows the Secrets of these names from now on, and no others. Returns those that it stopped to follow.
    pub(super) fn follow(&mut self, names: BTreeSet<String>) -> Vec<String> {
        let gone: Vec<String> = self.followed.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in &gone {
            if let Some(task) = self.followed.remove(name) {
                task.abort();
            }
        }
        for name in names {
            let (api, news) = (&self.api, &self.news);
            self.followed.entry(name).or_insert_with_key(|name| start(api.clone(), name.clone(), news.clone()));
        }
        gone
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.followed.values().for_each(AbortHandle::abort);
    }
}

fn start(api: Api<DeserializeGuard<Secret>>, name: String, news: mpsc::Sender<News>) -> AbortHandle {
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let changes = watch(api, one, |secret| SecretFacts::from(&secret));
    let task = tokio::spawn(async move {
        let mut changes = pin!(changes);
        while let Some(change) = changes.next().await {
            let facts = match change {
                Change::Reset { objects, .. } => objects.into_values().next(),
                Change::Apply(_, facts) => Some(facts),
                Change::Delete(_) => None,
                // What was known of it stays in force.
                Change::Invalid(..) => continue,
            };
            if news.send(News::config(config::News::Secret(name.clone(), facts))).await.is_err() {
                return;
            }
        }
    });
    task.abort_handle()
}
