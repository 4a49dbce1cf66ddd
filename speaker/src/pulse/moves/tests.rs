//! The fate of connections, by what is heard of their earlier owner. No sleeping: time is moved.

use super::*;

const A: NodeId = NodeId(1);
const DRAIN: Duration = Duration::from_secs(600);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An address and its old owner's, in both families.
fn families() -> [(IpAddr, IpAddr); 2] {
    [("192.0.2.100", "192.0.2.1"), ("2001:db8::100", "2001:db8::1")]
        .map(|(vip, node)| (vip.parse().unwrap(), node.parse().unwrap()))
}

fn chain(to: IpAddr, since: Instant) -> Fate {
    Fate::Chain { to, until: since + DRAIN }
}

fn reset(since: Instant) -> Fate {
    Fate::Reset { until: since + RESET_FOR }
}

#[test]
fn connections_follow_to_a_node_that_offers_the_address_before_it_is_gained() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        assert_eq!(moves.foreseen(now, ip, Foresight::Offer, A, node), Some(chain(node, now)));
        assert_eq!(moves.gained(now + ms(1), ip, GainReason::HandedOver, A, node), None, "it is in force");
        assert_eq!(moves.course(ip), Some(Course::Chained));
        assert_eq!(moves.lost(ip), Some(Fate::Forget));
        assert_eq!(moves.lost(ip), None);
    }
}

#[test]
fn connections_follow_to_a_node_that_gave_the_address_up_although_nobody_foresaw_it() {
    let now = Instant::now();
    for (ip, node) in families() {
        for reason in [GainReason::HandedOver, GainReason::Resigned] {
            let mut moves = Moves::new(DRAIN);
            moves.silent(now, A);
            assert_eq!(moves.gained(now, ip, reason, A, node), Some(chain(node, now)));
        }
    }
}

#[test]
fn a_suspicion_asks_the_kernel_and_is_ready_for_either_answer_before_the_address_is_gained() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        assert_eq!(moves.foreseen(now, ip, Foresight::Suspicion, A, node), None);
        assert_eq!(moves.questions(now), [A]);
        assert_eq!(moves.deadline(), Some(now + ANSWER));
        assert_eq!(moves.tick(now + ms(3)), BTreeMap::new());
        let silent = now + ANSWER;
        assert_eq!(moves.tick(silent), [(ip, reset(silent))].into());
        assert_eq!(moves.gained(now + ms(20), ip, GainReason::TookOver, A, node), None);

        let mut moves = Moves::new(DRAIN);
        moves.foreseen(now, ip, Foresight::Suspicion, A, node);
        moves.questions(now);
        moves.answered(A);
        let answered = now + ms(1);
        assert_eq!(moves.tick(answered), [(ip, chain(node, answered))].into());
        assert_eq!(moves.gained(now + ms(20), ip, GainReason::TookOver, A, node), None);
    }
}

#[test]
fn what_was_foreseen_and_does_not_come_is_forgotten() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        moves.foreseen(now, ip, Foresight::Suspicion, A, node);
        assert_eq!(moves.withdrawn(ip), None, "nothing is in force yet");
        moves.foreseen(now, ip, Foresight::Suspicion, A, node);
        moves.tick(now + ANSWER);
        assert_eq!(moves.withdrawn(ip), Some(Fate::Forget));
        moves.heard(A);
        assert_eq!((moves.questions(now + ms(25)), moves.deadline()), (Vec::new(), None));
    }
}

#[test]
fn an_unforeseen_take_over_resets_unless_the_kernel_answered() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        moves.silent(now, A);
        assert_eq!(moves.questions(now), [A]);
        assert_eq!(moves.questions(now), [], "once a while");
        let later = now + ms(20);
        assert_eq!(moves.gained(later, ip, GainReason::TookOver, A, node), Some(reset(later)));

        let mut moves = Moves::new(DRAIN);
        moves.silent(now, A);
        moves.answered(A);
        assert_eq!(moves.gained(later, ip, GainReason::TookOver, A, node), Some(chain(node, later)));
    }
}

#[test]
fn a_kernel_that_falls_silent_in_the_drain_turns_chains_into_resets_and_back() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        moves.gained(now, ip, GainReason::HandedOver, A, node);
        let silent = now + ms(1000);
        moves.silent(silent, A);
        for question in 0..UNANSWERED {
            let then = silent + ASK_FIRST * question;
            assert_eq!(moves.tick(then), BTreeMap::new(), "after {question} questions");
            assert_eq!(moves.questions(then), [A]);
        }
        let dead = silent + ASK_FIRST * UNANSWERED;
        assert_eq!(moves.tick(dead), [(ip, reset(dead))].into());
        assert_eq!(moves.tick(dead), BTreeMap::new(), "once");
        moves.answered(A);
        assert_eq!(moves.tick(dead + SLOW), BTreeMap::new(), "a kernel that started again knows no connection");
        let slow = dead + ms(500);
        assert_eq!(moves.tick(slow), [(ip, chain(node, slow))].into());
    }
}

#[test]
fn a_thread_that_did_not_ask_takes_nobody_for_dead() {
    let now = Instant::now();
    let (ip, node) = families()[0];
    let mut moves = Moves::new(DRAIN);
    moves.gained(now, ip, GainReason::HandedOver, A, node);
    moves.silent(now, A);
    moves.questions(now);
    assert_eq!(moves.tick(now + ms(500)), BTreeMap::new());
}

#[test]
fn a_speaker_that_is_heard_is_not_asked_about() {
    let now = Instant::now();
    let mut moves = Moves::new(DRAIN);
    moves.silent(now, A);
    moves.heard(A);
    assert_eq!(moves.questions(now), []);
    assert_eq!(moves.deadline(), None);
}

#[test]
fn a_silent_speaker_is_asked_about_for_as_long_as_connections_depend_on_it() {
    let now = Instant::now();
    let (ip, node) = families()[0];
    let mut moves = Moves::new(ms(5000));
    moves.silent(now, A);
    assert_eq!(moves.questions(now + ms(2000)), [], "nothing depends on it");
    moves.gained(now, ip, GainReason::HandedOver, A, node);
    assert_eq!(moves.questions(now + ms(2000)), [A]);
    assert_eq!(moves.tick(now + ms(6000)), BTreeMap::new(), "over, and the kernel has removed it");
    assert_eq!(moves.questions(now + ms(6000)), []);
}

#[test]
fn without_a_drain_nothing_is_done() {
    let now = Instant::now();
    let (ip, node) = families()[1];
    let mut moves = Moves::new(Duration::ZERO);
    assert_eq!(moves.foreseen(now, ip, Foresight::Offer, A, node), None);
    assert_eq!(moves.gained(now, ip, GainReason::TookOver, A, node), None);
    assert_eq!(moves.course(ip), None);
}

#[test]
fn what_was_decided_goes_on_in_the_next_process() {
    let now = Instant::now();
    for (ip, node) in families() {
        let mut moves = Moves::new(DRAIN);
        moves.foreseen(now, ip, Foresight::Offer, A, node);
        let mut next = Moves::new(DRAIN);
        next.follow(now + ms(7), moves.following(now + ms(7)));
        assert_eq!(next.course(ip), Some(Course::Chained));
        next.silent(now + ms(10), A);
        let mut silence = now + ms(10);
        for _ in 0..UNANSWERED {
            assert_eq!(next.tick(silence), BTreeMap::new());
            assert_eq!(next.questions(silence), [A]);
            silence += ASK_FIRST;
        }
        assert_eq!(next.tick(silence), [(ip, reset(silence))].into(), "a node that dies later is noticed as ever");
    }
}
