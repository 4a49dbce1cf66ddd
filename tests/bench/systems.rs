//! What is compared, seen alike: a wire, addresses on it with an owner, and processes that can fail.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use herald_tests::{
    cluster::{Cluster, Options},
    fault::Target,
    keepalived::{self, Keepalived},
    probe::who_answers,
    wire::{Member, Wire, WireOptions},
};

pub(crate) const HERALD: &str = "Herald";
pub(crate) const EVERY_SECOND: &str = "keepalived 1 s";
pub(crate) const EVERY_100_MS: &str = "keepalived 100 ms";

/// A system that owns addresses on a wire.
pub(crate) trait System {
    fn name(&self) -> &'static str;
    /// The time between two signs of life.
    fn interval(&self) -> Duration;
    fn wire(&self) -> &Wire;
    /// Waits until nothing moves any more, everybody hears everybody, and each address has one owner.
    fn settle(&mut self) -> Result<Settled>;
    /// The system's process on a node, from 1.
    fn process(&self, node: usize) -> Result<Target>;
    /// Has the process run again that was ended on a node.
    fn revive(&mut self, node: usize) -> Result<()>;
}

/// A system at rest.
pub(crate) struct Settled {
    /// Where the client's probes go.
    pub(crate) targets: Vec<SocketAddr>,
    /// The node that owns each of them, from 1.
    pub(crate) owners: Vec<usize>,
}

/// The client whose traffic is measured.
pub(crate) fn client(wire: &Wire) -> Arc<Member> {
    wire.client()
}

/// Another client, which asks who has the addresses: whoever asks learns from the answers, and that would change what is measured.
pub(crate) fn asker(wire: &Wire) -> &Member {
    &wire.clients[1]
}

fn wiring() -> WireOptions {
    WireOptions { clients: 2, ..WireOptions::default() }
}

/// Herald on a cluster, as users install it.
pub(crate) struct Herald {
    cluster: Cluster,
    targets: Vec<SocketAddr>,
}

impl Herald {
    pub(crate) fn start() -> Result<Self> {
        // Speakers are killed often, and each time the kubelet waits twice as long.
        let restart_delay = Duration::from_millis(50);
        let cluster = Cluster::start(Options { wire: wiring(), restart_delay, ..Options::default() })?;
        cluster.install_herald()?;
        for manifest in ["config/samples/pool.yaml", "config/samples/advertisement.yaml", "tests/e2e/echo.yaml", LOCAL]
        {
            cluster.apply(manifest)?;
        }
        cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"])?;
        let mut addresses = cluster.addresses("default", "bench", 2)?;
        addresses.sort();
        let targets = addresses.into_iter().map(|ip| SocketAddr::new(ip, 81)).collect();
        Ok(Self { cluster, targets })
    }
}

/// Beside the Service of `echo.yaml`: one for which each node forwards to its own pod.
const LOCAL: &str = "\
apiVersion: v1
kind: Service
metadata: {name: bench}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  externalTrafficPolicy: Local
  selector: {app: echo}
  ports: [{name: udp, port: 81, protocol: UDP, targetPort: 8081}]
";

impl System for Herald {
    fn name(&self) -> &'static str {
        HERALD
    }

    fn interval(&self) -> Duration {
        // The heartbeat of the default profile.
        Duration::from_millis(20)
    }

    fn wire(&self) -> &Wire {
        self.cluster.wire()
    }

    fn settle(&mut self) -> Result<Settled> {
        self.cluster.wait_for_speakers()?;
        // What was decided when they heard each other is done, if there was anything.
        thread::sleep(QUIET);
        let owners = self.targets.iter().map(|target| sole_owner(self.wire(), target.ip())).collect::<Result<_>>()?;
        Ok(Settled { targets: self.targets.clone(), owners })
    }

    fn process(&self, node: usize) -> Result<Target> {
        self.cluster.speaker(node)
    }

    fn revive(&mut self, _node: usize) -> Result<()> {
        // The kubelet does.
        Ok(())
    }
}

/// Keepalived on every node of a wire.
pub(crate) struct Vrrp {
    name: &'static str,
    advertise: Duration,
    // Goes before the wire.
    keepalived: Keepalived,
    wire: Wire,
}

impl Vrrp {
    pub(crate) fn start(name: &'static str, advertise: Duration) -> Result<Self> {
        let wire = Wire::build(wiring())?;
        let keepalived = Keepalived::start(&wire, keepalived::Options { advertise, vip: VIP, port: 81 })?;
        Ok(Self { name, advertise, keepalived, wire })
    }
}

const VIP: Ipv4Addr = Ipv4Addr::new(10, 66, 100, 10);

impl System for Vrrp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn interval(&self) -> Duration {
        self.advertise
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn settle(&mut self) -> Result<Settled> {
        // VRRP gives the address to the highest priority that is there. Should it not, whoever has it alone will do.
        let expected = [self.wire.node(1).name.clone()];
        let deadline = Instant::now() + self.keepalived.takeover() * 2 + Duration::from_secs(2);
        while self.keepalived.owners()? != expected && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        // The others have heard the owner since.
        thread::sleep(self.advertise + QUIET);
        Ok(Settled { targets: vec![self.keepalived.target()], owners: vec![sole_owner(&self.wire, VIP.into())?] })
    }

    fn process(&self, node: usize) -> Result<Target> {
        self.keepalived.target_on(&self.wire.node(node).name)
    }

    fn revive(&mut self, node: usize) -> Result<()> {
        self.keepalived.restart_on(&self.wire.node(node).name)
    }
}

/// The one node that answers for an address.
fn sole_owner(wire: &Wire, ip: IpAddr) -> Result<usize> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let macs: BTreeSet<_> = who_answers(asker(wire), ip, Duration::from_millis(100))?.into_keys().collect();
        let owners: Vec<usize> =
            (1..).zip(&wire.nodes).filter(|(_, node)| macs.contains(&node.mac)).map(|(n, _)| n).collect();
        match owners.as_slice() {
            [owner] => return Ok(*owner),
            several if Instant::now() > deadline => bail!("{ip} has not one owner but {several:?}"),
            _ => {}
        }
    }
}

/// Long for a heartbeat, short for a reader who waits.
const QUIET: Duration = Duration::from_millis(300);
