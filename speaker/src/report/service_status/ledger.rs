//! What should be written, compared with what is there. Pure.

use super::{
    board::Said,
    kind::{Shown, Status},
};
use herald_crds::{keys, model::ServiceKey};
use herald_runtime::watch::{Change, older};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest value of a label.
const LABEL: usize = 63;

/// Who writes.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) node: String,
    /// The pod, as far as it is known.
    pub(super) owner: Option<OwnerReference>,
}

impl Author {
    /// The node as the value of a label: a long name ends in a number made from all of it.
    pub(super) fn label(&self) -> String {
        if self.node.len() <= LABEL {
            return self.node.clone();
        }
        let beginning: String = self.node.chars().take(LABEL - 17).collect();
        format!("{beginning}-{}", number(&[&self.node]))
    }

    /// The name of the object about a Service: the same at every start, so that none is made twice.
    fn object<T: Shown>(&self, service: &ServiceKey) -> String {
        format!("{}-{}", T::PREFIX, number(&[&service.namespace, &service.name, &self.node]))
    }
}

/// 64 bits in hexadecimal digits, made from some words.
fn number(words: &[&str]) -> String {
    let mut digest = Context::new(&SHA256);
    for word in words {
        // The length keeps words apart that would read the same when joined.
        digest.update(&(word.len() as u64).to_be_bytes());
        digest.update(word.as_bytes());
    }
    digest.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What matters of an object that is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    name: String,
    uid: Option<String>,
    version: String,
    labels: BTreeMap<String, String>,
    owners: Vec<String>,
    status: Status,
}

impl Object {
    pub(super) fn of<T: Shown>(object: &T::Object) -> Self {
        let ObjectMeta { name, uid, resource_version, labels, owner_references, .. } = object.meta().clone();
        let mut labels = labels.unwrap_or_default();
        labels.retain(|name, _| {
            [keys::NODE_LABEL, keys::SERVICE_NAME_LABEL, keys::SERVICE_NAMESPACE_LABEL].contains(&name.as_str())
        });
        Self {
            name: name.unwrap_or_default(),
            uid,
            version: resource_version.unwrap_or_default(),
            labels,
            owners: owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect(),
            status: T::read(object),
        }
    }
}

/// An object of another node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Foreign {
    name: String,
    uid: Option<String>,
    node: String,
    service: ServiceKey,
}

impl Foreign {
    /// Reads who it is about; nothing where that is not written on it.
    pub(super) fn new(metadata: ObjectMeta) -> Option<Self> {
        let mut labels = metadata.labels?;
        Some(Self {
            name: metadata.name?,
            uid: metadata.uid,
            node: labels.remove(keys::NODE_LABEL)?,
            service: ServiceKey::new(
                labels.remove(keys::SERVICE_NAMESPACE_LABEL)?,
                labels.remove(keys::SERVICE_NAME_LABEL)?,
            ),
        })
    }
}

/// Something to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// Remove this very object.
    Delete { name: String, uid: Option<String> },
    /// Apply the object, where it differs but for its status, and then the status.
    Write { name: String, object: Option<Value>, status: Value },
}

impl Work {
    /// The name of the object.
    pub(super) fn name(&self) -> &str {
        let (Self::Delete { name, .. } | Self::Write { name, .. }) = self;
        name
    }
}

/// What is wanted, what is there, and where the two may differ. Everything goes by the name of the object.
pub(super) struct Ledger<T> {
    author: Author,
    wanted: BTreeMap<String, (ServiceKey, T)>,
    known: BTreeMap<String, Object>,
    /// Objects of others that are to go.
    stale: BTreeMap<String, Option<String>>,
    /// Where to look; what is under way is not among them.
    open: BTreeSet<String>,
    under_way: BTreeSet<String>,
    /// What the API server does not accept: tried again at the next sweep, or when something about it changes.
    refused: BTreeSet<String>,
    /// What was wanted in this life of the process and is, or was, there: it goes as soon as it no longer is. What an earlier life left stays until it is
    /// settled who owns what.
    mine: BTreeSet<String>,
    heard: BTreeSet<String>,
    listed: bool,
    settled: bool,
}

impl<T: Shown> Ledger<T> {
    pub(super) fn new(author: Author) -> Self {
        Self {
            author,
            wanted: BTreeMap::new(),
            known: BTreeMap::new(),
            stale: BTreeMap::new(),
            open: BTreeSet::new(),
            under_way: BTreeSet::new(),
            refused: BTreeSet::new(),
            mine: BTreeSet::new(),
            heard: BTreeSet::new(),
            listed: false,
            settled: false,
        }
    }

    /// Takes in what is to be shown.
    pub(super) fn hear(&mut self, said: Said<T>) {
        for (service, announced) in said.services {
            let name = self.author.object::<T>(&service);
            match announced {
                Some(announced) => {
                    self.wanted.insert(name.clone(), (service, announced));
                    self.mine.insert(name.clone());
                }
                None => drop(self.wanted.remove(&name)),
            }
            self.open.insert(name);
        }
        for (node, heard) in said.heard {
            match heard {
                true => drop(self.heard.insert(node)),
                false => drop(self.heard.remove(&node)),
            }
        }
    }

    /// Takes in what is there of this node's objects.
    pub(super) fn learn(&mut self, change: Change<Object>) {
        match change {
            Change::Reset { objects, .. } => {
                self.listed = true;
                self.open.extend(self.known.keys().chain(self.wanted.keys()).cloned());
                self.known = objects.into_iter().map(|(key, object)| (key.name, object)).collect();
                self.open.extend(self.known.keys().cloned());
            }
            Change::Apply(key, object) => {
                let stale = |known: &Object| known.uid == object.uid && older(&object.version, &known.version);
                if !self.known.get(&key.name).is_some_and(stale) {
                    self.known.insert(key.name.clone(), object);
                    self.open.insert(key.name);
                }
            }
            Change::Delete(key) => {
                self.known.remove(&key.name);
                self.open.insert(key.name);
            }
            // Somebody wrote what is none; writing over it puts it right.
            Change::Invalid(key, _) => {
                self.known.insert(key.name.clone(), Object { name: key.name.clone(), ..Object::default() });
                self.open.insert(key.name);
            }
        }
    }

    /// From here on, what is there and not wanted goes. What was refused is tried again.
    pub(super) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.open.extend(self.known.keys().cloned());
        }
        self.open.append(&mut self.refused);
    }

    /// Looks through objects of others: one about a Service that this node owns is stale where this node owns all of it, or the other one is dead.
    pub(super) fn sweep(&mut self, found: Vec<Foreign>) {
        for foreign in found {
            let Some((_, announced)) = self.wanted.get(&self.author.object::<T>(&foreign.service)) else { continue };
            if announced.is_whole() || !self.heard.contains(&foreign.node) {
                self.open.insert(foreign.name.clone());
                self.stale.insert(foreign.name, foreign.uid);
            }
        }
    }

    pub(super) fn owns_something(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether there may be something to write.
    pub(super) fn has_work(&self) -> bool {
        self.listed && self.open.iter().any(|name| !self.under_way.contains(name))
    }

    /// The next thing to write, if anything differs. It is under way until it is done or has failed.
    pub(super) fn next(&mut self) -> Option<Work> {
        if !self.listed {
            return None;
        }
        loop {
            let name = self.open.iter().find(|name| !self.under_way.contains(*name)).cloned()?;
            self.open.remove(&name);
            if let Some(work) = self.work(&name) {
                self.under_way.insert(name);
                return Some(work);
            }
        }
    }

    fn work(&self, name: &str) -> Option<Work> {
        let delete = |uid: &Option<String>| Some(Work::Delete { name: name.to_owned(), uid: uid.clone() });
        if let Some(uid) = self.stale.get(name) {
            return delete(uid);
        }
        let known = self.known.get(name);
        let Some((service, announced)) = self.wanted.get(name) else {
            return known.filter(|_| self.settled || self.mine.contains(name)).and_then(|known| delete(&known.uid));
        };
        let wanted = self.status(service, announced);
        if let Some(known) = known
            && !known.status.node.is_empty()
            && (&known.status.node, &known.status.service_name, &known.status.service_namespace)
                != (&wanted.node, &wanted.service_name, &wanted.service_namespace)
        {
            // These three cannot be changed: it is made anew.
            return delete(&known.uid);
        }
        let described = known.is_some_and(|known| self.describes(known, service));
        if described && known.is_some_and(|known| known.status == wanted) {
            return None;
        }
        // What is not written stays as somebody else wrote it.
        let status = wanted.written::<T>(known.is_some_and(|known| !known.status.listed.is_empty()));
        let (api_version, kind) = (T::Object::api_version(&()), T::Object::kind(&()));
        let metadata = json!({
            "name": name,
            "labels": self.labels(service),
            "ownerReferences": self.author.owner.iter().collect::<Vec<_>>(),
        });
        Some(Work::Write {
            name: name.to_owned(),
            object: (!described).then(|| json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata })),
            status: json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "status": status }),
        })
    }

    /// A write was carried out; this is the object as it is now, if it is there.
    pub(super) fn done(&mut self, work: &Work, object: Option<Object>) {
        let name = work.name();
        self.under_way.remove(name);
        match object {
            Some(object) => {
                let stale = |known: &Object| known.uid == object.uid && older(&object.version, &known.version);
                if !self.known.get(name).is_some_and(stale) {
                    self.known.insert(name.to_owned(), object);
                }
            }
            None => {
                self.stale.remove(name);
                self.known.remove(name);
                if self.wanted.contains_key(name) {
                    self.open.insert(name.to_owned());
                } else {
                    self.mine.remove(name);
                }
            }
        }
    }

    /// A write was not carried out. Whether the API server refused it, so that trying again is of no use for now.
    pub(super) fn failed(&mut self, work: &Work, refused: bool) {
        self.under_way.remove(work.name());
        if refused { &mut self.refused } else { &mut self.open }.insert(work.name().to_owned());
    }

    fn status(&self, service: &ServiceKey, announced: &T) -> Status {
        Status {
            node: self.author.node.clone(),
            service_name: service.name.clone(),
            service_namespace: service.namespace.clone(),
            listed: announced.listed(),
        }
    }

    fn labels(&self, service: &ServiceKey) -> BTreeMap<String, String> {
        [
            (keys::NODE_LABEL, self.author.label()),
            (keys::SERVICE_NAME_LABEL, service.name.clone()),
            (keys::SERVICE_NAMESPACE_LABEL, service.namespace.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn describes(&self, known: &Object, service: &ServiceKey) -> bool {
        known.labels == self.labels(service)
            && self.author.owner.as_ref().is_none_or(|owner| known.owners.contains(&owner.uid))
    }
}

#[cfg(test)]
mod tests;
