//! What tests ask about Herald on a cluster: which addresses a Service has, and which node owns one, as the client sees it.

use crate::{
    cluster::{Cluster, HERALD, repository},
    fault::Target,
    probe::{UdpProbe, who_answers},
};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// How long an answer to "who has" may take: a lost frame is asked for again, a second owner answers within it.
const WINDOW: Duration = Duration::from_millis(100);

/// What a Service waits for at most, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// Waits until a Service has this many addresses.
    ///
    /// # Errors
    ///
    /// When it does not get them; with its events.
    pub fn addresses(&self, namespace: &str, name: &str, count: usize) -> Result<Vec<IpAddr>> {
        let (in_namespace, of) = (namespace.to_owned(), name.to_owned());
        let result = self.wait_for(&format!("{count} addresses of {namespace}/{name}"), PATIENCE, move |client| {
            let api: Api<Service> = Api::namespaced(client, &in_namespace);
            let name = of.clone();
            async move {
                let ips = ips(&api.get(&name).await?);
                Ok((ips.len() == count).then_some(ips))
            }
        });
        result.map_err(|error| {
            let events = self.kubectl(&["events", "--namespace", namespace, "--for", &format!("service/{name}")]);
            error.context(events.unwrap_or_default()).context(self.last_words(HERALD))
        })
    }

    /// The one node that answers for an address, from 1.
    ///
    /// # Errors
    ///
    /// When nobody answers, or more than one.
    pub fn owner(&self, ip: IpAddr) -> Result<usize> {
        let macs: Vec<_> = who_answers(&self.outside(), ip, WINDOW)?.into_keys().collect();
        match macs.as_slice() {
            [mac] => match self.wire().nodes.iter().position(|node| node.mac == *mac) {
                Some(index) => Ok(index + 1),
                None => bail!("{ip} is answered for by {mac}, which is no node"),
            },
            [] => bail!("nobody answers for {ip}"),
            several => bail!("{ip} has {} owners: {several:?}", several.len()),
        }
    }

    /// Waits until exactly one node answers for an address.
    ///
    /// # Errors
    ///
    /// When that does not come about in time.
    pub fn wait_for_owner(&self, ip: IpAddr) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.owner(ip) {
                Ok(owner) => return Ok(owner),
                Err(error) if Instant::now() > deadline => return Err(error.context(self.last_words(HERALD))),
                Err(_) => {}
            }
        }
    }

    /// Waits until every speaker is Ready and hears all the others: what each test begins and ends with.
    ///
    /// # Errors
    ///
    /// When that does not come about in time.
    pub fn wait_for_speakers(&self) -> Result<()> {
        let others = self.wire().nodes.len() - 1;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard: Vec<_> = (1..=others + 1).map(|number| self.metric(number, "herald_election_members")).collect();
            if heard.iter().all(|value| matches!(value, Ok(Some(value)) if *value as usize == others)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("speakers hear {heard:?} of {others} others\n{}", self.last_words(HERALD));
            }
        }
    }

    /// Waits until every node serves a Service for the client: kube-proxy learns of it, and of each endpoint, after the API server and in its own time, and until
    /// then a node drops what it owns. With `externalTrafficPolicy: Local` every node must have an endpoint.
    ///
    /// # Errors
    ///
    /// When that does not come about in time.
    pub fn wait_until_served(&self, udp: SocketAddr) -> Result<()> {
        let client = self.outside();
        for node in &self.wire().nodes {
            let way = format!("{} via {}", udp.ip(), node.address_like(udp.ip()));
            client.namespace.ip(&format!("route replace {way}\n"))?;
            let probe = UdpProbe::start(&client.namespace, udp, WINDOW / 10)?;
            let served = probe.wait_for_answers(1, PATIENCE);
            client.namespace.ip(&format!("route delete {way}\n"))?;
            if !served {
                bail!("{} does not serve {udp}\n{}", node.name, self.last_words(HERALD));
            }
        }
        Ok(())
    }

    /// The process of the speaker on a node, for faults.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn speaker(&self, node: usize) -> Result<Target> {
        Ok(Target::Process(u32::try_from(self.speaker_pid(node)?.as_raw())?))
    }

    /// A metric of the speaker on a node, summed over its labels; nothing when it is not there.
    ///
    /// # Errors
    ///
    /// When the speaker does not answer.
    pub fn metric(&self, node: usize, name: &str) -> Result<Option<f64>> {
        Ok(sum(&self.metrics(node)?, name))
    }

    /// All that the speaker on a node says at `/metrics`.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn metrics(&self, node: usize) -> Result<String> {
        let output = self
            .node(node)
            .namespace
            .command("curl")
            .args(["--silent", "--fail", "--max-time", "2", "http://127.0.0.1:9120/metrics"])
            .output()?;
        if !output.status.success() {
            bail!("the speaker on node {node} serves no metrics: {}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The addresses in a Service's status.
#[must_use]
pub fn ips(service: &Service) -> Vec<IpAddr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|ingress| ingress.ip.as_ref()?.parse().ok()).collect()
}

/// The metrics that the alerts of `config/monitoring` ask for.
///
/// # Errors
///
/// When there are no such rules.
pub fn metrics_of_alerts() -> Result<BTreeSet<String>> {
    let path = repository().join("config/monitoring/rules.yaml");
    let rules = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let words = expressions.flat_map(|text| text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_'));
    Ok(words.filter(|word| word.starts_with("metallb_") || word.starts_with("herald_")).map(str::to_owned).collect())
}

/// The sum of all series of a name in the OpenMetrics text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values: Vec<f64> = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a gauge\na{x=\"1\"} 2\na{x=\"2\"} 3\nab 7\n# EOF\n";
        assert_eq!(sum(text, "a"), Some(5.0));
        assert_eq!(sum(text, "ab"), Some(7.0));
        assert_eq!(sum(text, "b"), None);
    }
}
