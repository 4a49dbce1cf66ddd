//! The desk against a small API server that is late, refuses, and forgets to tell.

use super::*;
use crate::source::Fact;
use herald_crds::{
    IPAddressPool, L2Advertisement,
    api::{BGPPeer, IPAddressPoolSpec},
    model::{Kind, Service},
};
use herald_runtime::watch::{Change, Key};
use k8s_openapi::api::core::v1;
use proptest::prelude::*;
use serde_json::json;

/// What an API server keeps, and what its watch has not shown yet.
#[derive(Default)]
struct Cluster {
    objects: BTreeMap<ServiceKey, Seen>,
    version: u64,
    unseen: VecDeque<Change<Seen>>,
    writes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Yes,
    No,
    /// Carried out, but the answer is lost.
    Lost,
}

impl Cluster {
    fn put(&mut self, key: &str, spec: serde_json::Value, annotations: serde_json::Value) {
        let (namespace, name) = key.split_once('/').expect("namespace/name");
        let key = ServiceKey::new(namespace, name);
        self.version += 1;
        let object = json!({
            "metadata": { "namespace": namespace, "name": name, "annotations": annotations },
            "spec": spec,
        });
        let mut seen = Seen::from(serde_json::from_value::<v1::Service>(object).expect("a Service"));
        seen.version = self.version.to_string();
        seen.uid = format!("uid-{}", self.version);
        if let Some(old) = self.objects.get(&key) {
            seen.uid = old.uid.clone();
            seen.service.assigned = old.service.assigned.clone();
            seen.service.allocated_from = old.service.allocated_from.clone();
        }
        self.store(seen);
    }

    fn store(&mut self, seen: Seen) {
        self.unseen.push_back(Change::Apply(watch_key(&seen.service.key), seen.clone()));
        self.objects.insert(seen.service.key.clone(), seen);
    }

    fn edit(&mut self, key: &str, edit: impl FnOnce(&mut Service)) {
        let mut seen = self.get(key).clone();
        self.version += 1;
        seen.version = self.version.to_string();
        edit(&mut seen.service);
        self.store(seen);
    }

    fn delete(&mut self, key: &ServiceKey) {
        if self.objects.remove(key).is_some() {
            self.version += 1;
            self.unseen.push_back(Change::Delete(watch_key(key)));
        }
    }

    fn get(&self, key: &str) -> &Seen {
        let (namespace, name) = key.split_once('/').expect("namespace/name");
        &self.objects[&ServiceKey::new(namespace, name)]
    }

    fn shown(&self, key: &str) -> Vec<String> {
        self.get(key).service.assigned.iter().map(ToString::to_string).collect()
    }

    fn list(&self) -> Fact {
        let objects = self.objects.values().map(|seen| (watch_key(&seen.service.key), seen.clone())).collect();
        Fact::Services(Change::Reset { objects, invalid: Vec::new() })
    }

    fn write(&mut self, write: &Write, answer: Answer) -> Outcome {
        let Some(seen) =
            self.objects.get(&write.key).filter(|seen| seen.uid == write.uid && seen.version == write.version)
        else {
            return Outcome::Failed;
        };
        if answer == Answer::No {
            return Outcome::Failed;
        }
        self.writes += 1;
        let mut seen = seen.clone();
        if seen.service.assigned != write.ips || seen.service.allocated_from != write.pool {
            self.version += 1;
            seen.version = self.version.to_string();
            seen.service.assigned = write.ips.clone();
            seen.service.allocated_from = write.pool.clone();
            self.store(seen.clone());
        }
        if answer == Answer::Lost { Outcome::Failed } else { Outcome::Done(Box::new(seen)) }
    }

    /// Delivers the watch, plans and writes until nothing is left to do.
    fn settle(&mut self, desk: &mut Desk) -> Vec<News> {
        let mut news = Vec::new();
        for _ in 0..1000 {
            while let Some(change) = self.unseen.pop_front() {
                desk.learn(Fact::Services(change));
            }
            let planned = desk.plan(10);
            news.extend(desk.take_news());
            let Some(write) = desk.next_write() else {
                if planned == 0 && self.unseen.is_empty() {
                    return news;
                }
                continue;
            };
            let outcome = self.write(&write, Answer::Yes);
            desk.done(&write, outcome);
        }
        panic!("does not come to rest");
    }
}

fn watch_key(key: &ServiceKey) -> Key {
    Key { namespace: key.namespace.clone(), name: key.name.clone() }
}

fn pools(pools: &[(&str, &str)]) -> Fact {
    let objects = pools.iter().map(|(name, addresses)| {
        let spec = IPAddressPoolSpec {
            addresses: vec![(*addresses).to_owned()],
            auto_assign: true,
            avoid_buggy_ips: false,
            service_allocation: None,
        };
        let key = Key { namespace: "herald-system".into(), name: (*name).to_owned() };
        (key, IPAddressPool::new(name, spec))
    });
    Fact::Pools(Change::Reset { objects: objects.collect(), invalid: Vec::new() })
}

/// A desk that has seen everything and acts.
fn desk(cluster: &mut Cluster, addresses: &[(&str, &str)]) -> Desk {
    desk_of_class(None, cluster, addresses)
}

fn desk_of_class(class: Option<&str>, cluster: &mut Cluster, addresses: &[(&str, &str)]) -> Desk {
    let mut desk = Desk::new(class.map(str::to_owned));
    cluster.unseen.clear();
    desk.learn(cluster.list());
    desk.learn(pools(addresses));
    desk.learn(Fact::Namespaces(Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }));
    desk.learn(Fact::Reservations(Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }));
    desk.act();
    desk
}

fn balancer() -> serde_json::Value {
    json!({ "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{ "port": 80 }] })
}

fn reasons(news: &[News]) -> Vec<(&str, &str)> {
    news.iter().map(|news| (news.reason.as_str(), news.note.as_str())).collect()
}

#[test]
fn nothing_happens_before_every_kind_was_listed_and_the_lease_is_held() {
    let mut cluster = Cluster::default();
    cluster.put("one/a", balancer(), json!({}));
    let mut desk = Desk::new(None);
    desk.act();
    desk.learn(cluster.list());
    desk.learn(pools(&[("p", "10.0.0.0/30")]));
    assert_eq!(desk.plan(10), 0);
    desk.learn(Fact::Namespaces(Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }));
    desk.learn(Fact::Reservations(Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }));
    desk.follow();
    assert_eq!((desk.plan(10), desk.next_write()), (0, None));
    desk.act();
    assert_eq!(desk.plan(10), 1);
    assert!(desk.next_write().is_some());
}

#[test]
fn what_is_wrong_with_any_kind_is_told_on_the_object_once_and_plans_nobody_again() {
    let mut cluster = Cluster::default();
    cluster.put("one/a", balancer(), json!({}));
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.settle(&mut desk);
    let key = |name: &str| Key { namespace: "herald-system".into(), name: name.into() };
    let peer = |port: u16| {
        let mut peer: BGPPeer = serde_json::from_value(json!({
            "metadata": { "name": "tor", "namespace": "herald-system", "uid": "t" },
            "spec": { "myASN": 64500, "peerASN": 64501, "peerAddress": "10.0.0.9" },
        }))
        .expect("a peer");
        peer.spec.peer_port = port;
        peer
    };
    desk.learn(Fact::BgpPeers(Change::Apply(key("tor"), peer(0))));
    desk.learn(Fact::L2Advertisements(Change::Invalid(key("odd"), "spec: expected a map".into())));
    assert_eq!(desk.plan(10), 0, "no Service is planned");
    let told: Vec<_> = desk.take_news().into_iter().map(|news| (news.about.kind, news.about.name, news.note)).collect();
    assert_eq!(
        told,
        [
            (
                AboutKind::Config(Kind::L2Advertisement),
                "odd".to_owned(),
                "it cannot be read, and stays in force as it was: spec: expected a map".to_owned()
            ),
            (
                AboutKind::Config(Kind::BGPPeer),
                "tor".to_owned(),
                "spec.peerPort is 0: use a number from 1 to 16384".to_owned()
            ),
        ]
    );
    assert!(desk.some_set_aside());

    desk.learn(Fact::BgpPeers(Change::Apply(key("tor"), peer(179))));
    desk.learn(Fact::L2Advertisements(Change::Apply(key("odd"), L2Advertisement::new("odd", Default::default()))));
    assert_eq!((desk.plan(10), desk.take_news()), (0, Vec::new()));
    assert!(!desk.some_set_aside());
    assert!(desk.next_write().is_none());
}

#[test]
fn a_replica_that_follows_along_knows_what_is_wrong_and_says_nothing() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0-10.0.0")]);
    desk.follow();
    assert_eq!((desk.plan(10), desk.take_news()), (0, Vec::new()));
    assert!(desk.some_set_aside());
    desk.act();
    desk.plan(10);
    assert_eq!(desk.take_news().len(), 1);
}

#[test]
fn one_service_costs_one_write_and_one_event() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    let news = cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/a"), ["10.0.0.0"]);
    assert_eq!(cluster.get("one/a").service.allocated_from.as_deref(), Some("p"));
    assert_eq!(cluster.writes, 1);
    assert_eq!(reasons(&news), [("IPAllocated", r#"Assigned IP ["10.0.0.0"]"#)]);
}

#[test]
fn a_restart_with_unchanged_objects_writes_nothing() {
    let mut cluster = Cluster::default();
    for name in ["one/a", "one/b", "one/c", "one/d"] {
        cluster.put(name, balancer(), json!({}));
    }
    let addresses = [("p", "10.0.0.0-10.0.0.2")];
    let mut first = desk(&mut cluster, &addresses);
    let told = cluster.settle(&mut first);
    cluster.writes = 0;
    let mut second = desk(&mut cluster, &addresses);
    let news = cluster.settle(&mut second);
    assert_eq!(cluster.writes, 0);
    // What is still refused is said again, of the same state of the object: the Event exists.
    assert_eq!(news.len(), 1);
    assert!(told.contains(&news[0]));
}

#[test]
fn what_somebody_writes_over_a_status_is_written_back() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    cluster.settle(&mut desk);
    cluster.edit("one/a", |service| service.assigned = vec!["10.0.0.3".parse().unwrap()]);
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/a"), ["10.0.0.0"]);
    cluster.edit("one/a", |service| service.allocated_from = None);
    cluster.settle(&mut desk);
    assert_eq!(cluster.get("one/a").service.allocated_from.as_deref(), Some("p"));
}

#[test]
fn a_freed_address_goes_to_the_one_who_waits() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/32")]);
    cluster.put("one/a", balancer(), json!({}));
    cluster.settle(&mut desk);
    cluster.put("one/b", balancer(), json!({}));
    let news = cluster.settle(&mut desk);
    assert_eq!(
        reasons(&news),
        [("AllocationFailed", r#"Failed to allocate IP for "one/b": no available IPs: p (no free IPv4 address)"#)]
    );
    assert_eq!(desk.counts(), (2, 1));
    cluster.delete(&ServiceKey::new("one", "a"));
    let news = cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/b"), ["10.0.0.0"]);
    assert_eq!(reasons(&news), [("IPAllocated", r#"Assigned IP ["10.0.0.0"]"#)]);
    assert_eq!(desk.counts(), (1, 0));
}

#[test]
fn a_service_that_needs_no_address_any_more_is_cleaned_and_forgotten_whatever_its_class() {
    for class in [None, Some("mine")] {
        let mut cluster = Cluster::default();
        let mut desk = desk_of_class(class, &mut cluster, &[("p", "10.0.0.0/32")]);
        let mut spec = balancer();
        spec["loadBalancerClass"] = json!(class);
        cluster.put("one/a", spec, json!({}));
        cluster.settle(&mut desk);
        assert_eq!(cluster.shown("one/a"), ["10.0.0.0"]);
        // The API server drops class and addresses together with the type.
        cluster.edit("one/a", |service| {
            service.kind = ServiceKind::Other;
            service.class = None;
            service.assigned.clear();
        });
        let news = cluster.settle(&mut desk);
        assert_eq!(reasons(&news), []);
        assert_eq!(cluster.get("one/a").service.allocated_from, None);
        assert_eq!(desk.counts(), (0, 0));
        assert_eq!(desk.usages()["p"].assigned_v4, 0);
    }
}

#[test]
fn services_of_another_class_are_not_touched() {
    let mut cluster = Cluster::default();
    let mut desk = desk_of_class(Some("mine"), &mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!((cluster.shown("one/a").len(), cluster.writes, desk.counts()), (0, 0, (0, 0)));
}

#[test]
fn a_pool_that_is_set_aside_says_so_once_and_takes_nothing_away() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    cluster.settle(&mut desk);
    desk.learn(pools(&[("p", "10.0.0.0-nonsense"), ("q", "10.1.0.0/30")]));
    cluster.put("one/b", balancer(), json!({}));
    let news = cluster.settle(&mut desk);
    assert_eq!(news.iter().filter(|news| news.reason == ControllerReason::ConfigurationError).count(), 1);
    assert!(desk.some_set_aside());
    assert_eq!((cluster.shown("one/a"), cluster.shown("one/b")), (vec!["10.0.0.0".into()], vec!["10.1.0.0".into()]));
    desk.learn(pools(&[("p", "10.0.0.0/30"), ("q", "10.1.0.0/30")]));
    assert_eq!(reasons(&cluster.settle(&mut desk)), []);
    assert!(!desk.some_set_aside());
}

#[test]
fn a_pool_that_is_gone_moves_its_services() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    cluster.settle(&mut desk);
    desk.learn(pools(&[("q", "10.1.0.0/30")]));
    let news = cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/a"), ["10.1.0.0"]);
    assert_eq!(
        reasons(&news),
        [
            ("ClearAssignment", "current IP not allowed by config: no pool holds it"),
            ("IPAllocated", r#"Assigned IP ["10.1.0.0"]"#)
        ]
    );
    assert_eq!(cluster.writes, 2);
}

#[test]
fn the_newest_service_does_not_wait_behind_a_backlog() {
    let mut cluster = Cluster::default();
    for index in 0..20 {
        cluster.put(&format!("one/s{index:02}"), balancer(), json!({}));
    }
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/24")]);
    assert_eq!(desk.plan(100), 20);
    desk.next_write();
    cluster.put("one/new", balancer(), json!({}));
    while let Some(change) = cluster.unseen.pop_front() {
        desk.learn(Fact::Services(change));
    }
    desk.plan(100);
    assert_eq!(desk.next_write().map(|write| write.key.name), Some("new".to_owned()));
}

#[test]
fn a_write_on_a_state_that_is_gone_is_decided_again_on_the_fresh_one() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({}));
    desk.learn(Fact::Services(cluster.unseen.pop_front().unwrap()));
    desk.plan(10);
    let write = desk.next_write().unwrap();
    cluster.edit("one/a", |service| service.requested_ips = Ok(vec!["10.0.0.2".parse().unwrap()]));
    assert!(matches!(cluster.write(&write, Answer::Yes), Outcome::Failed));
    desk.done(&write, Outcome::Failed);
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/a"), ["10.0.0.2"]);
}

#[test]
fn a_deprecated_annotation_is_named_with_its_successor() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.0/30")]);
    cluster.put("one/a", balancer(), json!({ "metallb.universe.tf/address-pool": "p" }));
    let news = cluster.settle(&mut desk);
    assert!(reasons(&news).contains(&(
        "deprecatedAnnotation",
        "metallb.universe.tf/address-pool is deprecated, use metallb.io/address-pool"
    )));
}

/// Something that happens to the cluster, to its watch, or to the controller.
#[derive(Clone, Debug)]
enum Happens {
    Put {
        service: u8,
        port: u8,
        key: Option<u8>,
        asks: Option<u8>,
        balancer: bool,
    },
    Delete(u8),
    Overwrite(u8, u8),
    Pools(u8),
    Watch(u8),
    Plan(u8),
    Start,
    Finish(Answer),
    /// Another replica takes over from what the API server has; the writes of the one before may still land.
    TakeOver,
}

fn happens() -> impl Strategy<Value = Happens> {
    let put = (0u8..5, 0u8..2, proptest::option::of(0u8..2), proptest::option::of(0u8..5), any::<bool>());
    prop_oneof![
        4 => put.prop_map(|(service, port, key, asks, often)| Happens::Put { service, port, key, asks, balancer: often || port == 0 }),
        2 => (0u8..5).prop_map(Happens::Delete),
        1 => (0u8..5, 0u8..5).prop_map(|(service, ip)| Happens::Overwrite(service, ip)),
        2 => (0u8..4).prop_map(Happens::Pools),
        4 => (1u8..4).prop_map(Happens::Watch),
        6 => (1u8..6).prop_map(Happens::Plan),
        6 => Just(Happens::Start),
        6 => prop_oneof![3 => Just(Answer::Yes), 1 => Just(Answer::No), 1 => Just(Answer::Lost)].prop_map(Happens::Finish),
        1 => Just(Happens::TakeOver),
    ]
}

const CHOICES: [&[(&str, &str)]; 4] = [
    &[("p", "10.0.0.0/31")],
    &[("p", "10.0.0.0/31"), ("q", "10.0.0.2/31")],
    &[("p", "10.0.0.0-nonsense"), ("q", "10.0.0.2/32")],
    &[],
];

/// Two Services whose statuses show one address though they may not share it. What a user wrote there does not count.
fn shared_wrongly(cluster: &Cluster, forged: &BTreeSet<ServiceKey>) -> Option<(ServiceKey, ServiceKey)> {
    let all: Vec<&Service> =
        cluster.objects.values().map(|seen| &seen.service).filter(|service| !forged.contains(&service.key)).collect();
    all.iter().enumerate().find_map(|(index, a)| {
        let b = all[index + 1..].iter().find(|b| {
            let may = a.sharing_key.is_some() && a.sharing_key == b.sharing_key && a.ports.is_disjoint(&b.ports);
            !may && a.assigned.iter().any(|ip| b.assigned.contains(ip))
        })?;
        Some((a.key.clone(), b.key.clone()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_happens_it_comes_to_rest_with_no_address_given_twice_and_a_restart_writes_nothing(
        story in proptest::collection::vec(happens(), 0..80),
    ) {
        let mut cluster = Cluster::default();
        let mut chosen = 0usize;
        let mut desk = desk(&mut cluster, CHOICES[0]);
        let mut under_way: VecDeque<Write> = VecDeque::new();
        // A Service whose terms or status a user just changed may clash for as long as nobody acted on it.
        let mut touched: BTreeSet<ServiceKey> = BTreeSet::new();
        for event in story {
            match event {
                Happens::Put { service, port, key, asks, balancer: is_balancer } => {
                    let mut spec = balancer();
                    spec["ports"] = json!([{ "port": port + 1 }]);
                    if !is_balancer {
                        spec["type"] = json!("ClusterIP");
                    }
                    let mut annotations = json!({});
                    if let Some(key) = key {
                        annotations["metallb.io/allow-shared-ip"] = json!(format!("k{key}"));
                    }
                    if let Some(ip) = asks {
                        annotations["metallb.io/loadBalancerIPs"] = json!(format!("10.0.0.{ip}"));
                    }
                    let name = ServiceKey::new("one", format!("s{service}"));
                    if cluster.objects.contains_key(&name) {
                        touched.insert(name);
                    }
                    cluster.put(&format!("one/s{service}"), spec, annotations);
                }
                Happens::Delete(service) => {
                    let name = ServiceKey::new("one", format!("s{service}"));
                    touched.remove(&name);
                    cluster.delete(&name);
                }
                Happens::Overwrite(service, ip) => {
                    let name = ServiceKey::new("one", format!("s{service}"));
                    // The API server lets only a LoadBalancer have addresses.
                    if cluster.objects.get(&name).is_some_and(|seen| seen.service.kind == ServiceKind::LoadBalancer) {
                        let ip: IpAddr = format!("10.0.0.{ip}").parse().unwrap();
                        cluster.edit(&format!("one/s{service}"), |service| service.assigned = vec![ip]);
                        touched.insert(name);
                    }
                }
                Happens::Pools(index) => {
                    chosen = usize::from(index);
                    desk.learn(pools(CHOICES[chosen]));
                }
                Happens::Watch(count) => {
                    for _ in 0..count {
                        if let Some(change) = cluster.unseen.pop_front() {
                            desk.learn(Fact::Services(change));
                        }
                    }
                }
                Happens::Plan(most) => {
                    desk.plan(usize::from(most));
                }
                Happens::Start => under_way.extend(desk.next_write()),
                Happens::Finish(answer) => {
                    if let Some(write) = under_way.pop_front() {
                        let outcome = cluster.write(&write, answer);
                        desk.done(&write, outcome);
                    }
                }
                Happens::TakeOver => {
                    // The lease is given up when nothing is under way any more.
                    for write in under_way.drain(..) {
                        cluster.write(&write, Answer::Lost);
                    }
                    desk = self::desk(&mut cluster, CHOICES[chosen]);
                }
            }
            if touched.is_empty() {
                prop_assert_eq!(shared_wrongly(&cluster, &touched), None);
            }
        }
        for write in std::mem::take(&mut under_way) {
            let outcome = cluster.write(&write, Answer::Yes);
            desk.done(&write, outcome);
        }
        cluster.settle(&mut desk);
        prop_assert_eq!(shared_wrongly(&cluster, &BTreeSet::new()), None);
        for seen in cluster.objects.values() {
            let held = desk.book.allocation(&seen.service.key).map(|assignment| assignment.ips.clone()).unwrap_or_default();
            prop_assert_eq!(&seen.service.assigned, &held);
        }
        cluster.writes = 0;
        let mut next = self::desk(&mut cluster, CHOICES[chosen]);
        cluster.settle(&mut next);
        prop_assert_eq!(cluster.writes, 0);
    }
}

/// One pool that retains for an hour, at a time.
fn retaining(cluster: &mut Cluster, addresses: &str) -> Desk {
    let mut desk = desk(cluster, &[("a", addresses)]);
    let Fact::Pools(Change::Reset { mut objects, invalid }) = pools(&[("a", addresses)]) else { unreachable!() };
    let pool = objects.values_mut().next().unwrap();
    pool.metadata.annotations = Some(BTreeMap::from([("heraldlb.io/retain-addresses".to_owned(), "1h".to_owned())]));
    desk.learn(Fact::Pools(Change::Reset { objects, invalid }));
    desk.tick(time(0));
    desk
}

fn time(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// The chores as the API server carries them out: what was kept is seen, what was dropped is gone.
fn carry_out(desk: &mut Desk, kept: &mut BTreeMap<String, herald_crds::api::herald::AddressReservation>) {
    while let Some((name, chore)) = desk.next_chore() {
        let key = Key { namespace: "herald-system".into(), name: name.clone() };
        match &chore {
            Chore::Keep(object) => {
                kept.insert(name.clone(), (**object).clone());
                desk.learn(Fact::Reservations(Change::Apply(key, (**object).clone())));
            }
            Chore::Drop { .. } => {
                kept.remove(&name);
                desk.learn(Fact::Reservations(Change::Delete(key)));
            }
        }
        desk.chore_done(name, chore, true);
    }
}

#[test]
fn what_a_deleted_service_left_is_kept_over_a_restart_until_it_is_back_or_the_time_is_over() {
    let mut cluster = Cluster::default();
    let mut kept = BTreeMap::new();
    let mut desk = retaining(&mut cluster, "10.0.0.0/30");
    cluster.put("one/x", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/x"), ["10.0.0.0"]);
    cluster.delete(&ServiceKey::new("one", "x"));
    cluster.put("one/y", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/y"), ["10.0.0.1"], "withheld before any object says so");
    carry_out(&mut desk, &mut kept);
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["left.one.x"]);

    // Another controller, which knows nothing but the objects.
    let mut desk = retaining(&mut cluster, "10.0.0.0/30");
    for (name, object) in &kept {
        let key = Key { namespace: "herald-system".into(), name: name.clone() };
        desk.learn(Fact::Reservations(Change::Apply(key, object.clone())));
    }
    cluster.put("two/z", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("two/z"), ["10.0.0.2"]);
    let mut other = kept.clone();
    cluster.put("one/x", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/x"), ["10.0.0.0"], "back at its address");
    carry_out(&mut desk, &mut other);
    assert!(other.is_empty(), "not kept any more");

    // Or the time is over.
    cluster.delete(&ServiceKey::new("one", "x"));
    cluster.settle(&mut desk);
    carry_out(&mut desk, &mut other);
    desk.tick(time(3599));
    cluster.put("two/n", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("two/n"), ["10.0.0.3"]);
    assert_eq!(desk.next_end(), Some(time(3600)));
    desk.tick(time(3600));
    cluster.settle(&mut desk);
    carry_out(&mut desk, &mut other);
    assert!(other.is_empty() && desk.next_end().is_none());
    cluster.put("two/o", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("two/o"), ["10.0.0.0"]);
}

#[test]
fn who_follows_keeps_what_was_left_while_nobody_acted() {
    let mut cluster = Cluster::default();
    let mut kept = BTreeMap::new();
    let mut first = retaining(&mut cluster, "10.0.0.0/29");
    for name in ["one/gone", "one/back", "one/stays", "one/early", "one/told"] {
        cluster.put(name, balancer(), json!({}));
    }
    cluster.settle(&mut first);
    let mut next = retaining(&mut cluster, "10.0.0.0/29");
    next.follow();
    let went = |desk: &mut Desk, cluster: &mut Cluster, name: &str| {
        cluster.delete(&ServiceKey::new("one", name));
        desk.learn(Fact::Services(cluster.unseen.pop_back().unwrap()));
    };
    went(&mut next, &mut cluster, "early");
    next.tick(time(100));
    // This one the leader could still write, and the other follower has seen it.
    went(&mut next, &mut cluster, "told");
    let mut written = herald_crds::api::herald::AddressReservation::new(
        "left.one.told",
        serde_json::from_value(json!({"addresses": []})).unwrap(),
    );
    written.metadata.namespace = Some("herald-system".into());
    let key = Key { namespace: "herald-system".into(), name: "left.one.told".into() };
    next.learn(Fact::Reservations(Change::Apply(key, written)));
    went(&mut next, &mut cluster, "gone");
    went(&mut next, &mut cluster, "back");
    cluster.put("one/back", balancer(), json!({}));
    next.learn(Fact::Services(cluster.unseen.pop_back().unwrap()));
    next.tick(time(104));
    next.act();
    cluster.settle(&mut next);
    carry_out(&mut next, &mut kept);
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["left.one.gone"]);
    assert_eq!(cluster.shown("one/stays"), ["10.0.0.2"]);
}

#[test]
fn a_reservation_that_cannot_be_read_keeps_nothing_and_is_told_once() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("a", "10.0.0.0/30")]);
    let object: herald_crds::api::herald::AddressReservation = serde_json::from_value(json!({
        "apiVersion": "heraldlb.io/v1alpha1", "kind": "AddressReservation", "metadata": { "name": "r" },
        "spec": { "addresses": ["10.0.0.0/30"], "for": { "name": "x" } },
    }))
    .unwrap();
    let key = Key { namespace: "herald-system".into(), name: "r".into() };
    desk.learn(Fact::Reservations(Change::Apply(key.clone(), object.clone())));
    let told = cluster.settle(&mut desk);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].note, "spec.for.name needs spec.for.namespace beside it");
    desk.learn(Fact::Reservations(Change::Apply(key, object)));
    assert!(cluster.settle(&mut desk).is_empty());
    cluster.put("one/x", balancer(), json!({}));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/x"), ["10.0.0.0"]);
}

#[test]
fn an_address_taken_back_on_other_terms_before_it_was_free_wakes_who_may_share_it_now() {
    let mut cluster = Cluster::default();
    let mut desk = desk(&mut cluster, &[("p", "10.0.0.1/32")]);
    let on = |port: u16, kind: &str| {
        let mut spec = balancer();
        spec["ports"] = json!([{ "port": port }]);
        spec["type"] = json!(kind);
        spec
    };
    cluster.put("one/holder", on(1, "LoadBalancer"), json!({}));
    cluster.settle(&mut desk);
    cluster.put("one/waiting", on(1, "LoadBalancer"), json!({ "metallb.io/allow-shared-ip": "k" }));
    cluster.settle(&mut desk);
    // Released in the book, still shown by the status: the write that clears it meets a newer version.
    cluster.put("one/holder", on(2, "ClusterIP"), json!({ "metallb.io/allow-shared-ip": "k" }));
    desk.learn(Fact::Services(cluster.unseen.pop_front().unwrap()));
    desk.plan(1);
    cluster.put("one/holder", on(2, "LoadBalancer"), json!({ "metallb.io/allow-shared-ip": "k" }));
    cluster.settle(&mut desk);
    assert_eq!(cluster.shown("one/holder"), ["10.0.0.1"]);
    assert_eq!(cluster.shown("one/waiting"), ["10.0.0.1"]);
}
