//! A BFD profile whose numbers are known to be possible.

use std::time::Duration;

use super::problem::{Kind, Mistakes, Problem, ProblemReason};
use crate::api::BFDProfile;

/// The settings of a BFD session, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdProfile {
    /// The name of the object.
    pub name: String,
    /// The shortest interval between control packets that this side takes.
    pub receive_interval: Duration,
    /// The shortest interval between control packets that this side sends.
    pub transmit_interval: Duration,
    /// How many packets in a row may be lost.
    pub detect_multiplier: u8,
    /// The shortest interval between echo packets that this side takes.
    pub echo_interval: Duration,
    /// Whether echo packets are sent.
    pub echo_mode: bool,
    /// Whether this side waits for the other one to start.
    pub passive_mode: bool,
    /// The lowest TTL of a packet from a peer several hops away.
    pub minimum_ttl: u8,
}

/// What MetalLB's users get who write nothing: the defaults of FRR.
const INTERVAL_MS: u32 = 300;
const ECHO_INTERVAL_MS: u32 = 50;
const MULTIPLIER: u32 = 3;
const MINIMUM_TTL: u32 = 254;

impl BfdProfile {
    pub(super) fn read(name: &str, object: &BFDProfile) -> Result<Self, Vec<Problem>> {
        let mut mistakes = Mistakes::of(Kind::BFDProfile, name);
        let spec = &object.spec;
        let mut within = |field: &str, written: Option<u32>, default: u32, low: u32, high: u32| {
            let number = written.unwrap_or(default);
            if !(low..=high).contains(&number) {
                let message = format!("spec.{field} is {number}: use a number from {low} to {high}");
                mistakes.add(ProblemReason::BadNumber, message);
            }
            number
        };
        let receive = within("receiveInterval", spec.receive_interval, INTERVAL_MS, 10, 60_000);
        let transmit = within("transmitInterval", spec.transmit_interval, INTERVAL_MS, 10, 60_000);
        let echo = within("echoInterval", spec.echo_interval, ECHO_INTERVAL_MS, 10, 60_000);
        let multiplier = within("detectMultiplier", spec.detect_multiplier, MULTIPLIER, 2, 255);
        let ttl = within("minimumTtl", spec.minimum_ttl, MINIMUM_TTL, 1, 254);
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        mistakes.or(Self {
            name: name.to_owned(),
            receive_interval: ms(receive),
            transmit_interval: ms(transmit),
            detect_multiplier: u8::try_from(multiplier).unwrap_or(u8::MAX),
            echo_interval: ms(echo),
            echo_mode: spec.echo_mode.unwrap_or_default(),
            passive_mode: spec.passive_mode.unwrap_or_default(),
            minimum_ttl: u8::try_from(ttl).unwrap_or(u8::MAX),
        })
    }
}
