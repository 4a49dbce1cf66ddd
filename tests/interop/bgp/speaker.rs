//! The speaker's BGP on a node, from users' objects to TCP, without the rest of the speaker.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use herald_bgp::{Ended, Observed, State};
use herald_crds::model::{Config, Endpoint, NodeFacts, SecretFacts, Service, ServiceKey, resolve};
use herald_desire::{View, bgp::Book};
use herald_tests::wire::{Node, plan};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, from_value, json};
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    bgp::{
        Bgp, News, Order, Said, Standing, Standings,
        orders::{World, orders},
    },
    metrics::bgp::Metrics,
    node::{Interface, NodeView},
    pulse::bfd::PeerStates,
};

/// What users wrote.
#[derive(Clone, Default)]
pub(crate) struct Objects {
    config: Config,
    services: BTreeMap<String, Vec<IpAddr>>,
}

impl Objects {
    /// One pool with all addresses for Services.
    pub(crate) fn new() -> Self {
        let pool = json!({"metadata": {}, "spec": {"addresses": [plan::VIPS_V4, plan::VIPS_V6]}});
        let pools = [("pool".to_owned(), from_value(pool).unwrap())].into();
        Self { config: Config { pools, ..Config::default() }, services: BTreeMap::new() }
    }

    pub(crate) fn peer(mut self, name: &str, spec: Value) -> Self {
        let mut whole = json!({"myASN": 64512, "peerASN": 64513});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.config.bgp_peers.insert(name.to_owned(), object(whole));
        self
    }

    /// A peer of each family.
    pub(crate) fn peers(self, addresses: [IpAddr; 2], spec: &Value) -> Self {
        ["four", "six"].into_iter().zip(addresses).fold(self, |this, (name, address)| {
            let mut whole = spec.clone();
            whole["peerAddress"] = json!(address);
            this.peer(name, whole)
        })
    }

    pub(crate) fn without_peer(mut self, name: &str) -> Self {
        self.config.bgp_peers.remove(name);
        self
    }

    pub(crate) fn advert(mut self, name: &str, spec: Value) -> Self {
        self.config.bgp_advertisements.insert(name.to_owned(), object(spec));
        self
    }

    pub(crate) fn profile(mut self, name: &str, spec: Value) -> Self {
        self.config.bfd_profiles.insert(name.to_owned(), object(spec));
        self
    }

    pub(crate) fn secret(mut self, name: &str, password: &str) -> Self {
        let secret = json!({"type": "kubernetes.io/basic-auth", "data": {"password": base64(password)}});
        let secret: k8s_openapi::api::core::v1::Secret = from_value(secret).unwrap();
        self.config.secrets.insert(name.to_owned(), SecretFacts::from(&secret));
        self
    }

    pub(crate) fn service(mut self, name: &str, ips: &[&str]) -> Self {
        self.services.insert(name.to_owned(), ips.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }

    pub(crate) fn without_service(mut self, name: &str) -> Self {
        self.services.remove(name);
        self
    }

    /// What the speaker of a node makes of them.
    pub(crate) fn orders(&self, node: &Node) -> BTreeMap<String, Order> {
        let name = &node.name;
        let mut config = self.config.clone();
        let facts = NodeFacts { addresses: node.addresses().to_vec(), ..NodeFacts::default() };
        config.nodes.insert(name.clone(), facts);
        let (resolved, problems) = resolve(&config);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(resolved.waiting.is_empty(), "{:?}", resolved.waiting);
        let view = View { resolved: &resolved, nodes: &config.nodes, me: name, ignore_exclude_label: false };
        let endpoints = [Endpoint { node: None, can_serve: true, address: None }];
        let wish = |ips: &Vec<IpAddr>| {
            let ingress: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
            let written = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": ingress}}});
            let written: k8s_openapi::api::core::v1::Service = from_value(written).unwrap();
            herald_desire::bgp::service(&view, &Service::from(&written), &endpoints).ok()
        };
        let keyed = |(service, ips)| Some((ServiceKey::new("default", service), wish(ips)?));
        let wishes: Vec<_> = self.services.iter().filter_map(keyed).collect();
        let mut book = Book::default();
        book.renew(&view);
        wishes.into_iter().for_each(|(key, wish)| book.note(&view, &key, Some(wish)));
        let desired = book.desired();
        let network = network(node);
        let world = World { node: name, facts: config.nodes.get(name), view: &network, resolved: &resolved, desired };
        let (orders, unusable) = orders(&world);
        assert!(unusable.is_empty(), "{unusable:?}");
        orders
    }
}

fn object<T: serde::de::DeserializeOwned>(spec: Value) -> T {
    from_value(json!({"metadata": {}, "spec": spec})).unwrap()
}

/// RFC 4648 §4.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let number = chunk.iter().chain([0; 2].iter()).take(3).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = char::from(ALPHABET[number >> (18 - 6 * place) & 63]);
            out.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

/// The node's interfaces as netlink would show them.
fn network(node: &Node) -> NodeView {
    let [v4, v6] = node.addresses();
    let eth0 = Interface {
        name: plan::INTERFACE.to_owned(),
        mac: Some(node.mac.0),
        up: true,
        neighbours: true,
        enslaved: false,
        addresses: vec![format!("{v4}/16").parse().unwrap(), format!("{v6}/64").parse().unwrap()],
        gateways: Vec::new(),
    };
    NodeView { interfaces: [(2, eth0)].into(), neighbours: BTreeMap::new() }
}

/// Dropped, it dies without a word to its peers.
pub(crate) struct Speaker {
    runtime: Option<Runtime>,
    bgp: Option<Bgp>,
    standings: watch::Receiver<Standings>,
    news: Arc<Mutex<Vec<News>>>,
    registry: Registry,
}

impl Speaker {
    pub(crate) fn start(node: &Node) -> Self {
        Self::with_bfd(node, watch::channel(PeerStates::new()).1)
    }

    pub(crate) fn with_bfd(node: &Node, bfd: watch::Receiver<PeerStates>) -> Self {
        let mut registry = Registry::default();
        let runtime = node.namespace.runtime().unwrap();
        let (bgp, mut inbox, standings) = Bgp::new(Metrics::new(&mut registry), bfd);
        let news = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&news);
        runtime.spawn(async move {
            while let Some(item) = inbox.recv().await {
                told.lock().unwrap().push(item);
            }
        });
        Self { runtime: Some(runtime), bgp: Some(bgp), standings, news, registry }
    }

    pub(crate) fn order(&mut self, orders: BTreeMap<String, Order>) {
        let _inside = self.runtime.as_ref().unwrap().enter();
        self.bgp.as_mut().unwrap().order(orders);
    }

    /// As on SIGTERM; returns once every peer knows.
    pub(crate) fn leave(&mut self, text: &str) {
        let runtime = self.runtime.as_ref().unwrap();
        runtime.block_on(runtime.spawn(self.bgp.take().unwrap().leave(text.to_owned()))).unwrap();
    }

    pub(crate) fn standing(&self, peer: &str) -> Option<Standing> {
        self.standings.borrow().get(peer).cloned()
    }

    pub(crate) fn is_up(&self, peer: &str) -> bool {
        self.standing(peer).is_some_and(|standing| standing.state == State::Established)
    }

    /// Why a session is not up, in words.
    pub(crate) fn why(&self, peer: &str) -> String {
        self.standing(peer).and_then(|standing| standing.why).unwrap_or_default()
    }

    /// The reasons for which established sessions with a peer ended, in order.
    pub(crate) fn ends(&self, peer: &str) -> Vec<String> {
        let news = self.news.lock().unwrap();
        let of_peer = news.iter().filter(|item| item.peer == peer);
        of_peer
            .filter_map(|item| match &item.said {
                Said::Observed(Observed::Ended { was: State::Established, why }) => Some(Ended::to_string(why)),
                _ => None,
            })
            .collect()
    }

    /// The value of a metric of a peer.
    pub(crate) fn metric(&self, name: &str, peer: IpAddr) -> Option<f64> {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let start = format!("{name}{{peer=\"{}\",vrf=\"default\"}} ", std::net::SocketAddr::new(peer, 179));
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
    }

    /// The names of the peers that there are.
    pub(crate) fn peers(&self) -> BTreeSet<String> {
        self.standings.borrow().keys().cloned().collect()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
