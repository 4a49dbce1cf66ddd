//! The task of one peer: its session, its sockets and its timers. No peer waits for another.
//!
//! ```text
//!   Command (latest) --+                     +--> dial, connections --> TCP
//!   PeerStates of BFD -+--> [ Session ] -----+
//!   TCP, time ---------+                     +--> News, Standing, numbers
//! ```
//!
//! What has come in is read before the session is told what time it is: after a pause of this process a peer is unread, not dead.

use super::{
    News, Order, Said, Standing, Standings,
    connection::{Connection, Read},
    routes::Spoken,
};
use crate::{
    metrics::bgp::{Metrics, Numbers},
    net::tcp::{Link, set_password},
    pulse::bfd::{PeerState, PeerStates},
};
use herald_bgp::{Action, ConnectionId, Event, Observed, Session, State, Stop, Wanted};
use std::{
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// How long a dial may take; the session itself would give up a second later, without knowing why.
const DIAL: Duration = Duration::from_secs(9);
/// How much is read at once: four messages of the usual size.
const BUFFER: usize = 16 * 1024;

/// What a peer's task is to do.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Nothing yet.
    Wait,
    /// Talk to the peer like this.
    Run(Arc<Order>),
    /// End the session and the task.
    Stop(Stop),
}

/// Where the task gets its orders from and puts its news.
pub(super) struct Wires {
    pub(super) commands: watch::Receiver<Command>,
    pub(super) bfd: watch::Receiver<PeerStates>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) standings: watch::Sender<Standings>,
    pub(super) metrics: Metrics,
}

type Dial = Pin<Box<dyn Future<Output = Result<TcpStream, String>> + Send>>;

/// Everything of one peer.
pub(super) struct Peer {
    name: String,
    session: Session,
    order: Option<Arc<Order>>,
    connections: Vec<Connection>,
    dial: Option<Dial>,
    /// Connections whose last words are still being written.
    ending: JoinSet<()>,
    next_id: u64,
    bfd: Option<PeerState>,
    why: Option<String>,
    buffer: Vec<u8>,
    spoken: Spoken,
    /// There from the first order on.
    numbers: Option<Numbers>,
    wires: Wires,
}

impl Peer {
    /// Knows nothing about its peer yet. The seed should differ between peers and starts.
    pub(super) fn new(name: String, seed: u64, wires: Wires) -> Self {
        Self {
            name,
            session: Session::new(seed),
            order: None,
            connections: Vec::new(),
            dial: None,
            ending: JoinSet::new(),
            next_id: 0,
            bfd: None,
            why: None,
            buffer: vec![0; BUFFER],
            spoken: Spoken::default(),
            numbers: None,
            wires,
        }
    }

    /// Follows its commands until it is stopped, or nobody commands any more.
    pub(super) async fn run(mut self) {
        loop {
            self.act();
            let deadline = self.session.deadline().into_iter().chain(self.rekey_at()).min();
            tokio::select! {
                changed = self.wires.commands.changed() => {
                    let command = self.wires.commands.borrow_and_update().clone();
                    match (changed, command) {
                        (Ok(()), Command::Wait) => {}
                        (Ok(()), Command::Run(order)) => self.follow(order),
                        (Ok(()), Command::Stop(stop)) => return self.stop(stop).await,
                        (Err(_), _) => return,
                    }
                }
                // The other end lives as long as the pulse thread, and the process ends with that.
                Ok(()) = self.wires.bfd.changed() => self.look_at_bfd(),
                outcome = connected(&mut self.dial) => self.dialled(outcome),
                () = ready(&self.connections) => self.read(),
                () = at(deadline) => {
                    self.read();
                    self.session.handle(Instant::now(), Event::Tick);
                    self.rekey();
                }
                Some(_) = self.ending.join_next() => {}
            }
        }
    }

    fn follow(&mut self, order: Arc<Order>) {
        let now = Instant::now();
        let before = self.order.replace(Arc::clone(&order));
        if before.as_ref().is_none_or(|before| !before.link.names(&order.link)) {
            // The numbers of another router are not continued.
            self.forget();
            self.numbers = Some(self.wires.metrics.peer(&order.link));
        }
        match &before {
            Some(before) if before.settings == order.settings => {
                for (prefix, route) in self.spoken.since(&before.routes, &order.routes) {
                    self.session.change(now, prefix, route);
                }
            }
            _ => {
                let routes = self.spoken.all(&order.routes);
                self.session.set(now, Wanted { settings: order.settings.clone(), routes });
            }
        }
        if before.is_some_and(|before| !before.link.same_way(&order.link)) {
            self.session.handle(now, Event::Reset { text: "the way to this peer was configured anew".to_owned() });
        }
        self.look_at_bfd();
    }

    fn look_at_bfd(&mut self) {
        let path = self.order.as_ref().and_then(|order| order.bfd.as_ref()).map(|(path, _)| *path);
        let state = path.and_then(|path| self.wires.bfd.borrow_and_update().get(&path).copied());
        let before = std::mem::replace(&mut self.bfd, state);
        if state == before {
            return;
        }
        match state {
            Some(PeerState::Failed { .. }) => self.session.handle(Instant::now(), Event::BfdDown),
            Some(PeerState::Up) => self.session.handle(Instant::now(), Event::BfdUp),
            Some(PeerState::Waiting | PeerState::PeerAdminDown) | None => {}
        }
    }

    fn dialled(&mut self, outcome: Result<TcpStream, String>) {
        self.dial = None;
        let now = Instant::now();
        let result = outcome.and_then(|stream| {
            let connection = Connection::new(ConnectionId(self.next_id), stream, self.password());
            let local = connection.local().map_err(|error| error.to_string())?;
            Ok((connection, local))
        });
        match result {
            Ok((connection, local)) => {
                self.next_id += 1;
                let id = connection.id;
                self.connections.push(connection);
                self.session.handle(now, Event::Connected { connection: id, local });
            }
            Err(why) => self.session.handle(now, Event::ConnectFailed { why }),
        }
    }

    /// Reads what every connection has.
    fn read(&mut self) {
        let now = Instant::now();
        let ids: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            for turn in 0.. {
                let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) else {
                    break;
                };
                match connection.read(turn, now, &mut self.buffer) {
                    None => break,
                    Some(Read::Octets(octets)) => {
                        let bytes = &self.buffer[..octets];
                        self.session.handle(now, Event::Received { connection: id, bytes });
                    }
                    Some(Read::Closed(why)) => {
                        self.connections.retain(|connection| connection.id != id);
                        let why = if self.session.state() == State::OpenSent { unwelcome(&why) } else { why };
                        self.session.handle(now, Event::Closed { connection: id, why });
                    }
                }
            }
        }
    }

    /// Does what the session wants done, and writes what the kernel takes.
    fn act(&mut self) {
        loop {
            while let Some(action) = self.session.poll() {
                self.carry_out(action);
            }
            if !self.write() {
                break;
            }
        }
        if let Some(numbers) = &self.numbers {
            numbers.show(&self.session);
        }
        self.show();
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect => self.dial = self.order.as_ref().map(|order| dial(order.link.clone())),
            Action::Abandon => self.dial = None,
            Action::Send { connection, bytes } => {
                if let Some(connection) = self.connections.iter_mut().find(|known| known.id == connection) {
                    connection.send(bytes);
                }
            }
            Action::Close { connection } => {
                if let Some(at) = self.connections.iter().position(|known| known.id == connection) {
                    self.ending.spawn(self.connections.swap_remove(at).end());
                }
            }
            Action::Report(observed) => self.report(observed),
        }
    }

    /// Returns whether the session is to be asked again.
    fn write(&mut self) -> bool {
        let now = Instant::now();
        let mut moved = false;
        let mut lost = Vec::new();
        for connection in &mut self.connections {
            match connection.write() {
                Ok(0) => {}
                Ok(octets) => {
                    moved = true;
                    self.session.handle(now, Event::Written { connection: connection.id, octets });
                }
                // What the peer said last is worth more than why nothing can be written: it is read first.
                Err(error) => lost.push((connection.id, error.to_string())),
            }
        }
        if !lost.is_empty() {
            self.read();
        }
        for (id, why) in lost {
            self.connections.retain(|connection| connection.id != id);
            self.session.handle(now, Event::Closed { connection: id, why });
            moved = true;
        }
        moved
    }

    fn report(&mut self, observed: Observed) {
        if let Some(numbers) = &self.numbers {
            numbers.count(&observed);
        }
        match &observed {
            Observed::Up(_) => self.why = None,
            Observed::Ended { why, .. } => self.why = Some(why.to_string()),
            Observed::ConnectFailed { why, .. } => self.why = Some(why.clone()),
            Observed::Synchronized { not_sent, .. } if *not_sent > 0 => {
                if let Some((prefix, why)) = self.session.rib().not_sent().next() {
                    self.tell(Said::NotSent { prefix, why, count: *not_sent });
                }
            }
            _ => {}
        }
        self.tell(Said::Observed(observed));
    }

    /// What nobody has room for is lost: it is for people, who have seen enough by then.
    fn tell(&self, said: Said) {
        if self.wires.news.try_send(News { peer: self.name.clone(), said }).is_err() {
            self.wires.metrics.missed();
        }
    }

    fn show(&self) {
        let state = self.session.state();
        let standing = Standing { state, why: self.why.clone().filter(|_| state != State::Established) };
        self.wires
            .standings
            .send_if_modified(|standings| standings.insert(self.name.clone(), standing.clone()) != Some(standing));
    }

    async fn stop(mut self, stop: Stop) {
        self.session.handle(Instant::now(), Event::Stop(stop));
        self.act();
        self.forget();
        self.wires.standings.send_if_modified(|standings| standings.remove(&self.name).is_some());
        while self.ending.join_next().await.is_some() {}
    }

    fn forget(&mut self) {
        if let Some(numbers) = self.numbers.take() {
            numbers.forget();
        }
    }

    fn password(&self) -> Option<herald_crds::model::Password> {
        self.order.as_ref().and_then(|order| order.link.password.clone())
    }

    /// When a connection that is signed with an earlier password gets the new one: once the peer has been silent for half a hold time,
    /// which it is as soon as it signs with the new one. A peer that knows the old one only keeps its session.
    fn rekey_at(&self) -> Option<Instant> {
        let order = self.order.as_ref()?;
        let half = self.session.negotiated().and_then(|agreed| agreed.hold_time).unwrap_or_default() / 2;
        let old = self.connections.iter().filter(|connection| connection.password != order.link.password);
        old.map(|connection| connection.heard + half).min()
    }

    fn rekey(&mut self) {
        let now = Instant::now();
        let (Some(at), Some(order)) = (self.rekey_at(), self.order.clone()) else { return };
        if at > now {
            return;
        }
        for connection in &mut self.connections {
            connection.password.clone_from(&order.link.password);
            // The peer decides what becomes of a connection whose segments it cannot check.
            let _ = set_password(connection.stream(), order.link.peer, order.link.password.as_ref());
        }
    }
}

fn dial(link: Link) -> Dial {
    Box::pin(async move {
        let socket = link.open().map_err(|error| before_connecting(&link, &error))?;
        match timeout(DIAL, socket.connect(link.peer)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(while_connecting(link.peer, &error)),
            Err(_) => Err(nobody_answered(&link)),
        }
    })
}

fn before_connecting(link: &Link, error: &io::Error) -> String {
    match (error.kind(), link.local, &link.vrf) {
        (io::ErrorKind::AddrNotAvailable, Some(local), _) => {
            format!("this node does not have the address {local}: correct spec.sourceAddress")
        }
        (_, _, Some(vrf)) if error.raw_os_error() == Some(nix::libc::ENODEV) => {
            format!("this node has no VRF {vrf}: create it, or correct spec.vrf")
        }
        _ => error.to_string(),
    }
}

fn while_connecting(peer: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "{peer} refuses the connection: start BGP there, correct spec.peerAddress or spec.peerPort, or let the peer know this node"
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no way to {peer} ({error}): check the network between")
        }
        _ => format!("{peer}: {error}"),
    }
}

/// A router drops the segments of a node that signs them differently without a word.
fn nobody_answered(link: &Link) -> String {
    let (peer, seconds) = (link.peer, DIAL.as_secs());
    let password = match link.password {
        Some(_) => "the password here and there must be the same",
        None => "if the peer has a password for this node, give it in spec.passwordSecret",
    };
    format!("{peer} did not answer for {seconds} s: check the address and the network between; {password}")
}

/// A router that does not know us has nothing to say in BGP.
fn unwelcome(why: &str) -> String {
    format!(
        "{why}, before it said anything: let it know this node by the address that the session comes from, look whether the session is shut \
         down there, or wait while it waits after an error"
    )
}

async fn connected(dial: &mut Option<Dial>) -> Result<TcpStream, String> {
    match dial {
        Some(dial) => dial.await,
        None => pending().await,
    }
}

async fn ready(connections: &[Connection]) {
    poll_fn(|context| {
        let any = connections.iter().any(|one| one.poll_ready(context).is_ready());
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
