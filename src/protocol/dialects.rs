//! The table of dialects.

use std::rc::Rc;

use super::contract::Contract;
use super::dialect::Dialect;

/// A row of the table: a dialect's name, and what makes it.
pub type DialectRow = (&'static str, fn() -> Rc<dyn Dialect>);

/// Every dialect. The first is the built-in contract, which the reference server speaks.
pub static DIALECTS: &[DialectRow] = &[("contract", || Rc::new(Contract))];

/// The dialect of this name.
pub fn dialect(name: &str) -> Option<Rc<dyn Dialect>> {
    DIALECTS.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// The built-in contract.
pub fn contract() -> Rc<dyn Dialect> {
    Rc::new(Contract)
}
