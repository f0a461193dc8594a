//! From bytes to messages (RFC 6455, sections 5 to 7). No I/O: whatever the pieces in which frames come, what is taken
//! from them is the same.
//!
//! Headers, close codes and errors are those of `tungstenite`. What it does beyond them would copy each message to an
//! allocation of its own, from a buffer of its own for each connection.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Longest message that is accepted, in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Longest payload of a control frame, in bytes.
const MAX_CONTROL_BYTES: u64 = 125;

/// Header of a frame from the server that has no longer length than one byte holds.
const SHORT_HEADER_BYTES: usize = 2;

/// What the server sends on one connection. Owns no memory between whole messages, and is small, as each connection has one.
#[derive(Default)]
pub(super) struct Frames {
    unread: Option<Box<Unread>>,
    /// A message of which more fragments are to come.
    fragments: Option<Box<Fragments>>,
    /// The server has said close, behind which nothing may come.
    closed: bool,
}

/// The start of a frame whose end is missing, or frames that nobody has taken yet.
struct Unread(Vec<u8>);

/// One thing that the server said.
#[derive(Debug, PartialEq)]
pub(super) enum Item<'a> {
    /// Known to be UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(Option<CloseFrame>),
}

#[derive(Default)]
struct Fragments {
    is_text: bool,
    payload: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    valid_bytes: usize,
}

impl Frames {
    /// Those of a connection of which something was read already; the next [`Frames::feed`] takes it.
    pub(super) fn behind(early: Vec<u8>) -> Frames {
        let unread = (!early.is_empty()).then(|| Box::new(Unread(early)));
        Frames { unread, ..Frames::default() }
    }

    /// The server has said close.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes what was read, and hands on each thing that is complete.
    ///
    /// # Errors
    /// The server broke the protocol or our limits, or `hand_on` failed. Nothing more can be taken then.
    #[inline]
    pub(super) fn feed<E: From<Error>>(
        &mut self,
        input: &[u8],
        mut hand_on: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(mut unread) = self.unread.take() else {
            let taken = self.walk(input, &mut hand_on)?;
            if taken < input.len() {
                self.unread = Some(Box::new(Unread(input[taken..].to_vec())));
            }
            return Ok(());
        };
        unread.0.extend_from_slice(input);
        let taken = self.walk(&unread.0, &mut hand_on)?;
        if taken < unread.0.len() {
            unread.0.drain(..taken);
            self.unread = Some(unread);
        }
        Ok(())
    }

    /// Takes the whole frames at the front of `input`, and says how many bytes they are.
    #[inline]
    fn walk<E: From<Error>>(
        &mut self,
        input: &[u8],
        hand_on: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut taken = 0;
        while taken < input.len() {
            if self.closed {
                return Err(Error::from(ProtocolError::ReceivedAfterClosing).into());
            }
            if let Some((kind, payload)) = short_message(&input[taken..]) {
                self.data(kind, true, payload, hand_on)?;
                taken += SHORT_HEADER_BYTES + payload.len();
                continue;
            }
            let mut cursor = Cursor::new(&input[taken..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { break };
            check(&header, length)?;
            let start = taken + cursor.position() as usize;
            // Checked to be far below what a usize holds.
            let Some(payload) = input[start..].get(..length as usize) else { break };
            match header.opcode {
                OpCode::Control(kind) => self.control(kind, payload, hand_on)?,
                OpCode::Data(kind) => self.data(kind, header.is_final, payload, hand_on)?,
            }
            taken = start + payload.len();
        }
        Ok(taken)
    }

    fn control<E: From<Error>>(
        &mut self,
        kind: Control,
        payload: &[u8],
        hand_on: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match kind {
            Control::Ping => hand_on(Item::Ping(payload)),
            Control::Pong => hand_on(Item::Pong),
            Control::Close => {
                self.closed = true;
                hand_on(Item::Close(close_frame(payload)?))
            }
            Control::Reserved(code) => Err(Error::from(ProtocolError::UnknownControlFrameType(code)).into()),
        }
    }

    #[inline]
    fn data<E: From<Error>>(
        &mut self,
        kind: Data,
        is_final: bool,
        payload: &[u8],
        hand_on: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_text = match (kind, self.fragments.take()) {
            (Data::Continue, Some(fragments)) => {
                return self.next_fragment(fragments, is_final, payload, hand_on);
            }
            (Data::Continue, None) => return Err(Error::from(ProtocolError::UnexpectedContinueFrame).into()),
            (_, Some(_)) => return Err(Error::from(ProtocolError::ExpectedFragment(kind)).into()),
            (Data::Text, None) => true,
            (Data::Binary, None) => false,
            (Data::Reserved(code), None) => {
                return Err(Error::from(ProtocolError::UnknownDataFrameType(code)).into());
            }
        };
        match (is_final, is_text) {
            (true, true) => hand_on(Item::Text(checked_text(payload)?)),
            (true, false) => hand_on(Item::Binary(payload)),
            (false, _) => {
                let fragments = Box::new(Fragments { is_text, ..Fragments::default() });
                self.next_fragment(fragments, false, payload, hand_on)
            }
        }
    }

    fn next_fragment<E: From<Error>>(
        &mut self,
        mut fragments: Box<Fragments>,
        is_final: bool,
        payload: &[u8],
        hand_on: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        fragments.append(payload)?;
        if !is_final {
            self.fragments = Some(fragments);
            return Ok(());
        }
        match fragments.is_text {
            true => hand_on(Item::Text(checked_text(&fragments.payload)?)),
            false => hand_on(Item::Binary(&fragments.payload)),
        }
    }
}

impl Fragments {
    fn append(&mut self, payload: &[u8]) -> Result<(), Error> {
        let size = self.payload.len() + payload.len();
        if size > MAX_MESSAGE_BYTES {
            return Err(too_long(size));
        }
        self.payload.extend_from_slice(payload);
        if self.is_text {
            // Text that can no longer become valid fails at once; the end of a fragment may cut a character.
            self.valid_bytes += match std::str::from_utf8(&self.payload[self.valid_bytes..]) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }
}

/// A whole message in one frame of at most 125 bytes, as nearly all are: both bytes of its header are then known.
#[inline]
fn short_message(input: &[u8]) -> Option<(Data, &[u8])> {
    let (&[first, length], rest) = input.split_first_chunk::<SHORT_HEADER_BYTES>()?;
    let kind = match first {
        0x81 => Data::Text,
        0x82 => Data::Binary,
        _ => return None,
    };
    // A larger number stands for a longer length, or says that the payload is masked.
    let payload = rest.get(..usize::from(length)).filter(|_| length <= 125)?;
    Some((kind, payload))
}

/// What can be said against a frame before its payload has come.
#[inline]
fn check(header: &FrameHeader, length: u64) -> Result<(), Error> {
    if length > MAX_MESSAGE_BYTES as u64 {
        return Err(too_long(usize::try_from(length).unwrap_or(usize::MAX)));
    }
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(ProtocolError::NonZeroReservedBits.into());
    }
    if header.mask.is_some() {
        return Err(ProtocolError::MaskedFrameFromServer.into());
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final => Err(ProtocolError::FragmentedControlFrame.into()),
        OpCode::Control(_) if length > MAX_CONTROL_BYTES => Err(ProtocolError::ControlFrameTooBig.into()),
        _ => Ok(()),
    }
}

/// Nearly all texts are ASCII, which is seen faster.
#[inline]
fn checked_text(payload: &[u8]) -> Result<&[u8], Error> {
    if !payload.is_ascii() {
        std::str::from_utf8(payload)?;
    }
    Ok(payload)
}

fn too_long(size: usize) -> Error {
    CapacityError::MessageTooLong { size, max_size: MAX_MESSAGE_BYTES }.into()
}

/// What a close frame says. A code that no frame may carry becomes the one that says so.
fn close_frame(payload: &[u8]) -> Result<Option<CloseFrame>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(ProtocolError::InvalidCloseSequence.into()),
        };
    };
    let reason = std::str::from_utf8(reason)?;
    Ok(Some(match CloseCode::from(u16::from_be_bytes(*code)) {
        code if code.is_allowed() => CloseFrame { code, reason: reason.into() },
        _ => CloseFrame { code: CloseCode::Protocol, reason: "Protocol violation".into() },
    }))
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
