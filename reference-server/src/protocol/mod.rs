//! The protocols: one file each, and one table.

pub(crate) mod channel;
pub(crate) mod webrtc;
