use std::net::Ipv4Addr;

use super::*;

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LINK: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OTHER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

fn terms(local: impl Into<IpAddr>) -> Terms {
    Terms {
        encoding: Encoding::default(),
        families: Families::ALL,
        local_as: Asn(64512),
        local: local.into(),
        own: OwnAddresses::default(),
        only_to_customer: None,
        marks_refresh: false,
    }
}

fn extended(local: impl Into<IpAddr>) -> Terms {
    let encoding = Encoding { extended_next_hop: [Family::V4Unicast].into_iter().collect(), ..Encoding::default() };
    Terms { encoding, ..terms(local) }
}

fn v6(global: Ipv6Addr) -> Result<NextHop, NotSent> {
    Ok(NextHop::V6 { global, link_local: None })
}

#[test]
fn the_own_next_hop_is_the_address_of_the_session_or_the_nodes_own_of_the_other_family() {
    use Family::{V4Unicast, V6Unicast};
    let own = OwnAddresses { v4: Some(OTHER4), v6: Some(OTHER6), link_local: None };
    let with_own = |terms: Terms| Terms { own, ..terms };
    let both = NextHop::V6 { global: OTHER6, link_local: Some(LINK) };
    for (terms, family, expected) in [
        (terms(V4), V4Unicast, Ok(NextHop::V4(V4))),
        (with_own(terms(V4)), V4Unicast, Ok(NextHop::V4(V4))),
        (terms(V6), V6Unicast, v6(V6)),
        (with_own(terms(V6)), V6Unicast, v6(V6)),
        (terms(V4), V6Unicast, Err(NotSent::NoOwnAddress(V6Unicast))),
        (with_own(terms(V4)), V6Unicast, v6(OTHER6)),
        (terms(V6), V4Unicast, Err(NotSent::NoOwnAddress(V4Unicast))),
        (with_own(terms(V6)), V4Unicast, Ok(NextHop::V4(OTHER4))),
        (extended(V6), V4Unicast, v6(V6)),
        (with_own(extended(V6)), V4Unicast, v6(V6)),
        (with_own(extended(V4)), V4Unicast, Ok(NextHop::V4(V4))),
        (terms(LINK), V6Unicast, v6(LINK)),
        (extended(LINK), V4Unicast, v6(LINK)),
        (with_own(terms(LINK)), V6Unicast, Ok(both)),
    ] {
        assert_eq!(terms.next_hop(family, NextHopChoice::Own), expected, "{family} from {}", terms.local);
    }
}

#[test]
fn a_given_next_hop_goes_with_its_family_and_with_ipv4_only_if_that_was_agreed_on() {
    use Family::{V4Unicast, V6Unicast};
    let (g4, g6) = (NextHopChoice::Given(OTHER4.into()), NextHopChoice::Given(OTHER6.into()));
    assert_eq!(terms(V6).next_hop(V4Unicast, g4), Ok(NextHop::V4(OTHER4)));
    assert_eq!(terms(V4).next_hop(V6Unicast, g6), v6(OTHER6));
    assert_eq!(terms(V4).next_hop(V6Unicast, g4), Err(NotSent::NextHopFamily(V6Unicast)));
    assert_eq!(terms(V6).next_hop(V4Unicast, g6), Err(NotSent::NextHopFamily(V4Unicast)));
    assert_eq!(extended(V6).next_hop(V4Unicast, g6), v6(OTHER6));
}

#[test]
fn a_link_local_next_hop_needs_a_link_local_address() {
    use Family::{V4Unicast, V6Unicast};
    let choice = NextHopChoice::LinkLocal;
    let known = Terms { own: OwnAddresses { link_local: Some(LINK), ..OwnAddresses::default() }, ..terms(V6) };
    assert_eq!(terms(LINK).next_hop(V6Unicast, choice), v6(LINK));
    assert_eq!(known.next_hop(V6Unicast, choice), v6(LINK));
    assert_eq!(terms(V6).next_hop(V6Unicast, choice), Err(NotSent::NoLinkLocal));
    assert_eq!(terms(LINK).next_hop(V4Unicast, choice), Err(NotSent::NextHopFamily(V4Unicast)));
    assert_eq!(extended(LINK).next_hop(V4Unicast, choice), v6(LINK));
}

#[test]
fn a_family_that_was_not_agreed_on_is_not_sent() {
    let terms = Terms { families: [Family::V6Unicast].into_iter().collect(), ..terms(V4) };
    assert_eq!(terms.next_hop(Family::V4Unicast, NextHopChoice::Own), Err(NotSent::Family(Family::V4Unicast)));
}

#[test]
fn inside_an_as_the_path_is_empty_and_a_preference_is_always_said() {
    let encoding = Encoding { peer: PeerKind::Internal, ..Encoding::default() };
    let terms = Terms { encoding, only_to_customer: Some(Asn(64512)), ..terms(V4) };
    for (wanted, said) in [(None, 100), (Some(0), 0), (Some(7), 7)] {
        let route = Route { local_pref: wanted, prepend: 3, ..Route::default() };
        let attributes = terms.attributes(&route);
        assert_eq!(attributes.local_pref, Some(said));
        assert_eq!(attributes.as_path, Some(AsPath::default()));
        assert_eq!(attributes.only_to_customer, None);
    }
}

#[test]
fn across_the_border_our_as_is_in_the_path_as_often_as_asked_and_no_preference_is_said() {
    for (prepend, times) in [(0, 1), (3, 4), (255, 256)] {
        let route = Route { local_pref: Some(7), med: Some(5), prepend, ..Route::default() };
        let attributes = terms(V4).attributes(&route);
        let path: Vec<Asn> = attributes.as_path.into_iter().flat_map(|path| path.asns().collect::<Vec<_>>()).collect();
        assert_eq!(path, vec![Asn(64512); times]);
        assert_eq!((attributes.local_pref, attributes.med), (None, Some(5)));
    }
}
