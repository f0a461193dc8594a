//! Whether a server lets anybody in at all, or speaks something else than the contract.

use std::time::Duration;

use crate::transport::reception::{Received, Refusal};

/// How long a server is tried at which every attempt was refused for good: time for some more of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the clients of each worker were met so far.
pub(super) struct Door(Vec<Received>);

/// A server whose answers are not those of the contract.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.told())]
pub(super) struct Stranger(Refusal);

impl Stranger {
    /// By the first of its answers.
    pub(super) fn by(refusal: Refusal) -> Stranger {
        Stranger(refusal)
    }

    fn told(&self) -> String {
        let Refusal { what, words, status } = &self.0;
        let so = match status {
            401 | 403 | 407 => "this server lets no client in",
            _ => "this server does not speak the contract",
        };
        let said = if words.is_empty() { String::new() } else { format!(" (it said: {words})") };
        format!("{what}: {so}{said}")
    }
}

impl Door {
    /// That of so many workers, to none of whose clients anything has been said.
    pub(super) fn of(workers: usize) -> Door {
        Door(vec![Received::default(); workers])
    }

    /// What a worker says so long after the first client came.
    ///
    /// # Errors
    /// Nobody was let in, and what was asked for was refused for good. A server that is slow has not answered most of it.
    pub(super) fn note(
        &mut self,
        after: Duration,
        worker: usize,
        received: Received,
    ) -> Result<(), Stranger> {
        self.0[worker] = received;
        let all = self.0.iter().fold(Received::default(), Received::and);
        let closed = !all.welcomed && all.refused * 2 > all.asked;
        match all.refusal {
            Some(refusal) if closed && after >= PATIENCE => Err(Stranger(refusal)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, words: &str) -> Refusal {
        Refusal { what: format!("GET /sse?topic=g0 answered {status}"), words: words.into(), status }
    }

    fn received(asked: u64, refused: u64, welcomed: bool) -> Received {
        let refusal = (refused > 0).then(|| refusal(404, "no such path"));
        Received { asked, refused, welcomed, refusal }
    }

    #[test]
    fn a_server_that_refuses_everybody_for_good_is_told_apart_from_one_that_refuses_some() {
        let mut door = Door::of(2);
        assert!(door.note(PATIENCE / 2, 0, received(9, 9, false)).is_ok(), "it is tried some more");
        let told = door.note(PATIENCE, 1, received(3, 2, false)).unwrap_err().to_string();
        let first =
            "GET /sse?topic=g0 answered 404: this server does not speak the contract (it said: no such path)";
        assert_eq!(told, first);
        assert!(door.note(PATIENCE, 1, received(30, 2, false)).is_ok(), "most are still to be answered");
        assert!(door.note(PATIENCE, 1, received(3, 0, true)).is_ok(), "one was let in");
        assert!(Door::of(1).note(PATIENCE, 0, received(0, 0, false)).is_ok());
        let told = Stranger::by(refusal(403, "")).to_string();
        assert_eq!(told, "GET /sse?topic=g0 answered 403: this server lets no client in");
    }
}
