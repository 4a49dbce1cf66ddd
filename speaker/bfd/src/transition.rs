//! State and received state: what follows (RFC 5880 §6.2, §6.8.6).
//!
//! ```text
//!   local \ received   AdminDown     Down          Init        Up
//!   AdminDown          -             -             -           -
//!   Down               -             Init          Up          -
//!   Init               Down, 3       -             Up          Up
//!   Up                 Down, 3       Down, 3       -           -          3 = Neighbor Signaled Session Down
//! ```

use crate::Diagnostic;

/// Where a side stands (RFC 5880 §6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Held down on purpose.
    AdminDown,
    /// Nothing is heard, or was not for long.
    #[default]
    Down,
    /// The peer is heard; it has not said that it hears us.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    /// All four, by their number on the wire.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// Takes the low two bits.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// Word for logs and statuses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdminDown => "admin-down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }
}

/// What a received packet does to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// Nothing.
    Stay,
    /// To Init.
    Init,
    /// To Up.
    Up,
    /// To Down, and why.
    Down(Diagnostic),
}

/// Looks up the table above.
pub(crate) const fn transition(local: State, received: State) -> Transition {
    match (local, received) {
        (State::AdminDown, _)
        | (State::Down, State::AdminDown | State::Up)
        | (State::Init, State::Down)
        | (State::Up, State::Init | State::Up) => Transition::Stay,
        (State::Down, State::Down) => Transition::Init,
        (State::Down, State::Init) | (State::Init, State::Init | State::Up) => Transition::Up,
        (State::Init, State::AdminDown) | (State::Up, State::AdminDown | State::Down) => {
            Transition::Down(Diagnostic::NEIGHBOR_SIGNALED_DOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_meets_every_received_state_as_the_rfc_says() {
        const DOWN: Transition = Transition::Down(Diagnostic::NEIGHBOR_SIGNALED_DOWN);
        use Transition::{Init, Stay, Up};
        // Rows and columns: AdminDown, Down, Init, Up.
        let table = [[Stay, Stay, Stay, Stay], [Stay, Init, Up, Stay], [DOWN, Stay, Up, Up], [DOWN, DOWN, Stay, Stay]];
        for (local, row) in State::ALL.into_iter().zip(table) {
            for (received, expected) in State::ALL.into_iter().zip(row) {
                assert_eq!(transition(local, received), expected, "{local:?} receives {received:?}");
            }
        }
    }
}
