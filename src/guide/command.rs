//! The commands that measure what claims ask for.

/// The command that measures the guide's own conditions.
pub(super) const MATRIX: &str = "rtbench matrix";
/// The same at length, and with programs that this machine may not have.
pub(super) const FULL: &str = "rtbench matrix --full";
/// The most connections that one machine was made to hold.
pub(super) const MILLION: &str = "rtbench run million";
