//! The table of RFC 4271 §8.2.2: what each event means in each state of a connection.
//!
//! ```text
//!             start                 TCP up, we send OPEN          OPEN, we send KEEPALIVE        KEEPALIVE
//!   Idle ---------------> Connect -----------------> OpenSent -----------------> OpenConfirm ------------> Established
//!    ^ \  passive start     | ^                        ^                              |                        |
//!    |  +-----------+ fails | | retry timer            | TCP up, dialled or accepted  |                        |
//!    |              v       v |                        |                              |                        |
//!    |               Active --+------------------------+                              |                        |
//!    +--------- any error, any end, after the wait that damps oscillation ------------+------------------------+
//! ```
//!
//! The table is a function, so that a test can walk all of it. It decides nothing that depends on what a message says:
//! an OPEN that is not acceptable is another event ([`Input::OpenRefused`]) than one that is.
//!
//! Where it leaves the letter of the RFC:
//! - a failed dial leads to Active rather than Idle: the peer may reach us although we cannot reach it, and is let in
//!   while we wait for the next attempt. Most speakers do so;
//! - a NOTIFICATION is never answered by another, in OpenSent neither (the RFC's row says FSM Error, its §6.4 that
//!   nobody would act upon it);
//! - an OPEN on a connection that had its OPEN is an FSM error by RFC 6608 rather than a collision with itself.

use std::fmt;

/// The state of a connection; of a session, the state of the connection that is farthest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is tried: stopped, or waiting after an error.
    #[default]
    Idle,
    /// Waits for the peer, or for the time of the next dial.
    Active,
    /// Dials.
    Connect,
    /// TCP is up and our OPEN is out.
    OpenSent,
    /// The peer's OPEN was accepted; waits for its KEEPALIVE.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// Every state, in the order of progress.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Active, Self::Connect, Self::OpenSent, Self::OpenConfirm, Self::Established];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What happens to a connection: the events of RFC 4271 §8.1 that this speaker can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Started by the operator or by the end of a wait, and may dial (events 1, 3).
    Start,
    /// The same, and only listens (events 4, 5).
    PassiveStart,
    /// Stopped (events 2, 8).
    Stop,
    /// Event 9.
    ConnectRetryExpired,
    /// Event 10.
    HoldExpired,
    /// RFC 9687.
    SendHoldExpired,
    /// Event 11.
    KeepaliveDue,
    /// Events 16, 17.
    Connected,
    /// Event 18.
    ConnectionLost,
    /// An acceptable OPEN, event 19.
    Open,
    /// An OPEN that cannot be read or is not acceptable, event 22.
    OpenRefused,
    /// Event 21.
    BadHeader,
    /// Another connection of the same peer is kept, event 23.
    CollisionLost,
    /// Events 24, 25.
    Notification,
    /// Event 26.
    Keepalive,
    /// Event 27, and ROUTE-REFRESH.
    Routes,
    /// Event 28, and a malformed ROUTE-REFRESH.
    BadRoutes,
}

impl Input {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 17] = [
        Self::Start,
        Self::PassiveStart,
        Self::Stop,
        Self::ConnectRetryExpired,
        Self::HoldExpired,
        Self::SendHoldExpired,
        Self::KeepaliveDue,
        Self::Connected,
        Self::ConnectionLost,
        Self::Open,
        Self::OpenRefused,
        Self::BadHeader,
        Self::CollisionLost,
        Self::Notification,
        Self::Keepalive,
        Self::Routes,
        Self::BadRoutes,
    ];
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    Ignore,
    /// Start a connection and the timer that bounds the attempt.
    Dial,
    /// Give the running attempt up and start another.
    Redial,
    /// Wait for the peer, and for the retry timer unless passive.
    Listen,
    /// Give the running attempt up.
    Abandon,
    /// Refuse the connection that came.
    Refuse,
    /// Send OPEN, wait for the peer's.
    SendOpen,
    /// Send KEEPALIVE, run the negotiated timers.
    Confirm,
    /// The session is up: send the table.
    Establish,
    /// The peer lives: restart its hold timer.
    Alive,
    /// Read what it says about routes; the peer lives.
    Process,
    /// Send a KEEPALIVE and restart its timer.
    SendKeepalive,
    /// Close with this NOTIFICATION.
    Notify(Fault),
    /// Close without a word: the connection is gone, or the peer said the last one.
    Drop,
}

/// Which NOTIFICATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What the stop, the collision or the error itself says.
    Given,
    /// RFC 4271 §6.5.
    HoldTimer,
    /// RFC 9687 §3.
    SendHoldTimer,
    /// RFC 6608: a message that this state does not have.
    Unexpected,
}

/// Returns the next state and what to do.
pub(crate) fn step(state: State, input: Input) -> (State, Reaction) {
    use Fault::{Given, HoldTimer, SendHoldTimer, Unexpected};
    use Input as I;
    use Reaction as R;
    use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

    match (state, input) {
        (Idle, I::Start) => (Connect, R::Dial),
        (Idle, I::PassiveStart) => (Active, R::Listen),
        (Idle, I::Connected) => (Idle, R::Refuse),
        (Idle, _) => (Idle, R::Ignore),

        // A start of what is started changes nothing, in every state.
        (state, I::Start | I::PassiveStart) => (state, R::Ignore),

        (Connect, I::Stop) => (Idle, R::Abandon),
        (Connect, I::ConnectRetryExpired) => (Connect, R::Redial),
        (Connect, I::Connected) => (OpenSent, R::SendOpen),
        (Connect, I::ConnectionLost) => (Active, R::Listen),
        // Without a connection there are no messages and none of its timers.
        (Connect, _) => (Idle, R::Abandon),

        (Active, I::Stop) => (Idle, R::Abandon),
        (Active, I::ConnectRetryExpired) => (Connect, R::Dial),
        (Active, I::Connected) => (OpenSent, R::SendOpen),
        (Active, _) => (Idle, R::Abandon),

        // From here on there is a connection. A second one is a connection of its own, in its own state; the retry
        // timer belongs to the session.
        (state, I::Connected | I::ConnectRetryExpired) => (state, R::Ignore),
        (_, I::Stop | I::CollisionLost | I::OpenRefused | I::BadHeader) => (Idle, R::Notify(Given)),
        (_, I::HoldExpired) => (Idle, R::Notify(HoldTimer)),
        (_, I::SendHoldExpired) => (Idle, R::Notify(SendHoldTimer)),
        (_, I::Notification) => (Idle, R::Drop),
        (OpenSent, I::ConnectionLost) => (Active, R::Drop),
        (_, I::ConnectionLost) => (Idle, R::Drop),

        (OpenSent, I::Open) => (OpenConfirm, R::Confirm),
        (OpenSent, I::KeepaliveDue | I::Keepalive | I::Routes | I::BadRoutes) => (Idle, R::Notify(Unexpected)),

        (OpenConfirm, I::Keepalive) => (Established, R::Establish),
        (OpenConfirm, I::KeepaliveDue) => (OpenConfirm, R::SendKeepalive),
        (OpenConfirm, I::Open | I::Routes | I::BadRoutes) => (Idle, R::Notify(Unexpected)),

        (Established, I::Keepalive) => (Established, R::Alive),
        (Established, I::Routes) => (Established, R::Process),
        (Established, I::KeepaliveDue) => (Established, R::SendKeepalive),
        (Established, I::BadRoutes) => (Idle, R::Notify(Given)),
        (Established, I::Open) => (Idle, R::Notify(Unexpected)),
    }
}

#[cfg(test)]
mod tests;
