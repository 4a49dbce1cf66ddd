//! What becomes of addresses while Services, pools and controllers change under them, through the real API server.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab};
use herald_crds::api::herald::AddressReservation;
use herald_tests::{
    fault::{Target, strike},
    herald::{PATIENCE, ips},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Service};
use kube::{Api, Client, api::ListParams};
use nix::sys::signal::Signal;
use std::{collections::BTreeMap, net::IpAddr, time::Instant};

/// A Service without a backend, given as `namespace/name`, with annotations, more lines of its spec, and TCP ports.
fn service(key: &str, annotations: &[(&str, &str)], spec: &str, ports: &[u16]) -> String {
    let (namespace, name) = key.split_once('/').unwrap();
    let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
    let annotations = serde_json::to_string(&annotations).unwrap();
    let ports: String = ports.iter().map(|port| format!("  - {{name: p{port}, port: {port}}}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  annotations: {annotations}\nspec:\n  \
         type: LoadBalancer\n  {spec}\n  ports:\n{ports}"
    )
}

fn pool(name: &str, addresses: &str, more: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: herald-system}}\nspec:\n  \
         autoAssign: false\n  addresses: [{addresses}]\n  {more}\n"
    )
}

const POOL: &str = "metallb.io/address-pool";
const WANTED: &str = "metallb.io/loadBalancerIPs";
const SHARED: &str = "metallb.io/allow-shared-ip";
const FROM: &str = "metallb.io/ip-allocated-from-pool";

/// Two namespaces and the lab; on the way out the namespaces' Services and the pools of the test go.
struct Story<'a> {
    lab: &'a Lab,
    services: Vec<String>,
    pools: Vec<String>,
}

impl<'a> Story<'a> {
    fn on(lab: &'a Lab) -> Self {
        for namespace in ["one", "two"] {
            let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n");
            lab.apply(&manifest).unwrap();
        }
        Self { lab, services: Vec::new(), pools: Vec::new() }
    }

    fn pool(&mut self, name: &str, addresses: &str) {
        self.pools.push(name.to_owned());
        self.lab.apply(&pool(name, addresses, "")).unwrap();
    }

    fn service(&mut self, key: &str, annotations: &[(&str, &str)], spec: &str, ports: &[u16]) {
        self.services.push(key.to_owned());
        self.lab.apply(&service(key, annotations, spec, ports)).unwrap();
    }

    fn patch(&self, key: &str, patch: &str) {
        let (namespace, name) = key.split_once('/').unwrap();
        let patch = format!("--patch={patch}");
        self.lab.kubectl(&["patch", "service", name, "-n", namespace, "--type=merge", &patch]).unwrap();
    }

    fn delete(&self, key: &str) {
        let (namespace, name) = key.split_once('/').unwrap();
        self.lab.kubectl(&["delete", "service", name, "-n", namespace, "--ignore-not-found"]).unwrap();
    }

    fn delete_pool(&self, name: &str) {
        self.lab.kubectl(&["delete", "ipaddresspool", name, "-n=herald-system", "--ignore-not-found"]).unwrap();
    }

    /// Waits until a Service shows exactly these addresses and the annotation of this pool.
    fn shows(&self, key: &str, expected: &[&str], from: Option<&str>) {
        let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        let told = format!("{key} to show {expected:?} from {from:?}");
        let (key, from) = (key.to_owned(), from.map(str::to_owned));
        let result = self.lab.wait_for(&told, PATIENCE, move |client| {
            let (expected, from, key) = (expected.clone(), from.clone(), key.clone());
            async move {
                let service = get(client, &key).await?;
                let annotation = service.metadata.annotations.as_ref().and_then(|all| all.get(FROM)).cloned();
                Ok((ips(&service) == expected && annotation == from).then_some(()))
            }
        });
        if let Err(error) = result {
            let services = self.lab.kubectl(&["get", "services", "-A"]).unwrap_or_default();
            panic!("{error:#}\n{services}\n{}", self.lab.logs("herald-system", "controller-").unwrap_or_default());
        }
    }

    /// Waits until an event of a Service contains a text.
    fn is_told(&self, key: &str, text: &str) {
        let (namespace, name) = key.split_once('/').unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let object = format!("service/{name}");
            let events = self.lab.kubectl(&["events", "-n", namespace, "--for", &object]).unwrap();
            if events.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no event of {key} says {text:?}:\n{events}");
        }
    }
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        self.services.iter().for_each(|key| self.delete(key));
        self.pools.iter().for_each(|name| self.delete_pool(name));
    }
}

async fn get(client: Client, key: &str) -> anyhow::Result<Service> {
    let (namespace, name) = key.split_once('/').unwrap();
    Ok(Api::<Service>::namespaced(client, namespace).get(name).await?)
}

#[test]
fn two_namespaces_share_an_address_and_a_port_change_lets_the_waiting_one_in() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pool("shared", "10.66.110.1/32");
    let terms = [(POOL, "shared"), (SHARED, "key")];
    it.service("one/web", &terms, "", &[80]);
    it.shows("one/web", &["10.66.110.1"], Some("shared"));
    it.service("two/tls", &terms, "", &[443]);
    it.shows("two/tls", &["10.66.110.1"], Some("shared"));

    // The same port, asked for by address, is refused and says who has it.
    it.service("two/late", &[(WANTED, "10.66.110.1"), (SHARED, "key")], "", &[80]);
    it.is_told("two/late", "port tcp/80 is already in use");
    it.is_told("two/late", "one/web");
    it.service("two/other-key", &[(WANTED, "10.66.110.1"), (SHARED, "lock")], "", &[8080]);
    it.is_told("two/other-key", "the sharing keys differ");
    it.service("two/local", &[(WANTED, "10.66.110.1"), (SHARED, "key")], "externalTrafficPolicy: Local", &[8081]);
    it.is_told("two/local", "externalTrafficPolicy must be the same");

    // MetalLB needs a deletion for this.
    it.patch("one/web", r#"{"spec":{"ports":[{"name":"p","port":8888}]}}"#);
    it.shows("two/late", &["10.66.110.1"], Some("shared"));
    it.shows("one/web", &["10.66.110.1"], Some("shared"));
    // So does the key of the one that waits.
    it.patch("two/other-key", &format!(r#"{{"metadata":{{"annotations":{{"{SHARED}":"key"}}}}}}"#));
    it.shows("two/other-key", &["10.66.110.1"], Some("shared"));
    it.patch("two/local", r#"{"spec":{"externalTrafficPolicy":"Cluster"}}"#);
    it.shows("two/local", &["10.66.110.1"], Some("shared"));
}

#[test]
fn families_follow_the_policy_and_the_address_that_can_stay_stays() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pool("dual", "10.66.111.0/30, \"fd00:10:66::111:0/126\"");
    it.pool("v4", "10.66.112.0/30");
    let from = |pool| [(POOL, pool)];
    it.service("one/single", &from("dual"), "ipFamilyPolicy: SingleStack", &[80]);
    it.shows("one/single", &["10.66.111.0"], Some("dual"));
    it.service("one/six", &from("dual"), "ipFamilies: [IPv6]", &[80]);
    it.shows("one/six", &["fd00:10:66::111:0"], Some("dual"));
    it.service("one/require", &from("dual"), "ipFamilyPolicy: RequireDualStack", &[80]);
    it.shows("one/require", &["10.66.111.1", "fd00:10:66::111:1"], Some("dual"));

    it.service("one/prefer", &from("v4"), "ipFamilyPolicy: PreferDualStack", &[80]);
    it.shows("one/prefer", &["10.66.112.0"], Some("v4"));
    it.is_told("one/prefer", "AdditionalAssignFailed");
    // The missing family arrives with the pool's addresses, and nothing else moves.
    lab.apply(&pool("v4", "10.66.112.0/30, \"fd00:10:66::112:0/126\"", "")).unwrap();
    it.shows("one/prefer", &["10.66.112.0", "fd00:10:66::112:0"], Some("v4"));

    it.service("one/impossible", &from("dual"), "ipFamilyPolicy: RequireDualStack", &[80]);
    it.shows("one/impossible", &["10.66.111.2", "fd00:10:66::111:2"], Some("dual"));
    it.patch("one/impossible", r#"{"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"]}}"#);
    it.shows("one/impossible", &["10.66.111.2"], Some("dual"));
    it.patch("one/single", r#"{"spec":{"ipFamilyPolicy":"PreferDualStack"}}"#);
    it.shows("one/single", &["10.66.111.0", "fd00:10:66::111:2"], Some("dual"));

    // Both families asked for exactly; a request for one of two is a mismatch and costs nothing.
    it.patch(
        "one/require",
        &format!(r#"{{"metadata":{{"annotations":{{"{WANTED}":"10.66.111.3,fd00:10:66::111:3"}}}}}}"#),
    );
    it.shows("one/require", &["10.66.111.3", "fd00:10:66::111:3"], Some("dual"));
    it.patch("one/require", &format!(r#"{{"metadata":{{"annotations":{{"{WANTED}":"10.66.111.1"}}}}}}"#));
    it.is_told("one/require", "does not match the ipFamily of the service");
    it.shows("one/require", &["10.66.111.3", "fd00:10:66::111:3"], Some("dual"));
}

#[test]
fn pools_change_while_in_use() {
    let lab = lab();
    let mut it = Story::on(&lab);
    // The webhook would refuse what is slipped in here.
    lab.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"]).unwrap();
    it.pool("old", "10.66.113.0/30");
    it.service("one/stays", &[], "loadBalancerIP: 10.66.113.0", &[80]);
    it.service("one/goes", &[], "loadBalancerIP: 10.66.113.3", &[80]);
    it.shows("one/stays", &["10.66.113.0"], Some("old"));
    it.shows("one/goes", &["10.66.113.3"], Some("old"));

    // Renamed: the new one waits aside until the old one goes; no address changes, only the annotation.
    it.pool("new", "10.66.113.0/30");
    it.delete_pool("old");
    it.shows("one/stays", &["10.66.113.0"], Some("new"));
    it.shows("one/goes", &["10.66.113.3"], Some("new"));

    // Shrunk: who asked for what is left out loses it and is told; the other one keeps its own.
    lab.apply(&pool("new", "10.66.113.0/31", "")).unwrap();
    it.shows("one/goes", &[], None);
    it.is_told("one/goes", "ClearAssignment");
    it.is_told("one/goes", "is not allowed in config");
    it.shows("one/stays", &["10.66.113.0"], Some("new"));
    // Grown again: it is back.
    lab.apply(&pool("new", "10.66.113.0/29", "")).unwrap();
    it.shows("one/goes", &["10.66.113.3"], Some("new"));

    // A slip in the pool takes nothing away.
    lab.apply(&pool("new", "10.66.113.0/299", "")).unwrap();
    it.service("two/next", &[(POOL, "new")], "", &[80]);
    it.is_told("two/next", "unknown pool");
    it.shows("one/stays", &["10.66.113.0"], Some("new"));
    // Deleted: everything is given up.
    it.delete_pool("new");
    it.shows("one/stays", &[], None);
    it.shows("one/goes", &[], None);
    lab.apply("config/default").unwrap();
}

#[test]
fn what_somebody_else_writes_over_a_status_is_written_back() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pool("edited", "10.66.114.0/30");
    it.service("one/edited", &[(POOL, "edited")], "", &[80]);
    it.shows("one/edited", &["10.66.114.0"], Some("edited"));
    for status in [
        r#"{"status":{"loadBalancer":{"ingress":[{"ip":"10.66.114.3"}]}}}"#,
        r#"{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"},{"hostname":"example.com"}]}}}"#,
        r#"{"status":{"loadBalancer":null}}"#,
    ] {
        let patch = format!("--patch={status}");
        lab.kubectl(&["patch", "service", "edited", "-n=one", "--subresource=status", "--type=merge", &patch]).unwrap();
        it.shows("one/edited", &["10.66.114.0"], Some("edited"));
    }
    let note = format!("{FROM}=elsewhere");
    lab.kubectl(&["annotate", "--overwrite", "service", "edited", "-n=one", &note]).unwrap();
    it.shows("one/edited", &["10.66.114.0"], Some("edited"));
}

#[test]
fn of_two_that_race_for_the_last_address_one_gets_it_and_then_the_other() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pool("last", "10.66.115.9/32");
    let both = ["one/racer", "two/racer"];
    let manifests: Vec<String> = both.iter().map(|key| service(key, &[(POOL, "last")], "", &[80])).collect();
    it.services.extend(both.map(str::to_owned));
    lab.apply(&manifests.join("---\n")).unwrap();
    let held = |lab: &Lab| {
        lab.run({
            let client = lab.client();
            async move {
                let mut holders = Vec::new();
                for key in both {
                    if !ips(&get(client.clone(), key).await.unwrap()).is_empty() {
                        holders.push(key);
                    }
                }
                holders
            }
        })
        .unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    while held(&lab).is_empty() {
        assert!(Instant::now() < deadline, "nobody gets the last address");
    }
    let winner = held(&lab);
    assert_eq!(winner.len(), 1, "both show one address");
    let loser = if winner[0] == both[0] { both[1] } else { both[0] };
    it.is_told(loser, "no available IPs in pool last");
    it.delete(winner[0]);
    it.shows(loser, &["10.66.115.9"], Some("last"));
}

#[test]
fn an_api_server_and_a_controller_that_come_back_change_nothing_and_go_on() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pool("outage", "10.66.116.0/29");
    it.service("one/before", &[(POOL, "outage")], "", &[80]);
    it.shows("one/before", &["10.66.116.0"], Some("outage"));
    lab.stop_api_server();
    lab.start_api_server().unwrap();
    it.service("one/after", &[(POOL, "outage")], "", &[80]);
    it.shows("one/after", &["10.66.116.1"], Some("outage"));

    // The leader dies with a batch before it; whoever acts next finishes it, and no address is given twice.
    let manifests: Vec<String> =
        (0..6).map(|n| service(&format!("two/n{n}"), &[(POOL, "outage")], "", &[80])).collect();
    it.services.extend((0..6).map(|n| format!("two/n{n}")));
    let lease: Api<Lease> = Api::namespaced(lab.client(), "herald-system");
    let holder = lab.run(async move { lease.get("herald-controller").await }).unwrap().unwrap();
    let holder = holder.spec.and_then(|spec| spec.holder_identity).unwrap();
    let leader = lab.pod_pid("herald-system", holder.split('_').next().unwrap()).unwrap().as_raw();
    lab.apply(&manifests.join("---\n")).unwrap();
    strike(Target::Process(u32::try_from(leader).unwrap()), Signal::SIGKILL).unwrap();
    lab.wait_for("eight Services with an address each", PATIENCE, |client| async move {
        let services = Api::<Service>::all(client).list(&ListParams::default()).await?.items;
        let held: Vec<IpAddr> =
            services.iter().flat_map(ips).filter(|ip| ip.to_string().starts_with("10.66.116.")).collect();
        let distinct: std::collections::BTreeSet<&IpAddr> = held.iter().collect();
        assert_eq!(distinct.len(), held.len(), "an address is shown twice: {held:?}");
        Ok((held.len() == 8).then_some(()))
    })
    .unwrap();
    it.shows("one/before", &["10.66.116.0"], Some("outage"));
    it.shows("one/after", &["10.66.116.1"], Some("outage"));
}

/// Waits until the reservation that keeps what a Service left is there, or gone.
fn left(lab: &Lab, name: &'static str, there: bool) {
    let told = format!("reservation {name} to be {}", if there { "there" } else { "gone" });
    lab.wait_for(&told, PATIENCE, move |client| async move {
        let api: Api<AddressReservation> = Api::namespaced(client, "herald-system");
        Ok((api.get_opt(name).await?.is_some() == there).then_some(()))
    })
    .unwrap();
}

#[test]
fn the_address_of_a_deleted_service_waits_for_it_over_a_change_of_controllers() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pools.push("retaining".to_owned());
    lab.apply("config/samples/retaining-pool.yaml").unwrap();
    let from = [(POOL, "retaining")];
    it.service("one/web", &from, "", &[80]);
    it.shows("one/web", &["10.66.120.0"], Some("retaining"));
    it.delete("one/web");
    left(&lab, "left.one.web", true);
    it.service("two/web", &from, "", &[80]);
    it.shows("two/web", &["10.66.120.1"], Some("retaining"));
    it.service("two/asks", &[(WANTED, "10.66.120.0")], "", &[80]);
    it.is_told("two/asks", "AddressReservation left.one.web keeps it for others");

    // Neither controller remembers; the object does.
    lab.kubectl(&["rollout", "restart", "deployment/controller", "-n=herald-system"]).unwrap();
    lab.kubectl(&["rollout", "status", "deployment/controller", "-n=herald-system", "--timeout=60s"]).unwrap();
    it.service("two/next", &from, "", &[80]);
    it.shows("two/next", &["10.66.120.2"], Some("retaining"));
    it.service("one/web", &from, "", &[80]);
    it.shows("one/web", &["10.66.120.0"], Some("retaining"));
    left(&lab, "left.one.web", false);

    // The pool is exhausted otherwise: what was left goes to who waits.
    it.service("two/last", &from, "", &[80]);
    it.shows("two/last", &["10.66.120.3"], Some("retaining"));
    it.delete("two/last");
    left(&lab, "left.two.last", true);
    it.service("one/more", &from, "", &[80]);
    it.shows("one/more", &["10.66.120.3"], Some("retaining"));
    lab.kubectl(&["delete", "addressreservations", "--all", "-n=herald-system"]).unwrap();
}

#[test]
fn reserved_addresses_go_to_those_they_are_kept_for() {
    let lab = lab();
    let mut it = Story::on(&lab);
    lab.apply("config/samples/reservation.yaml").unwrap();
    let refused = [
        ("one/router", "10.66.100.40", "router"),
        ("one/web", "10.66.100.90", "web"),
        ("two/plain", "10.66.100.80", "edge"),
    ];
    for (key, ip, reservation) in refused {
        it.service(key, &[(WANTED, ip)], "", &[80]);
        it.is_told(key, &format!("AddressReservation {reservation} keeps it for others"));
    }
    it.service("default/web", &[], "ipFamilyPolicy: RequireDualStack", &[80]);
    it.shows("default/web", &["10.66.100.90", "fd00:10:66::100:90"], Some("lan"));
    lab.kubectl(&["label", "service", "plain", "-n=two", "team=edge"]).unwrap();
    it.shows("two/plain", &["10.66.100.80"], Some("lan"));
    // Free for all when the reservation goes.
    lab.kubectl(&["delete", "-n=herald-system", "addressreservation", "router"]).unwrap();
    it.shows("one/router", &["10.66.100.40"], Some("lan"));
    it.shows("one/web", &[], None);
    lab.kubectl(&["delete", "addressreservations", "--all", "-n=herald-system"]).unwrap();
}

#[test]
fn a_namespace_holds_no_more_of_a_pool_than_its_quota_and_a_lower_one_takes_nothing_away() {
    let lab = lab();
    let mut it = Story::on(&lab);
    it.pools.push("limited".to_owned());
    lab.apply("config/samples/limited-pool.yaml").unwrap();
    let from = [(POOL, "limited")];
    it.service("two/first", &from, "", &[80]);
    it.shows("two/first", &["10.66.121.0"], Some("limited"));
    it.service("two/second", &from, "", &[80]);
    it.is_told("two/second", "no available IPs in pool limited: the namespace holds 1 of its quota of 1");
    it.service("two/third", &[(WANTED, "10.66.121.7")], "", &[80]);
    it.is_told("two/third", "the namespace holds 1 of its quota of 1");
    it.service("one/web", &from, "", &[80]);
    it.shows("one/web", &["10.66.121.1"], Some("limited"));
    it.service("one/more", &from, "", &[80]);
    it.shows("one/more", &["10.66.121.2"], Some("limited"));

    // Lowered below what is in use, and counted anew by other controllers: nothing is taken, nothing more is given.
    let annotate = |quotas: &str| {
        let note = format!("heraldlb.io/namespace-quotas={quotas}");
        let words = ["annotate", "--overwrite", "ipaddresspool", "limited", "-n=herald-system", &note];
        lab.kubectl(&words).unwrap();
    };
    annotate("*=1");
    lab.kubectl(&["rollout", "restart", "deployment/controller", "-n=herald-system"]).unwrap();
    lab.kubectl(&["rollout", "status", "deployment/controller", "-n=herald-system", "--timeout=60s"]).unwrap();
    it.service("one/next", &from, "", &[80]);
    it.is_told("one/next", "the namespace holds 2 of its quota of 1");
    it.shows("one/web", &["10.66.121.1"], Some("limited"));
    it.shows("one/more", &["10.66.121.2"], Some("limited"));

    // What is given up goes to who waits, and so does what a higher quota allows.
    it.delete("two/first");
    it.delete("two/third");
    it.shows("two/second", &["10.66.121.0"], Some("limited"));
    annotate("one=3");
    it.shows("one/next", &["10.66.121.3"], Some("limited"));
}
