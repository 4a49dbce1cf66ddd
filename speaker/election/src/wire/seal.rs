//! Keys and seals: HKDF-SHA256 and ChaCha20-Poly1305.

use std::fmt;

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use thiserror::Error;

/// What the speakers of one cluster share, derived from the bytes of a Secret by HKDF-SHA256. Never shown.
#[derive(Clone)]
pub struct Key {
    root: Prk,
}

/// A secret that is too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the secret has {got} bytes, expected at least {least}")]
pub struct WeakSecret {
    /// Bytes given.
    pub got: usize,
    /// Bytes needed.
    pub least: usize,
}

impl Key {
    /// 128 bits: what a random secret needs at least to withstand guessing.
    pub const LEAST_BYTES: usize = 16;

    /// The key made from these bytes.
    ///
    /// # Errors
    /// Refuses fewer than 16 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < Self::LEAST_BYTES {
            return Err(WeakSecret { got: secret.len(), least: Self::LEAST_BYTES });
        }
        let root = Salt::new(HKDF_SHA256, b"herald election 1").extract(secret);
        Ok(Self { root })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = &self.root;
        f.write_str("Key(..)")
    }
}
