//! Whether this node serves what is sent to its addresses, by the word of kube-proxy.
//!
//! kube-proxy answers at `/healthz` whether its rules are as new as what it knows, and that the node is not on its way out. A node where
//! it says no, or does not answer, keeps no address that another one can serve. One bad answer says little: the verdict changes after some
//! in a row, slower for the better than for the worse.

use crate::metrics::Metrics;
use herald_election::Fitness;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often kube-proxy is asked, and how long it may take to answer.
const EVERY: Duration = Duration::from_secs(1);
/// Bad answers in a row that count: a kube-proxy that is restarted in place is back sooner.
const BAD: u32 = 3;
/// Good answers in a row that count: twice as many would keep a node that was repaired from helping for longer than anybody watches.
const GOOD: u32 = 5;

/// Asks for ever, and tells the verdict whenever it changes.
pub(crate) async fn follow(address: SocketAddr, metrics: Arc<Metrics>, verdicts: watch::Sender<Option<Fitness>>) {
    let mut judge = Judge::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = match timeout(EVERY, ask(address)).await {
            Ok(answer) => answer,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
        };
        let verdict = judge.hear(answer.is_ok());
        metrics.fit(verdict == Fitness::Fit);
        verdicts.send_if_modified(|known| {
            let changed = *known != Some(verdict);
            if changed {
                match &answer {
                    Err(error) => tracing::warn!(
                        %address,
                        %error,
                        "kube-proxy does not serve here, addresses go to nodes where it does"
                    ),
                    Ok(()) => tracing::info!(%address, "kube-proxy serves here"),
                }
                *known = Some(verdict);
            }
            changed
        });
    }
}

/// Gets `/healthz`.
///
/// # Errors
/// kube-proxy does not answer, or says that it does not serve.
async fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.len() < STATUS_LINE.len() + 3 && stream.read_buf(&mut answer).await? > 0 {}
    read(&answer)
}

/// How an answer begins; the minor version does not matter.
const STATUS_LINE: &str = "HTTP/1.1 ";

fn read(answer: &[u8]) -> io::Result<()> {
    let status = answer.get(STATUS_LINE.len()..STATUS_LINE.len() + 3).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match status.filter(|_| answer.starts_with(b"HTTP/1.")) {
        Some("200") => Ok(()),
        Some(status) => Err(io::Error::other(format!("it answers with status {status}"))),
        None => Err(io::Error::other("what answers is no HTTP server")),
    }
}

/// Makes verdicts of answers. The first answer is one.
#[derive(Debug, Default)]
struct Judge {
    verdict: Option<Fitness>,
    /// Answers in a row that contradict it.
    against: u32,
}

impl Judge {
    fn hear(&mut self, good: bool) -> Fitness {
        let says = if good { Fitness::Fit } else { Fitness::Unfit };
        let verdict = *self.verdict.get_or_insert(says);
        self.against = if says == verdict { 0 } else { self.against + 1 };
        let enough = if good { GOOD } else { BAD };
        if self.against < enough {
            return verdict;
        }
        self.against = 0;
        *self.verdict.insert(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_counts_and_then_only_some_in_a_row() {
        use Fitness::{Fit, Unfit};
        let mut judge = Judge::default();
        let mut hear = |answers: &str| answers.chars().map(|answer| judge.hear(answer == '+')).collect::<Vec<_>>();
        assert_eq!(hear("+--+--"), [Fit; 6], "never three bad ones in a row");
        assert_eq!(hear("+---"), [Fit, Fit, Fit, Unfit]);
        assert_eq!(hear("++++-++++"), [Unfit; 9], "never five good ones in a row");
        assert_eq!(hear("-+++++"), [Unfit, Unfit, Unfit, Unfit, Unfit, Fit]);
        assert_eq!(Judge::default().hear(false), Unfit);
    }

    #[test]
    fn only_http_with_status_200_is_a_good_answer() {
        assert!(read(b"HTTP/1.1 200 OK\r\n").is_ok());
        assert!(read(b"HTTP/1.0 200 OK\r\n").is_ok());
        for answer in
            [&b"HTTP/1.1 503 Service Unavailable\r\n"[..], b"", b"HTTP/1.1 20", b"SSH-2.0-OpenSSH_9.2 200", b"\xff"]
        {
            assert!(read(answer).is_err(), "{answer:?}");
        }
    }
}
