//! The fault table: the program `belay` against agents that break in every way, and what survives.
//!
//! The rows are those of the test plan (`docs/reliability.md`): T1, T5, T9, T12 to T18, T20 to T24, T27 and a part of the
//! security list. Counts fit CI; `cargo xtask reliability --long` takes the full ones and prints the figures.
//! Survivors are looked for in all of `/proc`, by a random mark and by their folder, after belay has ended.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/bench.rs"]
mod bench;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/ends.rs"]
mod ends;
#[path = "faults/held.rs"]
mod held;
#[path = "faults/hostile.rs"]
mod hostile;
#[path = "faults/idle.rs"]
mod idle;
#[path = "faults/killed.rs"]
mod killed;
#[path = "faults/limited.rs"]
mod limited;
#[path = "faults/many.rs"]
mod many;
#[path = "faults/observers.rs"]
mod observers;
#[path = "faults/pause.rs"]
mod pause;
#[path = "faults/plays.rs"]
mod plays;
#[path = "faults/process_table.rs"]
mod process_table;
#[path = "faults/reader.rs"]
mod reader;
#[path = "faults/scene.rs"]
mod scene;
#[path = "faults/stops.rs"]
mod stops;
#[path = "faults/table.rs"]
mod table;
#[path = "faults/traces.rs"]
mod traces;
#[path = "faults/walls.rs"]
mod walls;
