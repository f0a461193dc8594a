//! How far a server goes: which load to try next, what the steps say, and what they say about more clients than were
//! measured. Pure: the verb measures, this reads cells.

pub mod curve;
pub mod projection;
pub mod search;
