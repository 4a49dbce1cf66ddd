//! Probes of containers: looks from the node at whether a container answers.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One probe, ready to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    target: Target,
    timeout: Duration,
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) failures: u32,
    pub(super) successes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Http { host: String, port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { host: String, port: u16 },
}

impl Look {
    /// Reads a probe of `container`, whose pod has `address`.
    ///
    /// # Errors
    ///
    /// Says what is not supported.
    pub(super) fn new(probe: &Probe, container: &Container, address: IpAddr) -> Result<Self, String> {
        let target = if let Some(get) = &probe.http_get {
            http(get, container, address)?
        } else if let Some(socket) = &probe.tcp_socket {
            Target::Tcp {
                host: socket.host.clone().unwrap_or_else(|| address.to_string()),
                port: port(&socket.port, container)?,
            }
        } else {
            return Err("the lab's kubelet knows httpGet and tcpSocket probes only".to_owned());
        };
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.map_or(default, |value| value.max(0).unsigned_abs().into()))
        };
        let count =
            |value: Option<i32>, default: u32| value.filter(|value| *value > 0).map_or(default, i32::unsigned_abs);
        Ok(Self {
            target,
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            failures: count(probe.failure_threshold, 3),
            successes: count(probe.success_threshold, 1),
        })
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// Says what was found instead of an answer.
    pub(super) async fn look(&self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.target.look()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

impl Target {
    async fn look(&self) -> Result<(), String> {
        let (Self::Http { host, port, .. } | Self::Tcp { host, port }) = self;
        let mut stream =
            TcpStream::connect((host.as_str(), *port)).await.map_err(|error| format!("connecting: {error}"))?;
        let Self::Http { path, headers, .. } = self else { return Ok(()) };
        let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request =
            format!("GET {path} HTTP/1.1\r\nUser-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n");
        if !headers.iter().any(|(key, _)| key.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {name}\r\n");
        }
        for (key, value) in headers {
            request += &format!("{key}: {value}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("asking: {error}"))?;
        let mut answer = Vec::new();
        stream
            .take(64 * 1024)
            .read_to_end(&mut answer)
            .await
            .map_err(|error| format!("reading the answer: {error}"))?;
        let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        match line.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()) {
            Some(200..=399) => Ok(()),
            Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
            None => Err(format!("not an HTTP answer: {line:?}")),
        }
    }
}

fn http(get: &HTTPGetAction, container: &Container, address: IpAddr) -> Result<Target, String> {
    let host = get.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| address.to_string());
    let port = port(&get.port, container)?;
    if get.scheme.as_deref() == Some("HTTPS") {
        // The kubelet checks no certificate either; that the port is open is the part that can be seen without one.
        return Ok(Target::Tcp { host, port });
    }
    let path = get
        .path
        .clone()
        .filter(|path| path.starts_with('/'))
        .unwrap_or_else(|| format!("/{}", get.path.clone().unwrap_or_default()));
    let headers = get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect();
    Ok(Target::Http { host, port, path, headers })
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => name.parse().ok().or_else(|| {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name))?;
            Some(named.container_port)
        }),
    };
    number.and_then(|number| u16::try_from(number).ok()).ok_or_else(|| format!("the container has no port {port:?}"))
}
