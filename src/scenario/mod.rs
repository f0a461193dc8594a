//! What to measure: the file a person writes, and the plan made of it.

pub mod plan;
