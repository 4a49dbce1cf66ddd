//! One connection, which gives its place up when it is answered nothing for long and somebody waits for it.
//!
//! What counts is what is written to the client: whoever sends a request byte by byte is as idle as who sends none.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

/// One connection, and its place among those there may be.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    _slot: OwnedSemaphorePermit,
    /// Whether somebody waits for a place.
    crowded: Arc<AtomicBool>,
    quiet: Duration,
    answered: Instant,
    /// When to look whether this one has been quiet for too long.
    look: Pin<Box<Sleep>>,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        slot: OwnedSemaphorePermit,
        crowded: Arc<AtomicBool>,
        quiet: Duration,
    ) -> Self {
        Self { stream, _slot: slot, crowded, quiet, answered: Instant::now(), look: Box::pin(sleep(quiet)) }
    }

    /// Whether the place is somebody else's now; if not, looks again in a while.
    fn over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.look.as_mut().poll(cx).is_ready() {
            let since = self.answered.elapsed();
            if since >= self.quiet && self.crowded.load(Ordering::Relaxed) {
                return true;
            }
            // An eighth later at the earliest: who waits, waits at most that much longer.
            let left = self.quiet.saturating_sub(since).max(self.quiet / 8);
            self.look.as_mut().reset(Instant::now() + left);
        }
        false
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.answered = Instant::now();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
