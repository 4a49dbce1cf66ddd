//! Numbers that a stranger does not guess by accident: jitter and discriminators. Not for secrets.

/// The generator SplitMix64: one word of state, every value once per period.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The share of an interval that is waited before the next packet, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u32);

impl Share {
    /// Draws from 75 % to 100 %; to 90 % where one lost packet is already too much (RFC 5880 §6.8.7).
    pub(crate) const fn draw(random: &mut Random, detect_mult: u8) -> Self {
        let most = if detect_mult == 1 { 900 } else { 1000 };
        Self(750 + (random.next() % (most - 750 + 1)) as u32)
    }

    pub(crate) fn of(self, interval: std::time::Duration) -> std::time::Duration {
        interval * self.0 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn shares_fill_the_range_that_the_rfc_names_and_no_more() {
        let mut random = Random::new(7);
        for (detect_mult, most) in [(1, 90), (2, 100), (3, 100), (255, 100)] {
            let interval = Duration::from_millis(100);
            let drawn: Vec<_> = (0..5_000).map(|_| Share::draw(&mut random, detect_mult).of(interval)).collect();
            assert_eq!(drawn.iter().min(), Some(&Duration::from_millis(75)), "{detect_mult}");
            assert_eq!(drawn.iter().max(), Some(&Duration::from_millis(most)), "{detect_mult}");
        }
    }
}
