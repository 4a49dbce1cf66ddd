//! Network namespaces: made, entered, run in, deleted.
//!
//! A namespace is known by its name under `/run/netns`, so `ip netns` sees it and a person can look inside. A thread is inside
//! or outside as a whole: [`Namespace::enter`] runs a closure in a thread of its own, [`Namespace::spawn`] leaves that thread
//! running, [`Namespace::runtime`] gives tokio such threads. The process's main thread never enters.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A network namespace. Clones are the same one; it lives until [`Namespace::delete`] or the end of its lab.
#[derive(Clone, Debug)]
pub struct Namespace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes a namespace with `lo` up and quick, silent IPv6: see [`QUIET`].
    pub fn create(name: &str) -> Result<Self> {
        let mut all = Self::create_all(vec![name.to_owned()])?;
        all.pop().context("one namespace was asked for")
    }

    /// Makes several namespaces with one program run.
    pub fn create_all(names: Vec<String>) -> Result<Vec<Self>> {
        let script: String = names.iter().map(|name| format!("netns add {name}\n")).collect();
        ip_batch(&[], &script)?;
        thread::scope(|scope| {
            let made: Vec<_> = names.into_iter().map(|name| scope.spawn(|| Self::set_up(name))).collect();
            made.into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    fn set_up(name: String) -> Result<Self> {
        let this = Self::open(&name)?;
        this.sysctls(QUIET)?;
        this.ip("link set lo up\n")?;
        Ok(this)
    }

    /// Opens a namespace that exists.
    pub fn open(name: &str) -> Result<Self> {
        let file = File::open(path_of(name)).with_context(|| format!("open namespace {name}"))?;
        Ok(Self { inner: Arc::new(Inner { name: name.to_owned(), file }) })
    }

    /// The full name, as `ip netns` prints it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Runs `work` inside and returns what it returns. It runs in a thread of its own; a panic goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| self.join_this_thread().map(|()| work()));
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside that the caller joins.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let this = self.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || this.join_this_thread().and_then(|()| work()))
            .context("start a thread")
    }

    /// A tokio runtime whose workers and blocking threads are inside. `block_on` polls its future in the *calling* thread, which
    /// is outside: give it a handle from `spawn`, as [`Namespace::run`] does.
    pub fn runtime(&self) -> Result<tokio::runtime::Runtime> {
        self.enter(|| ())?;
        let this = self.clone();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(self.name())
            .enable_all()
            .on_thread_start(move || {
                if let Err(error) = this.join_this_thread() {
                    // A worker outside would talk to the wrong network and the test would mean nothing.
                    eprintln!("{error:#}");
                    std::process::abort();
                }
            })
            .build()
            .context("build a runtime")
    }

    /// Runs one future inside, on a runtime of its own.
    pub fn run<F>(&self, future: F) -> Result<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let runtime = self.runtime()?;
        let task = runtime.spawn(future);
        match runtime.block_on(task) {
            Ok(output) => Ok(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(error).context("run a future in a namespace"),
            },
        }
    }

    /// A command that will run inside. The child's process id is the program's own, it leads a process group of its own (so
    /// Ctrl-C does not reach it, and a signal to the group reaches all that it starts), and it reads nothing.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let mut net = std::ffi::OsString::from("--net=");
        net.push(path_of(self.name()));
        command.arg(net).arg("--").arg(program).process_group(0).stdin(Stdio::null());
        command
    }

    /// Runs `ip` inside on a list of commands, one a line, without the word `ip`.
    pub fn ip(&self, script: &str) -> Result<()> {
        ip_batch(&["-n", self.name()], script)
    }

    /// Runs a program inside to its end and returns what it printed.
    ///
    /// # Errors
    /// The program ended with a failure; the error has what it said.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).output().with_context(|| format!("start {program}"))?;
        if !output.status.success() {
            bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies an nftables script inside.
    pub fn nft(&self, script: &str) -> Result<()> {
        feed(self.command("nft").args(["-f", "-"]), script)
    }

    /// Sets kernel parameters, `net/ipv4/ip_forward` style.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            settings.iter().try_for_each(|(key, value)| {
                fs::write(Path::new("/proc/sys").join(key), value).with_context(|| format!("set {key} to {value}"))
            })
        })?
    }

    /// Waits until an interface passes frames. After both ends of a veth are set up the kernel still takes its time to notice, and
    /// drops what is sent before: an address resolution in that moment costs a second.
    pub fn wait_for_link(&self, interface: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.output("ip", &["-o", "link", "show", "dev", interface])?.contains("state UP") {
            if Instant::now() > deadline {
                bail!("{interface} in {} is not up after 5 s", self.name());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The processes whose main thread is inside.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let ours = self.inner.file.metadata()?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // A process that ends while we look has no namespace, and neither has a zombie.
            let Ok(theirs) = fs::metadata(entry.path().join("ns/net")) else { continue };
            if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
                found.push(Pid::from_raw(pid));
            }
        }
        Ok(found)
    }

    /// Kills what runs inside and deletes the namespace with its interfaces.
    pub fn delete(self) -> Result<()> {
        for _ in 0..100 {
            let inside = self.processes()?;
            if inside.is_empty() {
                break;
            }
            for pid in inside {
                // It may have ended since.
                let _ = kill(pid, Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
        ip_batch(&[], &format!("netns del {}\n", self.name()))
    }

    fn join_this_thread(&self) -> Result<()> {
        setns(&self.inner.file, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter namespace {}", self.name()))
    }
}

/// What every namespace of a lab has: addresses usable at once, routes and addresses only as given, no reverse path check, and
/// IPv6 addresses that stay when an interface is set down and up.
pub const QUIET: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/all/router_solicitations", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/all/keep_addr_on_down", "1"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

fn path_of(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn ip_batch(arguments: &[&str], script: &str) -> Result<()> {
    feed(Command::new("ip").args(arguments).args(["-batch", "-"]), script)
}

/// Runs a program with `script` as its input.
fn feed(command: &mut Command, script: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(script.as_bytes()) {
            // The program gave up early: its own words say more.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}\nof the script\n{script}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
