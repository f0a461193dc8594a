//! An answer that is not what was asked for is quoted: what was asked, how it was answered, and its first words.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::content::Content;
use super::head::Head;
use super::request::Encoded;
use crate::failure::Failure;
use crate::quote;
use crate::transport::reception::Refusal;

/// How long the first words of such an answer are waited for: nothing depends on them.
pub const WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// Such an answer, of which more may come.
pub(super) struct Refused {
    failure: Failure,
    target: String,
    status: u16,
    location: Option<String>,
    content: Option<Content>,
    words: Vec<u8>,
    patience: Pin<Box<Sleep>>,
}

impl Refused {
    /// The answer to `request` with this head, against which `failure` speaks.
    pub(super) fn new(request: &Encoded<'_>, head: &Head<'_>, failure: Failure) -> Refused {
        Refused {
            content: Content::of(head, request.is_head(), failure.phase).ok(),
            failure,
            target: request.target(),
            status: head.status,
            location: head.field("location").map(quote::line),
            words: Vec::new(),
            patience: Box::pin(sleep(WORDS_PATIENCE)),
        }
    }

    /// Takes what was read of the body, and says whether that is enough.
    pub(super) fn take(&mut self, input: &[u8]) -> bool {
        let Refused { content: Some(content), words, failure, .. } = self else { return true };
        let taken = content.take(input, failure.phase, |piece| {
            let room = quote::ENOUGH_BYTES.saturating_sub(words.len());
            words.extend_from_slice(&piece[..piece.len().min(room)]);
            Ok(())
        });
        taken.is_err() || content.is_done() || quote::has_first_words(words)
    }

    /// Ready when nothing more is waited for.
    pub(super) fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.patience.as_mut().poll(cx)
    }

    /// The failure with the quotation, and the quotation alone.
    pub(super) fn told(self) -> (Failure, Refusal) {
        let Failure { phase, kind, detail } = self.failure;
        let refusal = Refusal::new(&self.target, self.status, &detail, self.location.as_deref(), &self.words);
        (Failure::new(phase, kind, refusal.sentence()), refusal)
    }
}
