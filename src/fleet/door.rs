//! Whether a server lets anybody in at all, or speaks something else than the contract.

use std::time::Duration;

use crate::transport::reception::Refusal;

/// How long a server is tried at which every attempt was refused for good: time for some more of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the clients of all workers were met so far.
#[derive(Default)]
pub(super) struct Door {
    welcomed: bool,
    refusal: Option<Refusal>,
}

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
    /// What a worker says so long after the first came: whether the server has answered as the contract says, and the first that it refused for good.
    ///
    /// # Errors
    /// It has let nobody in, and would not whatever were tried.
    pub(super) fn note(
        &mut self,
        after: Duration,
        welcomed: bool,
        refusal: Option<Refusal>,
    ) -> Result<(), Stranger> {
        self.welcomed |= welcomed;
        self.refusal = self.refusal.take().or(refusal);
        match &self.refusal {
            Some(refusal) if !self.welcomed && after >= PATIENCE => Err(Stranger(refusal.clone())),
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

    #[test]
    fn a_server_that_refuses_everybody_for_good_is_told_apart_from_one_that_refuses_some() {
        let mut door = Door::default();
        let refused = Some(refusal(404, "no such path"));
        assert!(door.note(PATIENCE / 2, false, refused).is_ok(), "it is tried some more");
        let told = door.note(PATIENCE, false, None).unwrap_err().to_string();
        let first =
            "GET /sse?topic=g0 answered 404: this server does not speak the contract (it said: no such path)";
        assert_eq!(told, first);
        assert!(door.note(PATIENCE, true, None).is_ok());
        assert!(door.note(PATIENCE, false, Some(refusal(404, ""))).is_ok(), "another was let in");
        let told = Stranger::by(refusal(403, "")).to_string();
        assert_eq!(told, "GET /sse?topic=g0 answered 403: this server lets no client in");
    }
}
