//! Short polling: ask, get what is there, pause, ask again.

use super::poll::{Mode, PollClient};
use super::{Protocol, Traits};

/// A fresh connection for every poll unless the options keep it; how long the pause is, is the session's business.
pub(super) const SHORT_POLL: Protocol = Protocol {
    name: "short-poll",
    title: "Short polling",
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
    open: |seat| Box::new(PollClient::open(Mode::Short, &seat)),
};
