use std::num::{NonZeroU8, NonZeroU32};

use super::*;
use crate::{Diagnostic, Echo, Role};

#[test]
fn the_slower_side_sets_the_pace_in_each_direction() {
    let mut timing = Timing::new(&settings(50, 300));
    timing.received(&packet(100, 70, 5, false));
    timing.advertise(&settings(50, 300), State::Up, Speed::Full, true);
    assert_eq!(timing.transmit_interval(), Some(ms(70)), "the peer takes no more");
    assert_eq!(timing.detection(), ms(5 * 300), "the peer's multiplier, our interval");
    timing.received(&packet(400, 70, 2, false));
    assert_eq!(timing.detection(), ms(2 * 400));
}

#[test]
fn until_up_nothing_is_faster_than_a_second() {
    for (state, expected) in [(State::AdminDown, 1000), (State::Down, 1000), (State::Init, 1000), (State::Up, 50)] {
        let mut timing = Timing::new(&settings(50, 50));
        assert_eq!(timing.transmit_interval(), Some(ms(1000)));
        timing.advertise(&settings(50, 50), state, Speed::Full, true);
        assert_eq!(timing.transmit_interval(), Some(ms(expected)), "{state:?}");
    }
    assert_eq!(Timing::new(&settings(2000, 50)).transmit_interval(), Some(ms(2000)), "slower stays slower");
}

#[test]
fn a_peer_that_wants_no_packets_gets_none() {
    let mut timing = Timing::new(&settings(50, 50));
    timing.received(&packet(50, 0, 3, false));
    assert_eq!(timing.transmit_interval(), None);
    timing.forget_peer();
    assert_eq!(timing.transmit_interval(), Some(ms(1000)), "another may come after it");
}

#[test]
fn a_longer_transmit_interval_waits_for_the_poll_and_a_shorter_does_not() {
    let mut timing = up(50, 50);
    timing.advertise(&settings(200, 50), State::Up, Speed::Full, true);
    assert_eq!(said(&timing), (200, 50));
    assert_eq!(timing.transmit_interval(), Some(ms(50)), "the peer has not heard of it");
    finish(&mut timing);
    assert_eq!(timing.transmit_interval(), Some(ms(200)));

    timing.advertise(&settings(20, 50), State::Up, Speed::Full, true);
    assert_eq!(timing.transmit_interval(), Some(ms(20)));
    assert!(timing.polls());
}

#[test]
fn a_shorter_receive_interval_waits_for_the_poll_and_a_longer_does_not() {
    let mut timing = up(50, 50);
    timing.advertise(&settings(50, 20), State::Up, Speed::Full, true);
    assert_eq!(said(&timing), (50, 20));
    assert_eq!(timing.detection(), ms(3 * 50), "the peer may not be that fast yet");
    finish(&mut timing);
    timing.received(&packet(10, 10, 3, false));
    assert_eq!(timing.detection(), ms(3 * 20));

    timing.advertise(&settings(50, 90), State::Up, Speed::Full, true);
    assert_eq!(timing.detection(), ms(3 * 90));
    assert!(timing.polls());
}

#[test]
fn a_second_change_waits_for_the_end_of_the_first_poll() {
    let mut timing = up(50, 50);
    timing.advertise(&settings(100, 50), State::Up, Speed::Full, true);
    timing.polled();
    timing.advertise(&settings(200, 50), State::Up, Speed::Full, true);
    assert_eq!(said(&timing), (100, 50), "a Final would not say which of the two it answers");
    timing.received(&packet(10, 10, 3, true));
    assert_eq!(timing.transmit_interval(), Some(ms(100)));
    timing.advertise(&settings(200, 50), State::Up, Speed::Full, true);
    assert_eq!(said(&timing), (200, 50));
    assert!(timing.polls());
}

#[test]
fn a_session_that_goes_down_is_slow_at_once() {
    let mut timing = up(50, 50);
    timing.advertise(&settings(50, 50), State::Down, Speed::Full, true);
    assert_eq!(timing.transmit_interval(), Some(ms(1000)));
    assert!(timing.polls(), "the peer is told");
    timing.advertise(&settings(50, 50), State::Down, Speed::Full, false);
    assert!(!timing.polls(), "there is no peer to tell");
}

#[test]
fn becoming_slow_is_done_when_the_peer_has_said_so() {
    let mut timing = up(50, 50);
    assert!(!timing.slow());
    timing.advertise(&settings(50, 50), State::Up, Speed::Slow, true);
    assert_eq!((said(&timing), timing.slow()), ((1000, 50), false));
    finish(&mut timing);
    assert!(timing.slow());
    assert_eq!(timing.peer_detection(3), ms(3000));
}

/// Up, settled, with a peer of 10 ms both ways and a multiplier of 3.
fn up(desired_ms: u64, required_ms: u64) -> Timing {
    let mut timing = Timing::new(&settings(desired_ms, required_ms));
    timing.received(&packet(10, 10, 3, false));
    timing.advertise(&settings(desired_ms, required_ms), State::Up, Speed::Full, true);
    finish(&mut timing);
    timing
}

fn finish(timing: &mut Timing) {
    timing.polled();
    assert!(timing.received(&packet(10, 10, 3, true)));
    assert!(timing.settled());
}

fn said(timing: &Timing) -> (u32, u32) {
    let mut packet = packet(0, 0, 1, false);
    timing.fill(&mut packet);
    (packet.desired_min_tx_us / 1000, packet.required_min_rx_us / 1000)
}

fn settings(desired_ms: u64, required_ms: u64) -> Settings {
    Settings {
        desired_min_tx: Interval::saturating(ms(desired_ms)),
        required_min_rx: Interval::saturating(ms(required_ms)),
        detect_mult: NonZeroU8::new(3).unwrap(),
        role: Role::Active,
        minimum_ttl_hops: 254,
        echo: Echo::Off,
    }
}

fn packet(desired_ms: u32, required_ms: u32, detect_mult: u8, final_: bool) -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        final_,
        control_plane_independent: false,
        authentication: false,
        demand: false,
        detect_mult: NonZeroU8::new(detect_mult).unwrap(),
        my_discriminator: NonZeroU32::MIN,
        your_discriminator: None,
        desired_min_tx_us: desired_ms * 1000,
        required_min_rx_us: required_ms * 1000,
        required_min_echo_rx_us: 0,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
