//! A new speaker takes the place of the running one on the same node: what an update does, so that nothing moves and no question goes unanswered.
//!
//! ```text
//! running process                                   new process
//!   listens on an abstract socket                     | connects
//!   gives up its ports of health and metrics          |
//!   | -- hello ------------------------------------>  | serves them, reads the cluster, opens its sockets
//!   | <------------------------------------- take --  |
//!   ends its election, answers on for a moment        |
//!   | -- estate: claims, and what became of           |
//!   |    connections; clients ---------------------->  | is proven by the others, answers
//!   | <------------------------------------- took --  | is ready
//!   silent, waits for SIGTERM                         |
//! ```
//!
//! The DaemonSet starts the new pod beside the old one (`maxSurge: 1`) and ends the old one when the new one is ready. A speaker that is told to end and has no
//! successor hands everything over instead: so an update moves nothing, and a node that leaves, or an uninstallation, does.
//!
//! The socket is in the network namespace, which is the node's, and in no file system, so that no mount is needed and nothing is left behind. Each side checks that
//! the other one runs as the same user.

use crate::pulse::{Bequeathed, Following};
use herald_election::{Bequest, NodeId, Testament};
use herald_l2::{Client, InterfaceIndex, MacAddr};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    os::{linux::net::SocketAddrExt as _, unix::net as std_unix},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep, timeout_at},
};

/// How long a running process may take to answer; one that stands still is no predecessor.
const HELLO: Duration = Duration::from_secs(10);
/// How long a new process looks for the successor of one that has just been replaced itself.
const GONE: Duration = Duration::from_millis(300);
/// How long either side waits for the other one's next word in a succession.
const WORD: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// What one says to the other.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Hello,
    Take,
    Took,
    Estate(Estate),
    Clients(Vec<(IpAddr, u32, IpAddr, [u8; 6])>),
}

/// What is handed on, as it travels.
#[derive(Serialize, Deserialize)]
struct Estate {
    incarnation: u64,
    /// Address, epoch, majority, reason.
    claims: Vec<(IpAddr, u64, bool, u8)>,
    roster: Vec<u64>,
    heard: Vec<u64>,
    following: Vec<Following>,
    doubtful: BTreeSet<IpAddr>,
}

/// The name of the socket of a node's speaker.
pub(crate) fn name(node: &str, port: u16) -> String {
    format!("herald-speaker/{node}/{port}")
}

/// The running process's side: where a successor comes. As long as it is there, also if nobody answers, a new process waits before it starts: one that hands over and
/// ends is not to be disturbed.
pub(crate) struct Door {
    name: String,
    listener: Option<UnixListener>,
}

impl Door {
    pub(crate) const fn new(name: String) -> Self {
        Self { name, listener: None }
    }

    /// Waits for a successor.
    pub(crate) async fn successor(&mut self) -> Peer {
        loop {
            match self.accept().await {
                Ok(peer) => return peer,
                // The predecessor still has the name, or somebody came who is none of ours.
                Err(error) => tracing::trace!(%error, "no successor"),
            }
            sleep(AGAIN).await;
        }
    }

    async fn accept(&mut self) -> io::Result<Peer> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => {
                let listener = std_unix::UnixListener::bind_addr(&address(&self.name)?)?;
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener)?
            }
        };
        let listener = self.listener.insert(listener);
        let (stream, _) = listener.accept().await?;
        Peer::new(stream)
    }
}

/// The other process.
pub(crate) struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Peer {
    fn new(stream: UnixStream) -> io::Result<Self> {
        let (theirs, ours) = (stream.peer_cred()?.uid(), nix::unistd::geteuid().as_raw());
        if theirs != ours {
            return Err(io::Error::other(format!("runs as user {theirs}, expected {ours}")));
        }
        let (reader, writer) = stream.into_split();
        Ok(Self { lines: BufReader::new(reader).lines(), writer })
    }

    /// The running process, if there is one; it has given up its ports.
    pub(crate) async fn predecessor(name: &str) -> Option<Self> {
        let mut until = Instant::now();
        loop {
            match connect(name) {
                Ok(mut peer) => match timeout_at(Instant::now() + HELLO, peer.hear::<Word>()).await {
                    Ok(Ok(Word::Hello)) => return Some(peer),
                    // It was replaced itself just now.
                    Ok(_) => until = Instant::now() + GONE,
                    Err(_) => {
                        tracing::warn!("the running speaker does not answer, starting beside it");
                        return None;
                    }
                },
                Err(error) if Instant::now() >= until => {
                    tracing::debug!(%error, "no running speaker to take the place of");
                    return None;
                }
                Err(_) => {}
            }
            sleep(AGAIN).await;
        }
    }

    /// To a successor: the ports are free.
    pub(crate) async fn welcome(&mut self) -> io::Result<()> {
        self.say(&Word::Hello).await
    }

    /// Waits until the successor wants to take over. May be cancelled.
    pub(crate) async fn asks(&mut self) -> io::Result<()> {
        match self.hear().await? {
            Word::Take => Ok(()),
            _ => Err(out_of_turn()),
        }
    }

    /// Leaves everything to the successor, and waits until it has taken it.
    pub(crate) async fn leave_to(&mut self, bequeathed: Bequeathed) -> io::Result<()> {
        let Bequeathed { testament, following, doubtful, clients } = bequeathed;
        let claims = testament.claims.iter().map(|(ip, claim)| (*ip, claim.epoch, claim.quorate, claim.reason));
        let ids = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|node| node.0).collect();
        let estate = Estate {
            incarnation: testament.incarnation,
            claims: claims.collect(),
            roster: ids(&testament.roster),
            heard: ids(&testament.heard),
            following,
            doubtful,
        };
        self.say(&Word::Estate(estate)).await?;
        let clients = clients.into_iter().map(|(ip, interface, client)| (ip, interface.0, client.ip, client.mac.0));
        self.say(&Word::Clients(clients.collect())).await?;
        match timeout_at(Instant::now() + WORD, self.hear()).await?? {
            Word::Took => Ok(()),
            _ => Err(out_of_turn()),
        }
    }

    /// Waits until the other process has ended.
    pub(crate) async fn ended(&mut self) {
        while self.hear::<serde_json::Value>().await.is_ok() {}
    }

    /// From the predecessor: what it owned. It owns nothing from here on.
    pub(crate) async fn take(&mut self) -> io::Result<(Testament, Vec<Following>, BTreeSet<IpAddr>)> {
        self.say(&Word::Take).await?;
        let Word::Estate(estate) = timeout_at(Instant::now() + WORD, self.hear()).await?? else {
            return Err(out_of_turn());
        };
        let claims =
            estate.claims.into_iter().map(|(ip, epoch, quorate, reason)| (ip, Bequest { epoch, quorate, reason }));
        let testament = Testament {
            incarnation: estate.incarnation,
            claims: claims.collect(),
            roster: estate.roster.into_iter().map(NodeId).collect(),
            heard: estate.heard.into_iter().map(NodeId).collect(),
            answers: Duration::ZERO,
        };
        Ok((testament, estate.following, estate.doubtful))
    }

    /// From the predecessor: who asked for its addresses.
    pub(crate) async fn clients(&mut self) -> io::Result<Vec<(IpAddr, InterfaceIndex, Client)>> {
        let Word::Clients(clients) = timeout_at(Instant::now() + WORD, self.hear()).await?? else {
            return Err(out_of_turn());
        };
        let client =
            |(ip, interface, client, mac)| (ip, InterfaceIndex(interface), Client { ip: client, mac: MacAddr(mac) });
        Ok(clients.into_iter().map(client).collect())
    }

    /// To the predecessor: it may fall silent.
    pub(crate) async fn took(&mut self) -> io::Result<()> {
        self.say(&Word::Took).await
    }

    async fn say(&mut self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    /// The next word; may be cancelled.
    async fn hear<W: DeserializeOwned>(&mut self) -> io::Result<W> {
        let line = self.lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }
}

fn connect(name: &str) -> io::Result<Peer> {
    let stream = std_unix::UnixStream::connect_addr(&address(name)?)?;
    stream.set_nonblocking(true)?;
    Peer::new(UnixStream::from_std(stream)?)
}

fn address(name: &str) -> io::Result<std_unix::SocketAddr> {
    std_unix::SocketAddr::from_abstract_name(name)
}

fn out_of_turn() -> io::Error {
    io::Error::other("the other speaker said something else than was expected, is it of another version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bequeathed() -> Bequeathed {
        let ips: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let claim = |epoch| Bequest { epoch, quorate: true, reason: 2 };
        Bequeathed {
            testament: Testament {
                incarnation: u64::MAX,
                claims: [(ips[0], claim(u64::MAX - 1)), (ips[1], claim(7))].into(),
                roster: BTreeSet::from([NodeId(u64::MAX), NodeId(2)]),
                heard: BTreeSet::from([NodeId(2)]),
                answers: Duration::ZERO,
            },
            following: Vec::new(),
            doubtful: [ips[0]].into(),
            clients: vec![(ips[1], InterfaceIndex(3), Client { ip: ips[1], mac: MacAddr([2; 6]) })],
        }
    }

    /// The running one may not listen yet.
    async fn find(name: &str) -> Peer {
        loop {
            match Peer::predecessor(name).await {
                Some(peer) => return peer,
                None => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_successor_gets_all_of_it_and_says_when_it_is_done() {
        let name = format!("herald-test/{}/whole", std::process::id());
        let mut door = Door::new(name.clone());
        let running = tokio::spawn(async move {
            let mut peer = door.successor().await;
            peer.welcome().await.unwrap();
            peer.asks().await.unwrap();
            peer.leave_to(bequeathed()).await.unwrap();
            peer.ended().await;
        });
        let mut peer = find(&name).await;
        let (testament, following, doubtful) = peer.take().await.unwrap();
        let expected = bequeathed();
        assert_eq!((testament, following, doubtful), (expected.testament, expected.following, expected.doubtful));
        assert_eq!(peer.clients().await.unwrap(), expected.clients);
        peer.took().await.unwrap();
        assert!(!running.is_finished(), "the other side waits for this one's end");
        drop(peer);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_successor_that_goes_before_it_takes_over_is_noticed() {
        let name = format!("herald-test/{}/gone", std::process::id());
        let mut door = Door::new(name.clone());
        let running = tokio::spawn(async move {
            let mut peer = door.successor().await;
            peer.welcome().await.unwrap();
            peer.asks().await
        });
        drop(find(&name).await);
        assert_eq!(running.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn where_nobody_runs_there_is_no_predecessor() {
        let name = format!("herald-test/{}/nobody", std::process::id());
        assert!(Peer::predecessor(&name).await.is_none());
    }
}
