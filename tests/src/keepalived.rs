//! Real keepalived on the wire's nodes: the baseline that Herald's failover is measured against.
//!
//! ```text
//! client ── VIP:port ──► the node that owns the VIP ── DNAT ──► its own service (Echo)
//! ```
//!
//! Every node translates the VIP to a service of its own whether it owns the VIP or not, as kube-proxy does for a load balancer's
//! address; so what differs from Herald is who owns the address and how that is announced, and nothing else.
//!
//! After a cut is healed, the former owner may take the address back without saying so to anybody (it never gave it up, and the
//! other falls silent at its first word): clients stay with the node that they know. So before another run let the client
//! [`forget`](crate::wire::Member::forget) the address, and look who serves it.
//!
//! The comparison is fair: VRRP version 3, one instance, keepalived's real-time priority with a CPU-time limit that it does not
//! run into. With the default limit its VRRP process is killed and started again under load with short intervals, which shows as
//! several seconds of two masters that are not VRRP's doing.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Child,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::{
    fault::{Target, strike},
    probe::Echo,
    wire::{Node, Wire, plan},
};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often the owner says that it is there; the others wait three times as long and a little.
    pub advertise: Duration,
    /// The address; on the segment, and nobody else's.
    pub vip: Ipv4Addr,
    /// Of the service, UDP and HTTP.
    pub port: u16,
}

/// Keepalived on every node of a wire, with the service behind it. All is ended when it is dropped.
#[derive(Debug)]
pub struct Keepalived {
    options: Options,
    routers: Vec<Router>,
}

/// Keepalived on one node.
#[derive(Debug)]
struct Router {
    node: Arc<Node>,
    files: PathBuf,
    priority: u8,
    process: Option<Child>,
    _service: Echo,
}

impl Keepalived {
    /// Starts it on all nodes; node 1 has the highest priority. Returns when node 1 is the only owner.
    pub fn start(wire: &Wire, options: Options) -> Result<Self> {
        let mut this = Self { options, routers: Vec::new() };
        for node in &wire.nodes {
            let files = wire.lab().dir().join(format!("keepalived-{}-{}", options.vip, node.name));
            let address = SocketAddr::from((node.v4, options.port));
            let service = Echo::start(&node.namespace, address, &node.name)?;
            node.namespace.nft(&translation(options, node.v4))?;
            let priority = priority(node.number);
            this.routers.push(Router { node: Arc::clone(node), files, priority, process: None, _service: service });
        }
        for router in &mut this.routers {
            router.start(options)?;
        }
        this.wait_for_owner(&wire.node(1).name, this.takeover() * 3 + Duration::from_secs(10))?;
        Ok(this)
    }

    /// The VIP with the port: where a probe goes.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        (self.options.vip, self.options.port).into()
    }

    /// How long a backup waits before it takes over, at most: RFC 9568 §6.1, Active_Down_Interval.
    #[must_use]
    pub fn takeover(&self) -> Duration {
        self.options.advertise * 4
    }

    /// The nodes that have the VIP on their interface.
    pub fn owners(&self) -> Result<Vec<String>> {
        let mut owners = Vec::new();
        for router in &self.routers {
            if router.owns(self.options.vip)? {
                owners.push(router.node.name.clone());
            }
        }
        Ok(owners)
    }

    /// Waits until this node alone has the VIP.
    pub fn wait_for_owner(&self, name: &str, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.owners()? != [name] {
            if Instant::now() > deadline {
                bail!(
                    "{name} is not the only owner after {within:?}, but {:?} are; see {}",
                    self.owners()?,
                    self.logs()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Keepalived's process group on a node, for [`strike`].
    pub fn target_on(&self, name: &str) -> Result<Target> {
        let child =
            self.router(name)?.process.as_ref().with_context(|| format!("keepalived does not run on {name}"))?;
        Ok(Target::Group(child.id()))
    }

    /// Ends it on a node in peace: it says so to the others and takes its address away.
    pub fn stop_on(&mut self, name: &str) -> Result<()> {
        let group = self.target_on(name)?;
        strike(group, Signal::SIGTERM)?;
        let router = self.routers.iter_mut().find(|router| router.node.name == name).context("was found above")?;
        if let Some(mut process) = router.process.take() {
            process.wait()?;
        }
        Ok(())
    }

    /// Starts it again on a node, whatever happened to it there: what is left of it and of the address is removed first.
    pub fn restart_on(&mut self, name: &str) -> Result<()> {
        let options = self.options;
        let router = self.routers.iter_mut().find(|router| router.node.name == name);
        let router = router.with_context(|| format!("there is no node {name}"))?;
        router.end();
        if router.owns(options.vip)? {
            router.node.namespace.ip(&format!("address del {}/32 dev {}\n", options.vip, plan::INTERFACE))?;
        }
        router.start(options)
    }

    fn router(&self, name: &str) -> Result<&Router> {
        self.routers.iter().find(|router| router.node.name == name).with_context(|| format!("there is no node {name}"))
    }

    fn logs(&self) -> String {
        self.routers.iter().map(|router| router.files.join("log").display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl Router {
    fn start(&mut self, options: Options) -> Result<()> {
        // Process id files of a killed keepalived would keep a new one from starting.
        let _there_may_be_none = fs::remove_dir_all(&self.files);
        fs::create_dir_all(&self.files)?;
        let file = |name: &str| self.files.join(name);
        fs::write(file("conf"), configuration(options, self.priority))?;
        let log = File::create(file("log"))?;
        let mut command = self.node.namespace.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file"]).arg(file("conf"));
        command.arg("--pid").arg(file("pid")).arg("--vrrp_pid").arg(file("vrrp-pid"));
        command.stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("start keepalived")?);
        Ok(())
    }

    fn owns(&self, vip: Ipv4Addr) -> Result<bool> {
        let shown = self.node.namespace.output("ip", &["-o", "-4", "address", "show", "dev", plan::INTERFACE])?;
        Ok(shown.contains(&format!("inet {vip}/")))
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be dead or stopped already.
            let _ = strike(Target::Group(process.id()), Signal::SIGKILL);
            let _ = process.wait();
        }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        for router in &mut self.routers {
            router.end();
        }
        // The next one on this wire starts from nothing.
        for router in &self.routers {
            let namespace = &router.node.namespace;
            let _ = namespace.nft(&format!("delete table ip {TABLE}\n"));
            if router.owns(self.options.vip).unwrap_or(false) {
                let _ = namespace.ip(&format!("address del {}/32 dev {}\n", self.options.vip, plan::INTERFACE));
            }
        }
    }
}

fn translation(options: Options, own: Ipv4Addr) -> String {
    let Options { vip, port, .. } = options;
    format!(
        "table ip {TABLE} {{\nchain prerouting {{\ntype nat hook prerouting priority dstnat;\n\
         ip daddr {vip} meta l4proto {{ tcp, udp }} th dport {port} dnat to {own}\n}}\n}}\n"
    )
}

/// The first node has the highest. As far apart as people set them: two backups with neighbouring priorities wait equally long but
/// for a 256th of the interval, and both take the address.
fn priority(number: u8) -> u8 {
    220_u8.saturating_sub(number.saturating_mul(20)).max(1)
}

fn configuration(options: Options, priority: u8) -> String {
    let Options { advertise, vip, .. } = options;
    format!(
        "global_defs {{\n    vrrp_version 3\n    vrrp_rt_priority 50\n    vrrp_rlimit_rttime {CPU_LIMIT_US}\n}}\n\
         vrrp_instance lab {{\n    state BACKUP\n    interface {interface}\n    virtual_router_id 66\n    priority {priority}\n\
         \x20   advert_int {interval}\n    virtual_ipaddress {{\n        {vip}/32 dev {interface}\n    }}\n}}\n",
        interface = plan::INTERFACE,
        interval = advertise.as_secs_f64(),
    )
}

const TABLE: &str = "keepalived-lab";
/// Ten seconds without a pause: a limit that a healthy keepalived never meets.
const CPU_LIMIT_US: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_the_interval_and_lifts_the_cpu_limit() {
        let options =
            Options { advertise: Duration::from_millis(100), vip: Ipv4Addr::new(10, 66, 100, 200), port: 7000 };
        let text = configuration(options, 199);
        for line in [
            "vrrp_version 3",
            "vrrp_rlimit_rttime 10000000",
            "advert_int 0.1",
            "priority 199",
            "10.66.100.200/32 dev eth0",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line}\n{text}");
        }
    }
}
