//! From an image's name to a program on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The server that stands in for every image that is not Herald's.
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

/// Finds the program for an image in `programs`: the one with the image's own name, without registry, tag and digest; for images
/// that are not Herald's the stand-in.
///
/// # Errors
///
/// When the program was not built.
pub fn resolve(programs: &Path, image: &str) -> Result<Image> {
    let name = short_name(image);
    let own = name.starts_with("herald-");
    let program = if own { name } else { STAND_IN };
    let path = programs.join(program);
    if !path.is_file() {
        bail!(
            "the program {} for the image {image} does not exist: build it with cargo build --bin {program}",
            path.display()
        );
    }
    Ok(Image { program: path, name: program.to_owned(), own: own && program != STAND_IN })
}

/// The last part of an image's name.
fn short_name(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn an_images_name_has_no_registry_tag_or_digest() {
        for image in [
            "herald-speaker",
            "herald-speaker:0.1.0",
            "registry:5000/a/herald-speaker:v1@sha256:00",
            "a/herald-speaker@sha256:1",
        ] {
            assert_eq!(short_name(image), "herald-speaker", "{image}");
        }
    }
}
