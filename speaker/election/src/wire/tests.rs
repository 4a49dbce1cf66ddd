//! What is sent is what is read, and nothing else is.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::node::NodeId;

proptest! {
    #[test]
    fn what_is_sealed_is_what_is_opened(header in header(), message in message()) {
        let header = Header { kind: message.kind(), ..header };
        let datagram = key().seal(&header, &message);
        prop_assert!(datagram.len() <= MAX);
        prop_assert_eq!(Header::decode(&datagram), Ok(header));
        prop_assert_eq!(key().open(&header, &datagram), Ok(message));
    }

    #[test]
    fn no_changed_bit_goes_unseen(header in header(), message in message(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let header = Header { kind: message.kind(), ..header };
        let mut datagram = key().seal(&header, &message);
        let place = place.index(datagram.len());
        datagram[place] ^= 1 << bit;
        prop_assert!(Header::decode(&datagram).and_then(|header| key().open(&header, &datagram)).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(kind in kind(), body in vec(any::<u8>(), 0..MAX_BODY), datagram in vec(any::<u8>(), 0..2 * MAX)) {
        let _ = Header::decode(&datagram);
        let _ = Message::decode(kind, &body);
    }

    #[test]
    fn a_shortened_or_lengthened_body_is_malformed(message in message(), cut in any::<prop::sample::Index>()) {
        let mut body = Vec::new();
        message.encode(&mut body);
        prop_assert_eq!(Message::decode(message.kind(), &body[..cut.index(body.len())]), Err(Drop::Malformed));
        body.push(0);
        prop_assert_eq!(Message::decode(message.kind(), &body), Err(Drop::Malformed));
    }
}

#[test]
fn the_longest_messages_fit() {
    let heard = vec![Heard { node: NodeId(1), age: Duration::ZERO, refused: false }; 500];
    let heartbeat = Heartbeat {
        heartbeat: Duration::ZERO,
        dead: Duration::ZERO,
        claims: 0,
        your_claims: 0,
        your_age: None,
        your_seq: 0,
        heard,
    };
    let entry = Entry { vip: Vip(1), epoch: 1, quorate: true, resigned: false, reason: 0 };
    let messages = [
        Message::Heartbeat(heartbeat),
        Message::Claims(Claims { whole: None, entries: vec![entry; 500] }),
        Message::Handover(Handover { offers: vec![Offer { vip: Vip(1), epoch: 1 }; 500] }),
    ];
    for message in messages {
        let mut body = Vec::new();
        message.encode(&mut body);
        assert!(body.len() <= MAX_BODY && body.len() + 26 > MAX_BODY, "{}", body.len());
    }
}

#[test]
fn both_families_survive_the_sixteen_bytes() {
    for ip in ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!(Vip::from(ip).ip(), ip);
    }
}

fn key() -> PairKey {
    Key::from_secret(&[7; 32]).unwrap().pair(NodeId(1), 1, NodeId(2))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Heartbeat), Just(Kind::Claims), Just(Kind::Handover)]
}

prop_compose! {
    fn header()(kind in kind(), small in any::<(u8, u8, u32)>(), big in any::<(u64, u64, u64, u64, u64, u64)>()) -> Header {
        let (key_id, flags, salt) = small;
        let (node, incarnation, seq, tx_us, session, echo) = big;
        Header { kind, key_id, flags: Flags(flags), node: NodeId(node), incarnation, salt, seq, tx_us, session, echo }
    }
}

prop_compose! {
    fn age()(us in 0..u32::MAX - 1) -> Duration { Duration::from_micros(us.into()) }
}

prop_compose! {
    fn heartbeat()(
        times in (age(), age()), digests in any::<(u64, u64, u64)>(), your_age in prop::option::of(age()),
        heard in vec((any::<u64>(), 0..1_u32 << 31, any::<bool>()), 0..=Heartbeat::MOST_HEARD),
    ) -> Message {
        let entry = |(node, us, refused): (u64, u32, bool)| Heard { node: NodeId(node), age: Duration::from_micros(us.into()), refused };
        let heard = heard.into_iter().map(entry).collect();
        let (claims, your_claims, your_seq) = digests;
        Message::Heartbeat(Heartbeat { heartbeat: times.0, dead: times.1, claims, your_claims, your_age, your_seq, heard })
    }
}

prop_compose! {
    fn claims()(ends in prop::option::of(any::<(u128, u128)>()), entries in vec(any::<(u128, u64, bool, bool, u8)>(), 0..=Claims::MOST)) -> Message {
        let whole = ends.map(|(a, b)| (Vip(a.min(b)), Vip(a.max(b))));
        let entry = |(vip, epoch, quorate, resigned, reason)| Entry { vip: Vip(vip), epoch, quorate, resigned, reason };
        Message::Claims(Claims { whole, entries: entries.into_iter().map(entry).collect() })
    }
}

prop_compose! {
    fn handover()(offers in vec(any::<(u128, u64)>(), 0..=Handover::MOST)) -> Message {
        Message::Handover(Handover { offers: offers.into_iter().map(|(vip, epoch)| Offer { vip: Vip(vip), epoch }).collect() })
    }
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![heartbeat(), claims(), handover()]
}
