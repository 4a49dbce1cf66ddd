use super::*;

fn wall() -> MicroTime {
    MicroTime(jiff::Timestamp::UNIX_EPOCH)
}

fn candidate(name: &str) -> Candidate {
    Candidate::new(Some(name.to_owned()), "host", 1)
}

fn stored(step: Step, version: u32) -> Lease {
    match step {
        Step::Create(mut lease) | Step::Replace(mut lease) => {
            lease.metadata.resource_version = Some(version.to_string());
            lease
        }
        Step::Wait => panic!("had to take the lease"),
    }
}

#[test]
fn a_missing_lease_is_taken_and_another_ones_is_not() {
    let now = Instant::now();
    let mut a = candidate("a");
    let lease = stored(a.look(None, "herald", now, wall()), 1);
    assert_eq!(lease.spec.as_ref().unwrap().holder_identity.as_deref(), Some("a_0000000000000001"));
    assert_eq!(lease.spec.as_ref().unwrap().lease_transitions, Some(0));
    assert_eq!(candidate("b").look(Some(&lease), "herald", now, wall()), Step::Wait);
}

#[test]
fn a_lease_ends_only_when_no_renewal_was_observed_for_as_long_as_it_lasts() {
    let start = Instant::now();
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = stored(a.look(None, "herald", start, wall()), 1);
    assert_eq!(b.look(Some(&lease), "herald", start, wall()), Step::Wait);
    let renewed = stored(a.look(Some(&lease), "herald", start + Duration::from_secs(4), wall()), 2);
    assert_eq!(b.look(Some(&renewed), "herald", start + Duration::from_secs(4), wall()), Step::Wait);
    // Nine seconds after the first look, but only 4.9 after the renewal.
    assert_eq!(b.look(Some(&renewed), "herald", start + Duration::from_millis(8900), wall()), Step::Wait);
    let taken = stored(b.look(Some(&renewed), "herald", start + Duration::from_secs(9), wall()), 3);
    assert_eq!(taken.spec.as_ref().unwrap().lease_transitions, Some(1));
    assert_eq!(a.look(Some(&taken), "herald", start + Duration::from_secs(9), wall()), Step::Wait);
}

#[test]
fn a_lease_deleted_under_its_holder_is_not_taken_before_its_time_is_over() {
    let start = Instant::now();
    let mut b = candidate("b");
    let lease = stored(candidate("a").look(None, "herald", start, wall()), 1);
    assert_eq!(b.look(Some(&lease), "herald", start, wall()), Step::Wait);
    assert_eq!(b.look(None, "herald", start + Duration::from_secs(4), wall()), Step::Wait);
    assert!(matches!(b.look(None, "herald", start + Duration::from_secs(5), wall()), Step::Create(_)));
}

#[test]
fn what_is_given_up_can_be_taken_at_once_and_only_by_giving_up_ones_own() {
    let now = Instant::now();
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = stored(a.look(None, "herald", now, wall()), 1);
    assert_eq!(b.look(Some(&lease), "herald", now, wall()), Step::Wait);
    assert_eq!(b.give_up(&lease, wall()), None);
    let given_up = a.give_up(&lease, wall()).unwrap();
    assert!(matches!(b.look(Some(&given_up), "herald", now, wall()), Step::Replace(_)));
}

#[test]
fn the_lease_of_an_earlier_process_of_the_same_pod_is_taken_at_once() {
    let now = Instant::now();
    let lease = stored(candidate("a").look(None, "herald", now, wall()), 1);
    let mut again = Candidate::new(Some("a".to_owned()), "host", 2);
    assert!(matches!(again.look(Some(&lease), "herald", now, wall()), Step::Replace(_)));
    // Without a pod's name two processes of one host cannot be told from a restart.
    let mut nameless = Candidate::new(None, "a", 2);
    assert_eq!(nameless.look(Some(&lease), "herald", now, wall()), Step::Wait);
}

#[test]
fn the_holder_stops_before_others_may_take_over() {
    assert!(RENEW * 2 + REQUEST < DURATION - MARGIN + RENEW);
    assert!(MARGIN < DURATION);
}
