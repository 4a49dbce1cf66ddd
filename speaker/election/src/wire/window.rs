//! The replay window: which of the last 64 numbers have been seen (RFC 4303 §3.4.3, as IPsec does it).

use crate::vocabulary::Drop;

/// What has been received in one direction of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    highest: u64,
    /// Bit `i` = `highest - i` has been seen. Numbers start at 1; the all-zero window has seen nothing.
    seen: u64,
}

impl Window {
    /// How far behind the newest a message may be.
    pub(crate) const SIZE: u64 = 64;

    /// Whether a message with this number may be new. Asked before the costly look at its seal.
    pub(crate) fn check(&self, seq: u64) -> Result<(), Drop> {
        let behind = self.highest.saturating_sub(seq);
        if seq > self.highest {
            Ok(())
        } else if behind >= Self::SIZE {
            Err(Drop::TooOld)
        } else if self.seen >> behind & 1 == 1 {
            Err(Drop::Replayed)
        } else {
            Ok(())
        }
    }

    /// Remembers a number whose message was genuine.
    pub(crate) fn mark(&mut self, seq: u64) {
        if seq > self.highest {
            let ahead = seq - self.highest;
            self.seen = if ahead < Self::SIZE { self.seen << ahead } else { 0 } | 1;
            self.highest = seq;
        } else if self.highest - seq < Self::SIZE {
            self.seen |= 1 << (self.highest - seq);
        }
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_and_only_within_64() {
        let mut window = Window::default();
        for seq in [1, 3, 2, 100] {
            assert_eq!(window.check(seq), Ok(()));
            window.mark(seq);
            assert_eq!(window.check(seq), Err(Drop::Replayed));
        }
        assert_eq!(window.check(36), Err(Drop::TooOld));
        assert_eq!(window.check(37), Ok(()));
        window.mark(37);
        assert_eq!(window.check(37), Err(Drop::Replayed));
        window.mark(u64::MAX);
        assert_eq!(window.check(100), Err(Drop::TooOld));
        assert_eq!(window.check(u64::MAX), Err(Drop::Replayed));
    }
}
