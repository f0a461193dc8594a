//! The protocols: one file each, and one table.

pub(crate) mod channel;
