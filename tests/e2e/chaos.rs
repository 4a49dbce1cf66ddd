//! Users, pools, controllers and the API server all at once, by a seed (`HERALD_SEED`): no address is ever shown twice, what nobody touches is never
//! written, and in the end everybody has what can be had.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use axum::http::Request;
use common::{Lab, lab};
use futures::StreamExt as _;
use herald_tests::{
    control_plane::ETCD,
    fault::{Target, strike},
    herald::{PATIENCE, ips},
};
use ipnet::IpNet;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Service};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    discovery::ApiResource,
    runtime::watcher::{self, Event, watcher},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::Instant,
};

const STEPS: u64 = 240;
/// Services that users make and unmake.
const NAMES: u64 = 14;
/// Pools of few addresses, so that there is want, as they are in the end.
const SMALL: [(&str, &str); 2] = [("chaos-a", "10.66.140.0/30"), ("chaos-b", "10.66.140.4/31")];
const POOL: &str = "metallb.io/address-pool";
const WANTED: &str = "metallb.io/loadBalancerIPs";
const SHARED: &str = "metallb.io/allow-shared-ip";

/// Numbers that are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn annotation<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    service.annotations().get(key).map(String::as_str)
}

fn is_balancer(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

/// Whether two Services of this story, whose ports all differ, may have one address.
fn may_share(a: &Service, b: &Service) -> bool {
    annotation(a, SHARED).is_some() && annotation(a, SHARED) == annotation(b, SHARED)
}

/// Two Services that show one address and may not.
fn clash(services: &BTreeMap<String, Service>) -> Option<String> {
    let mut holders: BTreeMap<IpAddr, Vec<&Service>> = BTreeMap::new();
    for service in services.values() {
        for ip in ips(service) {
            let others = holders.entry(ip).or_default();
            if let Some(other) = others.iter().find(|other| !may_share(other, service)) {
                return Some(format!("{ip} is shown by {} and {}", other.name_any(), service.name_any()));
            }
            others.push(service);
        }
    }
    None
}

/// Looks at every state of the Services that the API server shows, for ever.
async fn observe(client: Client, clashes: Arc<Mutex<BTreeSet<String>>>) {
    let mut shown: BTreeMap<String, Service> = BTreeMap::new();
    let mut events = pin!(watcher(Api::<Service>::all(client), watcher::Config::default()));
    let mut listing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                listing = true;
                shown.clear();
            }
            Ok(Event::InitDone) => listing = false,
            Ok(Event::InitApply(service) | Event::Apply(service)) => drop(shown.insert(service.name_any(), service)),
            Ok(Event::Delete(service)) => drop(shown.remove(&service.name_any())),
            // The API server is away.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
        if !listing && let Some(clash) = clash(&shown) {
            clashes.lock().unwrap().insert(clash);
        }
    }
}

/// What users do to one Service. That the API server does not take it, or is away, is part of the story.
async fn use_services(client: Client, mut dice: Dice) {
    let api: Api<Service> = Api::default_namespaced(client);
    let number = dice.below(NAMES);
    let name = format!("chaos-{number}");
    let asked = format!("10.66.140.{}", dice.below(8));
    let patch = |patch: Value| {
        let (api, name) = (api.clone(), name.clone());
        async move { drop(api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await) }
    };
    match dice.below(10) {
        0..5 => {
            let mut annotations = BTreeMap::new();
            match dice.below(4) {
                0 => drop(annotations.insert(WANTED, asked)),
                1 => {}
                _ => drop(annotations.insert(POOL, SMALL[usize::try_from(dice.below(2)).unwrap()].0.to_owned())),
            }
            if dice.below(4) == 0 {
                annotations.insert(SHARED, "key".to_owned());
            }
            let object = json!({
                "metadata": { "name": name, "annotations": annotations },
                "spec": { "type": "LoadBalancer", "ports": [{ "port": 1000 + number }], "allocateLoadBalancerNodePorts": false },
            });
            let _ = api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await;
        }
        5..7 => drop(api.delete(&name, &DeleteParams::default()).await),
        7 => patch(json!({ "metadata": { "annotations": { WANTED: asked } } })).await,
        8 => patch(json!({ "metadata": { "annotations": { WANTED: null } } })).await,
        _ => {
            let kind = if dice.below(2) == 0 { "ClusterIP" } else { "LoadBalancer" };
            patch(json!({ "spec": { "type": kind } })).await;
        }
    }
}

fn pools(client: Client) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: "metallb.io".into(),
        version: "v1beta1".into(),
        api_version: "metallb.io/v1beta1".into(),
        kind: "IPAddressPool".into(),
        plural: "ipaddresspools".into(),
    };
    Api::namespaced_with(client, "herald-system", &resource)
}

async fn set_pool(client: Client, name: &str, addresses: &str) -> kube::Result<()> {
    let object = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": { "name": name },
        "spec": { "addresses": [addresses], "autoAssign": false },
    });
    pools(client).patch(name, &PatchParams::apply("chaos").force(), &Patch::Apply(object)).await.map(drop)
}

/// What an administrator does to the pools.
async fn use_pools(client: Client, mut dice: Dice) {
    let (name, addresses) = SMALL[usize::try_from(dice.below(2)).unwrap()];
    match dice.below(4) {
        0 => drop(pools(client).delete(name, &DeleteParams::default()).await),
        1 => drop(set_pool(client, name, &addresses.replace("/31", "/32").replace("/30", "/31")).await),
        _ => drop(set_pool(client, name, addresses).await),
    }
}

/// Forgets the past of etcd, so that watches that go on from before are told 410 Gone.
async fn compact(client: Client) {
    let newest = Api::<Service>::default_namespaced(client).list(&ListParams::default()).await.unwrap();
    let etcd = Client::try_from(Config::new(ETCD.parse().unwrap())).unwrap();
    let body = json!({ "revision": newest.metadata.resource_version, "physical": true });
    let request = Request::post("/v3/kv/compaction").header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(&body).unwrap()).unwrap();
    etcd.request::<Value>(request).await.unwrap();
}

fn leader(lab: &Lab) -> Option<(String, Target)> {
    let api: Api<Lease> = Api::namespaced(lab.client(), "herald-system");
    let lease = lab.run(async move { api.get("herald-controller").await }).unwrap().ok()?;
    let holder = lease.spec?.holder_identity?;
    let pid = lab.pod_pid("herald-system", holder.split('_').next()?).ok()?;
    Some((holder, Target::Process(u32::try_from(pid.as_raw()).ok()?)))
}

fn wait_for_another(lab: &Lab, than: &str) {
    let deadline = Instant::now() + PATIENCE;
    while leader(lab).is_none_or(|(holder, _)| holder == than) {
        assert!(Instant::now() < deadline, "nobody takes over from {than}\n{}", lab.last_words("herald-system"));
    }
}

/// Something happens to Herald or to the control plane, one after the other.
fn disturb(lab: &Lab, number: u64, dice: &mut Dice) {
    match number % 4 {
        0 => {
            if let Some((_, process)) = leader(lab) {
                strike(process, Signal::SIGKILL).unwrap();
            }
        }
        1 => {
            lab.stop_api_server();
            lab.start_api_server().unwrap();
        }
        // Stopped for longer than its lease: two believe that they lead, until the first one looks at its clock.
        2 => {
            if let Some((holder, process)) = leader(lab) {
                strike(process, Signal::SIGSTOP).unwrap();
                wait_for_another(lab, &holder);
                for _ in 0..10 {
                    lab.run(use_services(lab.client(), dice.fork())).unwrap();
                }
                strike(process, Signal::SIGCONT).unwrap();
            }
        }
        _ => {
            lab.run(compact(lab.client())).unwrap();
            lab.stop_api_server();
            lab.start_api_server().unwrap();
        }
    }
}

/// Whether a Service may show what it shows, given all others and the pools as they are in the end.
fn wrong(service: &Service, all: &BTreeMap<String, Service>) -> Option<String> {
    let within = |pool: &str, ip: IpAddr| {
        SMALL.iter().any(|(name, range)| *name == pool && range.parse::<IpNet>().unwrap().contains(&ip))
    };
    let held = |ip: IpAddr| {
        let mut others = all.values().filter(|other| other.name_any() != service.name_any());
        others.any(|other| ips(other).contains(&ip) && !may_share(other, service))
    };
    let room = |pool: &str| {
        let range: IpNet = SMALL.iter().find(|(name, _)| *name == pool).unwrap().1.parse().unwrap();
        let range = match range {
            IpNet::V4(net) => net.network().to_bits()..=net.broadcast().to_bits(),
            IpNet::V6(_) => unreachable!("the small pools are IPv4"),
        };
        range.map(|bits| IpAddr::from(std::net::Ipv4Addr::from_bits(bits))).find(|ip| !held(*ip))
    };
    let shown = ips(service);
    let pool = annotation(service, POOL);
    let name = service.name_any();
    match annotation(service, WANTED).map(|text| text.parse::<IpAddr>().unwrap()) {
        Some(ip) => {
            let possible = match pool {
                Some(pool) => within(pool, ip),
                None => SMALL.iter().any(|(pool, _)| within(pool, ip)),
            } && !held(ip);
            (possible && shown != [ip]).then(|| format!("{name} could have {ip} and shows {shown:?}"))
        }
        None => match pool {
            Some(pool) if shown.is_empty() => room(pool).map(|ip| format!("{name} could have {ip} of {pool}")),
            Some(pool) if !within(pool, shown[0]) => Some(format!("{name} shows {shown:?}, not of {pool}")),
            None if shown.is_empty() => Some(format!("{name} could have any address")),
            _ => None,
        },
    }
}

async fn services(client: Client) -> kube::Result<BTreeMap<String, Service>> {
    let list = Api::<Service>::all(client).list(&ListParams::default()).await?;
    Ok(list.items.into_iter().map(|service| (service.name_any(), service)).collect())
}

fn versions(services: &BTreeMap<String, Service>) -> BTreeMap<String, String> {
    services.iter().map(|(name, service)| (name.clone(), service.resource_version().unwrap_or_default())).collect()
}

/// Waits until everybody has what can be had.
fn settled(lab: &Lab) -> BTreeMap<String, Service> {
    lab.wait_for("everybody to have what can be had", PATIENCE, |client| async move {
        let all = services(client).await?;
        let chaotic = all.values().filter(|service| service.name_any().starts_with("chaos-") && is_balancer(service));
        let faults: Vec<String> = chaotic.filter_map(|service| wrong(service, &all)).collect();
        anyhow::ensure!(faults.is_empty(), "{faults:?}");
        Ok(Some(all))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", lab.last_words("herald-system")))
}

#[test]
fn no_address_is_shown_twice_and_everybody_has_what_can_be_had_in_the_end() {
    let lab = lab();
    let seed = std::env::var("HERALD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(2026);
    eprintln!("HERALD_SEED={seed}");
    let mut dice = Dice(seed);
    for (name, addresses) in SMALL {
        lab.run(set_pool(lab.client(), name, addresses)).unwrap().unwrap();
    }
    lab.addresses("default", "echo", 2).unwrap();
    let untouched = versions(&lab.run(services(lab.client())).unwrap().unwrap());
    let clashes = Arc::new(Mutex::new(BTreeSet::new()));
    let observer = lab.runtime().spawn(observe(lab.client(), Arc::clone(&clashes)));

    for step in 0..STEPS {
        lab.run(use_services(lab.client(), dice.fork())).unwrap();
        if step % 9 == 8 {
            lab.run(use_pools(lab.client(), dice.fork())).unwrap();
        }
        if step % 40 == 39 {
            disturb(&lab, step / 40, &mut dice);
        }
    }

    for (name, addresses) in SMALL {
        lab.run(set_pool(lab.client(), name, addresses)).unwrap().unwrap();
    }
    let all = settled(&lab);
    for (name, service) in all.iter().filter(|(name, _)| name.starts_with("chaos-")) {
        eprintln!("{name}: {:?} {:?}", ips(service), service.annotations());
    }
    for (name, version) in &untouched {
        assert_eq!(all[name].resource_version().as_ref(), Some(version), "{name} was written");
    }
    assert_eq!(*clashes.lock().unwrap(), BTreeSet::new());

    // Controllers that know nothing but what is there find nothing to write.
    lab.kubectl(&["rollout", "restart", "deployment/controller", "-n=herald-system"]).unwrap();
    lab.kubectl(&["rollout", "status", "deployment/controller", "-n=herald-system", "--timeout=60s"]).unwrap();
    lab.apply(&common::service("after-all", "", "")).unwrap();
    lab.addresses("default", "after-all", 1).unwrap();
    lab.kubectl(&["delete", "service", "after-all"]).unwrap();
    let again = lab.run(services(lab.client())).unwrap().unwrap();
    assert_eq!(versions(&again), versions(&all));
    assert_eq!(*clashes.lock().unwrap(), BTreeSet::new());
    observer.abort();

    for name in all.keys().filter(|name| name.starts_with("chaos-")) {
        lab.kubectl(&["delete", "service", name]).unwrap();
    }
    lab.kubectl(&["delete", "ipaddresspool", "chaos-a", "chaos-b", "-n=herald-system"]).unwrap();
}
