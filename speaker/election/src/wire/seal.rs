//! Keys and seals: HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! One key per cluster, and from it one key per (sender, its incarnation, receiver). So a message cannot be turned on a third node or back on its
//! sender, and a number `seq` is a nonce that never repeats under its key.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use thiserror::Error;

use super::{Header, MAX, Message, TAG};
use crate::node::NodeId;
use crate::vocabulary::Drop;

/// What the speakers of one cluster share, derived from the bytes of a Secret by HKDF-SHA256. Never shown.
#[derive(Clone)]
pub struct Key {
    root: Prk,
    id: u8,
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
        let mut id = [0];
        root.expand(&[b"key id"], Bytes(1)).and_then(|okm| okm.fill(&mut id)).expect("one byte is a legal HKDF output");
        Ok(Self { root, id: id[0] })
    }

    /// A byte that tells keys apart without telling anything of them, so that "another key" is not reported as "forged".
    pub(crate) fn id(&self) -> u8 {
        self.id
    }

    /// The key of one direction between two nodes.
    pub(crate) fn pair(&self, sender: NodeId, incarnation: u64, receiver: NodeId) -> PairKey {
        let (sender, incarnation, receiver) =
            (sender.0.to_be_bytes(), incarnation.to_be_bytes(), receiver.0.to_be_bytes());
        let info: [&[u8]; 4] = [b"pair", &sender, &incarnation, &receiver];
        let key = self.root.expand(&info, &CHACHA20_POLY1305).expect("32 bytes are a legal HKDF output");
        PairKey(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// So many bytes of HKDF output.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Seals and opens the messages of one direction.
#[derive(Clone)]
pub(crate) struct PairKey(LessSafeKey);

impl PairKey {
    /// A datagram ready to be sent.
    pub(crate) fn seal(&self, header: &Header, message: &Message) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(MAX);
        header.encode(&mut datagram);
        message.encode(&mut datagram);
        let (head, body) = datagram.split_at_mut(Header::LEN);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(header), Aad::from(&*head), body)
            .expect("a body of a kilobyte is far below the cipher's limit");
        datagram.extend_from_slice(tag.as_ref());
        datagram
    }

    /// The body of a datagram whose header has been read, if it was sealed with this key and nothing has changed since.
    pub(crate) fn open(&self, header: &Header, datagram: &[u8]) -> Result<Message, Drop> {
        let (head, sealed) = datagram.split_at_checked(Header::LEN).ok_or(Drop::TooShort)?;
        let mut body = [0; MAX];
        let body = body.get_mut(..sealed.len()).ok_or(Drop::TooLong)?;
        body.copy_from_slice(sealed);
        let body = self.0.open_in_place(nonce(header), Aad::from(head), body).map_err(|_| Drop::Forged)?;
        debug_assert_eq!(body.len() + TAG, sealed.len());
        Message::decode(header.kind, body)
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(..)")
    }
}

fn nonce(header: &Header) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..4].copy_from_slice(&header.salt.to_le_bytes());
    nonce[4..].copy_from_slice(&header.seq.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
