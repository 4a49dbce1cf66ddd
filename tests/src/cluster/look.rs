//! Looking into a running cluster: pods, their logs, their processes.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use nix::unistd::Pid;

use super::{Cluster, HERALD};
use crate::process::tail;

impl Cluster {
    /// What a namespace's pods look like and the end of each of their logs: for the error of a test.
    #[must_use]
    pub fn last_words(&self, namespace: &str) -> String {
        let pods = self.kubectl(&["get", "pods", "--namespace", namespace, "--output", "wide"]);
        let mut text = pods.unwrap_or_else(|error| format!("{error:#}\n"));
        for (name, log) in self.log_files(namespace, "").unwrap_or_default() {
            text += &format!("--- {name}\n{}\n", tail(&log, 8));
        }
        text
    }

    /// Everything that the containers of the pods whose names begin with `pod` wrote, pod by pod.
    ///
    /// # Errors
    ///
    /// When there is no such log.
    pub fn logs(&self, namespace: &str, pod: &str) -> Result<String> {
        let files = self.log_files(namespace, pod)?;
        if files.is_empty() {
            bail!("no pod {namespace}/{pod}* has written anything");
        }
        files
            .into_iter()
            .map(|(_, path)| fs::read_to_string(&path).with_context(|| format!("reading {}", path.display())))
            .collect()
    }

    /// Names and log files of containers, as `POD_CONTAINER`.
    fn log_files(&self, namespace: &str, pod: &str) -> Result<Vec<(String, PathBuf)>> {
        let directory = self.directory.join("logs/containers");
        let prefix = format!("{namespace}_");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(name) = name.strip_prefix(&prefix)
                && name.starts_with(pod)
            {
                found.push((name.to_owned(), path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The pods of a namespace that match a label selector, by name.
    ///
    /// # Errors
    ///
    /// When the API server does not answer.
    pub fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let params = ListParams::default().labels(selector);
        let mut pods = self.run(async move { api.list(&params).await })??.items;
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(pods)
    }

    /// The process of the pod whose name begins with `pod`, on node `number`: for faults. Asks the kubelet's files, not the API
    /// server. Of several containers it is the first by name.
    ///
    /// # Errors
    ///
    /// When no such pod runs there.
    pub fn pid_on(&self, number: usize, namespace: &str, pod: &str) -> Result<Pid> {
        let node = self.node(number);
        let directory = self.directory.join("nodes").join(&node.name);
        let prefix = format!("{namespace}_{pod}");
        let mut files: Vec<PathBuf> = fs::read_dir(&directory)
            .with_context(|| format!("reading {}", directory.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .flat_map(|path| fs::read_dir(path).into_iter().flatten())
            .filter_map(|container| Some(container.ok()?.path().join("pid")))
            .collect();
        files.sort();
        let pid = files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        pid.map(Pid::from_raw).with_context(|| format!("no pod {namespace}/{pod}* runs on {}", node.name))
    }

    /// The process of a pod, on whichever node it is.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn pod_pid(&self, namespace: &str, pod: &str) -> Result<Pid> {
        (1..=self.wire().nodes.len())
            .find_map(|number| self.pid_on(number, namespace, pod).ok())
            .with_context(|| format!("no pod {namespace}/{pod}* runs anywhere"))
    }

    /// The process of Herald's speaker on node `number`.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn speaker_pid(&self, number: usize) -> Result<Pid> {
        self.pid_on(number, HERALD, "speaker-")
    }

    /// The process of the kubelet on node `number`: stopped, its pods go on and nobody tells about them.
    #[must_use]
    pub fn kubelet_pid(&self, number: usize) -> Pid {
        self.parts().nodes[number - 1].kubelet.pid()
    }
}
