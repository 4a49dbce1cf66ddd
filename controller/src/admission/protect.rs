//! Whether a pool with `heraldlb.io/deletion-protection` may be deleted, or edited as somebody wants to. No I/O.

use super::review::{Answer, Request, parse};
use herald_allocator::{is_protected, may_delete_pool, may_edit_pool};
use herald_crds::{
    IPAddressPool,
    model::{Config, Pool, Service, resolve},
};
use kube::ResourceExt;
use serde_json::Value;

/// What somebody wants to do with a protected pool.
pub(super) struct Attempt {
    before: Pool,
    annotated: IPAddressPool,
    /// None: it is to be deleted.
    after: Option<Pool>,
}

impl Attempt {
    /// None when nothing is to be protected: another kind or namespace, no protection, or a pool that is not in force, before or after. What
    /// is held of such a one stays with its holder.
    pub(super) fn of(request: &Request, namespace: &str) -> Option<Self> {
        if request.kind() != "IPAddressPool" || request.namespace != namespace {
            return None;
        }
        let (annotated, before) = in_force(&request.old_object)?;
        if !is_protected(annotated.metadata.annotations.as_ref()) {
            return None;
        }
        let after = match request.operation.as_str() {
            "DELETE" => None,
            "UPDATE" => Some(in_force(&request.object)?.1),
            _ => return None,
        };
        Some(Self { before, annotated, after })
    }

    /// The answer, with all Services there are.
    pub(super) fn judge(&self, services: &[Service]) -> Answer {
        let annotations = self.annotated.metadata.annotations.as_ref();
        let judged = match &self.after {
            None => may_delete_pool(&self.before, annotations, services),
            Some(after) => may_edit_pool(&self.before, annotations, after, services),
        };
        match judged {
            Ok(()) => Answer::yes(),
            Err(protection) => Answer::no(protection.to_string()),
        }
    }
}

/// A pool by itself, and what it means.
fn in_force(object: &Value) -> Option<(IPAddressPool, Pool)> {
    let object: IPAddressPool = *parse(object).ok()?;
    let name = object.name_any();
    let config = Config { pools: [(name.clone(), object.clone())].into(), ..Config::default() };
    let pool = resolve(&config).0.pools.remove(&name)?;
    Some((object, pool))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::review::read;
    use serde_json::json;

    fn pool(addresses: [&str; 2], protected: &str) -> Value {
        json!({
            "metadata": {"name": "a", "namespace": "herald-system", "annotations": {"heraldlb.io/deletion-protection": protected}},
            "spec": {"addresses": addresses},
        })
    }

    fn attempt(operation: &str, before: &Value, after: &Value) -> Option<Attempt> {
        let review = json!({"request": {
            "uid": "1", "kind": {"group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool"}, "name": "a",
            "namespace": "herald-system", "operation": operation, "object": after, "oldObject": before,
        }});
        Attempt::of(&read(review.to_string().as_bytes()).unwrap(), "herald-system")
    }

    fn holder(name: &str, ip: &str) -> Service {
        let object = json!({
            "metadata": {"name": name, "namespace": "default"}, "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"ip": ip}]}},
        });
        Service::from(&serde_json::from_value::<k8s_openapi::api::core::v1::Service>(object).unwrap())
    }

    #[test]
    fn a_protected_pool_is_not_deleted_and_keeps_what_is_in_use() {
        let before = pool(["10.0.0.0/30", "fd00::/126"], "true");
        let services = [holder("four", "10.0.0.1"), holder("six", "fd00::2")];
        let no = attempt("DELETE", &before, &Value::Null).unwrap().judge(&services);
        assert!(!no.allowed && no.message.contains("default/four (10.0.0.1), default/six (fd00::2)"), "{no:?}");
        let shrunk = pool(["10.0.0.0/30", "fd00::/127"], "true");
        let no = attempt("UPDATE", &before, &shrunk).unwrap().judge(&services);
        assert!(!no.allowed && no.message.contains("default/six (fd00::2)") && !no.message.contains("four"), "{no:?}");
        let grown = pool(["10.0.0.0/29", "fd00::/125"], "true");
        assert_eq!(attempt("UPDATE", &before, &grown).unwrap().judge(&services), Answer::yes());
        // Who takes the protection off in the same edit is refused too: it counts as it was.
        let both = pool(["10.0.0.0/30", "fd00::/127"], "false");
        assert!(!attempt("UPDATE", &before, &both).unwrap().judge(&services).allowed);
    }

    #[test]
    fn nothing_else_is_protected() {
        let (off, on) = (pool(["10.0.0.0/30", "fd00::/126"], "no"), pool(["10.0.0.0/30", "fd00::/126"], "true"));
        assert!(attempt("DELETE", &off, &Value::Null).is_none());
        assert!(attempt("UPDATE", &off, &on).is_none());
        assert!(attempt("CREATE", &Value::Null, &on).is_none());
        assert!(attempt("DELETE", &pool(["nonsense", "fd00::/126"], "true"), &Value::Null).is_none());
        assert!(attempt("DELETE", &json!(7), &Value::Null).is_none());
    }
}
