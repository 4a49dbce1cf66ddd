//! The kubelet's own port, as far as `kubectl logs` needs it.
//!
//! The API server asks for `/containerLogs/NAMESPACE/POD/CONTAINER`, with `follow` and `tailLines` among its parameters; it checks no
//! certificate here and shows none, so anybody in the lab may read any log.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::get,
    serve::Listener,
};
use futures::{Stream, stream};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

use super::spec::log_file;
use crate::pki;

/// The kubelet's usual port.
pub(super) const PORT: u16 = 10250;

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Longest piece of a log in memory.
const PIECE: usize = 64 * 1024;

/// Serves logs from `logs`, for ever.
pub(super) async fn serve(logs: PathBuf) {
    let router = Router::new().route("/containerLogs/{namespace}/{pod}/{container}", get(log)).with_state(logs);
    match listener().await {
        Ok(listener) => {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "serving logs ended");
            }
        }
        Err(error) => tracing::warn!(error = format!("{error:#}"), "logs cannot be served"),
    }
}

async fn listener() -> Result<Tls> {
    let (certificate, key) = pki::unsigned("kubelet")?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
    let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).await.with_context(|| format!("listening on {PORT}"))?;
    Ok(Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) })
}

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.tcp.accept().await {
                // One after the other: there is one client, and it does not dawdle.
                Ok((stream, from)) => {
                    if let Ok(Ok(stream)) =
                        tokio::time::timeout(Duration::from_secs(2), self.acceptor.accept(stream)).await
                    {
                        return (stream, from);
                    }
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn log(
    State(logs): State<PathBuf>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    uri: Uri,
) -> Response {
    let path = log_file(&logs, &namespace, &pod, &container);
    let asked = Asked::from(uri.query().unwrap_or_default());
    let opened = async {
        let mut file = File::open(&path).await?;
        if let Some(lines) = asked.tail_lines {
            let mut text = Vec::new();
            file.read_to_end(&mut text).await?;
            file.seek(io::SeekFrom::Start(start_of_tail(&text, lines))).await?;
        }
        io::Result::Ok(file)
    };
    match opened.await {
        Ok(file) => Body::from_stream(pieces(file, asked.follow)).into_response(),
        Err(error) => {
            (StatusCode::NOT_FOUND, format!("no log of {namespace}/{pod}/{container}: {error}\n")).into_response()
        }
    }
}

/// The file's content, and what is added to it.
fn pieces(file: File, follow: bool) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, move |mut file| async move {
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).await?;
            if length > 0 {
                piece.truncate(length);
                return Ok(Some((Bytes::from(piece), file)));
            }
            if !follow {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    follow: bool,
    tail_lines: Option<usize>,
}

impl From<&str> for Asked {
    fn from(query: &str) -> Self {
        let mut asked = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "follow" => asked.follow = value == "true",
                "tailLines" => asked.tail_lines = value.parse().ok(),
                _ => {}
            }
        }
        asked
    }
}

/// Where the last `lines` lines of a text begin.
fn start_of_tail(text: &[u8], lines: usize) -> u64 {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = whole.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = match lines.checked_sub(1) {
        None => text.len(),
        Some(before) => ends.map(|(at, _)| at + 1).nth(before).unwrap_or(0),
    };
    start.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_so_many_lines() {
        for (lines, expected) in [(0, ""), (1, "c\n"), (2, "b\nc\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n")] {
            let text = "a\nb\nc\n";
            let start = usize::try_from(start_of_tail(text.as_bytes(), lines)).unwrap();
            assert_eq!(&text[start..], expected, "{lines}");
        }
        assert_eq!(start_of_tail(b"", 5), 0);
    }

    #[test]
    fn parameters_are_read() {
        assert_eq!(Asked::from("follow=true&tailLines=3&x=y"), Asked { follow: true, tail_lines: Some(3) });
        assert_eq!(Asked::from(""), Asked::default());
    }
}
