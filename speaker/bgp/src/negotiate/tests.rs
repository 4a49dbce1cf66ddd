use super::*;
use crate::peer::{Restart, Start};
use crate::wire::{GracefulFamily, GracefulRestart};

const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OUR_AS: Asn = Asn(64512);
const THEIR_AS: Asn = Asn(64513);

fn settings() -> Settings {
    Settings::new(OUR_AS, RemoteAs::Exactly(THEIR_AS), US)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn our(settings: &Settings) -> Open {
    our_open(Instant::now(), settings, &Comeback::default())
}

/// A peer that can do everything.
fn peer(asn: Asn) -> Open {
    let capabilities = vec![
        Capability::MultiProtocol(Family::V4Unicast.into()),
        Capability::MultiProtocol(Family::V6Unicast.into()),
        Capability::FourOctetAs(asn),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
    ];
    Open::new(asn, 90, THEM, capabilities)
}

/// A peer from before capabilities.
fn old_peer(my_as: u16) -> Open {
    Open::new(Asn(my_as.into()), 90, THEM, Vec::new())
}

fn agreed(settings: &Settings, theirs: &Open) -> Negotiated {
    negotiate(settings, &our(settings), theirs).expect("the OPENs agree")
}

fn refused(settings: &Settings, theirs: &Open) -> Refusal {
    negotiate(settings, &our(settings), theirs).expect_err("the OPENs do not agree")
}

#[test]
fn two_speakers_that_can_everything_agree_on_everything() {
    let agreed = agreed(&settings(), &peer(THEIR_AS));
    assert_eq!((agreed.peer_as, agreed.kind, agreed.peer_id), (THEIR_AS, PeerKind::External, THEM));
    assert_eq!((agreed.families, agreed.families_missing), (Families::ALL, Families::NONE));
    assert!(agreed.route_refresh && agreed.enhanced_route_refresh);
    assert!(agreed.sending.four_octet_as && agreed.sending.extended_message);
    assert_eq!(agreed.sending, agreed.receiving);
    assert_eq!(agreed.keeps_routes, KeepsRoutes::Never);
}

#[test]
fn a_speaker_from_before_capabilities_takes_ipv4_in_two_octets_and_short_messages() {
    let agreed = agreed(&settings(), &old_peer(64513));
    assert_eq!(agreed.families.iter().collect::<Vec<_>>(), [Family::V4Unicast]);
    assert_eq!(agreed.families_missing.iter().collect::<Vec<_>>(), [Family::V6Unicast]);
    assert!(!agreed.sending.four_octet_as && !agreed.receiving.four_octet_as);
    assert!(!agreed.sending.extended_message);
    assert!(!agreed.route_refresh && !agreed.enhanced_route_refresh);
}

#[test]
fn the_smaller_hold_time_counts_and_zero_is_the_smallest() {
    for (ours, theirs, hold, keepalive) in [
        (90, 30, Some(30), Some(10)),
        (9, 180, Some(9), Some(3)),
        (3, 90, Some(3), Some(1)),
        (0, 90, None, None),
        (90, 0, None, None),
    ] {
        let settings = Settings { hold_time: Duration::from_secs(ours), ..settings() };
        let agreed = agreed(&settings, &Open { hold_time: theirs, ..peer(THEIR_AS) });
        assert_eq!(agreed.hold_time, hold.map(Duration::from_secs), "{ours} and {theirs}");
        assert_eq!(agreed.keepalive_time, keepalive.map(Duration::from_secs), "{ours} and {theirs}");
    }
}

#[test]
fn a_configured_keepalive_time_counts_if_it_is_shorter_than_a_third() {
    for (configured, expected) in [(0, 30), (1, 1), (29, 29), (31, 30), (90, 30)] {
        let settings = Settings { keepalive_time: Some(Duration::from_secs(configured)), ..settings() };
        let agreed = agreed(&settings, &peer(THEIR_AS));
        assert_eq!(agreed.keepalive_time, Some(Duration::from_secs(expected)), "{configured}");
    }
}

#[test]
fn another_as_than_configured_is_refused_in_words_that_name_both() {
    let refusal = refused(&settings(), &peer(Asn(64999)));
    let text = refusal.to_string();
    assert!(text.contains("64999") && text.contains("64513"), "{text}");
    let told = refusal.notification();
    assert_eq!((told.code, told.subcode), (2, 2));
}

#[test]
fn a_dynamic_peer_is_internal_or_external_by_its_own_word() {
    let internal = Settings { remote_as: RemoteAs::Internal, ..settings() };
    let external = Settings { remote_as: RemoteAs::External, ..settings() };
    assert_eq!(agreed(&internal, &peer(OUR_AS)).kind, PeerKind::Internal);
    assert_eq!(agreed(&external, &peer(Asn(4_200_000_000))).peer_as, Asn(4_200_000_000));
    assert!(matches!(refused(&internal, &peer(THEIR_AS)), Refusal::WrongAs { .. }));
    assert!(matches!(refused(&external, &peer(OUR_AS)), Refusal::WrongAs { .. }));
}

#[test]
fn the_override_decides_what_is_internal() {
    let settings = Settings { local_as_override: Some(THEIR_AS), ..settings() };
    assert_eq!(our(&settings).asn(), THEIR_AS);
    assert_eq!(agreed(&settings, &peer(THEIR_AS)).kind, PeerKind::Internal);
}

#[test]
fn a_peer_with_a_large_as_that_cannot_say_it_is_told_what_it_lacks() {
    let settings = Settings { remote_as: RemoteAs::Exactly(Asn(4_200_000_000)), ..settings() };
    let refusal = refused(&settings, &old_peer(AS_TRANS));
    assert!(refusal.to_string().contains("4-octet"), "{refusal}");
    assert_eq!(refusal.notification().subcode, OpenSubcode::BadPeerAs.number());
}

#[test]
fn one_identifier_for_two_is_refused_inside_an_as_and_fine_across_the_border() {
    let same = |asn| Open { identifier: US, ..peer(asn) };
    let internal = Settings { remote_as: RemoteAs::Internal, ..settings() };
    assert_eq!(refused(&internal, &same(OUR_AS)), Refusal::SameIdentifier(US));
    assert_eq!(agreed(&settings(), &same(THEIR_AS)).peer_id, US);
}

#[test]
fn without_a_common_family_the_peer_is_told_which_capability_it_lacks() {
    let settings = Settings { families: [Family::V6Unicast].into_iter().collect(), ..settings() };
    let refusal = refused(&settings, &old_peer(64513));
    let told = refusal.notification();
    assert_eq!((told.code, told.subcode), (2, 7));
    assert_eq!(told.data, [1, 4, 0, 2, 0, 1]);
    assert!(refusal.to_string().contains("ipv6-unicast"), "{refusal}");
}

#[test]
fn a_family_that_only_we_offer_is_named() {
    let mut theirs = peer(THEIR_AS);
    theirs.capabilities.remove(1);
    let agreed = agreed(&settings(), &theirs);
    assert_eq!(agreed.families_missing.iter().collect::<Vec<_>>(), [Family::V6Unicast]);
}

#[test]
fn an_ipv6_next_hop_for_ipv4_needs_both_offers() {
    let offered = Settings { extended_next_hop: Offer::Yes, ..settings() };
    let mut able = peer(THEIR_AS);
    let pair = ExtendedNextHop { family: Family::V4Unicast.into(), next_hop_afi: afi::IPV6 };
    able.capabilities.push(Capability::ExtendedNextHop(vec![pair]));
    let can = |settings: &Settings, theirs: &Open| !agreed(settings, theirs).sending.extended_next_hop.is_empty();
    assert!(can(&offered, &able));
    assert!(!can(&settings(), &able));
    assert!(!can(&offered, &peer(THEIR_AS)));
}

#[test]
fn path_identifiers_are_read_if_we_asked_and_the_peer_sends_and_never_written() {
    let asked = Settings { add_path: Offer::Yes, ..settings() };
    let mut sender = peer(THEIR_AS);
    let entry = AddPathFamily { family: Family::V4Unicast.into(), mode: AddPathMode::Send };
    sender.capabilities.push(Capability::AddPath(vec![entry]));
    let agreed_on = agreed(&asked, &sender);
    assert!(agreed_on.receiving.add_path.contains(Family::V4Unicast));
    assert!(!agreed_on.receiving.add_path.contains(Family::V6Unicast));
    assert!(agreed_on.sending.add_path.is_empty());
    assert!(agreed(&settings(), &sender).receiving.add_path.is_empty());
}

#[test]
fn roles_that_do_not_fit_are_refused_across_the_border_only() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let with = |role| {
        let mut open = peer(THEIR_AS);
        open.capabilities.push(Capability::Role(role));
        open
    };
    for ours in [Provider, Customer, Peer, RouteServer, RouteServerClient] {
        for theirs in [Provider, Customer, Peer, RouteServer, RouteServerClient, Role::Unassigned(9)] {
            let good = matches!(
                (ours, theirs),
                (Provider, Customer)
                    | (Customer, Provider)
                    | (Peer, Peer)
                    | (RouteServer, RouteServerClient)
                    | (RouteServerClient, RouteServer)
            );
            let settings = Settings { role: Some(ours), ..settings() };
            let outcome = negotiate(&settings, &our(&settings), &with(theirs));
            assert_eq!(outcome.is_ok(), good, "{ours} and {theirs}");
            if let Err(refusal) = outcome {
                assert_eq!(refusal.notification().subcode, OpenSubcode::RoleMismatch.number());
            }
        }
        let settings = Settings { role: Some(ours), ..settings() };
        assert!(negotiate(&settings, &our(&settings), &peer(THEIR_AS)).is_ok(), "no role goes with {ours}");
    }
}

#[test]
fn a_peer_that_says_two_roles_is_refused_unless_they_are_the_same() {
    let settings = Settings { role: Some(Role::Provider), ..settings() };
    let mut open = peer(THEIR_AS);
    open.capabilities.extend([Capability::Role(Role::Customer), Capability::Role(Role::Customer)]);
    assert_eq!(agreed(&settings, &open).roles, (Some(Role::Provider), Some(Role::Customer)));
    open.capabilities.push(Capability::Role(Role::Peer));
    assert_eq!(refused(&settings, &open), Refusal::RoleMismatch { ours: Role::Provider, theirs: Role::Peer });
}

#[test]
fn routes_to_those_who_may_pass_them_on_to_customers_only_are_marked() {
    for (ours, theirs, marked) in [
        (Role::Provider, Role::Customer, true),
        (Role::Peer, Role::Peer, true),
        (Role::Customer, Role::Provider, false),
        (Role::RouteServer, Role::RouteServerClient, true),
        (Role::RouteServerClient, Role::RouteServer, false),
    ] {
        let settings = Settings { role: Some(ours), ..settings() };
        let mut open = peer(THEIR_AS);
        open.capabilities.push(Capability::Role(theirs));
        let mark = agreed(&settings, &open).only_to_customer(OUR_AS);
        assert_eq!(mark, marked.then_some(OUR_AS), "{ours}");
    }
}

#[test]
fn our_open_proposes_what_is_configured() {
    let restart = Restart { restart_time: Duration::from_secs(120), start: Start::Fresh };
    let settings = Settings {
        hold_time: Duration::from_secs(30),
        role: Some(Role::Customer),
        graceful_restart: Some(restart),
        local_as: Asn(4_200_000_000),
        ..settings()
    };
    let open = our(&settings);
    assert_eq!((open.my_as, open.asn(), open.hold_time), (AS_TRANS, Asn(4_200_000_000), 30));
    let family = |family: Family| GracefulFamily { family: family.into(), forwarding: true };
    let said = GracefulRestart {
        restart_state: false,
        notification_bit: true,
        time: 120,
        families: vec![family(Family::V4Unicast), family(Family::V6Unicast)],
    };
    assert!(open.capabilities.contains(&Capability::GracefulRestart(said)));
    assert!(open.capabilities.contains(&Capability::Role(Role::Customer)));
    let internal = Settings { remote_as: RemoteAs::Internal, ..settings };
    assert!(!our(&internal).capabilities.contains(&Capability::Role(Role::Customer)));
}
