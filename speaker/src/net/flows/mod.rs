//! Moves that keep connections: what the kernel of an address's new owner does with segments of connections that it does not know.
//!
//! kube-proxy knows a connection only where it began. After a move its segments reach a node that would bind them anew, to any endpoint, which answers with
//! a reset. So the new owner copies such a segment to the old one (`dup`) and drops the original before NAT; the old owner's kernel still translates it. Where
//! the old owner's *kernel* is dead, the same place answers with a reset, so that clients fail at once and do not wait for minutes. The new owner keeps no
//! state for either.
//!
//! ```text
//!   client --segment--> new owner: known here? SYN? from a node? --yes--> kube-proxy
//!                           | no
//!                           +-- address in @rst --> reset
//!                           +-- address in @old --> copy to the old owner, drop
//!                           +-- neither ---------> kube-proxy
//! ```
//!
//! **Whose are the tables.** Two, `ip` and `ip6` `herald_flows`, beside the guard's. The guard's goes with the speaker; these must not, because what they carry
//! over should outlive a speaker that dies. They have no owner, and everything in them that acts is an element of `old` or `rst`, which the kernel removes by
//! itself when its time is up. Without such elements the tables do nothing. A speaker that ends by SIGTERM has handed over and deletes them: nothing is left
//! after an uninstall. One that starts loads the chains anew and keeps the elements: if it gets the same address back, what was carried over goes on.
//!
//! **Who changes them.** The tables are loaded by `nft`, once. Elements are set by a thread that speaks netlink, since the kernel has carried a transaction out
//! when `send` returns: about a tenth of a millisecond, where a child process cannot even be asked whether it is done. It is a thread of its own because another
//! program's large transaction (kube-proxy's) may hold the kernel's lock for many milliseconds, and the pulse thread waits for nothing: it is told when an element
//! is in force.
//!
//! Not here: UDP, which would need the old owner's list of flows; and the decision which of the two it is, see [`crate::pulse`].

mod batch;
mod table;

use crate::{net::realtime, pulse::News};
use batch::{Batch, Family, Socket};
use herald_desire::Tree;
use nix::sys::eventfd::EventFd;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc as news;

/// How long a speaker that ends waits for the tables to go.
const END: Duration = Duration::from_millis(500);

/// What picks the packets that may be of an unknown connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picked {
    /// Every address of the cluster that is announced by layer 2.
    pub(crate) addresses: Tree<IpAddr, ()>,
    /// Names of the interfaces that addresses are announced on.
    pub(crate) interfaces: BTreeSet<String>,
    /// Ethernet addresses of the other nodes: what a node sends is never sent on again, which is what keeps copies from circling. One that was seen stays.
    pub(crate) peers: BTreeSet<[u8; 6]>,
    /// kube-proxy runs in IPVS mode, whose translation these chains do not precede.
    pub(crate) ipvs: bool,
}

/// What becomes of unknown connections of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are sent on to this node address for as long.
    Chain { to: IpAddr, until: Instant },
    /// They are reset for as long.
    Reset { until: Instant },
    /// kube-proxy decides, as without us.
    Forget,
}

impl Fate {
    /// The word for logs and metric labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Chain { .. } => "chained",
            Self::Reset { .. } => "reset",
            Self::Forget => "forgotten",
        }
    }
}

/// Why connections are not carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// The drain is set to zero.
    Disabled,
    /// The kernel or `nft` refuses the tables.
    Refused,
    /// `nf_conntrack_tcp_loose` is 0: unknown segments are invalid and not new, and a node cannot know how the others are set.
    StrictConntrack,
    /// kube-proxy runs in IPVS mode.
    Ipvs,
}

impl Off {
    pub(crate) const ALL: [Self; 4] = [Self::Disabled, Self::Refused, Self::StrictConntrack, Self::Ipvs];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Refused => "nft-refused",
            Self::StrictConntrack => "tcp-loose-off",
            Self::Ipvs => "ipvs",
        }
    }
}

enum Job {
    Pick(Picked),
    Decide(BTreeMap<IpAddr, Fate>, Instant),
    End(mpsc::Sender<()>),
}

/// Where the thread says for which addresses its tables are as they were asked to be, and what it wakes then.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) addresses: mpsc::Sender<Vec<IpAddr>>,
    pub(crate) wake: Arc<EventFd>,
}

/// The way to the thread that changes the tables.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    jobs: mpsc::Sender<Job>,
}

impl Flows {
    /// Starts the thread, which loads the tables.
    ///
    /// # Errors
    /// The process is out of threads.
    pub(crate) fn start(drain: Duration, done: Done, news: news::Sender<News>) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let writer = Writer {
            news,
            done,
            said: None,
            enabled: !drain.is_zero(),
            ready: None,
            picked: None,
            present: BTreeMap::new(),
        };
        thread::Builder::new().name("flows".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok(Self { jobs })
    }

    /// Replaces what is picked.
    pub(crate) fn pick(&self, picked: Picked) {
        // The thread ends only with the last handle or by `end`, after which nothing matters.
        let _ = self.jobs.send(Job::Pick(picked));
    }

    /// Makes these fates so. [`Done`] hears of each address, also where moves keep no connections: there is nothing to wait for then.
    pub(crate) fn decide(&self, now: Instant, fates: BTreeMap<IpAddr, Fate>) {
        let _ = self.jobs.send(Job::Decide(fates, now));
    }

    /// Deletes the tables.
    pub(crate) fn end(&self) {
        let (done, wait) = mpsc::channel();
        if self.jobs.send(Job::End(done)).is_ok() {
            let _ = wait.recv_timeout(END);
        }
    }
}

/// The thread.
struct Writer {
    news: news::Sender<News>,
    done: Done,
    said: Option<Option<Off>>,
    enabled: bool,
    ready: Option<Socket>,
    picked: Option<Picked>,
    /// Addresses that have an element, by what this process last did, and when the kernel removes it.
    present: BTreeMap<IpAddr, (&'static str, Instant)>,
}

impl Writer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        // As important as the thread that waits for it. Where it is refused, the pulse thread has said so.
        let _ = realtime::schedule_fifo();
        for job in jobs {
            match job {
                Job::Pick(picked) => {
                    self.picked = Some(picked);
                    self.renew();
                }
                Job::Decide(fates, asked) => {
                    if self.ready.is_some()
                        && let Err(error) = self.decide(&fates)
                    {
                        self.fail("decide about connections", error);
                        // The tables may have been deleted by somebody else: make all of it anew.
                        self.ready = None;
                        self.renew();
                        if self.ready.is_some() {
                            let _ = self.decide(&fates);
                        }
                    }
                    let _ = self.done.addresses.send(fates.keys().copied().collect());
                    let _ = self.done.wake.write(1);
                    if self.ready.is_some() {
                        // News that do not fit are not worth waiting for.
                        let _ = self.news.try_send(News::Decided { fates, took: asked.elapsed() });
                    }
                }
                Job::End(done) => {
                    let _ = table::unload();
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Loads the tables if they are not, and makes the sets that pick equal to what is wanted.
    fn renew(&mut self) {
        let Some(picked) = self.picked.clone() else { return };
        let off = match self.load(&picked) {
            Ok(off) => off,
            Err(error) => {
                self.fail("set up moves that keep connections", error);
                Some(Off::Refused)
            }
        };
        if off.is_some() && self.ready.take().is_some() {
            let _ = table::unload();
        }
        if self.said != Some(off) {
            self.said = Some(off);
            let _ = self.news.try_send(News::Flows(off));
        }
    }

    fn load(&mut self, picked: &Picked) -> io::Result<Option<Off>> {
        if !self.enabled {
            return Ok(Some(Off::Disabled));
        }
        if picked.ipvs {
            return Ok(Some(Off::Ipvs));
        }
        if self.ready.is_none() {
            table::load()?;
            // Only now: the module that has the setting is loaded by the rules.
            if !loose() {
                table::unload()?;
                return Ok(Some(Off::StrictConntrack));
            }
            self.ready = Some(Socket::open()?);
        }
        let Some(socket) = &self.ready else { return Ok(Some(Off::Refused)) };
        let mut batch = Batch::default();
        for family in Family::BOTH {
            let addresses = picked.addresses.keys().filter(|ip| Family::of(**ip) == family);
            batch.replace(family, "vip", addresses.map(|ip| batch::octets(*ip)));
            batch.replace(family, "lan", picked.interfaces.iter().map(|name| batch::interface(name)));
            batch.replace(family, "peers", picked.peers.iter().map(|mac| mac.to_vec()));
        }
        socket.commit(batch)?;
        Ok(None)
    }

    fn decide(&mut self, fates: &BTreeMap<IpAddr, Fate>) -> io::Result<()> {
        let Some(socket) = &self.ready else { return Ok(()) };
        let now = Instant::now();
        self.present.retain(|_, (_, until)| *until > now);
        let mut batch = Batch::default();
        for (ip, fate) in fates {
            if let Some((set, _)) = self.present.get(ip) {
                batch.delete(set, *ip);
            }
            add(&mut batch, now, *ip, *fate);
        }
        if let Err(error) = socket.commit(batch) {
            // Elements that ended in this very moment, or that an earlier speaker left: one by one, whatever is there.
            tracing::debug!(%error, "elements are not as expected");
            for (ip, fate) in fates {
                for set in ["old", "rst"] {
                    let mut batch = Batch::default();
                    batch.delete(set, *ip);
                    let _ = socket.commit(batch);
                }
                let mut batch = Batch::default();
                add(&mut batch, now, *ip, *fate);
                socket.commit(batch)?;
            }
        }
        for (ip, fate) in fates {
            match fate {
                Fate::Chain { until, .. } => drop(self.present.insert(*ip, ("old", *until))),
                Fate::Reset { until } => drop(self.present.insert(*ip, ("rst", *until))),
                Fate::Forget => drop(self.present.remove(ip)),
            }
        }
        Ok(())
    }

    fn fail(&self, what: &'static str, error: io::Error) {
        let _ = self.news.try_send(News::Failed { what, error });
    }
}

fn add(batch: &mut Batch, now: Instant, ip: IpAddr, fate: Fate) {
    match fate {
        Fate::Chain { to, until } => batch.add("old", ip, Some(to), until.saturating_duration_since(now)),
        Fate::Reset { until } => batch.add("rst", ip, None, until.saturating_duration_since(now)),
        Fate::Forget => {}
    }
}

/// Whether conntrack picks up connections that it has not seen begin.
fn loose() -> bool {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").map_or(true, |text| text.trim() != "0")
}
