use super::{
    super::board::{Announced, Peers},
    *,
};
use herald_crds::api::{ServiceBGPStatus, ServiceL2Status};
use herald_runtime::watch::Key;

fn owner(uid: &str) -> Option<OwnerReference> {
    Some(OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() })
}

fn service(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn announced(interfaces: &[&str], whole: bool) -> Option<Announced> {
    Some(Announced { interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(), whole })
}

fn said<T>(name: &str, announced: Option<T>) -> Said<T> {
    Said { services: [(service(name), announced)].into(), ..Said::default() }
}

/// An API server that carries out what the ledger asks for.
struct Bed {
    ledger: Ledger<Announced>,
    objects: BTreeMap<String, Object>,
    writes: usize,
}

impl Bed {
    /// A process of the pod `uid` on node a that finds these objects.
    fn start(uid: &str, objects: BTreeMap<String, Object>) -> Self {
        let mut ledger = Ledger::new(Author { node: "a".to_owned(), owner: owner(uid) });
        ledger.learn(list(&objects));
        Self { ledger, objects, writes: 0 }
    }

    fn write_all(&mut self) -> usize {
        let before = self.writes;
        while let Some(work) = self.ledger.next() {
            self.writes += 1;
            let object = match &work {
                Work::Delete { name, .. } => {
                    self.objects.remove(name);
                    None
                }
                Work::Write { name, object, status } => {
                    let there = self.objects.entry(name.clone()).or_default();
                    if let Some(object) = object {
                        let applied: ServiceL2Status = serde_json::from_value(object.clone()).unwrap();
                        let applied = Object::of::<Announced>(&applied);
                        (there.name, there.labels, there.owners) = (applied.name, applied.labels, applied.owners);
                    }
                    there.status = Announced::read(&serde_json::from_value(status.clone()).unwrap());
                    there.version = self.writes.to_string();
                    Some(there.clone())
                }
            };
            self.ledger.done(&work, object);
        }
        self.writes - before
    }

    fn services(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.objects.values().map(|object| object.status.service_name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

fn key(name: &str) -> Key {
    Key { namespace: "herald-system".to_owned(), name: name.to_owned() }
}

fn list(objects: &BTreeMap<String, Object>) -> Change<Object> {
    let objects = objects.iter().map(|(name, object)| (key(name), object.clone())).collect();
    Change::Reset { objects, invalid: Vec::new() }
}

fn foreign(name: &str, node: &str) -> Foreign {
    Foreign { name: format!("l2-{name}-{node}"), uid: None, node: node.to_owned(), service: service(name) }
}

#[test]
fn what_is_announced_is_written_once_and_removed_when_it_no_longer_is() {
    let mut bed = Bed::start("pod", BTreeMap::new());
    bed.ledger.hear(said("web", announced(&["eth0"], true)));
    assert_eq!(bed.write_all(), 1);
    let object = bed.objects.values().next().unwrap().clone();
    let status = Status {
        node: "a".to_owned(),
        service_name: "web".to_owned(),
        service_namespace: "default".to_owned(),
        listed: vec!["eth0".to_owned()],
    };
    assert_eq!(object.status, status);
    let labels =
        [("metallb.io/node", "a"), ("metallb.io/service-name", "web"), ("metallb.io/service-namespace", "default")];
    assert_eq!(object.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(object.owners, ["pod"]);

    bed.ledger.hear(said("web", announced(&["eth0"], false)));
    bed.ledger.learn(Change::Apply(key(&object.name), object));
    assert_eq!(bed.write_all(), 0, "what is there already is not written");
    bed.ledger.hear(said("web", announced(&[], true)));
    assert_eq!(bed.write_all(), 1);
    assert_eq!(bed.objects.values().next().unwrap().status.listed, Vec::<String>::new());
    bed.ledger.hear(said("web", None));
    assert_eq!((bed.write_all(), bed.services()), (1, vec![]));
}

#[test]
fn a_service_that_comes_and_goes_between_two_writes_costs_none() {
    let mut bed = Bed::start("pod", BTreeMap::new());
    bed.ledger.hear(said("web", announced(&[], true)));
    bed.ledger.hear(said("web", None));
    assert_eq!(bed.write_all(), 0);
}

#[test]
fn nothing_is_written_before_it_is_known_what_is_there() {
    let mut ledger = Ledger::<Announced>::new(Author { node: "a".to_owned(), owner: None });
    ledger.hear(said("web", announced(&[], true)));
    assert!(!ledger.has_work());
    assert_eq!(ledger.next(), None);
}

#[test]
fn a_restart_that_finds_the_same_writes_nothing_and_leftovers_go_once_it_is_settled_who_owns_what() {
    let mut before = Bed::start("pod", BTreeMap::new());
    for name in ["kept", "moved"] {
        before.ledger.hear(said(name, announced(&[], true)));
    }
    before.write_all();

    let mut bed = Bed::start("pod", before.objects.clone());
    assert_eq!(bed.write_all(), 0, "it may still get what it had");
    bed.ledger.hear(said("kept", announced(&[], true)));
    assert_eq!(bed.write_all(), 0);
    bed.ledger.settle();
    assert_eq!((bed.write_all(), bed.services()), (1, vec!["kept"]));

    let mut bed = Bed::start("another pod", before.objects);
    bed.ledger.hear(said("kept", announced(&[], true)));
    assert_eq!(bed.write_all(), 1, "it belongs to the new pod");
    assert!(bed.objects.values().any(|object| object.owners == ["another pod"]));
}

#[test]
fn what_somebody_makes_of_an_object_is_put_right() {
    let mut bed = Bed::start("pod", BTreeMap::new());
    bed.ledger.hear(said("web", announced(&[], true)));
    bed.write_all();
    let right = bed.objects.clone();
    let name = right.keys().next().unwrap().clone();
    let edits: [fn(&mut Object); 4] = [
        |object| object.labels.clear(),
        |object| object.owners.clear(),
        |object| object.status.listed = vec!["lie".to_owned()],
        |object| object.status = Status::default(),
    ];
    for edit in edits {
        let object = bed.objects.get_mut(&name).unwrap();
        edit(object);
        object.version = "1000000".to_owned();
        bed.ledger.learn(Change::Apply(key(&name), object.clone()));
        assert_eq!(bed.write_all(), 1);
        assert_eq!(bed.objects[&name].status, right[&name].status);
        assert_eq!(bed.objects[&name].labels, right[&name].labels);
    }
    // The node in a status cannot be changed, so the object is made anew.
    bed.objects.get_mut(&name).unwrap().status.node = "b".to_owned();
    bed.ledger.learn(list(&bed.objects));
    assert_eq!(bed.write_all(), 2);
    bed.objects.clear();
    bed.ledger.learn(Change::Delete(key(&name)));
    assert_eq!((bed.write_all(), bed.services()), (1, vec!["web"]));
}

#[test]
fn an_heir_removes_what_a_dead_node_left_and_nothing_of_a_node_that_may_still_answer() {
    let mut bed = Bed::start("pod", BTreeMap::new());
    bed.ledger.hear(Said { heard: [("alive".to_owned(), true)].into(), ..Said::default() });
    bed.ledger.hear(said("whole", announced(&[], true)));
    bed.ledger.hear(said("half", announced(&[], false)));
    bed.write_all();
    let found = ["whole", "half", "none"].into_iter().flat_map(|name| [foreign(name, "alive"), foreign(name, "dead")]);
    bed.ledger.sweep(found.collect());
    let mut gone: Vec<_> = std::iter::from_fn(|| bed.ledger.next().map(|work| work.name().to_owned())).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["l2-half-dead", "l2-whole-alive", "l2-whole-dead"]);
}

#[test]
fn what_is_refused_holds_nothing_up_and_is_tried_again_later() {
    let mut bed = Bed::start("pod", BTreeMap::new());
    bed.ledger.hear(said("one", announced(&[], true)));
    let refused = bed.ledger.next().unwrap();
    bed.ledger.failed(&refused, true);
    bed.ledger.hear(said("two", announced(&[], true)));
    assert_eq!((bed.write_all(), bed.services()), (1, vec!["two"]));
    bed.ledger.settle();
    assert_eq!((bed.write_all(), bed.services()), (1, vec!["one", "two"]));

    bed.ledger.hear(said("three", announced(&[], true)));
    let lost = bed.ledger.next().unwrap();
    bed.ledger.failed(&lost, false);
    assert_eq!((bed.write_all(), bed.services()), (1, vec!["one", "three", "two"]));
}

#[test]
fn the_name_of_a_node_is_a_label_however_long_it_is() {
    let label = |node: &str| Author { node: node.to_owned(), owner: None }.label();
    assert_eq!(label("node-1"), "node-1");
    let [one, two] = ["1", "2"].map(|end| label(&format!("{}{end}", "n".repeat(100))));
    assert!(one.len() == LABEL && two.len() == LABEL && one != two);
}

#[test]
fn the_peers_of_a_service_are_written_as_metallb_writes_them() {
    let mut ledger = Ledger::<Peers>::new(Author { node: "a".to_owned(), owner: owner("pod") });
    ledger.learn(list(&BTreeMap::new()));
    ledger.hear(said("web", Some(Peers(["two", "one"].map(str::to_owned).into()))));
    let Some(Work::Write { name, object: Some(object), status }) = ledger.next() else { panic!("nothing to write") };
    assert!(name.starts_with("bgp-"));
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("ServiceBGPStatus"), &json!(name)));
    let written: ServiceBGPStatus = serde_json::from_value(status).unwrap();
    let status = written.status.unwrap();
    assert_eq!(
        (status.node.as_str(), status.service_name.as_str(), status.service_namespace.as_str()),
        ("a", "web", "default")
    );
    assert_eq!(status.peers, ["one", "two"]);
}
