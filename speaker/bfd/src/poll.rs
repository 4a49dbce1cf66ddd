//! The Poll Sequence: makes sure that the peer has taken a change of timing (RFC 5880 §6.5, §6.8.3).
//!
//! ```text
//!   Idle ---- begin ---> Asking ---- F received, one P was sent ----------------> Idle
//!    ^                     |
//!    |                     +-------- F received, several P were sent ---> Settling
//!    +-------- packet without F received ------------------------------------+
//! ```
//!
//! A Final does not say which Poll it answers. So two changes that take effect at different times must not share a sequence: the second
//! waits for `Idle`. After several Polls more Finals may be on their way; a packet without F shows that they are over (§6.8.3, choice 3), and
//! after a single Poll there is none left (choice 2: its round trip is over).

/// One sequence at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Nothing is asked.
    #[default]
    Idle,
    /// Packets carry P until a Final comes.
    Asking {
        /// How many did so far; counts to two.
        sent: u8,
    },
    /// The sequence is over, but Finals of it may still come.
    Settling,
}

impl Poll {
    /// Starts a sequence.
    pub(crate) fn begin(&mut self) {
        *self = Self::Asking { sent: 0 };
    }

    /// Whether a sequence can start without being confused with an earlier one. One that has not been heard of yet can take the change along.
    pub(crate) const fn can_begin(&self) -> bool {
        matches!(self, Self::Idle | Self::Asking { sent: 0 })
    }

    /// Whether packets carry P.
    pub(crate) const fn asks(&self) -> bool {
        matches!(self, Self::Asking { .. })
    }

    /// Notes that a packet with P is out.
    pub(crate) fn sent(&mut self) {
        if let Self::Asking { sent } = self {
            *sent = (*sent + 1).min(2);
        }
    }

    /// Notes whether a received packet has F. Says whether that ended the sequence.
    pub(crate) fn received(&mut self, final_: bool) -> bool {
        match (&*self, final_) {
            (Self::Asking { sent: 0 }, _) | (Self::Asking { .. }, false) | (Self::Idle, _) | (Self::Settling, true) => {
                false
            }
            (Self::Asking { sent: 1 }, true) => {
                *self = Self::Idle;
                true
            }
            (Self::Asking { .. }, true) => {
                *self = Self::Settling;
                true
            }
            (Self::Settling, false) => {
                *self = Self::Idle;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_poll_and_its_final_are_a_whole_sequence() {
        let mut poll = Poll::default();
        assert!(poll.can_begin() && !poll.asks());
        poll.begin();
        assert!(poll.asks());
        assert!(!poll.received(true), "a Final that answers nothing of ours");
        poll.sent();
        assert!(!poll.can_begin());
        assert!(!poll.received(false));
        assert!(poll.received(true));
        assert_eq!(poll, Poll::Idle);
    }

    #[test]
    fn after_several_polls_the_next_sequence_waits_for_a_packet_without_final() {
        let mut poll = Poll::default();
        poll.begin();
        for _ in 0..300 {
            poll.sent();
        }
        assert!(poll.received(true));
        assert!(!poll.asks() && !poll.can_begin());
        assert!(!poll.received(true), "the Final of another Poll");
        assert!(!poll.can_begin());
        assert!(!poll.received(false));
        assert!(poll.can_begin());
    }

    #[test]
    fn a_sequence_that_nobody_has_heard_of_takes_another_change_along() {
        let mut poll = Poll::default();
        poll.begin();
        assert!(poll.can_begin());
    }
}
