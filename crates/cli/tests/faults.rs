//! The fault table: the program `belay` against agents that break in every way, and what survives.
//!
//! The rows are those of the test plan (`docs/reliability.md`): T1, T5, T9, T12 to T18, T20 to T24, T27 and a part of the
//! security list. Counts fit CI; `cargo xtask reliability --long` takes the full ones and prints the figures.
//! Survivors are looked for in all of `/proc`, by a random mark and by their folder, after belay has ended.

mod clock;
mod deaths;
mod ends;
mod held;
mod hostile;
mod idle;
mod killed;
mod limited;
mod many;
mod namespaces;
mod observers;
mod pause;
mod plays;
mod process_table;
mod reader;
mod scene;
mod stops;
mod table;
mod traces;
mod walls;
