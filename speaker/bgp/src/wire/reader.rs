//! Octets of a message, taken from the front. Nothing is read beyond an end, and every reader knows where it is.

/// A part of a message that is still to be read. Offsets count from the first octet of the marker, whatever the part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads a whole message.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0, end: message.len() }
    }

    /// Returns where the next octet stands in the message.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Returns how many octets are left.
    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// Returns what is left, without taking it.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.message.get(self.at..self.end).unwrap_or_default()
    }

    /// Returns what was taken since an offset.
    pub(super) fn since(&self, offset: usize) -> &'a [u8] {
        self.message.get(offset..self.at).unwrap_or_default()
    }

    /// Takes a part of its own; nothing, and nothing taken, if there are not so many octets.
    pub(super) fn part(&mut self, octets: usize) -> Option<Self> {
        let end = self.at.checked_add(octets).filter(|end| *end <= self.end)?;
        let part = Self { message: self.message, at: self.at, end };
        self.at = end;
        Some(part)
    }

    /// Takes octets; nothing, and nothing taken, if there are not so many.
    pub(super) fn bytes(&mut self, octets: usize) -> Option<&'a [u8]> {
        self.part(octets).map(|part| part.rest())
    }

    /// Takes octets of a fixed number.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.rest().first_chunk()?;
        self.at += N;
        Some(array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}
