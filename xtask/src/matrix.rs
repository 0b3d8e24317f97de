//! `cargo xtask matrix`: runs the agents that belay knows by a preset over ACP alone, and writes what they showed into
//! the table of `docs/agents/acp.md`.

use crate::{cargo, root, target};
use belay_testkit::figures::{self, FIGURES, Figure};
use belay_testkit::real::PresetAgent;
use std::ffi::OsStr;
use std::fs;

/// What stands around the table.
const MARKERS: (&str, &str) = ("<!-- matrix: cargo xtask matrix -->\n", "<!-- end of matrix -->");

/// The rows: what a test calls the cell, and what the page does.
const ROWS: [(&str, &str); 16] = [
    ("answer", "answer"),
    ("tool", "a command that prints a line and exits with 3"),
    ("usage", "tokens of two responses"),
    ("cost", "cost, with a price file"),
    ("resume", "tokens of a resumed session"),
    ("unsaid", "without `--permit`"),
    ("read-only", "`--permit read-only`"),
    ("ask", "`--permit ask`, nobody answers"),
    ("edit", "`--permit edit`"),
    ("full", "`--permit full`"),
    ("401", "401"),
    ("429", "429"),
    ("500", "500"),
    ("dead server", "no server"),
    ("SIGINT", "SIGINT in a tool"),
    ("SIGKILL", "SIGKILL of belay in a tool"),
];

/// Runs them all, and writes the table; what cannot be installed keeps no column.
pub(crate) fn run() -> Result<(), String> {
    let installed = crate::install_presets(&PresetAgent::ALL);
    let file = target().join("matrix.jsonl");
    // Cells of an earlier run would be taken for this one's.
    let _ = fs::remove_file(&file);
    cargo("build --workspace --bins", [])?;
    let env = [(FIGURES, file.as_os_str()), ("RUST_TEST_THREADS", OsStr::new("4"))];
    let ran = cargo("test --workspace --no-fail-fast --test real presets::", env);
    let cells = figures::read(&file)
        .map_err(|error| format!("cannot read the cells in {}: {error}", file.display()))?;
    let page = root().join("docs/agents/acp.md");
    let text = fs::read_to_string(&page).map_err(|error| error.to_string())?;
    let text = with_table(&text, &table(&cells)).ok_or("the page has no markers of a matrix")?;
    fs::write(&page, text).map_err(|error| error.to_string())?;
    eprintln!("xtask: the table is in {}", page.display());
    installed.and(ran)
}

/// The page with another table between the markers.
fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKERS.0)?;
    let (_, after) = rest.split_once(MARKERS.1)?;
    Some(format!("{before}{}{table}{}{after}", MARKERS.0, MARKERS.1))
}

/// A column for each agent that has shown something; the last figure of a cell counts, since a test may run again.
fn table(cells: &[Figure]) -> String {
    let agents = PresetAgent::ALL.map(PresetAgent::name).into_iter();
    let agents: Vec<_> =
        agents.filter(|name| cells.iter().any(|cell| cell.test == *name)).collect();
    let mut text = format!("| | {} |\n|---|", agents.join(" | "));
    text.push_str(&"---|".repeat(agents.len()));
    for (name, words) in ROWS {
        text.push_str(&format!("\n| {words} |"));
        for agent in &agents {
            let found = cells.iter().rev().find(|cell| cell.test == *agent && cell.name == name);
            text.push_str(&format!(" {} |", found.map_or("not seen", |cell| &*cell.value)));
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_has_shown_last_stands_in_its_column() {
        let cell = |test: &str, name: &str, value: &str| Figure {
            test: test.into(),
            name: name.into(),
            value: value.into(),
        };
        let cells = [
            cell("kilo", "answer", "no"),
            cell("cline", "answer", "yes"),
            cell("kilo", "answer", "yes"),
        ];
        let page = with_table(&format!("a\n{}old\n{}\nb\n", MARKERS.0, MARKERS.1), &table(&cells));
        let page = page.unwrap();
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "a",
                MARKERS.0.trim(),
                "| | kilo | cline |",
                "|---|---|---|",
                "| answer | yes | yes |"
            ]
        );
        assert!(page.contains("| 401 | not seen | not seen |"));
        assert!(page.ends_with(&format!("{}\nb\n", MARKERS.1)) && !page.contains("old"));
    }
}
