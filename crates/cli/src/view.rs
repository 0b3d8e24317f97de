//! What a trace looks like in a terminal.

pub(crate) mod chrome;
mod gauge;
mod layout;
mod line;
pub(crate) mod rows;
pub(crate) mod tree;

pub(crate) use self::tree::print;

/// How much room there is, and whether there is colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The columns of a line.
    pub(crate) width: usize,
    pub(crate) paint: bool,
}
