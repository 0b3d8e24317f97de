//! `cargo xtask reliability`: runs the fault tests and prints what they measured, as it stands in
//! `docs/reliability.md`.

use crate::{cargo, target};
use belay_testkit::figures::{self, FIGURES, Figure, LONG};
use std::ffi::OsStr;
use std::fs;

/// A row of the test plan: its number, the fault, the tests that inject it, and what the two programs do today
/// that belay is measured against (belaykit 51aa573 and rumpl/harness, fake agents, one fault each).
struct Row {
    number: &'static str,
    fault: &'static str,
    tests: &'static str,
    seeds: &'static str,
}

const fn row(
    number: &'static str,
    fault: &'static str,
    tests: &'static str,
    seeds: &'static str,
) -> Row {
    Row { number, fault, tests, seeds }
}

/// The plan, in its order. Whoever adds a row notes its figures with `belay_testkit::figures::figure`.
const PLAN: &[Row] = &[
    row("T1", "10 MB on stderr before and beside stdout", "ends::", "deadlock / text lost"),
    row("T5", "exit 0 without result; SIGKILL, SIGSEGV at each event", "ends::", "kind never"),
    row("T9", "100 processes, one account that is used up", "limited::", "–"),
    row("T12", "stops at random moments × agents × children", "stops::", "1 survivor, hang"),
    row("T13", "kill -9 and SIGSEGV of belay", "killed::", "all survive"),
    row("T14", "kill -9 of one or two of belay, its supervisors and the agent", "deaths::", "–"),
    row("T15", "Ctrl-Z and fg", "pause::", "–"),
    row("T16", "a setsid child keeps stdout open after the exit", "held::", "hang"),
    row("T17", "hang after the result; silence; retries", "idle::", "result lost"),
    row("T18", "kill -9 while traces are written", "traces::", "in-place write"),
    row("T20", "64 processes, one trace folder", "traces::", "overwrite"),
    row("T21", "whoever is told is gone, silent or slow", "observers::", "unordered, lost / –"),
    row("T22", "the reader of stdout stops, or closes", "reader::", "blocks"),
    row("T23", "the wall clock jumps", "clock::", "–"),
    row("T24", "many agents at once; few files", "many::", "–"),
    row("T27", "hostile trace files", "hostile::", "–"),
    row("T28", "the first process of a container", "namespaces::", "–"),
    row("S2", "values with dashes and commas", "walls::", "–"),
    row("S5", "the environment of an agent", "walls::", "–"),
    row("S10", "`.belay` and git", "walls::", "–"),
    row("S19", "no network of belay's own", "walls::", "–"),
];

/// The fault table, in its order: the fault, and what belaykit and harness do.
const TABLE: &[(&str, &str)] = &[
    ("200 kB on stderr", "deadlock until the deadline / ok, error text lost"),
    ("one 80 kB line", "ok / run fails"),
    ("one 2 MB line", "hang until the deadline / hang past it"),
    ("exit 0 without result event", "false success / false success"),
    ("half a JSON line then exit 0", "false success / false success"),
    ("result event, then process lingers", "result thrown away / hang past the deadline"),
    ("setsid grandchild holds stdout, agent alive", "hang past the deadline, 1 survivor / same"),
    ("setsid grandchild holds stdout, agent exited", "hang past the deadline, 1 survivor / same"),
    ("agent ignores SIGTERM and SIGINT", "kill -9 at once / hang"),
    ("usage limit (rc 1)", "`exit status 1`, all else lost / same"),
    ("prompt ≥ 131072 bytes", "`argument list too long`, visible in `ps` / same"),
    ("trace id `../../escaped`", "file written outside / no traces"),
    ("trace dir unwritable", "error swallowed, trace lost / no traces"),
    ("file modes", "0644 / no traces"),
    ("permissions", "default mode / always `--dangerously-skip-permissions`"),
];

/// Runs the fault tests in a release build and prints their figures.
pub(crate) fn run(long: bool) -> Result<(), String> {
    let file = target().join("figures.jsonl");
    // Figures of an earlier run would be taken for this one's.
    let _ = fs::remove_file(&file);
    cargo("build --release --package belay-testkit --bins", [])?;
    let long = OsStr::new(if long { "1" } else { "0" });
    cargo(
        "test --release --package belay-cli --test program faults::",
        [(FIGURES, file.as_os_str()), (LONG, long)],
    )?;
    let figures = figures::read(&file)
        .map_err(|error| format!("cannot read the figures in {}: {error}", file.display()))?;
    let page = target().join("reliability.md");
    let text = markdown(&figures);
    fs::write(&page, &text).map_err(|error| format!("cannot write {}: {error}", page.display()))?;
    println!("{text}\nxtask: also in {}", page.display());
    Ok(())
}

/// The figures as two tables.
fn markdown(figures: &[Figure]) -> String {
    let mut text = String::from("| fault | belay | belaykit / harness |\n|---|---|---|\n");
    for (fault, seeds) in TABLE {
        let found = figures.iter().find(|figure| figure.test == "1" && figure.name == *fault);
        let value = found.map_or("not measured", |figure| &*figure.value);
        text.push_str(&format!("| {fault} | {value} | {seeds} |\n"));
    }
    text.push_str("\n| # | fault | measured | belay | belaykit / harness | `cargo test -p belay-cli faults::` |\n|---|---|---|---|---|---|\n");
    for row in PLAN {
        let of_row = figures.iter().filter(|figure| figure.test == row.number);
        for (n, figure) in of_row.enumerate() {
            let [number, fault, seeds, tests] = if n == 0 {
                [row.number, row.fault, row.seeds, &format!("`{}`", row.tests)]
            } else {
                [""; 4]
            };
            let Figure { name, value, .. } = figure;
            text.push_str(&format!(
                "| {number} | {fault} | {name} | {value} | {seeds} | {tests} |\n"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_the_rows_of_the_plan_and_what_was_not_measured_says_so() {
        let figure = |test: &str, name: &str, value: &str| Figure {
            test: test.into(),
            name: name.into(),
            value: value.into(),
        };
        let text = markdown(&[
            figure("1", "one 2 MB line", "answered"),
            figure("T16", "a", "1"),
            figure("T16", "b", "2"),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines
                .contains(&"| one 2 MB line | answered | hang until the deadline / hang past it |")
        );
        assert!(lines[2].starts_with("| 200 kB on stderr | not measured | "));
        let last = &lines[lines.len() - 2..];
        assert!(last[0].starts_with("| T16 | a setsid child") && last[0].ends_with("| `held::` |"));
        assert_eq!(last[1], "|  |  | b | 2 |  |  |");
    }
}
