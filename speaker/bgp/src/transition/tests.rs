use super::*;

/// The whole table, a row an event, a column a state: where it leads and what is done. Written from RFC 4271 §8.2.2, not
/// from the code.
#[test]
fn every_event_in_every_state_does_what_the_rfc_says() {
    use Fault::{Given, HoldTimer, SendHoldTimer, Unexpected};
    use Reaction as R;
    use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

    let quiet = |state| (state, R::Ignore);
    let told = |fault| (Idle, R::Notify(fault));
    let none = quiet(Idle);
    let stray = (Idle, R::Abandon);
    let dropped = (Idle, R::Drop);

    #[rustfmt::skip]
    let table = [
        //                            Idle                  Active                   Connect                  OpenSent              OpenConfirm                      Established
        (Input::Start,               [(Connect, R::Dial),   quiet(Active),           quiet(Connect),          quiet(OpenSent),      quiet(OpenConfirm),              quiet(Established)]),
        (Input::PassiveStart,        [(Active, R::Listen),  quiet(Active),           quiet(Connect),          quiet(OpenSent),      quiet(OpenConfirm),              quiet(Established)]),
        (Input::Stop,                [none,                 stray,                   stray,                   told(Given),          told(Given),                     told(Given)]),
        (Input::ConnectRetryExpired, [none,                 (Connect, R::Dial),      (Connect, R::Redial),    quiet(OpenSent),      quiet(OpenConfirm),              quiet(Established)]),
        (Input::HoldExpired,         [none,                 stray,                   stray,                   told(HoldTimer),      told(HoldTimer),                 told(HoldTimer)]),
        (Input::SendHoldExpired,     [none,                 stray,                   stray,                   told(SendHoldTimer),  told(SendHoldTimer),             told(SendHoldTimer)]),
        (Input::KeepaliveDue,        [none,                 stray,                   stray,                   told(Unexpected),     (OpenConfirm, R::SendKeepalive), (Established, R::SendKeepalive)]),
        (Input::Connected,           [(Idle, R::Refuse),    (OpenSent, R::SendOpen), (OpenSent, R::SendOpen), quiet(OpenSent),      quiet(OpenConfirm),              quiet(Established)]),
        (Input::ConnectionLost,      [none,                 stray,                   (Active, R::Listen),     (Active, R::Drop),    dropped,                         dropped]),
        (Input::Open,                [none,                 stray,                   stray,                   (OpenConfirm, R::Confirm), told(Unexpected),           told(Unexpected)]),
        (Input::OpenRefused,         [none,                 stray,                   stray,                   told(Given),          told(Given),                     told(Given)]),
        (Input::BadHeader,           [none,                 stray,                   stray,                   told(Given),          told(Given),                     told(Given)]),
        (Input::CollisionLost,       [none,                 stray,                   stray,                   told(Given),          told(Given),                     told(Given)]),
        (Input::Notification,        [none,                 stray,                   stray,                   dropped,              dropped,                         dropped]),
        (Input::Keepalive,           [none,                 stray,                   stray,                   told(Unexpected),     (Established, R::Establish),     (Established, R::Alive)]),
        (Input::Routes,              [none,                 stray,                   stray,                   told(Unexpected),     told(Unexpected),                (Established, R::Process)]),
        (Input::BadRoutes,           [none,                 stray,                   stray,                   told(Unexpected),     told(Unexpected),                told(Given)]),
    ];

    assert_eq!(table.map(|(input, _)| input), Input::ALL, "every event has its row");
    for (input, row) in table {
        for (state, expected) in State::ALL.into_iter().zip(row) {
            assert_eq!(step(state, input), expected, "{input:?} in {state}");
        }
    }
}

#[test]
fn nothing_but_a_keepalive_in_open_confirm_establishes() {
    for state in State::ALL {
        for input in Input::ALL {
            let (to, reaction) = step(state, input);
            let came = to == State::Established && state != State::Established;
            assert_eq!(came, reaction == Reaction::Establish, "{input:?} in {state}");
            assert_eq!(came, state == State::OpenConfirm && input == Input::Keepalive, "{input:?} in {state}");
        }
    }
}

#[test]
fn whatever_ends_a_connection_either_tells_the_peer_or_cannot() {
    for state in [State::OpenSent, State::OpenConfirm, State::Established] {
        for input in Input::ALL {
            let (to, reaction) = step(state, input);
            if to < State::OpenSent {
                let cannot = matches!(input, Input::Notification | Input::ConnectionLost);
                assert_eq!(matches!(reaction, Reaction::Drop), cannot, "{input:?} in {state}");
                assert_eq!(matches!(reaction, Reaction::Notify(_)), !cannot, "{input:?} in {state}");
            }
        }
    }
}
