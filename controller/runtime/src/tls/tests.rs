use super::*;
use axum::{Router, routing::get};
use std::sync::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};

const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Server {
    async fn start(connections: usize, quiet: Duration) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = read(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
        let (_keep, current) = watch::channel(Some(Arc::new(key)));
        let listener = TlsListener::with_limits("127.0.0.1:0".parse().unwrap(), &[&TLS13], current, connections, quiet)
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/", get(|| async { "here" }))).await.unwrap();
        });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, connector: TlsConnector::from(Arc::new(config)) }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connecting = self.connector.connect("localhost".try_into().unwrap(), stream);
        timeout(DEADLINE, connecting).await.expect("somebody makes room").unwrap()
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"here") {
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "closed: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test]
async fn who_says_nothing_or_little_makes_room_for_who_waits() {
    let server = Server::start(2, Duration::from_millis(300)).await;
    let _silent = server.connect().await;
    let slow = server.connect().await;
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        let (_reading, mut writing) = tokio::io::split(slow);
        // A request that never ends, a byte at a time.
        while writing.write_all(b"G").await.is_ok() && writing.flush().await.is_ok() {
            *counted.lock().unwrap() += 1;
            sleep(Duration::from_millis(20)).await;
        }
    });
    let (mut first, mut second) = tokio::join!(server.connect(), server.connect());
    ask(&mut first).await;
    ask(&mut second).await;
    assert!(*sent.lock().unwrap() > 1);
}

#[tokio::test]
async fn an_idle_connection_stays_as_long_as_nobody_waits() {
    let quiet = Duration::from_millis(100);
    let server = Server::start(2, quiet).await;
    let mut idle = server.connect().await;
    ask(&mut idle).await;
    sleep(quiet * 5).await;
    ask(&mut idle).await;
}
