//! How a server meets those who come to it: whether it speaks their dialect at all.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::failure::{Failure, Phase};
use crate::quote;

/// What became of requests for a subscription, in words for people.
#[derive(Debug, Default)]
pub struct Reception {
    asked: Tally,
    refused: Tally,
    welcomed: Cell<bool>,
    refusal: RefCell<Option<Refusal>>,
}

/// The same of several, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Received {
    /// Requests for a subscription.
    pub asked: u64,
    /// Those that were refused for good.
    pub refused: u64,
    /// One was answered as it should be.
    pub welcomed: bool,
    /// The first that was refused for good.
    pub refusal: Option<Refusal>,
}

/// An answer that no further attempt would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was asked, and how it was answered, e.g. `GET /events answered 404`.
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
    /// A subscription is asked for.
    pub fn ask(&self) {
        self.asked.add(1);
    }

    /// It was answered as it should be.
    pub fn welcome(&self) {
        self.welcomed.set(true);
    }

    /// It failed; of failures that no retry cures, the first is kept.
    pub(crate) fn refuse(&self, failure: &Failure, refusal: impl FnOnce() -> Refusal) {
        if failure.phase == Phase::Subscribe && failure.is_final() {
            self.refused.add(1);
            self.refusal.borrow_mut().get_or_insert_with(refusal);
        }
    }
}

impl Received {
    /// That of the clients counted by one meter.
    pub fn of(reception: &Reception) -> Received {
        Received {
            asked: reception.asked.get(),
            refused: reception.refused.get(),
            welcomed: reception.welcomed.get(),
            refusal: reception.refusal.borrow().clone(),
        }
    }

    /// Both together.
    pub fn and(self, other: &Received) -> Received {
        Received {
            asked: self.asked + other.asked,
            refused: self.refused + other.refused,
            welcomed: self.welcomed | other.welcomed,
            refusal: self.refusal.or_else(|| other.refusal.clone()),
        }
    }
}
