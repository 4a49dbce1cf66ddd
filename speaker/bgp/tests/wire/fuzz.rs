//! Anything at all: more than a million inputs from one seed, in seconds. A panic fails the test; so does what is read and
//! cannot be accounted for.

use herald_bgp::wire::{Encoding, Families, Family, Message, PeerKind, Update, frame};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::values;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

fn encoding(bits: u64) -> Encoding {
    let set = |bit: u32| bits & (1 << bit) != 0;
    let family = |bit, family| set(bit).then_some(family);
    Encoding {
        four_octet_as: set(0),
        extended_message: set(1),
        add_path: family(2, Family::V4Unicast).into_iter().chain(family(3, Family::V6Unicast)).collect(),
        extended_next_hop: if set(4) { Families::ALL } else { Families::NONE },
        peer: if set(5) { PeerKind::Internal } else { PeerKind::External },
    }
}

/// Reads, and holds the reader to its word.
fn judge(bytes: &[u8], encoding: &Encoding) {
    match frame(bytes, encoding) {
        Ok(Some(length)) => assert!((19..=bytes.len()).contains(&length)),
        Ok(None) => assert!(bytes.len() < encoding.max_len(herald_bgp::iana::MessageType::Update)),
        Err(error) => assert!(error.offset < bytes.len(), "{error} in {bytes:02x?}"),
    }
    match Message::decode(bytes, encoding) {
        Ok(decoded) => {
            if let Some(flaw) = decoded.flaw {
                assert!(flaw.error.offset <= bytes.len(), "{flaw}");
                assert!(flaw.errors > 0);
            }
            if let Message::Update(update) = &decoded.message {
                assert!(entries(update) <= bytes.len(), "no more prefixes than octets");
            }
        }
        Err(error) => {
            assert!(error.offset <= bytes.len(), "{error} in {bytes:02x?}");
            let notification = error.notification();
            assert!((1..=3).contains(&notification.code) || notification.code == 7);
            let told = Message::Notification(notification).encode(&Encoding::default());
            assert!(told.is_ok(), "the peer can be told of {error}");
        }
    }
}

fn entries(update: &Update) -> usize {
    let reach = update.reach.as_ref().map_or(0, |reach| reach.nlri.len());
    let unreach = update.unreach.as_ref().map_or(0, |unreach| unreach.nlri.len());
    update.withdrawn.len() + update.nlri.len() + reach + unreach
}

#[test]
fn half_a_million_random_bodies_are_read_or_refused() {
    let mut random = Random(1);
    let mut bytes = Vec::new();
    for round in 0..500_000u64 {
        bytes.clear();
        bytes.extend([0xff; 16]);
        let body = random.below(if round % 100 == 0 { 600 } else { 48 });
        bytes.extend(u16::try_from(19 + body).unwrap().to_be_bytes());
        bytes.push(u8::try_from(1 + round % 5).unwrap());
        while bytes.len() < 19 + body {
            // Small numbers are lengths and codes more often than large ones.
            let octets = random.next().to_be_bytes();
            bytes.extend(octets.map(|octet| if octet < 160 { octet % 20 } else { octet }));
        }
        bytes.truncate(19 + body);
        judge(&bytes, &encoding(random.next()));
    }
}

#[test]
fn a_hundred_thousand_streams_of_noise_are_refused_at_once() {
    let mut random = Random(2);
    for _ in 0..100_000 {
        let octets = random.below(64);
        let bytes: Vec<u8> = (0..octets).map(|_| random.next().to_be_bytes()[0]).collect();
        judge(&bytes, &encoding(random.next()));
    }
}

#[test]
fn a_million_mutations_of_good_messages_are_read_or_refused() {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let good: Vec<(Encoding, Vec<u8>)> = std::iter::from_fn(|| values::agreed().new_tree(&mut runner).ok())
        .map(|tree| tree.current())
        .filter_map(|(encoding, message)| Some((encoding, message.encode(&encoding).ok()?)))
        .filter(|(_, bytes)| bytes.len() < 700)
        .take(500)
        .collect();
    let mut random = Random(3);
    let mut bytes = Vec::new();
    for _ in 0..1_000_000 {
        let (agreed, original) = &good[random.below(good.len())];
        bytes.clear();
        bytes.extend_from_slice(original);
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        // Most keep a length that is true, so that what is inside is looked at.
        if bytes.len() >= 19 && random.below(8) != 0 {
            let length = u16::try_from(bytes.len()).unwrap();
            bytes[16..18].copy_from_slice(&length.to_be_bytes());
        }
        let agreed = if random.below(4) == 0 { encoding(random.next()) } else { *agreed };
        judge(&bytes, &agreed);
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let from = if random.below(10) == 0 { 0 } else { 19 };
    let at = from + random.below(bytes.len().saturating_sub(from));
    if at >= bytes.len() {
        return bytes.push(0);
    }
    match random.below(6) {
        0 => bytes[at] = random.next().to_be_bytes()[0],
        1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = bytes[at].wrapping_add(1),
        3 => bytes.truncate(at),
        4 => {
            bytes.remove(at);
        }
        _ => bytes.insert(at, random.next().to_be_bytes()[0]),
    }
}
