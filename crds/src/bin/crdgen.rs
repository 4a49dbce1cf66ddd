//! `crdgen DIR` writes the CRDs that the Rust types stand for into DIR, one file each, with a kustomization that lists them.
//! `crdgen --check DIR` changes nothing and fails if DIR does not hold exactly that.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use herald_crds::api::manifests;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check", dir] => check(dir),
        [dir] if !dir.starts_with('-') => write(dir),
        _ => Err("usage: crdgen [--check] DIR (the repository keeps its CRDs in config/crd)".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn write(dir: &str) -> Result<(), String> {
    let failed = |path: &Path, e: io::Error| format!("cannot write {}: {e}", path.display());
    fs::create_dir_all(dir).map_err(|e| failed(Path::new(dir), e))?;
    for (name, text) in manifests() {
        let path = Path::new(dir).join(name);
        fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

fn check(dir: &str) -> Result<(), String> {
    for (name, text) in manifests() {
        let path = Path::new(dir).join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            return Err(format!(
                "{} is not what the types in crds/src/api say: run `cargo run -p herald-crds --bin crdgen -- {dir}`",
                path.display()
            ));
        }
    }
    Ok(())
}
