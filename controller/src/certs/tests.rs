//! When which certificate is made, and who trusts it by then.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn service() -> Vec<String> {
    names("webhook", "herald-system")
}

fn stored(step: Step) -> Stored {
    match step {
        Step::Store(stored) => *stored,
        other => panic!("{other:?}"),
    }
}

fn trust(bundle: &str, settled: Duration) -> Trust {
    Trust { bundles: vec![bundle.to_owned(), bundle.to_owned()], settled }
}

/// What a fresh cluster has after the first step.
fn fresh() -> Stored {
    stored(decide(&Stored::default(), &trust("", SETTLE), &service(), now()).unwrap())
}

#[test]
fn a_fresh_cluster_gets_both_certificates_at_once_and_then_rests_until_three_quarters_of_a_year() {
    let first = fresh();
    assert!(first.authority.is_some() && first.serving.is_some());
    let bundle = first.trusted.concat();
    assert_eq!(decide(&first, &trust("", SETTLE), &service(), now()).unwrap(), Step::Trust(bundle.clone()));
    let rest = Duration::from_secs((365 - 90) * 24 * 3600);
    assert_eq!(decide(&first, &trust(&bundle, SETTLE), &service(), now()).unwrap(), Step::Rest(rest));
}

#[test]
fn a_serving_certificate_is_renewed_90_days_before_its_end_under_the_same_authority() {
    let first = fresh();
    let trusted = trust(&first.trusted.concat(), Duration::ZERO);
    let later = now() + SERVING_LIFE - SERVING_SPARE;
    let second = stored(decide(&first, &trusted, &service(), later).unwrap());
    assert_eq!((&second.authority, &second.trusted), (&first.authority, &first.trusted));
    assert_ne!(second.serving, first.serving);
    let earlier = later - SignedDuration::from_secs(1);
    assert!(matches!(decide(&first, &trusted, &service(), earlier).unwrap(), Step::Rest(_)));
}

#[test]
fn other_names_need_another_certificate() {
    let first = fresh();
    let trusted = trust(&first.trusted.concat(), Duration::ZERO);
    let renamed = stored(decide(&first, &trusted, &names("other", "herald-system"), now()).unwrap());
    assert_eq!(renamed.serving.unwrap().names, "other.herald-system.svc,other.herald-system.svc.cluster.local");
}

#[test]
fn nothing_is_served_that_is_not_trusted_yet_and_the_old_authority_is_dropped_last() {
    let first = fresh();
    let old = first.trusted.concat();
    // The Secret is deleted: only those who trust remember the old authority.
    let second = stored(decide(&Stored::default(), &trust(&old, SETTLE), &service(), now()).unwrap());
    assert_eq!(second.serving, None, "the old certificate is served until the new authority is trusted");
    assert_eq!(second.trusted.len(), 2);
    assert_eq!(second.trusted[1], old);
    let both = second.trusted.concat();
    assert_eq!(decide(&second, &trust(&old, SETTLE), &service(), now()).unwrap(), Step::Trust(both.clone()));
    let waits = decide(&second, &trust(&both, Duration::from_secs(4)), &service(), now()).unwrap();
    assert_eq!(waits, Step::Rest(SETTLE - Duration::from_secs(4)));
    let third = stored(decide(&second, &trust(&both, SETTLE), &service(), now()).unwrap());
    assert!(third.serving.is_some() && third.trusted == second.trusted);
    let rest = decide(&third, &trust(&both, SETTLE), &service(), now()).unwrap();
    assert_eq!(rest, Step::Rest(Duration::from_secs(3600)));
    let last = stored(decide(&third, &trust(&both, SETTLE), &service(), now() + OVERLAP).unwrap());
    assert_eq!((last.trusted.len(), &last.serving), (1, &third.serving));
}

#[test]
fn an_authority_is_replaced_before_what_it_issues_could_outlive_it() {
    let first = fresh();
    let bundle = first.trusted.concat();
    let late = now() + AUTHORITY_LIFE - AUTHORITY_SPARE;
    let second = stored(decide(&first, &trust(&bundle, SETTLE), &service(), late).unwrap());
    assert_ne!(second.authority, first.authority);
    assert_eq!(second.serving, first.serving, "served until the new authority is trusted");
    assert!(AUTHORITY_SPARE > SERVING_LIFE);
}

#[test]
fn a_secret_gives_back_what_was_put_in_and_keeps_what_else_is_there() {
    let first = fresh();
    let mut secret = empty("metallb-webhook-cert");
    secret.data = Some(BTreeMap::from([("other".to_owned(), ByteString(b"kept".to_vec()))]));
    first.write(&mut secret);
    assert_eq!(Stored::read(&secret), first);
    assert_eq!(secret.data.unwrap()["other"].0, b"kept");
}

#[test]
fn garbage_in_a_secret_is_no_certificate() {
    let mut secret = empty("metallb-webhook-cert");
    let keys = ["ca.crt", "ca.key", "tls.crt", "tls.key"];
    secret.data = Some(keys.iter().map(|key| ((*key).to_owned(), ByteString(vec![0xff, 0]))).collect());
    assert_eq!(Stored::read(&secret), Stored::default());
    // A certificate of somebody else's is served until there is one of ours, and its authority stays trusted.
    let mut foreign = empty("metallb-webhook-cert");
    fresh().write(&mut foreign);
    foreign.metadata.annotations = None;
    let read = Stored::read(&foreign);
    assert!(read.authority.is_none() && read.serving.is_some() && read.trusted.len() == 1);
    let next = stored(decide(&read, &trust(&read.trusted.concat(), SETTLE), &service(), now()).unwrap());
    assert_eq!((next.trusted.len(), &next.serving), (2, &read.serving));
}
