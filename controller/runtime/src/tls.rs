//! TLS for webhooks and metrics: a listener whose connections get the certificate of the moment.
//!
//! A handshake runs in a task of its own and has five seconds; nobody waits for somebody who does not speak. The number of connections is
//! bounded; who comes beyond it waits in the kernel's queue, while those are closed that were answered nothing for long.

mod connection;

pub use connection::Connection;

use axum::serve::Listener;
use clap::ValueEnum;
use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig, SupportedProtocolVersion,
        crypto::ring::{default_provider, sign::any_ecdsa_type, sign::any_supported_type},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    },
};

/// How long a handshake may take: an API server needs milliseconds, and itself waits at most ten seconds for an answer.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections at once. An API server keeps a few open; this is enough for many of them and bounds what a stranger can hold.
const CONNECTIONS: usize = 128;
/// How long a connection may be answered nothing before it gives its place to one that waits: longer than any answer takes.
const QUIET: Duration = Duration::from_secs(15);

/// How often files are looked at: a kubelet takes a minute to show a changed Secret, so this adds little.
const LOOK: Duration = Duration::from_secs(5);

/// The certificate that is served; nothing as long as there is none.
pub type Current = Option<Arc<CertifiedKey>>;

/// The oldest version of TLS that is spoken, by the names of Go.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    #[value(name = "VersionTLS12")]
    Tls12,
    /// 1.3 only.
    #[value(name = "VersionTLS13")]
    Tls13,
}

impl TlsVersion {
    /// The versions that are spoken.
    pub fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS13, &TLS12],
            Self::Tls13 => vec![&TLS13],
        }
    }
}

/// Follows certificates that somebody else puts into a directory, `tls.crt` and `tls.key`, for ever. `what` they are for is said in logs.
pub async fn follow_files(what: &'static str, directory: PathBuf, current: watch::Sender<Current>) {
    let mut before = None;
    loop {
        let bytes = |name: &str| std::fs::read(directory.join(name)).map_err(|error| format!("{name}: {error}"));
        let pair = bytes("tls.crt").and_then(|certificate| Ok((certificate, bytes("tls.key")?)));
        if before.as_ref() != Some(&pair) {
            match pair.clone().and_then(|(certificate, key)| read(&certificate, &key)) {
                Ok(key) => {
                    current.send_replace(Some(Arc::new(key)));
                    tracing::info!(what, directory = %directory.display(), "serves with the certificate of the directory");
                }
                Err(error) => {
                    tracing::error!(what, directory = %directory.display(), error, "no certificate to serve with, looking again");
                }
            }
            before = Some(pair);
        }
        sleep(LOOK).await;
    }
}

/// Reads a certificate with its chain and its key, both in PEM.
///
/// # Errors
/// Says what is wrong with them, without showing the key.
pub fn read(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key is no PEM: {error}"))?;
    let key = any_ecdsa_type(&key)
        .or_else(|_| any_supported_type(&key))
        .map_err(|error| format!("the key cannot be used: {error}"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(format!("certificate and key do not belong together: {error}")),
    }
}

#[derive(Debug)]
struct Resolver(watch::Receiver<Current>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

/// Accepts connections and speaks TLS on them.
#[derive(Debug)]
pub struct TlsListener {
    local: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl TlsListener {
    /// Listens and serves whatever certificate is current.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        current: watch::Receiver<Current>,
    ) -> anyhow::Result<Self> {
        Self::with_limits(address, versions, current, CONNECTIONS, QUIET).await
    }

    async fn with_limits(
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        current: watch::Receiver<Current>,
        connections: usize,
        quiet: Duration,
    ) -> anyhow::Result<Self> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(current)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let (done, ready) = mpsc::channel(1);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, acceptor, done, connections, quiet));
        Ok(Self { local, ready })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(Connection, SocketAddr)>,
    connections: usize,
    quiet: Duration,
) {
    let slots = Arc::new(Semaphore::new(connections));
    let crowded = Arc::new(AtomicBool::new(false));
    loop {
        crowded.store(slots.available_permits() == 0, Ordering::Relaxed);
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        crowded.store(false, Ordering::Relaxed);
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, done, crowded) = (acceptor.clone(), done.clone(), Arc::clone(&crowded));
        tokio::spawn(async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(done.send((Connection::new(stream, slot, crowded, quiet), from)).await),
                Ok(Err(error)) => tracing::debug!(%error, %from, "no TLS with a client"),
                Err(_) => tracing::debug!(%from, error = "no answer in time", "no TLS with a client"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task never ends before this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

#[cfg(test)]
mod tests;
