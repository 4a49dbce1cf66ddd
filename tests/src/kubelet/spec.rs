//! From a container in a pod's spec to what is started: program, arguments, environment, mounts, probes, rights.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Capabilities, Container, Pod, Probe};

use super::{
    Settings,
    container::{self, Restart},
    env::{self, Sources},
    image::{self, Image},
    pod::{name, namespace},
    probe::Look,
    root::{Mount, Plan, Rights},
    volumes::Volumes,
};

/// What is known of a pod when its containers start.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) settings: &'a Settings,
    pub(super) pod: &'a Pod,
    /// The pod's own, for roots and plans.
    pub(super) directory: &'a Path,
    pub(super) addresses: &'a [IpAddr],
    /// The pod's network namespace, if it is not the node's.
    pub(super) network: Option<&'a Path>,
    pub(super) sources: &'a Sources,
    pub(super) volumes: &'a Volumes,
}

/// Decides everything about one container, and makes its directory.
///
/// # Errors
///
/// Says what the container asks for and cannot have.
pub(super) fn decide(ground: &Ground<'_>, container: &Container, init: bool) -> Result<container::Container> {
    let Ground { settings, pod, .. } = *ground;
    let spec = pod.spec.as_ref().context("the pod has no spec")?;
    let image = image::resolve(&settings.programs, container.image.as_deref().unwrap_or_default())?;
    let mut environment = env::environment(pod, container, ground.sources)?;
    if !image.own {
        environment.extend(stand_in_environment(pod, container, &settings.node));
    }
    let directory = ground.directory.join(&container.name);
    let root = directory.join("root");
    std::fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    let address = *ground.addresses.first().context("the pod has no address")?;
    let look = |probe: &Option<Probe>| -> Result<Option<Look>> {
        probe.as_ref().map(|probe| Look::new(probe, container, address).map_err(anyhow::Error::msg)).transpose()
    };
    let restart = match spec.restart_policy.as_deref() {
        Some("Never") => Restart::Never,
        Some("OnFailure") => Restart::OnFailure,
        _ if init => Restart::OnFailure,
        _ => Restart::Always,
    };
    let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let sleep = pre_stop.and_then(|hook| hook.sleep.as_ref()).map_or(0, |sleep| sleep.seconds.max(0).unsigned_abs());
    Ok(container::Container {
        plan: Plan {
            network: ground.network.map(Path::to_owned),
            hostname: ground.network.is_some().then(|| name(pod).to_owned()),
            root,
            command: command(&image, container, &environment),
            program: image.program,
            environment,
            directory: container.working_dir.as_ref().map(PathBuf::from),
            mounts: mounts(container, ground.volumes)?,
            rights: rights(pod, container)?,
        },
        plan_file: directory.join("plan.json"),
        log: log_file(&settings.logs, namespace(pod), name(pod), &container.name),
        id: format!("{}-{}", pod.metadata.uid.as_deref().unwrap_or_default(), container.name),
        startup: look(&container.startup_probe)?,
        liveness: look(&container.liveness_probe)?,
        readiness: look(&container.readiness_probe)?,
        restart,
        restart_delay: settings.restart_delay,
        pre_stop: Duration::from_secs(sleep),
    })
}

/// Program and arguments. The stand-in knows nothing of an image's arguments: it serves the ports that are declared.
fn command(image: &Image, container: &Container, environment: &BTreeMap<String, String>) -> Vec<String> {
    let entry = format!("/{}", image.name);
    if !image.own {
        return vec![entry];
    }
    let expand = |text: &String| env::expand(text, environment);
    let mut command: Vec<String> = container.command.iter().flatten().map(expand).collect();
    match command.first_mut() {
        None => command.push(entry),
        // Wherever the image has it.
        Some(program) if Path::new(program).file_name() == Path::new(&entry).file_name() => *program = entry,
        Some(_) => {}
    }
    command.extend(container.args.iter().flatten().map(expand));
    command
}

fn mounts(container: &Container, volumes: &Volumes) -> Result<Vec<Mount>> {
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .map(|mount| {
            let volume = volumes.paths.get(&mount.name);
            let volume = volume.with_context(|| format!("there is no volume \"{}\"", mount.name))?;
            Ok(Mount {
                source: mount.sub_path.as_ref().map_or_else(|| volume.clone(), |path| volume.join(path)),
                target: PathBuf::from(&mount.mount_path),
                read_only: mount.read_only == Some(true),
            })
        })
        .collect()
}

/// The file with a container's output.
pub(crate) fn log_file(logs: &Path, namespace: &str, pod: &str, container: &str) -> PathBuf {
    logs.join(format!("{namespace}_{pod}_{container}.log"))
}

fn rights(pod: &Pod, container: &Container) -> Result<Rights> {
    let context = container.security_context.clone().unwrap_or_default();
    let shared = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let id = |own: Option<i64>, shared: Option<i64>| {
        u32::try_from(own.or(shared).unwrap_or(0)).context("a user or group is too large")
    };
    let user = id(context.run_as_user, shared.run_as_user)?;
    if user == 0 && context.run_as_non_root.or(shared.run_as_non_root) == Some(true) {
        bail!("container has runAsNonRoot and image will run as root");
    }
    let mut groups: Vec<i64> = shared.supplemental_groups.unwrap_or_default();
    groups.extend(shared.fs_group);
    let privileged = context.privileged == Some(true);
    Ok(Rights {
        privileged,
        user,
        group: id(context.run_as_group, shared.run_as_group)?,
        groups: groups.into_iter().map(u32::try_from).collect::<Result<_, _>>().context("a group is too large")?,
        capabilities: capabilities(&context.capabilities.unwrap_or_default()),
        no_new_privileges: context.allow_privilege_escalation == Some(false) && !privileged,
        read_only_root: context.read_only_root_filesystem == Some(true),
    })
}

/// What a container runtime gives a container that asks for nothing.
const USUAL_CAPABILITIES: [&str; 14] = [
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "net_raw",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

fn capabilities(asked: &Capabilities) -> Vec<String> {
    let plain = |name: &String| name.to_lowercase().trim_start_matches("cap_").to_owned();
    let dropped: Vec<String> = asked.drop.iter().flatten().map(plain).collect();
    let added: Vec<String> = asked.add.iter().flatten().map(plain).collect();
    let usual = USUAL_CAPABILITIES.iter().map(ToString::to_string);
    let mut all: Vec<String> =
        usual.filter(|name| !dropped.contains(&"all".to_owned()) && !dropped.contains(name)).collect();
    all.extend(added);
    all.sort();
    all.dedup();
    all
}

fn stand_in_environment(pod: &Pod, container: &Container, node: &str) -> Vec<(String, String)> {
    let ports: Vec<String> = container
        .ports
        .iter()
        .flatten()
        .map(|port| format!("{}/{}", port.container_port, port.protocol.as_deref().unwrap_or("TCP").to_lowercase()))
        .collect();
    [("POD_NAME", name(pod)), ("POD_NAMESPACE", namespace(pod)), ("NODE_NAME", node), ("PORTS", &ports.join(","))]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_the_usual_ones_without_the_dropped_and_with_the_added() {
        let asked = |add: &[&str], drop: &[&str]| Capabilities {
            add: Some(add.iter().map(ToString::to_string).collect()),
            drop: Some(drop.iter().map(ToString::to_string).collect()),
        };
        assert_eq!(capabilities(&asked(&["NET_RAW", "CAP_SYS_NICE"], &["ALL"])), ["net_raw", "sys_nice"]);
        assert!(!capabilities(&asked(&[], &["NET_RAW"])).contains(&"net_raw".to_owned()));
        assert_eq!(capabilities(&Capabilities::default()).len(), USUAL_CAPABILITIES.len());
    }
}
