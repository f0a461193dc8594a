//! How a server meets those who come to it: whether it speaks the contract at all.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

use crate::protocol::{Failure, Phase};
use crate::quote;

/// What became of the first subscriptions, in words for people.
#[derive(Debug, Default)]
pub struct Reception {
    welcomed: Cell<bool>,
    refusal: RefCell<Option<Refusal>>,
}

/// An answer that no further attempt would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was asked, and how it was answered, e.g. `GET /sse?topic=g0 answered 404`.
    pub what: String,
    /// The answer's first words; empty if there were none.
    pub words: String,
    /// Its status; 0 if it had none.
    pub status: u16,
}

impl Refusal {
    /// The answer to a request for `target` (method and path). `detail` is what speaks against it beside its status, if
    /// anything does, and `location` where it points to.
    pub(crate) fn new(
        target: &str,
        status: u16,
        detail: &str,
        location: Option<&str>,
        body: &[u8],
    ) -> Refusal {
        let what = match (detail, location) {
            ("", Some(place)) if (300..400).contains(&status) => {
                format!("{target} answered {status}, see {place}")
            }
            ("", _) => format!("{target} answered {status}"),
            _ => format!("{target} answered {status}, {detail}"),
        };
        let mut words = quote::first_words(body);
        if words.is_empty() && detail.is_empty() {
            words = "(nothing more)".to_owned();
        }
        Refusal { what: quote::line(&what), words, status }
    }

    /// All of it.
    pub(crate) fn sentence(&self) -> String {
        if self.words.is_empty() { self.what.clone() } else { format!("{}: {}", self.what, self.words) }
    }
}

impl Reception {
    /// A subscription was answered as the contract says.
    pub fn welcome(&self) {
        self.welcomed.set(true);
    }

    /// A subscription failed; of those that no retry cures, the first is kept.
    pub(crate) fn refuse(&self, failure: &Failure, refusal: impl FnOnce() -> Refusal) {
        if failure.phase == Phase::Subscribe && failure.is_final() {
            self.refusal.borrow_mut().get_or_insert_with(refusal);
        }
    }

    /// Whether anybody was let in.
    pub fn has_welcomed(&self) -> bool {
        self.welcomed.get()
    }

    /// The first refusal.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }
}
