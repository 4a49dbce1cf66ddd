//! The other side: BIRD, FRR or GoBGP as a router that takes what Herald announces.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use herald_tests::{
    router::{Bird, Frr, Gobgp},
    wire::{Member, Wire},
};
use ipnet::IpNet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
    Gobgp,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Bird, Self::Frr, Self::Gobgp];
    /// Those that speak BFD, and can be told another password while they run.
    pub(crate) const FULL: [Self; 2] = [Self::Bird, Self::Frr];
}

/// One session as the router is configured for it.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    pub(crate) herald: IpAddr,
    pub(crate) own: IpAddr,
    pub(crate) own_as: u32,
    pub(crate) herald_as: u32,
    pub(crate) password: Option<&'static str>,
    pub(crate) hold_s: u16,
    pub(crate) both_families: bool,
    pub(crate) bfd_ms: Option<u64>,
    pub(crate) multi_hop: bool,
}

impl Neighbour {
    /// One session per family from node 1 to a member, eBGP without anything special.
    pub(crate) fn of(wire: &Wire, member: &Member) -> [Self; 2] {
        let (herald, own) = (wire.node(1).addresses(), member.addresses());
        [0, 1].map(|i| Self {
            herald: herald[i],
            own: own[i],
            own_as: 64513,
            herald_as: 64512,
            password: None,
            hold_s: 90,
            both_families: false,
            bfd_ms: None,
            multi_hop: false,
        })
    }

    fn families(&self) -> Vec<&'static str> {
        let (own, other) = if self.herald.is_ipv4() { ("ipv4", "ipv6") } else { ("ipv6", "ipv4") };
        if self.both_families { vec![own, other] } else { vec![own] }
    }
}

pub(crate) enum Router {
    Bird(Bird),
    Frr(Frr),
    Gobgp(Gobgp),
}

/// A route as the router has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) next_hop: String,
    pub(crate) as_path: String,
    pub(crate) local_pref: Option<u64>,
    pub(crate) communities: BTreeSet<String>,
}

impl Router {
    /// Starts it on a member with these sessions.
    pub(crate) fn start(kind: Kind, wire: &Wire, member: &Member, neighbours: &[Neighbour]) -> Self {
        let files = wire.lab().dir().join(format!("{kind:?}"));
        match kind {
            Kind::Bird => Self::Bird(Bird::start(&member.namespace, &files, &bird(neighbours)).unwrap()),
            Kind::Gobgp => Self::Gobgp(Gobgp::start(&member.namespace, &files, &gobgp(neighbours)).unwrap()),
            Kind::Frr => Self::Frr(Frr::start(&member.namespace, &files, &["bgpd", "bfdd"], &frr(neighbours)).unwrap()),
        }
    }

    /// Changes the password of every session. FRR is given the difference as an operator would type it.
    pub(crate) fn set_password(&self, neighbours: &[Neighbour], password: &'static str) {
        match self {
            Self::Bird(daemon) => {
                let changed: Vec<_> =
                    neighbours.iter().map(|one| Neighbour { password: Some(password), ..one.clone() }).collect();
                daemon.configure(&bird(&changed)).unwrap();
            }
            Self::Frr(daemon) => {
                for one in neighbours {
                    let asn = format!("router bgp {}", one.own_as);
                    let line = format!("neighbor {} password {password}", one.herald);
                    daemon.run(&["configure terminal", &asn, &line]).unwrap();
                }
            }
            Self::Gobgp(_) => panic!("gobgp has no word for that"),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Gobgp(gobgp) => gobgp.kill(),
            Self::Bird(bird) => bird.kill(),
            Self::Frr(frr) => frr.kill(),
        }
    }

    /// Ends the session as an operator does who gives a reason.
    pub(crate) fn shut_down(&self, neighbour: &Neighbour, text: &str) {
        match self {
            Self::Bird(bird) => {
                bird.control(&["disable", &name(neighbour), &format!("\"{text}\"")]).unwrap();
            }
            Self::Frr(frr) => {
                let asn = format!("router bgp {}", neighbour.own_as);
                let line = format!("neighbor {} shutdown message {text}", neighbour.herald);
                frr.run(&["configure terminal", &asn, &line]).unwrap();
            }
            Self::Gobgp(gobgp) => {
                let herald = neighbour.herald.to_string();
                gobgp.run(&["neighbor", &herald, "shutdown", "--reason", text]).unwrap();
            }
        }
    }

    /// Whether the session stands.
    pub(crate) fn established(&self, neighbour: &Neighbour) -> bool {
        match self {
            Self::Bird(bird) => bird
                .show(&format!("protocols all {}", name(neighbour)))
                .unwrap()
                .lines()
                .any(|line| line.split_whitespace().eq(["BGP", "state:", "Established"])),
            Self::Frr(frr) => {
                self::neighbour(frr, neighbour)["bgpState"].as_str().is_some_and(|state| state == "Established")
            }
            // 6 is Established.
            Self::Gobgp(gobgp) => gobgp_neighbour(gobgp, neighbour)["state"]["session_state"] == 6,
        }
    }

    /// What the router says about how the session ended last.
    pub(crate) fn last_words(&self, neighbour: &Neighbour) -> String {
        match self {
            Self::Bird(bird) => bird.show(&format!("protocols all {}", name(neighbour))).unwrap(),
            Self::Frr(frr) => self::neighbour(frr, neighbour).to_string(),
            // It says so in its log alone.
            Self::Gobgp(gobgp) => gobgp.log().unwrap(),
        }
    }

    /// Every route it learned, of both families.
    pub(crate) fn routes(&self) -> BTreeMap<IpNet, Seen> {
        match self {
            Self::Bird(daemon) => bird_routes(&daemon.show("route all").unwrap()),
            Self::Frr(daemon) => ["ipv4", "ipv6"].into_iter().flat_map(|family| frr_routes(daemon, family)).collect(),
            Self::Gobgp(daemon) => {
                let table = |family| gobgp_table(daemon, family).into_iter();
                ["ipv4", "ipv6"]
                    .into_iter()
                    .flat_map(table)
                    .map(|(prefix, paths)| (prefix, gobgp_route(&paths[0])))
                    .collect()
            }
        }
    }

    /// How many routes it learned; cheaper than to look at each.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Bird(daemon) => {
                let shown = daemon.show("route count").unwrap();
                let networks = |line: &str| line.split("for ").nth(1)?.split(' ').next()?.parse::<usize>().ok();
                shown.lines().filter(|line| line.contains(" in table ")).filter_map(networks).sum()
            }
            Self::Frr(daemon) => ["ipv4", "ipv6"].into_iter().map(|family| frr_table(daemon, family).len()).sum(),
            Self::Gobgp(daemon) => ["ipv4", "ipv6"].into_iter().map(|family| gobgp_table(daemon, family).len()).sum(),
        }
    }
}

fn name(neighbour: &Neighbour) -> String {
    let family = if neighbour.herald.is_ipv4() { 4 } else { 6 };
    format!("herald{family}")
}

/// The configuration of BIRD with these sessions.
pub(crate) fn bird(neighbours: &[Neighbour]) -> String {
    let mut text = "router id 10.66.2.1;\nprotocol device { }\n".to_owned();
    if neighbours.iter().any(|one| one.bfd_ms.is_some()) {
        let ms = neighbours.iter().find_map(|one| one.bfd_ms).unwrap_or(300);
        let timing = format!("interval {ms} ms; multiplier 3;");
        writeln!(text, "protocol bfd {{ interface \"*\" {{ {timing} }}; multihop {{ {timing} }}; }}").unwrap();
    }
    for one in neighbours {
        let Neighbour { herald, own, own_as, herald_as, hold_s, .. } = one;
        writeln!(
            text,
            "protocol bgp {} {{\n  local {own} as {own_as};\n  neighbor {herald} as {herald_as};",
            name(one)
        )
        .unwrap();
        writeln!(text, "  hold time {hold_s};\n  connect delay time 1;\n  error wait time 1, 2;").unwrap();
        if let Some(password) = one.password {
            writeln!(text, "  password \"{password}\";").unwrap();
        }
        if one.bfd_ms.is_some() {
            writeln!(text, "  bfd on;").unwrap();
        }
        if one.multi_hop {
            writeln!(text, "  multihop;").unwrap();
        }
        for family in one.families() {
            writeln!(text, "  {family} {{ import all; export none; }};").unwrap();
        }
        text += "}\n";
    }
    text
}

fn frr(neighbours: &[Neighbour]) -> String {
    let own_as = neighbours[0].own_as;
    let mut text = format!("router bgp {own_as}\n bgp router-id 10.66.2.1\n no bgp ebgp-requires-policy\n");
    text += " no bgp default ipv4-unicast\n no bgp network import-check\n";
    for one in neighbours {
        let Neighbour { herald, own, herald_as, hold_s, .. } = one;
        writeln!(text, " neighbor {herald} remote-as {herald_as}\n neighbor {herald} update-source {own}").unwrap();
        writeln!(text, " neighbor {herald} timers {} {hold_s}\n neighbor {herald} timers connect 1", hold_s / 3)
            .unwrap();
        if let Some(password) = one.password {
            writeln!(text, " neighbor {herald} password {password}").unwrap();
        }
        if let Some(ms) = one.bfd_ms {
            writeln!(text, " neighbor {herald} bfd 3 {ms} {ms}").unwrap();
        }
        if one.multi_hop {
            writeln!(text, " neighbor {herald} ebgp-multihop").unwrap();
        }
    }
    for family in ["ipv4", "ipv6"] {
        writeln!(text, " address-family {family} unicast").unwrap();
        for one in neighbours.iter().filter(|one| one.families().contains(&family)) {
            writeln!(text, "  neighbor {} activate", one.herald).unwrap();
        }
        text += " exit-address-family\n";
    }
    text
}

fn bird_routes(shown: &str) -> BTreeMap<IpNet, Seen> {
    let mut routes: BTreeMap<IpNet, Seen> = BTreeMap::new();
    let mut current = None;
    for line in shown.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if let Ok(prefix) = first.parse::<IpNet>() {
            current = Some(prefix);
            routes.entry(prefix).or_default();
        }
        let (Some(prefix), Some((key, value))) = (current, line.trim().split_once(": ")) else { continue };
        let Some(seen) = routes.get_mut(&prefix) else { continue };
        match key {
            "BGP.as_path" => seen.as_path = value.trim().to_owned(),
            "BGP.next_hop" => seen.next_hop = value.split(' ').next().unwrap_or_default().to_owned(),
            "BGP.local_pref" => seen.local_pref = value.trim().parse().ok(),
            "BGP.community" | "BGP.large_community" => {
                let listed = value.replace(", ", ":").replace(',', ":");
                seen.communities.extend(listed.split(' ').map(|one| one.trim_matches(['(', ')']).to_owned()));
            }
            _ => {}
        }
    }
    routes
}

fn json(frr: &Frr, command: &str) -> serde_json::Value {
    serde_json::from_str(&frr.run(&[command]).unwrap()).unwrap_or_default()
}

fn neighbour(frr: &Frr, neighbour: &Neighbour) -> serde_json::Value {
    let herald = neighbour.herald.to_string();
    json(frr, &format!("show bgp neighbors {herald} json"))[&herald].clone()
}

fn frr_table(frr: &Frr, family: &str) -> Vec<IpNet> {
    let shown = json(frr, &format!("show bgp {family} unicast json"));
    let routes = shown["routes"].as_object().cloned().unwrap_or_default();
    routes.keys().filter_map(|prefix| prefix.parse().ok()).collect()
}

fn frr_routes(frr: &Frr, family: &str) -> Vec<(IpNet, Seen)> {
    let look = |prefix: IpNet| {
        let path = json(frr, &format!("show bgp {family} unicast {prefix} json"))["paths"][0].clone();
        let listed = |key: &str| -> Vec<String> {
            let text = path[key]["string"].as_str().unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let seen = Seen {
            next_hop: path["nexthops"][0]["ip"].as_str().unwrap_or_default().to_owned(),
            as_path: path["aspath"]["string"].as_str().unwrap_or_default().replace("Local", ""),
            local_pref: path["locPrf"].as_u64(),
            communities: [listed("community"), listed("largeCommunity")].into_iter().flatten().collect(),
        };
        (prefix, seen)
    };
    frr_table(frr, family).into_iter().map(look).collect()
}

fn gobgp(neighbours: &[Neighbour]) -> String {
    let own_as = neighbours[0].own_as;
    let mut text = format!("[global.config]\n  as = {own_as}\n  router-id = \"10.66.2.1\"\n");
    for one in neighbours {
        let Neighbour { herald, own, herald_as, hold_s, .. } = one;
        writeln!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{herald}\"\n    peer-as = {herald_as}"
        )
        .unwrap();
        if let Some(password) = one.password {
            writeln!(text, "    auth-password = \"{password}\"").unwrap();
        }
        writeln!(text, "  [neighbors.transport.config]\n    local-address = \"{own}\"").unwrap();
        writeln!(
            text,
            "  [neighbors.timers.config]\n    hold-time = {hold_s}\n    keepalive-interval = {}",
            hold_s / 3
        )
        .unwrap();
        text += "    connect-retry = 1\n    idle-hold-time-after-reset = 1\n";
        if one.multi_hop {
            text += "  [neighbors.ebgp-multihop.config]\n    enabled = true\n    multihop-ttl = 255\n";
        }
        text += "  [neighbors.graceful-restart.config]\n    enabled = true\n    restart-time = 120\n    helper-only = true\n";
        for family in one.families() {
            writeln!(text, "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{family}-unicast\"")
                .unwrap();
            text += "    [neighbors.afi-safis.mp-graceful-restart.config]\n      enabled = true\n";
        }
    }
    text
}

fn gobgp_neighbour(gobgp: &Gobgp, neighbour: &Neighbour) -> serde_json::Value {
    let shown = gobgp.run(&["neighbor", &neighbour.herald.to_string()]).unwrap();
    serde_json::from_str(&shown).unwrap_or_default()
}

fn gobgp_table(gobgp: &Gobgp, family: &str) -> BTreeMap<IpNet, serde_json::Value> {
    let shown = gobgp.run(&["global", "rib", "-a", family]).unwrap();
    let table: BTreeMap<String, serde_json::Value> = serde_json::from_str(&shown).unwrap_or_default();
    table.into_iter().filter_map(|(prefix, paths)| Some((prefix.parse().ok()?, paths))).collect()
}

fn gobgp_route(path: &serde_json::Value) -> Seen {
    let mut seen = Seen::default();
    let numbers = |value: &serde_json::Value| -> Vec<u64> {
        value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
    };
    for attribute in path["attrs"].as_array().into_iter().flatten() {
        match attribute["type"].as_u64() {
            Some(2) => {
                let segments = attribute["as_paths"].as_array().into_iter().flatten();
                let all = segments.flat_map(|segment| numbers(&segment["asns"]));
                seen.as_path = all.map(|asn| asn.to_string()).collect::<Vec<_>>().join(" ");
            }
            Some(3 | 14) => seen.next_hop = attribute["nexthop"].as_str().unwrap_or_default().to_owned(),
            Some(5) => seen.local_pref = attribute["value"].as_u64(),
            Some(8) => {
                let all = numbers(&attribute["communities"]).into_iter();
                seen.communities.extend(all.map(|one| format!("{}:{}", one >> 16, one & 0xffff)));
            }
            Some(32) => {
                let all = attribute["value"].as_array().into_iter().flatten();
                let part = |one: &serde_json::Value, name: &str| one[name].as_u64().unwrap_or_default().to_string();
                seen.communities
                    .extend(all.map(|one| ["ASN", "LocalData1", "LocalData2"].map(|name| part(one, name)).join(":")));
            }
            _ => {}
        }
    }
    seen
}
