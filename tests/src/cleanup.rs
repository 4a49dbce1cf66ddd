//! Who owns a lab, and how everything of it goes away.
//!
//! A [`Lab`] is a name, a directory and a lock. Network namespaces belong to it by their names (`ID-*`), processes by running
//! in those namespaces, files by lying in its directory. Promises: whatever ends the owner (return, panic, Ctrl-C, SIGKILL),
//! processes, namespaces, mounts and files of the lab are gone a moment later, and another lab's are not touched.
//!
//! ```text
//! owner:   lock ──── runs ──── drop: cleanup.sh now ── unlock
//! reaper:       waits for the lock ..................... nothing left to do
//!
//! owner:   lock ──── runs ──── killed (the kernel unlocks)
//! reaper:       waits for the lock ─ cleanup.sh orphaned
//! next:    Lab::new: sweeps labs whose lock is free, should their reaper have been killed too
//! ```
//!
//! The lock is the truth about life, not a process id: ids are used again, and a lock cannot be forgotten.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::netns::Namespace;

/// One lab: removed with everything in it when this value goes, or the process that holds it.
#[derive(Debug)]
pub struct Lab {
    id: String,
    home: PathBuf,
    _lock: File,
    kept: bool,
}

impl Lab {
    /// Starts a new, empty lab, after removing those whose owners died without anybody noticing.
    pub fn new() -> Result<Self> {
        let _all = everybody()?;
        sweep_locked()?;
        let (id, home) = fresh_home()?;
        let lock = File::create(home.join("lock"))?;
        lock.try_lock().with_context(|| format!("lock of the new lab {id}"))?;
        let lab = Self { id, home, _lock: lock, kept: false };
        lab.start_reaper()?;
        let data = lab.dir();
        fs::create_dir(&data)?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "herald-lab"]).arg(&data))?;
        Ok(lab)
    }

    /// The lab's name: namespaces are called `ID-something`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A directory in memory for the lab's files, removed with it.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Creates a namespace of this lab; its full name is `ID-name`.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(&self.namespace_name(name))
    }

    /// Creates several at once, which is faster than one by one.
    pub fn namespaces(&self, names: &[&str]) -> Result<Vec<Namespace>> {
        Namespace::create_all(names.iter().map(|name| self.namespace_name(name)).collect())
    }

    /// The full name of a namespace of this lab.
    #[must_use]
    pub fn namespace_name(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// Lets the lab outlive this value and this process, until [`remove_kept`].
    pub fn keep(&mut self) -> Result<()> {
        fs::write(self.home.join("kept"), "")?;
        self.kept = true;
        Ok(())
    }

    fn start_reaper(&self) -> Result<()> {
        // In a session of its own, so that neither Ctrl-C nor a closing terminal reaches it.
        run(cleanup("orphaned", &self.home, &["setsid", "--fork"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = run(&mut cleanup("now", &self.home, &[]))
        {
            eprintln!("lab {} was not removed cleanly: {error:#}", self.id);
        }
    }
}

/// Removes every lab whose owner is dead and which is not kept; returns their names.
pub fn sweep() -> Result<Vec<String>> {
    let _all = everybody()?;
    sweep_locked()
}

/// The names of the kept labs.
pub fn kept() -> Result<Vec<String>> {
    Ok(homes()?.into_iter().filter(|home| home.join("kept").exists()).map(|home| name_of(&home)).collect())
}

/// Removes a kept lab.
///
/// # Errors
/// There is no such lab, or its owner still runs.
pub fn remove_kept(id: &str) -> Result<()> {
    let _all = everybody()?;
    let home = Path::new(HOMES).join(id);
    if !home.join("kept").exists() {
        bail!("no kept lab is called {id}");
    }
    // A reaper holds the lock for the moment in which it finds that the lab is kept.
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match try_remove(&home)? {
            Removal::Done => return Ok(()),
            Removal::OwnerLives if Instant::now() > deadline => {
                bail!("lab {id} is still in use by the process that made it")
            }
            Removal::OwnerLives => thread::sleep(Duration::from_millis(10)),
        }
    }
}

enum Removal {
    Done,
    OwnerLives,
}

fn try_remove(home: &Path) -> Result<Removal> {
    // Without a lock file the owner died between two steps of `Lab::new`, or somebody removes it right now.
    let lock = match File::open(home.join("lock")) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("open a lab's lock"),
    };
    match lock.as_ref().map(File::try_lock) {
        Some(Err(TryLockError::WouldBlock)) => Ok(Removal::OwnerLives),
        Some(Err(TryLockError::Error(error))) => Err(error).context("lock a lab"),
        None | Some(Ok(())) => {
            run(&mut cleanup("now", home, &[]))?;
            Ok(Removal::Done)
        }
    }
}

fn sweep_locked() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for home in homes()? {
        if !home.join("kept").exists() && matches!(try_remove(&home)?, Removal::Done) {
            removed.push(name_of(&home));
        }
    }
    Ok(removed)
}

/// The lock under which labs are made and swept, so that nobody takes a lab that is being made for a dead one.
fn everybody() -> Result<File> {
    fs::create_dir_all(HOMES).with_context(|| format!("create {HOMES}: the lab needs root"))?;
    let lock = File::create(Path::new(HOMES).join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn homes() -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(HOMES) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("list the labs"),
    };
    let mut homes: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?;
    homes.retain(|path| path.is_dir());
    homes.sort();
    Ok(homes)
}

fn fresh_home() -> Result<(String, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    loop {
        let id = format!("lab{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = Path::new(HOMES).join(&id);
        match fs::create_dir(&home) {
            Ok(()) => return Ok((id, home)),
            // A kept lab of an earlier process that had our process id.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context("create the lab's directory"),
        }
    }
}

fn name_of(home: &Path) -> String {
    home.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn cleanup(when: &str, home: &Path, wrapper: &[&str]) -> Command {
    let mut words = wrapper.iter().copied().chain(["sh", "-c", SCRIPT, "cleanup.sh", when]);
    let mut command = Command::new(words.next().unwrap_or("sh"));
    command.args(words).arg(home);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("start {program}"))?;
    if !status.success() {
        bail!("{program}: {status}");
    }
    Ok(())
}

const HOMES: &str = "/run/herald-lab";
const SCRIPT: &str = include_str!("cleanup.sh");
