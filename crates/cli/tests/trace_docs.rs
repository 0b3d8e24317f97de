//! `docs/traces.md` shows what the program prints.

use crate::bench::Bench;
use crate::svg;
use belay_trace::view::sample_tree;
use std::fs;
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// The document holds this, or is made to.
fn holds(path: &Path, shown: &str, want: &str, whole: &str) {
    if shown != want && std::env::var_os("BELAY_WRITE_DOCS").is_some() {
        return fs::write(path, whole).unwrap();
    }
    assert_eq!(shown, want, "write it with BELAY_WRITE_DOCS=1 cargo test -p belay-cli trace_docs");
}

fn stdout(bench: &Bench, args: &[&str]) -> String {
    String::from_utf8(bench.belay(args).output().unwrap().stdout).unwrap()
}

fn sample() -> Bench {
    let bench = Bench::new();
    fs::write(bench.project().join("sample.json"), serde_json::to_vec(&sample_tree()).unwrap())
        .unwrap();
    bench
}

#[test]
fn the_guide_shows_the_tree_as_it_is_printed() {
    let tree = stdout(&sample(), &["trace", "show", "./sample.json", "--width", "100"]);
    let guide = fs::read_to_string(docs("traces.md")).unwrap();
    let (head, rest) = guide.split_once("```text\n").unwrap();
    let (shown, tail) = rest.split_once("```\n").unwrap();
    holds(&docs("traces.md"), shown, &tree, &format!("{head}```text\n{tree}```\n{tail}"));
}

#[test]
fn the_guides_picture_is_what_a_terminal_shows() {
    let args = ["trace", "show", "./sample.json", "--width", "100", "--color", "always"];
    let want = svg::of(&stdout(&sample(), &args), 100);
    let shown = fs::read_to_string(docs("traces.svg")).unwrap_or_default();
    holds(&docs("traces.svg"), &shown, &want, &want);
}

#[test]
fn the_guide_names_the_columns_of_the_table_in_their_order() {
    let csv = stdout(&sample(), &["trace", "export", "./sample.json", "--format", "csv"]);
    let guide = fs::read_to_string(docs("traces.md")).unwrap();
    let (_, rest) = guide.split_once("<!-- columns: begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- columns: end -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    assert_eq!(names.collect::<Vec<_>>().join(","), csv.lines().next().unwrap());
}
