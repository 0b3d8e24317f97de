//! The documents say what the code does.

use belay_trace::{FailureKind, exit_code};
use belaykit::{AGENTS, Capability, Rule, Support};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The first code block of a language.
fn block(text: &str, language: &str) -> String {
    let begin = text.find(&format!("```{language}\n")).unwrap();
    let body = text[begin..].split_once('\n').unwrap().1;
    body.split_once("```").unwrap().0.to_owned()
}

/// One row for each capability, one column for each agent and transport.
fn capability_table() -> String {
    let columns: Vec<_> = AGENTS
        .iter()
        .map(|entry| (entry.make)(None))
        .flat_map(|agent| {
            agent.transports().iter().map(move |transport| (agent.clone(), *transport))
        })
        .collect();
    let mut table = String::from("|");
    for (agent, transport) in &columns {
        let _ = write!(table, " | {} ({transport})", agent.name());
    }
    let _ = writeln!(table, " |\n|---{}|", "|---".repeat(columns.len()));
    let rows: Vec<Capability> =
        columns[0].0.capabilities(columns[0].1).rows().map(|(capability, _)| capability).collect();
    for capability in rows {
        let name = serde_json::to_value(capability).unwrap().as_str().unwrap().replace('_', " ");
        let _ = write!(table, "| {name}");
        for (agent, transport) in &columns {
            let support = match agent.capabilities(*transport).support(capability) {
                Support::Native => "yes",
                Support::Belay => "by belay",
                Support::Account => "by account",
                Support::No => "–",
            };
            let _ = write!(table, " | {support}");
        }
        table.push_str(" |\n");
    }
    table
}

#[test]
fn the_readmes_capability_table_is_the_drivers_own() {
    let readme = read("README.md");
    let (begin, end) = ("<!-- capabilities: begin -->\n", "<!-- capabilities: end -->");
    let (head, rest) = readme.split_once(begin).unwrap();
    let (shown, tail) = rest.split_once(end).unwrap();
    let want = capability_table();
    if shown != want && std::env::var_os("BELAY_WRITE_DOCS").is_some() {
        fs::write(root().join("README.md"), format!("{head}{begin}{want}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(shown, want, "write it with BELAY_WRITE_DOCS=1 cargo test -p belay-cli docs");
}

#[test]
fn the_readmes_library_example_is_the_one_that_is_compiled() {
    assert_eq!(block(&read("README.md"), "rust"), block(&read("crates/kit/README.md"), "no_run"));
}

#[test]
fn the_readme_is_short_and_names_the_test_command_of_ci() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 200);
    assert!(readme.contains("cargo run -- demo") && readme.contains("cargo xtask test"));
    assert!(read(".ci/run").contains("cargo xtask test"));
}

#[test]
fn every_failure_kind_stands_beside_its_exit_code() {
    let doc = read("docs/exit-codes.md");
    for kind in FailureKind::ALL {
        let code = exit_code::of_failure(kind);
        let row = doc.lines().find(|line| line.starts_with(&format!("| {code} |"))).unwrap();
        assert!(row.contains(kind.name()), "{kind} belongs to {code}: {row}");
    }
}

#[test]
fn every_event_stands_in_the_architectures_table() {
    let architecture = read("ARCHITECTURE.md");
    let schema = serde_json::to_value(schemars::schema_for!(belay_trace::Event)).unwrap();
    let variants = schema["oneOf"].as_array().unwrap();
    assert!(variants.len() > 25);
    for variant in variants {
        let name = variant["properties"]["type"]["const"].as_str().unwrap();
        assert!(architecture.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_rules_of_failover_are_those_of_the_code() {
    let doc = read("docs/failover.md");
    let mut told = Vec::new();
    let table = doc.lines().skip_while(|line| !line.starts_with("| kind | retry |")).skip(2);
    for row in table.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [kinds, retries, model, agent, wait] = cells[..] else { panic!("{row}") };
        let may = |cell: &str| ["yes", "larger window"].contains(&cell);
        let (model, agent, wait) = (may(model), may(agent), may(wait));
        let rule = Rule { retries: retries.parse().unwrap_or(0), model, agent, wait };
        for name in kinds.split(", ") {
            let kind = FailureKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.unwrap_or_else(|| panic!("{name} is no kind"));
            assert_eq!(Rule::of_kind(kind), rule, "{name}");
            told.push(kind);
        }
    }
    told.sort();
    let mut all = FailureKind::ALL.to_vec();
    all.sort();
    assert_eq!(told, all, "each kind once");
}
