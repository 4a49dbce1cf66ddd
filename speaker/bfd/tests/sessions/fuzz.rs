//! Arbitrary packets into live sessions. `FUZZ_INPUTS=5000000 cargo test -p herald-bfd --test sessions fuzz` for a long run.

use herald_bfd::{Action, Event, Hops, Packet, State};

use crate::bed::{Bed, PEERS, ms, settings};

/// Enough to meet every rule many times; a long run is a matter of the environment.
const INPUTS: u64 = 60_000;

#[test]
fn no_packet_makes_it_panic_grow_or_fall_silent() {
    let inputs = std::env::var("FUZZ_INPUTS").ok().map_or(INPUTS, |text| text.parse().unwrap());
    for pair in PEERS {
        let mut random = Random(0x5eed);
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let good = bed.peer(State::Up).bytes();
        for _ in 0..inputs / PEERS.len() as u64 {
            // A good packet with up to four bytes changed and its end cut off or drawn out: deeper than noise would reach.
            let mut bytes = good.clone();
            for _ in 0..random.below(5) {
                let at = random.below(24) as usize;
                bytes[at] = random.below(256) as u8;
            }
            if random.below(8) == 0 {
                bytes.resize(random.below(64) as usize, 0xa5);
            }
            let packet = Packet {
                hops: if random.below(16) == 0 { Hops::Multi } else { Hops::Single },
                ttl_hops: if random.below(16) == 0 { random.below(256) as u8 } else { 255 },
                ..bed.packet(&bytes)
            };
            bed.sessions.handle(bed.now, Event::Packet(packet));
            let actions = std::iter::from_fn(|| bed.sessions.poll()).inspect(|action| {
                if let Action::Send { bytes, .. } = action {
                    assert!(bytes[3] == 24 && bytes[1] & 0x35 != 0x30, "never P and F together: {bytes:02x?}");
                }
            });
            assert!(actions.count() <= 8, "what comes out is bounded by what goes in");
            assert_eq!(bed.sessions.iter().count(), 1);
            if random.below(4) == 0 {
                let step = random.below(100);
                bed.run(ms(step));
            }
        }
        // Whatever happened, an honest peer gets through.
        bed.run(ms(20_000_000));
        bed.hear(bed.peer(State::Down));
        bed.hear(bed.peer(State::Init));
        assert_eq!(bed.state(), State::Up);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
