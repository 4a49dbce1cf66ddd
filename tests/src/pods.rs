//! The server that runs in pods: it tells who answered, and to whom.
//!
//! On every TCP port it speaks HTTP to a client that begins with an HTTP method and sends everything back to any other, so that one
//! port serves `curl` and a long flow. On every UDP port it answers each datagram with who it is and the datagram.
//!
//! | | answer |
//! |---|---|
//! | `GET /` and any other path | two lines: `web-1 on node2`, then `namespace=default client=10.66.2.1:40000 path=/` |
//! | `GET /readyz` | 200, or 503 after `GET /readyz?set=false`, until `?set=true` |
//! | `GET /healthz` | 200, or 503 after `GET /healthz?set=false` |
//! | `GET /exit?code=3` | the process ends with this code |
//! | UDP `hello` | `helloweb-1 on node2`, which [`crate::probe`] expects |
//! | TCP, anything else | the same bytes |
//!
//! It is told by the environment: `POD_NAME`, `POD_NAMESPACE`, `NODE_NAME`, and `PORTS` such as `8080/tcp,8081/udp`; without ports it
//! serves 8080 on both. It ends at once on SIGTERM.

use std::{
    env, fmt,
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::probe::udp_answer;

/// Where a server without declared ports listens.
pub const DEFAULT_PORT: u16 = 8080;

/// Longest request head that is read.
const LONGEST_HEAD: u64 = 16 * 1024;

/// Runs the server as the environment says, until it is told to end.
///
/// # Errors
///
/// When a port is taken or the environment cannot be understood.
pub fn main() -> Result<()> {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let server = Arc::new(Server {
        pod: variable("POD_NAME"),
        namespace: variable("POD_NAMESPACE"),
        node: variable("NODE_NAME"),
        ready: AtomicBool::new(true),
        healthy: AtomicBool::new(true),
    });
    let ports = ports(&variable("PORTS"))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(server.run(&ports))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Tcp(u16),
    Udp(u16),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "{port}/tcp"),
            Self::Udp(port) => write!(f, "{port}/udp"),
        }
    }
}

fn ports(text: &str) -> Result<Vec<Port>> {
    if text.is_empty() {
        return Ok(vec![Port::Tcp(DEFAULT_PORT), Port::Udp(DEFAULT_PORT)]);
    }
    text.split(',')
        .map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let number = number.parse().with_context(|| format!("the port {port} is not a number"))?;
            match protocol {
                "tcp" => Ok(Port::Tcp(number)),
                "udp" => Ok(Port::Udp(number)),
                _ => bail!("the port {port} is neither tcp nor udp"),
            }
        })
        .collect()
}

struct Server {
    pod: String,
    namespace: String,
    node: String,
    ready: AtomicBool,
    healthy: AtomicBool,
}

impl Server {
    async fn run(self: Arc<Self>, ports: &[Port]) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut tasks = JoinSet::new();
        for port in ports {
            // Both families: an IPv6 socket takes IPv4 clients too.
            let what = || format!("listening on {port}");
            match port {
                Port::Tcp(number) => {
                    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, *number)).await.with_context(what)?;
                    tasks.spawn(Arc::clone(&self).accept(listener));
                }
                Port::Udp(number) => {
                    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, *number)).await.with_context(what)?;
                    tasks.spawn(Arc::clone(&self).answer(socket));
                }
            }
            println!("listening on {port}");
        }
        terminate.recv().await;
        println!("told to end");
        Ok(())
    }

    fn name(&self) -> String {
        format!("{} on {}", self.pod, self.node)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => {
                    let this = Arc::clone(&self);
                    tokio::spawn(async move {
                        // A client that goes away in the middle is its own business.
                        let _ = this.serve(stream, plain(client)).await;
                    });
                }
                Err(error) => {
                    println!("accepting failed: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn answer(self: Arc<Self>, socket: UdpSocket) {
        let mut buffer = vec![0; 65_536];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, client)) => {
                    let _ = socket.send_to(&udp_answer(&buffer[..length], &self.name()), client).await;
                }
                Err(error) => println!("receiving failed: {error}"),
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream, client: SocketAddr) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut first = [0; 8];
        let length = stream.peek(&mut first).await?;
        if speaks_http(&first[..length]) {
            return self.serve_http(stream, client).await;
        }
        let mut buffer = vec![0; 65_536];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..length]).await?;
        }
    }

    async fn serve_http(&self, stream: TcpStream, client: SocketAddr) -> Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream).await? {
            let (status, body) = self.respond(&request.target, client);
            let connection = if request.close { "close" } else { "keep-alive" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{}",
                body.len(),
                if request.head_only { "" } else { &body }
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            if request.close {
                stream.shutdown().await?;
                return Ok(());
            }
        }
        Ok(())
    }

    fn respond(&self, target: &str, client: SocketAddr) -> (&'static str, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let switch = |state: &AtomicBool| {
            match query {
                "set=true" => state.store(true, Ordering::Relaxed),
                "set=false" => state.store(false, Ordering::Relaxed),
                _ => {}
            }
            // A probe is told the state, who switches it that it worked.
            if state.load(Ordering::Relaxed) || !query.is_empty() {
                ("200 OK", "ok\n".to_owned())
            } else {
                ("503 Service Unavailable", "no\n".to_owned())
            }
        };
        match path {
            "/readyz" => switch(&self.ready),
            "/healthz" => switch(&self.healthy),
            "/exit" => std::process::exit(query.strip_prefix("code=").and_then(|code| code.parse().ok()).unwrap_or(0)),
            _ => {
                let about = format!("namespace={} client={client} path={path}", self.namespace);
                (
                    "200 OK",
                    format!(
                        "{}
{about}
",
                        self.name()
                    ),
                )
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: String,
    close: bool,
    head_only: bool,
}

/// Reads one request's head, and its body away; nothing at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut head = String::new();
    let mut limited = stream.take(LONGEST_HEAD);
    loop {
        let before = head.len();
        if limited.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let (request, length) = parse(&head).context("not a request")?;
    tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
    Ok(Some(request))
}

/// A request's head and the length of its body.
fn parse(head: &str) -> Option<(Request, u64)> {
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request { target: target.to_owned(), close: version == "HTTP/1.0", head_only: method == "HEAD" };
    let mut length = 0;
    for (key, value) in lines.filter_map(|line| line.split_once(':')) {
        match key.trim().to_ascii_lowercase().as_str() {
            "connection" => request.close |= value.trim().eq_ignore_ascii_case("close"),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    Some((request, length))
}

fn speaks_http(first: &[u8]) -> bool {
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS "].iter().any(|method| {
        let length = method.len().min(first.len());
        length >= 4 && first[..length] == method.as_bytes()[..length]
    })
}

/// An IPv4 client of an IPv6 socket, as an IPv4 address.
fn plain(client: SocketAddr) -> SocketAddr {
    SocketAddr::new(client.ip().to_canonical(), client.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_their_protocols() {
        assert_eq!(ports("8080/tcp,53/udp,90").unwrap(), [Port::Tcp(8080), Port::Udp(53), Port::Tcp(90)]);
        assert_eq!(ports("").unwrap(), [Port::Tcp(8080), Port::Udp(8080)]);
        assert!(ports("x/tcp").is_err() && ports("1/sctp").is_err());
    }

    #[test]
    fn a_flow_that_does_not_begin_with_a_method_is_not_http() {
        assert!(speaks_http(b"GET / HT") && speaks_http(b"HEAD") && speaks_http(b"DELETE /"));
        assert!(!speaks_http(b"00000001") && !speaks_http(b"GE") && !speaks_http(b"GETTING "));
    }

    #[test]
    fn a_request_says_its_target_and_whether_the_connection_goes_on() {
        let (request, length) =
            parse("POST /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: Close\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert_eq!((request.target.as_str(), request.close, length), ("/a?b=c", true, 3));
        let (request, length) = parse("GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((request.close, length), (false, 0));
        assert!(parse("GET\r\n").is_none());
    }
}
