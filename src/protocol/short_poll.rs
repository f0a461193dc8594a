//! Short polling: ask, get what is there, pause, ask again.

use super::{Client, Mode, PollClient, Protocol, Seat, Traits};

/// A fresh connection for every poll unless the options keep it; how long the pause is, is the session's business.
pub(super) const SHORT_POLL: Protocol = Protocol {
    name: "short-poll",
    title: "Short polling",
    short_title: "Short polling",
    about: "asks at an interval for what is new; a fresh connection for every poll unless kept alive",
    traits: Traits {
        polls: true,
        exchanges: true,
        resumes: true,
        reconnects: true,
        asks_again: false,
        binary: false,
        peer_to_peer: false,
        in_band: false,
    },
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    Box::new(PollClient::new(Mode::Short, &seat, seat.converse(&SHORT_POLL)))
}
