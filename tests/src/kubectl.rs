//! The real kubectl, inside the control plane's namespace, with the rights of an administrator.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::netns::Namespace;

/// How to call kubectl in one lab.
#[derive(Debug, Clone)]
pub struct Kubectl {
    namespace: Namespace,
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    /// Uses the program in `binaries` on the lab whose files are in `directory`.
    #[must_use]
    pub fn new(namespace: &Namespace, binaries: &Path, directory: &Path, kubeconfig: PathBuf) -> Self {
        // Its discovery cache goes where the lab goes: every lab has the same address.
        Self {
            namespace: namespace.clone(),
            program: binaries.join("kubectl"),
            kubeconfig,
            home: directory.join("kubectl-home"),
        }
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    ///
    /// When it fails; with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_on(arguments, "")
    }

    /// Runs it with `input` on standard input.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_on(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // If it ended without reading, what it says matters more.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}\n{}{}", arguments.join(" "), output.status, printed, said.trim_end());
        }
        Ok(printed.into_owned())
    }

    /// The bare command, for callers that show its output as it comes.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.namespace.command(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        command
    }

    /// Writes a script that people can call from anywhere, and returns its path.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_script(&self, path: PathBuf) -> Result<PathBuf> {
        let text = format!(
            "#!/bin/sh\n# kubectl as administrator of this lab.\nKUBECONFIG={} HOME={} exec nsenter --net=/run/netns/{} -- {} \"$@\"\n",
            self.kubeconfig.display(),
            self.home.display(),
            self.namespace.name(),
            self.program.display()
        );
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}
