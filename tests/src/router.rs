//! Routing daemons that others wrote, in a namespace: what Herald has to get on with.
//!
//! Each has a directory of its own for its configuration, sockets and log, so that several run side by side on one machine, and dies with
//! the value.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{netns::Namespace, process::Process};

/// How long a daemon may take until it answers.
const START: Duration = Duration::from_secs(20);

/// BIRD.
#[derive(Debug)]
pub struct Bird {
    files: PathBuf,
    process: Process,
}

impl Bird {
    /// Starts it with a configuration and returns when it answers.
    pub fn start(namespace: &Namespace, files: &Path, configuration: &str) -> Result<Self> {
        fs::create_dir_all(files)?;
        fs::write(files.join("bird.conf"), configuration)?;
        let mut command = namespace.command("bird");
        command.arg("-f").arg("-c").arg(files.join("bird.conf")).arg("-s").arg(files.join("bird.ctl"));
        command.arg("-P").arg(files.join("bird.pid"));
        let process = Process::start("bird", command, &files.join("bird.log"))?;
        let mut this = Self { files: files.to_owned(), process };
        let deadline = Instant::now() + START;
        while this.show("status").is_err() {
            this.process.check()?;
            if Instant::now() > deadline {
                bail!("bird does not answer; see {}", this.process.log().display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(this)
    }

    /// What `birdc show ...` prints.
    pub fn show(&self, what: &str) -> Result<String> {
        let words: Vec<_> = std::iter::once("show").chain(what.split(' ')).collect();
        self.control(&words)
    }

    /// Replaces its configuration.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        fs::write(self.files.join("bird.conf"), configuration)?;
        self.control(&["configure"]).map(drop)
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// What `birdc` prints for these words.
    pub fn control(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("birdc");
        command.arg("-s").arg(self.files.join("bird.ctl")).args(words);
        output(command)
    }
}

/// Some daemons of FRR.
#[derive(Debug)]
pub struct Frr {
    namespace: Namespace,
    files: PathBuf,
    processes: Vec<Process>,
}

impl Frr {
    /// Starts zebra and the daemons named, gives them a configuration, and returns when they have it.
    pub fn start(namespace: &Namespace, files: &Path, daemons: &[&str], configuration: &str) -> Result<Self> {
        fs::create_dir_all(files)?;
        fs::write(files.join("frr.conf"), configuration)?;
        // The daemons give up root before they make their sockets.
        output({
            let mut command = Command::new("chown");
            command.arg("-R").arg("frr:frr").arg(files);
            command
        })?;
        let mut this = Self { namespace: namespace.clone(), files: files.to_owned(), processes: Vec::new() };
        for daemon in std::iter::once(&"zebra").chain(daemons) {
            this.start_daemon(daemon)?;
        }
        let mut command = this.vtysh();
        command.arg("-f").arg(files.join("frr.conf"));
        output(command).with_context(|| format!("FRR does not take its configuration; see {}", files.display()))?;
        Ok(this)
    }

    /// What `vtysh` prints for these commands, one after the other.
    pub fn run(&self, commands: &[&str]) -> Result<String> {
        let mut command = self.vtysh();
        for line in commands {
            command.arg("-c").arg(line);
        }
        output(command)
    }

    /// Ends all its daemons without a word to anybody.
    pub fn kill(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
    }

    fn vtysh(&self) -> Command {
        let mut command = self.namespace.command("vtysh");
        command.arg("--vty_socket").arg(&self.files);
        command
    }

    fn start_daemon(&mut self, name: &str) -> Result<()> {
        let mut command = self.namespace.command(format!("/usr/lib/frr/{name}"));
        command.arg("--vty_socket").arg(&self.files).arg("-z").arg(self.files.join("zserv.api"));
        command.arg("-i").arg(self.files.join(format!("{name}.pid"))).args(["-A", "127.0.0.1", "-P", "0"]);
        if name == "bfdd" {
            command.arg("--bfdctl").arg(self.files.join("bfdd.ctl"));
        }
        let socket = self.files.join(format!("{name}.vty"));
        // One that was killed here left its socket behind.
        let _ = fs::remove_file(&socket);
        let mut process = Process::start(name, command, &self.files.join(format!("{name}.log")))?;
        let deadline = Instant::now() + START;
        while !socket.exists() {
            process.check()?;
            if Instant::now() > deadline {
                bail!("{name} does not answer; see {}", process.log().display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.processes.push(process);
        Ok(())
    }
}

/// GoBGP.
#[derive(Debug)]
pub struct Gobgp {
    namespace: Namespace,
    process: Process,
}

impl Gobgp {
    /// Starts it with a configuration in TOML and returns when it answers.
    pub fn start(namespace: &Namespace, files: &Path, configuration: &str) -> Result<Self> {
        fs::create_dir_all(files)?;
        fs::write(files.join("gobgp.toml"), configuration)?;
        namespace.ip("link set lo up\n")?;
        let mut command = namespace.command("gobgpd");
        command.arg("-f").arg(files.join("gobgp.toml")).args(["--api-hosts", "127.0.0.1:50051", "--pprof-disable"]);
        let process = Process::start("gobgpd", command, &files.join("gobgpd.log"))?;
        let mut this = Self { namespace: namespace.clone(), process };
        let deadline = Instant::now() + START;
        while this.run(&["neighbor"]).is_err() {
            this.process.check()?;
            if Instant::now() > deadline {
                bail!("gobgpd does not answer; see {}", this.process.log().display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(this)
    }

    /// What `gobgp --json ...` prints.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = self.namespace.command("gobgp");
        command.arg("--json").args(words);
        output(command)
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.process.log())?)
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

fn output(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{} ended with {}: {out}{err}", command.get_program().display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
