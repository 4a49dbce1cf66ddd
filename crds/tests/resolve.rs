//! What objects mean, as tables: pools, whom they are for, and where advertisements announce them.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::{BTreeMap, BTreeSet};

use herald_crds::api::{IPAddressPool, L2Advertisement};
use herald_crds::model::{
    Config, Interfaces, Labels, NodeFacts, Preference, Problem, ProblemReason, Resolved, Selector, Service, resolve,
};
use serde_json::{Value, from_value, json};

#[test]
fn a_pool_is_read_whole() {
    let written = json!({"addresses": ["192.0.2.8-192.0.2.9", "2001:db8::/127", "192.0.2.0/31"], "autoAssign": false, "avoidBuggyIPs": true});
    let resolved = sound(&config().pool("gold", written));
    let pool = &resolved.pools["gold"];
    let ranges: Vec<String> = pool.ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["192.0.2.8-192.0.2.9", "2001:db8::-2001:db8::1", "192.0.2.0-192.0.2.1"]);
    assert_eq!((pool.auto_assign, pool.avoid_buggy_ips, &pool.allocation), (false, true, &None));
    let holder = |ip: &str| resolved.pool_of(ip.parse().unwrap()).map(|pool| pool.name.as_str());
    assert_eq!(
        ["192.0.2.9", "192.0.2.1", "192.0.2.0", "2001:db8::1", "2001:db8::2"].map(holder),
        [Some("gold"), Some("gold"), None, Some("gold"), None]
    );
}

#[test]
fn a_malformed_pool_is_set_aside_alone_with_every_mistake_named() {
    let broken = json!({
        "addresses": ["192.0.2.1", "2001:db8::9-2001:db8::1", "198.51.100.0/24", "198.51.100.7/32"],
        "serviceAllocation": {
            "namespaces": ["a", "a"],
            "namespaceSelectors": [{"matchExpressions": [{"key": "k", "operator": "Near"}]}],
            "serviceSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}],
        },
    });
    let (resolved, problems) = resolve(&config().pool("broken", broken).pool("sound", addresses("203.0.113.0/24")));
    assert_eq!(resolved.pools.keys().collect::<Vec<_>>(), ["sound"]);
    assert_eq!(resolved.set_aside, names(&["broken"]));
    assert_eq!(
        texts(&problems),
        [
            "IPAddressPool broken: spec.addresses[0]: \"192.0.2.1\" has no prefix length: write 192.0.2.1/32 for this one address",
            "IPAddressPool broken: spec.addresses[1]: the range 2001:db8::9-2001:db8::1 ends before it starts: write 2001:db8::1-2001:db8::9",
            "IPAddressPool broken: spec.addresses[3] \"198.51.100.7/32\" and \"198.51.100.0/24\" hold the same addresses: write each address once",
            "IPAddressPool broken: spec.serviceAllocation.namespaceSelectors[0]: the operator \"Near\" for the key \"k\" is unknown: use In, NotIn, Exists or DoesNotExist",
            "IPAddressPool broken: spec.serviceAllocation.namespaces lists \"a\" twice: remove one of them",
            "IPAddressPool broken: spec.serviceAllocation.serviceSelectors[1] says the same as spec.serviceAllocation.serviceSelectors[0]: remove one of them",
        ]
    );
}

#[test]
fn an_empty_pool_is_a_problem() {
    let (resolved, problems) = resolve(&config().pool("empty", json!({"addresses": []})));
    assert!(resolved.pools.is_empty());
    assert_eq!(problems[0].reason, ProblemReason::NoAddresses);
    assert_eq!(texts(&problems), ["IPAddressPool empty: spec.addresses is empty: list at least one CIDR or range"]);
}

#[test]
fn of_two_pools_that_overlap_the_older_one_stays_in_force() {
    let early = ("2026-01-01T00:00:00Z", "192.0.2.0/24");
    let late = ("2026-01-02T00:00:00Z", "192.0.2.128-192.0.3.5");
    let unborn = ("", "192.0.3.1/32");
    let table = [
        ([("a", early), ("b", late)], "a"),
        ([("a", late), ("b", early)], "b"),
        ([("a", early), ("b", early)], "a"),
        ([("a", unborn), ("b", late)], "b"),
        ([("a", unborn), ("b", unborn)], "a"),
    ];
    for (pools, stays) in table {
        let config =
            pools.iter().fold(config(), |config, (name, (born, entry))| config.pool_born(name, born, addresses(entry)));
        let (resolved, problems) = resolve(&config);
        assert_eq!(resolved.pools.keys().collect::<Vec<_>>(), [stays], "{pools:?}");
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(problem.reason, ProblemReason::OverlapsPool);
        assert_eq!(resolved.set_aside, BTreeSet::from([problem.object.name.clone()]));
        for name in ["a", "b"] {
            assert!(problem.message.contains(&format!(" {name}")) || problem.object.name == name, "{problem}");
        }
    }
}

#[test]
fn the_younger_pool_is_set_aside_whole_and_blocks_nobody() {
    let config = config()
        .pool_born("first", "2026-01-01T00:00:00Z", addresses("2001:db8::/120"))
        .pool_born("second", "2026-01-02T00:00:00Z", json!({"addresses": ["2001:db8::ff/128", "192.0.2.0/24"]}))
        .pool_born("third", "2026-01-03T00:00:00Z", addresses("192.0.2.0/25"));
    let (resolved, problems) = resolve(&config);
    assert_eq!(resolved.pools.keys().collect::<Vec<_>>(), ["first", "third"]);
    let message = "IPAddressPool second: 2001:db8::ff-2001:db8::ff holds addresses of the older IPAddressPool first, which stays in force: \
                   take them out of second or out of first";
    assert_eq!(texts(&problems), [message]);
}

#[test]
fn an_address_in_use_belongs_to_the_pool_that_holds_it_or_to_the_one_set_aside_after_it_was_allocated() {
    let resolved = resolve(&config().pool("a", addresses("192.0.2.0/24")).pool("broken", addresses("?"))).0;
    let table: [(&[&str], Option<&str>, Option<&str>); 7] = [
        (&["192.0.2.1"], Some("a"), Some("a")),
        (&["192.0.2.1"], None, Some("a")),
        (&["192.0.2.1"], Some("broken"), Some("a")),
        (&["198.51.100.1"], Some("broken"), Some("broken")),
        (&["198.51.100.1"], Some("gone"), None),
        (&["192.0.2.1", "2001:db8::1"], Some("a"), None),
        (&[], Some("broken"), None),
    ];
    for (assigned, from, holder) in table {
        let ingress: Vec<Value> = assigned.iter().map(|ip| json!({"ip": ip})).collect();
        let annotations = from.map(|name| json!({"metallb.io/ip-allocated-from-pool": name}));
        let service =
            json!({"metadata": {"annotations": annotations}, "status": {"loadBalancer": {"ingress": ingress}}});
        let service = Service::from(&from_value::<k8s_openapi::api::core::v1::Service>(service).unwrap());
        assert_eq!(resolved.pool_held(&service), holder, "{assigned:?} from {from:?}");
    }
}

#[test]
fn a_service_allocation_says_whom_a_pool_is_for() {
    let red = json!({"matchLabels": {"color": "red"}});
    let web = json!({"matchLabels": {"app": "web"}});
    let nowhere = json!({"matchLabels": {"color": "green"}});
    // The namespaces "red" and "blue" are labelled with their colour. Whom the pool admits, and for whom it is chosen automatically:
    // web in red, web in blue, db in red, db in blue.
    let (yes, no) = (true, false);
    let table = [
        (json!({}), [yes; 4], [yes; 4]),
        (json!({"priority": 5}), [yes; 4], [yes; 4]),
        (json!({"namespaces": ["red"]}), [yes, no, yes, no], [yes, no, yes, no]),
        (json!({"namespaces": ["red", "unborn"]}), [yes, no, yes, no], [yes, no, yes, no]),
        (json!({"namespaces": ["unborn"]}), [no; 4], [no; 4]),
        (json!({"namespaceSelectors": [red]}), [yes, no, yes, no], [yes, no, yes, no]),
        (json!({"namespaces": ["blue"], "namespaceSelectors": [red]}), [yes; 4], [yes; 4]),
        (json!({"serviceSelectors": [web]}), [yes, yes, no, no], [yes, yes, no, no]),
        (json!({"namespaces": ["red"], "serviceSelectors": [web]}), [yes, no, no, no], [yes, no, no, no]),
        (json!({"namespaceSelectors": [nowhere]}), [no; 4], [no; 4]),
        (json!({"namespaceSelectors": [nowhere], "serviceSelectors": [web]}), [no; 4], [no; 4]),
        (json!({"namespaces": ["red"], "namespaceSelectors": [nowhere]}), [yes, no, yes, no], [yes, no, yes, no]),
    ];
    let services = [("red", "web"), ("blue", "web"), ("red", "db"), ("blue", "db")];
    for (allocation, admits, pinned) in table {
        let written = json!({"addresses": ["192.0.2.0/24"], "serviceAllocation": allocation});
        let resolved = sound(&config().namespace("red").namespace("blue").pool("p", written));
        let pool = &resolved.pools["p"];
        assert_eq!(services.map(|(ns, app)| pool.admits(ns, &labels("app", app))), admits, "{allocation}");
        assert_eq!(services.map(|(ns, app)| pool.is_pinned_to(ns, &labels("app", app))), pinned, "{allocation}");
    }
}

#[test]
fn a_pool_without_allocation_admits_all_and_is_pinned_to_nobody() {
    let resolved = sound(&config().pool("p", addresses("192.0.2.0/24")));
    let pool = &resolved.pools["p"];
    assert!(pool.admits("any", &Labels::new()) && !pool.is_pinned_to("any", &Labels::new()));
}

#[test]
fn an_advertisement_announces_the_pools_it_names_or_selects_or_all_of_them() {
    let gold = json!({"matchLabels": {"tier": "gold"}});
    let table: [(Value, &[&str]); 7] = [
        (json!({}), &["broken", "p1", "p2"]),
        (json!({"ipAddressPools": ["p1"]}), &["p1"]),
        (json!({"ipAddressPools": ["p1", "unknown"]}), &["p1"]),
        (json!({"ipAddressPools": ["unknown"]}), &[]),
        (json!({"ipAddressPoolSelectors": [gold]}), &["p2"]),
        (json!({"ipAddressPools": ["p1"], "ipAddressPoolSelectors": [gold]}), &["p1", "p2"]),
        (json!({"ipAddressPoolSelectors": [{"matchLabels": {"tier": "tin"}}]}), &[]),
    ];
    for (spec, pools) in table {
        let config = config()
            .pool("p1", addresses("192.0.2.0/24"))
            .pool("p2", addresses("2001:db8::/120"))
            .label_pool("p2", "tier", "gold")
            .pool("broken", addresses("?"))
            .advert("a", spec.clone());
        let (resolved, problems) = resolve(&config);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(resolved.l2_advertisements["a"].pools, names(pools), "{spec}");
    }
}

#[test]
fn an_advertisement_looks_up_nodes_interfaces_and_preferences() {
    let config = config()
        .node("n1", "zone", "a")
        .node("n2", "zone", "b")
        .node("n3", "zone", "c")
        .advert("everywhere", json!({}))
        .advert(
            "some",
            json!({
                "nodeSelectors": [{"matchLabels": {"zone": "a"}}, {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["c"]}]}],
                "interfaces": ["eth1", "eth0"],
                "serviceSelectors": [{"matchLabels": {"app": "web"}}],
                "preferredNodeSelectors": [{"weight": 100, "preference": {"matchLabels": {"zone": "c"}}}, {"weight": 1, "preference": {}}],
            }),
        )
        .advert("nowhere", json!({"nodeSelectors": [{"matchLabels": {"zone": "x"}}]}));
    let adverts = sound(&config).l2_advertisements;
    assert_eq!(adverts["everywhere"].nodes, names(&["n1", "n2", "n3"]));
    assert_eq!((&adverts["everywhere"].interfaces, &adverts["everywhere"].preferences), (&Interfaces::All, &vec![]));
    assert_eq!(adverts["nowhere"].nodes, names(&[]));

    let some = &adverts["some"];
    assert_eq!(some.nodes, names(&["n1", "n3"]));
    assert_eq!(some.interfaces, Interfaces::Named(names(&["eth0", "eth1"])));
    let preferences = [
        Preference { weight: 100, nodes: names(&["n3"]) },
        Preference { weight: 1, nodes: names(&["n1", "n2", "n3"]) },
    ];
    assert_eq!(some.preferences, preferences);
    assert!(some.selects_service(&labels("app", "web")) && !some.selects_service(&labels("app", "db")));
    assert!(adverts["everywhere"].selects_service(&Labels::new()));
}

#[test]
fn an_empty_selector_in_a_list_selects_everything() {
    let config = config()
        .pool("p", addresses("192.0.2.0/24"))
        .advert("a", json!({"ipAddressPoolSelectors": [{}], "serviceSelectors": [{}]}));
    let advert = &sound(&config).l2_advertisements["a"];
    assert_eq!((&advert.pools, &advert.service_selectors), (&names(&["p"]), &vec![Selector::everything()]));
}

#[test]
fn a_malformed_advertisement_is_set_aside_alone() {
    let broken = json!({
        "ipAddressPools": ["p", "p"],
        "nodeSelectors": [{"matchExpressions": [{"key": "zone", "operator": "In"}]}],
        "preferredNodeSelectors": [{"weight": 0, "preference": {}}, {"weight": 101, "preference": {"matchExpressions": [{"key": "", "operator": "Exists"}]}}],
    });
    let (resolved, problems) =
        resolve(&config().pool("p", addresses("192.0.2.0/24")).advert("broken", broken).advert("sound", json!({})));
    assert_eq!(resolved.l2_advertisements.keys().collect::<Vec<_>>(), ["sound"]);
    assert_eq!(
        texts(&problems),
        [
            "L2Advertisement broken: spec.nodeSelectors[0]: the operator In for the key \"zone\" needs at least one value",
            "L2Advertisement broken: spec.preferredNodeSelectors[1].preference: a match expression has no key",
            "L2Advertisement broken: spec.ipAddressPools lists \"p\" twice: remove one of them",
            "L2Advertisement broken: spec.preferredNodeSelectors[0].weight is 0: use a number from 1 to 100",
            "L2Advertisement broken: spec.preferredNodeSelectors[1].weight is 101: use a number from 1 to 100",
        ]
    );
}

#[test]
fn a_slip_in_editing_an_advertisement_leaves_it_as_it_was_until_it_is_deleted() {
    let before = sound(&config().node("n1", "zone", "a").advert("a", json!({"interfaces": ["eth0"]})));
    let slip = config()
        .node("n1", "zone", "a")
        .advert("a", json!({"nodeSelectors": [{"matchExpressions": [{"key": "zone", "operator": ""}]}]}));
    let mut resolved = resolve(&slip).0;
    assert!(resolved.l2_advertisements.is_empty());
    resolved.keep_advertisements(&before, &slip);
    assert_eq!(resolved.l2_advertisements, before.l2_advertisements);

    let edited = config().advert("a", json!({"interfaces": ["eth1"]}));
    let mut resolved = sound(&edited);
    resolved.keep_advertisements(&before, &edited);
    assert_eq!(resolved, sound(&edited));

    let mut resolved = sound(&config());
    resolved.keep_advertisements(&before, &config());
    assert_eq!(resolved, sound(&config()));
}

#[test]
fn interfaces_add_up_and_all_swallows_the_rest() {
    let named = |list: &[&str]| Interfaces::Named(names(list));
    assert_eq!(named(&["a"]).union(&named(&["b"])), named(&["a", "b"]));
    assert_eq!(named(&["a"]).union(&Interfaces::All), Interfaces::All);
    assert_eq!(Interfaces::All.union(&named(&[])), Interfaces::All);
    assert!(Interfaces::All.include("x") && named(&["x"]).include("x") && !named(&[]).include("x"));
}

fn config() -> Build {
    Build(Config::default())
}

struct Build(Config);

impl std::ops::Deref for Build {
    type Target = Config;
    fn deref(&self) -> &Config {
        &self.0
    }
}

impl Build {
    fn pool(self, name: &str, spec: Value) -> Self {
        self.pool_born(name, "", spec)
    }

    fn pool_born(mut self, name: &str, born: &str, spec: Value) -> Self {
        let born = Some(born).filter(|born| !born.is_empty());
        let object: IPAddressPool =
            from_value(json!({"metadata": {"name": name, "creationTimestamp": born}, "spec": spec})).unwrap();
        self.0.pools.insert(name.to_owned(), object);
        self
    }

    fn label_pool(mut self, name: &str, key: &str, value: &str) -> Self {
        self.0.pools.get_mut(name).unwrap().metadata.labels = Some(labels(key, value));
        self
    }

    fn advert(mut self, name: &str, spec: Value) -> Self {
        let object: L2Advertisement = from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        self.0.l2_advertisements.insert(name.to_owned(), object);
        self
    }

    fn namespace(mut self, name: &str) -> Self {
        self.0.namespaces.insert(name.to_owned(), labels("color", name));
        self
    }

    fn node(mut self, name: &str, key: &str, value: &str) -> Self {
        self.0.nodes.insert(name.to_owned(), NodeFacts { labels: labels(key, value), ..NodeFacts::default() });
        self
    }
}

fn sound(config: &Config) -> Resolved {
    let (resolved, problems) = resolve(config);
    assert_eq!(texts(&problems), [""; 0]);
    resolved
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn addresses(entry: &str) -> Value {
    json!({"addresses": [entry]})
}

fn labels(key: &str, value: &str) -> Labels {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}
