//! The stream of a connection, cut into messages.

use crate::wire::{DecodeError, Decoded, Encoding, Message, frame};

/// What was received and is not read yet: less than one message, once [`Input::next`] has returned nothing.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// How many of them are read.
    read: usize,
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next message, or why there is none any more: after an error the connection is over.
    pub(super) fn next(&mut self, encoding: &Encoding) -> Option<Result<Decoded, DecodeError>> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let length = match frame(rest, encoding) {
            Ok(length) => length?,
            Err(error) => return Some(Err(error)),
        };
        self.read += length;
        Some(Message::decode(rest.get(..length).unwrap_or_default(), encoding))
    }
}
