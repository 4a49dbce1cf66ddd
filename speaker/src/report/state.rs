//! When this node's speaker writes its ConfigurationState.
//!
//! Every speaker learns of a change of the configuration at the same instant. Each writes in its own slot of a time that grows with the
//! cluster, so that together they write at a pace that an API server does not notice.

use crate::{metrics::Metrics, source::Picture};
use herald_runtime::{error::WriteError, state::Author};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch::Receiver;

/// How long changes are gathered at least: `kubectl apply` of a directory is one change.
const GATHER: Duration = Duration::from_millis(200);
/// The time that one node's write may take up: a hundred writes a second in the whole cluster.
const SLOT: Duration = Duration::from_millis(10);
/// How long one write may take.
const REQUEST: Duration = Duration::from_secs(30);

/// The speaker of this node as the author of its state.
pub(crate) struct Speaker {
    /// This node's place in the time of all nodes, from 0 to 1.
    place: f64,
    picture: Receiver<Option<Picture>>,
    metrics: Arc<Metrics>,
}

impl Speaker {
    pub(crate) fn new(node: &str, picture: Receiver<Option<Picture>>, metrics: Arc<Metrics>) -> Self {
        Self { place: place(node), picture, metrics }
    }
}

impl Author for Speaker {
    fn permitted(&mut self) -> Option<Instant> {
        Some(Instant::now() + REQUEST)
    }

    async fn changed(&mut self) -> bool {
        std::future::pending().await
    }

    fn delay(&self) -> Duration {
        let nodes = self.picture.borrow().as_ref().map_or(1, |picture| picture.nodes.len());
        GATHER + delay(self.place, nodes)
    }

    fn wrote(&self, result: &Result<(), WriteError>, _: Duration) {
        self.metrics.wrote("state", result.as_ref().copied());
    }
}

/// A node's place, the same at every start.
fn place(node: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    f64::from(hasher.finish() as u32) / f64::from(u32::MAX)
}

fn delay(place: f64, nodes: usize) -> Duration {
    SLOT.mul_f64(place * nodes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_spread_their_writes_evenly_over_a_time_that_grows_with_the_cluster() {
        for nodes in [100, 1000] {
            let mut tenths = [0; 10];
            for node in 0..nodes {
                let delay = delay(place(&format!("node-{node}")), nodes);
                let whole = SLOT * nodes as u32;
                assert!(delay <= whole);
                tenths[((delay.as_secs_f64() / whole.as_secs_f64()) * 10.0).min(9.0) as usize] += 1;
            }
            let even = nodes / 10;
            assert!(tenths.iter().all(|count| (even / 3..even * 2).contains(count)), "{tenths:?}");
        }
    }
}
