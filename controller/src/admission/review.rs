//! The API server's question and the answer, as values. No I/O.

use herald_allocator::Reservation;
use herald_crds::{
    api::herald::AddressReservation,
    keys,
    model::{Candidate, Change, Config, admit},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The longest message: the API server shows it to a person in one line.
const MESSAGE: usize = 4096;

#[derive(Deserialize)]
struct Review {
    request: Option<Request>,
}

/// What the API server asks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Request {
    uid: String,
    kind: GroupKind,
    name: String,
    pub(super) namespace: String,
    pub(super) operation: String,
    pub(super) object: Value,
    /// What is to be changed or deleted.
    pub(super) old_object: Value,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct GroupKind {
    group: String,
    version: String,
    kind: String,
}

impl Request {
    pub(super) fn kind(&self) -> &str {
        &self.kind.kind
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// What it is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    /// Why not.
    pub(super) message: String,
    /// What the author should know all the same.
    warnings: Vec<String>,
}

impl Answer {
    pub(super) fn yes() -> Self {
        Self { allowed: true, message: String::new(), warnings: Vec::new() }
    }

    pub(super) fn no(message: String) -> Self {
        Self { allowed: false, message, warnings: Vec::new() }
    }

    /// As the API server reads it.
    pub(super) fn into_review(self, request: &Request) -> String {
        let mut response = json!({"uid": request.uid, "allowed": self.allowed});
        if !self.allowed {
            let message: String = self.message.chars().take(MESSAGE).collect();
            response["status"] = json!({"status": "Failure", "message": message, "reason": "Invalid", "code": 422});
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string()
    }
}

/// Reads a question.
///
/// # Errors
/// Says what is no question in it.
pub(super) fn read(body: &[u8]) -> Result<Request, String> {
    let review: Review = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    review
        .request
        .filter(|request| !request.uid.is_empty())
        .ok_or_else(|| "there is no request with a uid in it".to_owned())
}

/// Answers a question about an object, when `config` is what is there and `namespace` is where Herald looks.
pub(super) fn answer(request: &Request, config: &Config, namespace: &str) -> Answer {
    let (change, object) = match request.operation.as_str() {
        "CREATE" => (Change::Create, &request.object),
        "UPDATE" => (Change::Update, &request.object),
        "DELETE" => (Change::Delete, &request.old_object),
        _ => return Answer::yes(),
    };
    let what = format!("{} {}", request.kind(), request.name());
    // What is there in another namespace may be edited and deleted: that does no harm and no good.
    if change != Change::Create && request.namespace != namespace {
        return Answer::yes();
    }
    match request.kind.group.as_str() {
        keys::GROUP => {}
        keys::HERALD_GROUP => return reservation(request, namespace, &what),
        _ => {
            let groups = [keys::GROUP, keys::HERALD_GROUP].join(" and ");
            return Answer::no(format!("{what}: this webhook judges objects of {groups} only"));
        }
    }
    let candidate = match request.kind() {
        "IPAddressPool" => parse(object).map(Candidate::IPAddressPool),
        "L2Advertisement" => parse(object).map(Candidate::L2Advertisement),
        "BGPAdvertisement" => parse(object).map(Candidate::BGPAdvertisement),
        "BGPPeer" => parse(object).map(Candidate::BGPPeer),
        "BFDProfile" => parse(object).map(Candidate::BFDProfile),
        "Community" => parse(object).map(Candidate::Community),
        // A kind that came with newer manifests than this replica.
        _ => return Answer::yes(),
    };
    match candidate {
        // What cannot be read must be deletable.
        Err(_) if change == Change::Delete => Answer::yes(),
        Err(error) => Answer::no(format!("{what}: it cannot be read: {error}")),
        Ok(candidate) => match admit(config, namespace, change, &candidate) {
            Ok(warnings) => Answer {
                warnings: warnings.iter().map(|warning| format!("{what}: {warning}")).collect(),
                ..Answer::yes()
            },
            Err(problems) => Answer::no(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        },
    }
}

fn reservation(request: &Request, namespace: &str, what: &str) -> Answer {
    if request.kind() != "AddressReservation" {
        return Answer::yes();
    }
    if request.namespace != namespace {
        return Answer::no(format!(
            "{what}: it is in the namespace {:?}, Herald reads those in {namespace:?}",
            request.namespace
        ));
    }
    let read = parse::<AddressReservation>(&request.object).map_err(|error| format!("it cannot be read: {error}"));
    match read.and_then(|object| Reservation::read(&object)) {
        Ok(_) => Answer::yes(),
        Err(error) => Answer::no(format!("{what}: {error}")),
    }
}

pub(super) fn parse<T: DeserializeOwned>(object: &Value) -> Result<Box<T>, String> {
    T::deserialize(object).map(Box::new).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_crds::IPAddressPool;

    fn pool(name: &str, addresses: &str) -> Value {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": name, "namespace": "herald-system", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"addresses": [addresses]},
        })
    }

    fn config(pools: &[(&str, &str)]) -> Config {
        let read = |(name, addresses): &(&str, &str)| {
            let object: IPAddressPool = serde_json::from_value(pool(name, addresses)).unwrap();
            ((*name).to_owned(), object)
        };
        Config { pools: pools.iter().map(read).collect(), ..Config::default() }
    }

    fn ask(operation: &str, kind: &str, object: Value) -> Request {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": {"group": "metallb.io", "version": "v1beta1", "kind": kind},
            "name": name, "namespace": object["metadata"]["namespace"].as_str().unwrap_or("herald-system"), "operation": operation,
            "object": if operation == "DELETE" { Value::Null } else { object.clone() },
            "oldObject": if operation == "DELETE" { object } else { Value::Null },
        }});
        read(review.to_string().as_bytes()).unwrap()
    }

    fn judged(operation: &str, object: Value, pools: &[(&str, &str)]) -> Answer {
        answer(&ask(operation, "IPAddressPool", object), &config(pools), "herald-system")
    }

    #[test]
    fn a_good_pool_is_allowed_and_a_bad_one_is_told_what_was_found() {
        for good in ["10.0.0.0/24", "fd00::/120"] {
            assert_eq!(judged("CREATE", pool("a", good), &[]), Answer::yes());
        }
        for bad in ["10.0.0.300-10.0.0.310", "fd00::g/120"] {
            let no = judged("CREATE", pool("a", bad), &[]);
            assert!(!no.allowed && no.message.starts_with("IPAddressPool a: ") && no.message.contains(bad), "{no:?}");
        }
    }

    #[test]
    fn a_pool_may_not_overlap_another_one_but_its_own_old_self() {
        let there = [("old", "10.0.0.0/24")];
        let no = judged("CREATE", pool("new", "10.0.0.128/25"), &there);
        assert!(!no.allowed && no.message.contains("old"), "{no:?}");
        assert_eq!(judged("UPDATE", pool("old", "10.0.0.0/25"), &there), Answer::yes());
    }

    #[test]
    fn what_was_wrong_before_is_no_reason_to_refuse_somebody_else() {
        let there = [("typo", "10.0.0.300-10.0.0.310")];
        assert_eq!(judged("CREATE", pool("new", "10.0.0.0/24"), &there), Answer::yes());
    }

    #[test]
    fn deletions_and_objects_on_their_way_out_are_never_refused() {
        assert_eq!(judged("DELETE", pool("a", "nonsense"), &[]), Answer::yes());
        assert_eq!(judged("DELETE", json!({"metadata": {"name": "a"}, "spec": 7}), &[]), Answer::yes());
        let mut leaving = pool("a", "nonsense");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(judged("UPDATE", leaving, &[]), Answer::yes());
    }

    #[test]
    fn an_object_outside_heralds_namespace_is_refused_when_it_is_new() {
        let elsewhere = |operation: &str| {
            let mut object = pool("a", "10.0.0.0/24");
            object["metadata"]["namespace"] = json!("default");
            answer(&ask(operation, "IPAddressPool", object), &Config::default(), "herald-system")
        };
        let no = elsewhere("CREATE");
        assert!(!no.allowed && no.message.contains("\"default\"") && no.message.contains("\"herald-system\""));
        assert_eq!(elsewhere("UPDATE"), Answer::yes());
    }

    #[test]
    fn a_reservation_that_nobody_could_go_by_is_refused() {
        let judged = |namespace: &str, spec: Value| {
            let object = json!({"metadata": {"name": "r", "namespace": namespace}, "spec": spec});
            let mut request = ask("CREATE", "AddressReservation", object);
            request.kind.group = "heraldlb.io".to_owned();
            answer(&request, &Config::default(), "herald-system")
        };
        for good in ["10.0.0.0/30", "fd00::1-fd00::9"] {
            assert_eq!(judged("herald-system", json!({"addresses": [good]})), Answer::yes());
        }
        for (namespace, spec, found) in [
            ("herald-system", json!({"addresses": ["10.0.0.300/32"]}), "10.0.0.300"),
            ("herald-system", json!({"addresses": ["fd00::/64"], "for": {"name": "x"}}), "spec.for.namespace"),
            ("herald-system", json!({"addresses": 7}), "cannot be read"),
            ("default", json!({"addresses": ["10.0.0.0/30"]}), "\"default\""),
        ] {
            let no = judged(namespace, spec);
            assert!(
                !no.allowed && no.message.starts_with("AddressReservation r: ") && no.message.contains(found),
                "{no:?}"
            );
        }
    }

    #[test]
    fn an_object_that_cannot_be_read_is_refused_and_a_kind_nobody_knows_is_not() {
        let odd = json!({"metadata": {"name": "a"}, "spec": {"addresses": 7}});
        let no = judged("CREATE", odd, &[]);
        assert!(!no.allowed && no.message.contains("cannot be read"), "{no:?}");
        let unknown = ask("CREATE", "Tomorrow", json!({}));
        assert_eq!(answer(&unknown, &Config::default(), "herald-system"), Answer::yes());
    }

    #[test]
    fn every_kind_of_the_configuration_is_judged_and_a_used_profile_is_not_deleted() {
        let object =
            |name: &str, spec: Value| json!({"metadata": {"name": name, "namespace": "herald-system"}, "spec": spec});
        let peer = object("tor", json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "bfdProfile": "fast"}));
        let mut config = Config::default();
        config.bgp_peers.insert("tor".to_owned(), serde_json::from_value(peer.clone()).unwrap());
        for (kind, bad) in [
            ("L2Advertisement", json!({"ipAddressPools": ["a", "a"]})),
            ("BGPAdvertisement", json!({"aggregationLength": 33})),
            ("BGPPeer", json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.300"})),
            ("BFDProfile", json!({"minimumTtl": 255})),
            ("Community", json!({"communities": [{"name": "a", "value": "1"}]})),
        ] {
            let no = answer(&ask("CREATE", kind, object("bad", bad)), &config, "herald-system");
            assert!(!no.allowed && no.message.starts_with(&format!("{kind} bad: ")), "{no:?}");
        }
        // The profile that it names may come later, and is said to be missing.
        let yes = answer(&ask("UPDATE", "BGPPeer", peer), &config, "herald-system");
        assert!(yes.allowed && yes.warnings.iter().any(|warning| warning.contains("fast")), "{yes:?}");
        let delete =
            |name: &str| answer(&ask("DELETE", "BFDProfile", object(name, json!({}))), &config, "herald-system");
        let no = delete("fast");
        assert!(!no.allowed && no.message.contains("BGPPeer tor"), "{no:?}");
        assert_eq!(delete("slow"), Answer::yes());
    }

    #[test]
    fn bytes_that_are_no_question_are_an_error_not_a_panic() {
        for bytes in [&b""[..], b"\xff\xfe", b"[]", b"{}", b"{\"request\":{}}", b"{\"request\":{\"uid\":7}}", b"null"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_answer_is_read_by_the_api_server_with_the_uid_of_its_question() {
        let request = ask("CREATE", "IPAddressPool", pool("a", "10.0.0.0/24"));
        let text = Answer::no("IPAddressPool a: no".to_owned()).into_review(&request);
        let review: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(review["kind"], "AdmissionReview");
        assert_eq!(review["response"]["uid"], "1");
        assert_eq!(review["response"]["allowed"], false);
        assert_eq!(review["response"]["status"]["message"], "IPAddressPool a: no");
    }
}
