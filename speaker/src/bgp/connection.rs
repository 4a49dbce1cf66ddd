//! One TCP connection with a peer, and how it ends.

use herald_bgp::ConnectionId;
use herald_crds::model::Password;
use std::{
    io,
    net::IpAddr,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

/// Reads from one connection before its peer's timers get their turn: a full table that comes in does not keep a KEEPALIVE from going out.
const TURN: usize = 16;
/// How long the last words may take. A peer that reads nothing is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A connection, and what the kernel has not taken yet.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    stream: TcpStream,
    out: Vec<u8>,
    /// How much of `out` is written.
    written: usize,
    /// What its segments are signed with.
    pub(super) password: Option<Password>,
    /// When the peer said something last.
    pub(super) heard: Instant,
}

/// What became of a connection.
pub(super) enum Read {
    /// So many octets are in the buffer.
    Octets(usize),
    /// It is over.
    Closed(String),
}

impl Connection {
    pub(super) fn new(id: ConnectionId, stream: TcpStream, password: Option<Password>) -> Self {
        Self { id, stream, out: Vec::new(), written: 0, password, heard: Instant::now() }
    }

    pub(super) fn local(&self) -> io::Result<IpAddr> {
        self.stream.local_addr().map(|address| address.ip())
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether there is something to read, or room for what is to be written.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let readable = self.stream.poll_read_ready(context).is_ready();
        let writable = self.is_pending() && self.stream.poll_write_ready(context).is_ready();
        if readable || writable { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads what has come; `None` when that was all, or enough for now.
    pub(super) fn read(&mut self, turn: usize, now: Instant, buffer: &mut [u8]) -> Option<Read> {
        if turn >= TURN {
            return None;
        }
        match self.stream.try_read(buffer) {
            Ok(0) => Some(Read::Closed("the peer closed the connection".to_owned())),
            Ok(octets) => {
                self.heard = now;
                Some(Read::Octets(octets))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Read::Closed(error.to_string())),
        }
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        if self.is_pending() {
            self.out.extend_from_slice(&bytes);
        } else {
            (self.out, self.written) = (bytes, 0);
        }
    }

    /// Writes as much as the kernel takes and returns how much that was.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn write(&mut self) -> io::Result<usize> {
        let before = self.written;
        while self.is_pending() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(octets) => self.written += octets,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.written - before)
    }

    fn is_pending(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes the last words and closes. What the peer still sends is read and forgotten until it has closed too: closing before would
    /// have the kernel reset the connection, and a reset can overtake our NOTIFICATION.
    pub(super) async fn end(mut self) {
        let farewell = async {
            self.stream.write_all(&self.out[self.written..]).await?;
            self.stream.shutdown().await?;
            let mut rest = [0; 4096];
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut rest) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
        };
        // Whatever goes wrong, the connection is gone afterwards.
        let _: Result<io::Result<()>, _> = timeout(LAST_WORDS, farewell).await;
    }
}
