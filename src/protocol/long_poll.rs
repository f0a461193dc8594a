//! Long polling: ask, be held until there is something, ask again at once.

use super::{Client, Mode, PollClient, Protocol, Seat, Traits};

/// Always on one kept connection.
pub(super) const LONG_POLL: Protocol = Protocol {
    name: "long-poll",
    title: "Long polling",
    short_title: "Long polling",
    about: "asks, and is held until there is something new or the hold time is over; then asks again at once",
    traits: Traits {
        polls: false,
        exchanges: true,
        resumes: true,
        reconnects: true,
        asks_again: true,
        binary: false,
        peer_to_peer: false,
        in_band: false,
    },
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    Box::new(PollClient::new(Mode::Long, &seat, seat.converse(&LONG_POLL)))
}
