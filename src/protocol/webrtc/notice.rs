//! What the server says on a data channel that is not a payload.

use serde::Deserialize;

use crate::protocol::{Failure, Inbox, Phase};

/// How a text message begins that is not a payload.
const COMMAND_PREFIX: &[u8] = b"{\"op\":";

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Notice {
    Missed {
        count: u64,
    },
    Error {
        #[serde(default)]
        reason: String,
    },
    #[serde(other)]
    Other,
}

/// Takes a text message from the server: a payload, or word of losses.
pub(super) fn take(text: &[u8], inbox: &mut dyn Inbox) -> Result<(), Failure> {
    if !text.starts_with(COMMAND_PREFIX) {
        inbox.push(text);
        return Ok(());
    }
    match serde_json::from_slice(text) {
        Ok(Notice::Missed { count }) => inbox.missed(count),
        Ok(Notice::Other) => {}
        Ok(Notice::Error { reason }) => return Err(Failure::protocol(Phase::Receive, reason)),
        Err(error) => return Err(Failure::protocol(Phase::Receive, error.to_string())),
    }
    Ok(())
}
