//! One node's announcer, its time, and everything that came out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use herald_l2::{
    Action, Address, Announcer, Client, Event, Interface, InterfaceIndex, MacAddr, Observed, Role, Settings, Wanted,
};

use crate::said::{Said, read};

pub(crate) const LAN: InterfaceIndex = InterfaceIndex(2);
pub(crate) const STORAGE: InterfaceIndex = InterfaceIndex(3);
/// Our MAC addresses on the two.
pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const STORAGE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xee]);
pub(crate) const VIP4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
pub(crate) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const GATEWAY4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Client `n` of the segment.
pub(crate) fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, n])
}
pub(crate) fn ip4(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, n)
}
pub(crate) fn ip6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, n.into())
}
pub(crate) fn client4(n: u8) -> Client {
    Client { ip: ip4(n).into(), mac: mac(n) }
}
pub(crate) fn client6(n: u8) -> Client {
    Client { ip: ip6(n).into(), mac: mac(n) }
}
pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) struct Bed {
    pub(crate) announcer: Announcer,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) wanted: Wanted,
    /// When, where and what was sent.
    pub(crate) sent: Vec<(Duration, InterfaceIndex, Said)>,
    pub(crate) observed: Vec<Observed>,
    pub(crate) groups: BTreeSet<(InterfaceIndex, Ipv6Addr)>,
    pub(crate) wakeups: usize,
}

impl Bed {
    /// Two interfaces, no address yet.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let interfaces = BTreeMap::from([(LAN, lan()), (STORAGE, storage())]);
        let wanted = Wanted { interfaces, ..Wanted::default() };
        Self::of(settings, wanted)
    }

    pub(crate) fn of(settings: Settings, wanted: Wanted) -> Self {
        let start = instant();
        let mut bed = Self {
            announcer: Announcer::new(settings),
            start,
            now: start,
            wanted,
            sent: Vec::new(),
            observed: Vec::new(),
            groups: BTreeSet::new(),
            wakeups: 0,
        };
        bed.apply();
        bed
    }

    /// Both VIPs owned on the LAN, their announcement over and forgotten.
    pub(crate) fn settled() -> Self {
        let mut bed = Self::new();
        bed.own(&[VIP4.into(), VIP6.into()]);
        bed.run(ms(60_000));
        bed.forget();
        bed
    }

    pub(crate) fn role(&mut self, ip: impl Into<IpAddr>, role: Role, interfaces: &[InterfaceIndex]) {
        let address = Address { role, interfaces: interfaces.iter().copied().collect() };
        self.wanted.addresses.insert(ip.into(), address);
        self.apply();
    }

    pub(crate) fn own(&mut self, ips: &[IpAddr]) {
        for ip in ips {
            let address = Address { role: Role::Owner, interfaces: BTreeSet::from([LAN]) };
            self.wanted.addresses.insert(*ip, address);
        }
        self.apply();
    }

    pub(crate) fn stand_by(&mut self, ip: impl Into<IpAddr>) {
        self.role(ip, Role::Standby, &[LAN]);
    }

    pub(crate) fn apply(&mut self) {
        self.announcer.set(self.now, self.wanted.clone());
        self.drain();
    }

    /// A frame comes in now, on the LAN.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.receive_on(LAN, bytes);
    }

    pub(crate) fn receive_on(&mut self, interface: InterfaceIndex, bytes: &[u8]) {
        self.receive_late(interface, bytes, Duration::ZERO);
    }

    /// A frame comes in that was received `age` ago.
    pub(crate) fn receive_late(&mut self, interface: InterfaceIndex, bytes: &[u8], age: Duration) {
        self.announcer.handle(self.now, Event::Frame { interface, received: self.now - age, bytes });
        self.drain();
    }

    /// Lets time pass, waking at each deadline and at no other time.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.announcer.deadline()
            && next <= end
        {
            assert!(next > self.now, "a drained machine does not ask to be woken at once");
            self.now = next;
            self.wakeups += 1;
            self.announcer.handle(self.now, Event::Tick);
            self.drain();
        }
        self.now = end;
        self.announcer.handle(self.now, Event::Tick);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.announcer.poll() {
            match action {
                Action::Send { interface, frame } => {
                    let said = read(&frame);
                    self.check(interface, &said);
                    self.sent.push((self.now - self.start, interface, said));
                }
                Action::Join { interface, group } => {
                    assert!(self.groups.insert((interface, group)), "joined twice: {interface} {group}");
                }
                Action::Leave { interface, group } => {
                    assert!(self.groups.remove(&(interface, group)), "left without join: {interface} {group}");
                }
                Action::Report(observed) => self.observed.push(observed),
            }
        }
    }

    /// The first promise, for every frame of every test: only owned addresses, only where allowed, with our MAC.
    fn check(&self, interface: InterfaceIndex, said: &Said) {
        let (ip, mac) = said.binding();
        let address = self.wanted.addresses.get(&ip).unwrap_or_else(|| panic!("unknown address in {said:?}"));
        assert_eq!(address.role, Role::Owner, "{said:?}");
        assert!(address.interfaces.contains(&interface), "{said:?}");
        assert_eq!(self.wanted.interfaces[&interface].mac, mac, "{said:?}");
    }

    pub(crate) fn forget(&mut self) {
        self.sent.clear();
        self.observed.clear();
    }

    /// What was sent since the last call.
    pub(crate) fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.sent).into_iter().map(|(_, _, said)| said).collect()
    }

    pub(crate) fn observed(&mut self) -> Vec<Observed> {
        std::mem::take(&mut self.observed)
    }

    pub(crate) fn clients(&self, ip: impl Into<IpAddr>) -> Vec<(InterfaceIndex, Client)> {
        let mut clients: Vec<_> = self.announcer.clients(ip.into()).collect();
        clients.sort_unstable();
        clients
    }
}

pub(crate) fn lan() -> Interface {
    Interface {
        name: "eth0".into(),
        mac: MAC,
        addresses: ["192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"].map(|net| net.parse().unwrap()).into(),
        gateways: vec![GATEWAY4.into(), GATEWAY6.into()],
    }
}

pub(crate) fn storage() -> Interface {
    Interface {
        name: "eth1".into(),
        mac: STORAGE_MAC,
        addresses: vec!["198.51.100.1/24".parse().unwrap(), "2001:db8:1::1/64".parse().unwrap()],
        gateways: Vec::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
fn instant() -> Instant {
    // Far enough from the origin to have a past.
    Instant::now() + Duration::from_secs(3_600)
}
