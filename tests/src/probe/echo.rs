//! The other end of the probes: answers UDP and HTTP with its name.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Runtime,
};

use crate::netns::Namespace;

/// A running service: UDP and HTTP on the same port of one address. It ends when dropped.
#[derive(Debug)]
pub struct Echo {
    runtime: Option<Runtime>,
}

impl Echo {
    /// Starts one that calls itself `name`; when this returns, it answers.
    pub fn start(inside: &Namespace, address: SocketAddr, name: &str) -> Result<Self> {
        let runtime = inside.runtime()?;
        let bound = runtime.spawn(async move {
            let udp = UdpSocket::bind(address).await?;
            let tcp = TcpListener::bind(address).await?;
            std::io::Result::Ok((udp, tcp))
        });
        let (udp, tcp) =
            runtime.block_on(bound)?.with_context(|| format!("listen on {address} in {}", inside.name()))?;
        let name: Arc<str> = name.into();
        runtime.spawn(answer_udp(udp, Arc::clone(&name)));
        runtime.spawn(answer_http(tcp, name));
        Ok(Self { runtime: Some(runtime) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a UDP service answers to a probe: the probe and its own name behind it.
#[must_use]
pub fn udp_answer(probe: &[u8], name: &str) -> Vec<u8> {
    [probe, name.as_bytes()].concat()
}

async fn answer_udp(socket: UdpSocket, name: Arc<str>) {
    let mut buffer = [0; 2048];
    loop {
        // An error tells of an earlier answer that could not be delivered.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let _ = socket.send_to(&udp_answer(&buffer[..length], &name), from).await;
    }
}

async fn answer_http(listener: TcpListener, name: Arc<str>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(stream, Arc::clone(&name)));
    }
}

/// Answers every request head, as many as come; bodies of requests are not understood, as probes have none.
async fn serve(mut stream: TcpStream, name: Arc<str>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let body = format!("{name}\n");
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (mut pending, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&buffer[..length]);
        while let Some(end) = super::http::head_end(&pending) {
            let closing = String::from_utf8_lossy(&pending[..end]).to_ascii_lowercase().contains("connection: close");
            pending.drain(..end);
            stream.write_all(answer.as_bytes()).await?;
            if closing {
                return stream.shutdown().await;
            }
        }
    }
}
