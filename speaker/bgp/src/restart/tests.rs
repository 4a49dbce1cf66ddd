use std::net::Ipv4Addr;

use super::*;
use crate::peer::RemoteAs;
use crate::wire::{Asn, Families};

const TIME: Duration = Duration::from_secs(120);

fn settings(start: Start) -> Settings {
    let settings = Settings::new(Asn(64512), RemoteAs::External, Ipv4Addr::new(192, 0, 2, 1));
    Settings { graceful_restart: Some(Restart { restart_time: TIME, start }), ..settings }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn instant() -> Instant {
    Instant::now()
}

fn said(comeback: &Comeback, now: Instant, settings: &Settings) -> GracefulRestart {
    let Some(Capability::GracefulRestart(said)) = comeback.capability(now, settings) else {
        panic!("nothing is said about restarts");
    };
    said
}

#[test]
fn a_process_that_follows_another_says_so_until_a_session_stands() {
    let (now, settings) = (instant(), settings(Start::Restarted));
    let mut comeback = Comeback::default();
    comeback.begin(now);
    assert!(said(&comeback, now + TIME, &settings).restart_state);
    comeback.finish();
    assert!(!said(&comeback, now, &settings).restart_state);
}

#[test]
fn a_process_that_follows_another_says_so_no_longer_than_the_routes_are_kept() {
    let (now, settings) = (instant(), settings(Start::Restarted));
    let mut comeback = Comeback::default();
    comeback.begin(now);
    assert!(!said(&comeback, now + TIME + Duration::from_secs(1), &settings).restart_state);
}

#[test]
fn a_first_process_never_says_that_it_restarted() {
    assert!(!said(&Comeback::default(), instant(), &settings(Start::Fresh)).restart_state);
}

#[test]
fn forwarding_is_always_preserved_in_every_family_that_is_offered() {
    let settings = Settings { families: Families::ALL, ..settings(Start::Restarted) };
    let said = said(&Comeback::default(), instant(), &settings);
    assert_eq!(said.families.len(), 2);
    assert!(said.families.iter().all(|family| family.forwarding));
    assert!(said.notification_bit);
}

#[test]
fn a_restart_time_that_does_not_fit_is_cut() {
    assert_eq!(seconds(Duration::from_secs(100_000)), GracefulRestart::MAX_TIME);
    assert_eq!(seconds(TIME), 120);
}

#[test]
fn routes_are_kept_only_if_both_sides_speak_of_restarts() {
    let open = |bit: Option<bool>| {
        let promise = |notification_bit| GracefulRestart { notification_bit, ..GracefulRestart::default() };
        let capabilities = bit.map(|bit| Capability::GracefulRestart(promise(bit))).into_iter().collect();
        Open::new(Asn(1), 90, Ipv4Addr::LOCALHOST, capabilities)
    };
    for (theirs, expected) in [
        (None, KeepsRoutes::Never),
        (Some(false), KeepsRoutes::OverClosedTcp),
        (Some(true), KeepsRoutes::OverNotifications),
    ] {
        assert_eq!(keeps_routes(&open(Some(true)), &open(theirs)), expected);
        assert_eq!(keeps_routes(&open(None), &open(theirs)), KeepsRoutes::Never);
    }
}
