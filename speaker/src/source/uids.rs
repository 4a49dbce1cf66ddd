//! The uids of Services: nothing is decided by them, but `kubectl describe` shows only Events that carry the uid of the object.

use herald_crds::model::{Service, ServiceKey};
use herald_runtime::watch::{Change, Key};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The uid of every Service that was seen. Copies share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uids(Arc<Mutex<HashMap<ServiceKey, String>>>);

impl Uids {
    /// The uid of the Service of this name, if there is one.
    pub(crate) fn of(&self, key: &ServiceKey) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Notes the uids that a change brings and passes the rest of it on.
    pub(super) fn note(&self, change: Change<(Service, String)>) -> Change<Service> {
        let mut uids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut noted = |(service, uid): (Service, String)| {
            uids.insert(service.key.clone(), uid);
            service
        };
        match change {
            Change::Reset { objects, invalid } => {
                let objects: std::collections::BTreeMap<Key, Service> =
                    objects.into_iter().map(|(key, object)| (key, noted(object))).collect();
                uids.retain(|key, _| {
                    let key = Key { namespace: key.namespace.clone(), name: key.name.clone() };
                    objects.contains_key(&key) || invalid.iter().any(|(invalid, _)| *invalid == key)
                });
                Change::Reset { objects, invalid }
            }
            Change::Apply(key, object) => Change::Apply(key, noted(object)),
            Change::Delete(key) => {
                uids.remove(&ServiceKey::new(key.namespace.clone(), key.name.clone()));
                Change::Delete(key)
            }
            Change::Invalid(key, error) => Change::Invalid(key, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn service(name: &str) -> (Key, (Service, String)) {
        let object = serde_json::from_value::<k8s_openapi::api::core::v1::Service>(
            serde_json::json!({ "metadata": { "namespace": "one", "name": name }, "spec": {} }),
        );
        let key = Key { namespace: "one".to_owned(), name: name.to_owned() };
        (key, (Service::from(&object.unwrap()), format!("uid-{name}")))
    }

    #[test]
    fn who_is_gone_has_no_uid_any_more() {
        let uids = Uids::default();
        let of = |name: &str| uids.of(&ServiceKey::new("one", name));
        let (key, object) = service("a");
        uids.note(Change::Apply(key.clone(), object));
        assert_eq!(of("a").as_deref(), Some("uid-a"));
        uids.note(Change::Delete(key));
        assert_eq!(of("a"), None);
        uids.note(Change::Reset { objects: [service("b"), service("c")].into(), invalid: Vec::new() });
        uids.note(Change::Reset { objects: BTreeMap::from([service("c")]), invalid: Vec::new() });
        assert_eq!((of("b"), of("c").as_deref()), (None, Some("uid-c")));
    }
}
