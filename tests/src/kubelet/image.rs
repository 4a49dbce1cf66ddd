//! From an image's name to a program on this machine.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// The server that stands in for images that have no program here.
pub const STAND_IN: &str = "herald-pod";

/// A program that stands for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where it is on this machine.
    pub program: PathBuf,
    /// Its name; in a container it lies under the root directory.
    pub name: String,
    /// Whether it is the image's own program, which takes the container's arguments, or only stands in for it.
    pub own: bool,
}

/// Finds the program for an image in the directories `programs`: the one with the image's own name, without registry, tag and digest, or
/// that with the name of its owner before it (`metallb-speaker` for `quay.io/metallb/speaker`); for other images the stand-in.
///
/// # Errors
///
/// When a program of Herald was not built.
pub fn resolve(programs: &[PathBuf], image: &str) -> Result<Image> {
    let (owner, name) = owner_and_name(image);
    let find = |program: &str| programs.iter().map(|directory| directory.join(program)).find(|path| path.is_file());
    let owned = format!("{owner}-{name}");
    let herald = name.starts_with("herald-");
    if !herald && let Some(program) = find(&owned) {
        return Ok(Image { program, name: owned, own: true });
    }
    let program = if herald { name } else { STAND_IN };
    match find(program) {
        Some(path) => Ok(Image { program: path, name: program.to_owned(), own: program != STAND_IN }),
        None => bail!(
            "the program {program} for the image {image} is not in {programs:?}: build it with cargo build --bin {program}"
        ),
    }
}

/// The last two parts of an image's name.
fn owner_and_name(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    let (path, name) = image.rsplit_once('/').unwrap_or(("", image));
    let owner = path.rsplit('/').next().unwrap_or(path);
    (owner, name.split(':').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::owner_and_name;

    #[test]
    fn an_image_is_known_without_registry_tag_and_digest() {
        for image in [
            "herald-speaker",
            "herald-speaker:0.1.0",
            "registry:5000/a/herald-speaker:v1@sha256:00",
            "a/herald-speaker@sha256:1",
        ] {
            assert_eq!(owner_and_name(image).1, "herald-speaker", "{image}");
        }
        assert_eq!(owner_and_name("quay.io/metallb/speaker:v0.16.1"), ("metallb", "speaker"));
    }
}
