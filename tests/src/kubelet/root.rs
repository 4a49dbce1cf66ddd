//! The child's half of starting a container: it becomes the container, then the program.
//!
//! ```text
//! kubelet ──starts──> herald-kubelet container PLAN ──> network namespace, mounts, root directory ──> setpriv ──> program
//!                     (one thread, one process id all the way: signals reach the program)
//! ```
//!
//! The root directory is a small memory file system with this machine's programs and libraries read-only in it, the container's own
//! program under its image's name, `/proc`, `/sys`, `/dev`, an empty `/tmp`, and the pod's volumes. Of `/etc` only what a program
//! needs to start and to look up names.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    unistd::{chdir, pivot_root, sethostname},
};
use serde::{Deserialize, Serialize};

/// Everything that a container is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The network namespace to join, if it is not the kubelet's own.
    pub network: Option<PathBuf>,
    /// Name of the machine that the container believes to be, if it is not the node's.
    pub hostname: Option<String>,
    /// An empty directory to build the root directory on.
    pub root: PathBuf,
    /// The image's program on this machine.
    pub program: PathBuf,
    /// What to run, as the container sees it.
    pub command: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where to start, as the container sees it.
    pub directory: Option<PathBuf>,
    /// Volumes, and what else lies in the container from outside.
    pub mounts: Vec<Mount>,
    /// Who it may be and what it may do.
    pub rights: Rights,
}

/// A file or directory of this machine that the container sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// On this machine.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether it cannot be written there.
    pub read_only: bool,
}

/// Who a container's program may be and what it may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rights {
    /// Everything is allowed.
    pub privileged: bool,
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// More groups.
    pub groups: Vec<u32>,
    /// Capabilities, in lower case and without `cap_`, for example `net_raw`.
    pub capabilities: Vec<String>,
    /// Whether programs with a set-user-id bit gain nothing.
    pub no_new_privileges: bool,
    /// Whether the root directory cannot be written.
    pub read_only_root: bool,
}

/// Becomes the container described by the plan in `file`; returns only when that fails.
#[must_use]
pub fn become_container(file: &Path) -> anyhow::Error {
    match prepare(file) {
        Ok(mut command) => anyhow!(command.exec()).context("starting setpriv, which is part of util-linux"),
        Err(error) => error,
    }
}

fn prepare(file: &Path) -> Result<Command> {
    let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let plan: Plan = serde_json::from_slice(&text).context("reading the plan")?;
    if let Some(network) = &plan.network {
        let network = File::open(network).with_context(|| format!("opening {}", network.display()))?;
        setns(network, CloneFlags::CLONE_NEWNET).context("joining the pod's network namespace")?;
    }
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).context("making a mount namespace")?;
    if let Some(hostname) = &plan.hostname {
        sethostname(hostname).context("setting the hostname")?;
    }
    build_root(&plan)?;
    enter_root(&plan)?;
    Ok(command(&plan))
}

/// Directories that hold this machine's programs and libraries.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt"];

/// What programs need of `/etc`: the loader's cache, names, certificates.
const ETC: [&str; 12] = [
    "alternatives",
    "ca-certificates",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "localtime",
    "nsswitch.conf",
    "passwd",
    "protocols",
    "services",
    "ssl",
];

fn build_root(plan: &Plan) -> Result<()> {
    let root = &plan.root;
    // What is mounted from here on is seen by nobody else and goes with the container's last process.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("making mounts private")?;
    mount(Some("container"), root, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .context("mounting the root directory")?;
    for directory in ["dev", "etc", "home", "mnt", "proc", "root", "run", "srv", "sys", "tmp", "var"] {
        fs::create_dir(root.join(directory)).with_context(|| format!("making /{directory}"))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    // Relative: while the root directory is being built, it is not the root.
    std::os::unix::fs::symlink("../run", root.join("var/run"))?;
    for path in SYSTEM {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                std::os::unix::fs::symlink(fs::read_link(path)?, inside(root, Path::new(path)))?;
            }
            Ok(_) => bind(Path::new(path), &inside(root, Path::new(path)), true)?,
            Err(_) => {}
        }
    }
    for path in ETC.map(|name| Path::new("/etc").join(name)) {
        if path.exists() {
            bind(&path, &inside(root, &path), true)?;
        }
    }
    bind(Path::new("/dev"), &root.join("dev"), false)?;
    bind(Path::new("/proc"), &root.join("proc"), false)?;
    // This one shows the network namespace that the process is in.
    mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), MsFlags::empty(), None::<&str>).context("mounting /sys")?;
    if !plan.rights.privileged {
        bind(Path::new("/proc/sys"), &root.join("proc/sys"), true)?;
        read_only(&root.join("sys"))?;
    }
    let name = plan.program.file_name().context("the program has no name")?;
    bind(&plan.program, &root.join(name), true)?;
    let mut volumes: Vec<_> = plan.mounts.iter().collect();
    volumes.sort_by(|a, b| a.target.cmp(&b.target));
    for volume in &volumes {
        bind(&volume.source, &inside(root, &volume.target), false)?;
    }
    // Not before all of them are there: one may lie in another.
    for volume in volumes.iter().filter(|volume| volume.read_only) {
        read_only(&inside(root, &volume.target))?;
    }
    if plan.rights.read_only_root {
        read_only(root)?;
    }
    Ok(())
}

fn enter_root(plan: &Plan) -> Result<()> {
    chdir(&plan.root)?;
    // The old root ends up on top of the new one and is taken away from there.
    pivot_root(".", ".").context("changing the root directory")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root directory")?;
    chdir(plan.directory.as_deref().unwrap_or(Path::new("/"))).context("going to the working directory")
}

fn command(plan: &Plan) -> Command {
    let rights = &plan.rights;
    let mut command = Command::new("/usr/bin/setpriv");
    command.env_clear().envs(&plan.environment);
    command.arg(format!("--reuid={}", rights.user)).arg(format!("--regid={}", rights.group));
    if rights.groups.is_empty() {
        command.arg("--clear-groups");
    } else {
        command
            .arg(format!("--groups={}", rights.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
    }
    if !rights.privileged {
        let bounds: String = rights.capabilities.iter().map(|capability| format!(",+{capability}")).collect();
        command.arg(format!("--bounding-set=-all{bounds}")).arg("--inh-caps=-all");
    }
    if rights.no_new_privileges {
        command.arg("--no-new-privs");
    }
    command.arg("--").args(&plan.command);
    command
}

/// Where a path of the container is while the root directory is being built.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Shows `source` at `target`, which is made if it is missing.
fn bind(source: &Path, target: &Path, without_writing: bool) -> Result<()> {
    let what = || format!("mounting {} on {}", source.display(), target.display());
    let found = fs::metadata(source).with_context(what)?;
    if !target.exists() {
        if found.is_dir() {
            fs::create_dir_all(target).with_context(what)?;
        } else {
            let Some(parent) = target.parent() else { bail!("{} has no parent", target.display()) };
            fs::create_dir_all(parent).with_context(what)?;
            File::create(target).with_context(what)?;
        }
    }
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>).with_context(what)?;
    if without_writing { read_only(target) } else { Ok(()) }
}

fn read_only(target: &Path) -> Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("making {} read-only", target.display()))
}
