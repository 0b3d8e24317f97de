//! T27: trace files that somebody has made to hurt whoever reads them.

use belay_testkit::figures::{LONG, figure};
use belay_trace::read_file;
use belay_trace::view::View;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Names the file that the reading process reads.
const FILE: &str = "BELAY_TEST_HOSTILE_FILE";

/// So much may reading take beyond what the process had: that is what the test plan says.
const GROWTH_KIB_MAX: u64 = 128 << 10;

/// What reading a file came to, in a process of its own.
struct Read {
    outcome: String,
    ms: u64,
    growth_kib: u64,
}

/// Reads the file of [`FILE`]; nothing when it is run with the other tests.
#[test]
fn reads_a_file_and_says_what_that_took() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let before = status("VmRSS");
    let began = Instant::now();
    let outcome = match read_file(Path::new(&path)) {
        Ok(tree) => format!("read, {} rows", View::of(&tree).rows().len()),
        Err(error) => format!("refused: {}", cause(&error)),
    };
    let (ms, growth) = (began.elapsed().as_millis(), status("VmHWM").saturating_sub(before));
    writeln!(std::io::stdout(), "\nREAD {ms} {growth} {outcome}").unwrap();
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// A figure of this process, in KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn read(path: &Path) -> Read {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["faults::hostile::reads_a_file_and_says_what_that_took", "--exact", "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let line = stdout.lines().find_map(|line| line.strip_prefix("READ "));
    let line = line.unwrap_or_else(|| panic!("{} {stdout}", output.status));
    let mut words = line.splitn(3, ' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    let (ms, growth_kib) = (number(), number());
    Read { outcome: words.next().unwrap().to_owned(), ms, growth_kib }
}

/// A file of one piece again and again, which is never in memory as a whole.
fn repeated(path: &Path, head: &str, piece: &str, times: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(head.as_bytes()).unwrap();
    let many = piece.repeat(1000);
    (0..times / 1000).for_each(|_| file.write_all(many.as_bytes()).unwrap());
    file.flush().unwrap();
}

#[test]
fn hostile_trace_files_are_refused_at_once_and_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let long = std::env::var_os(LONG).is_some_and(|long| long == "1");
    // Reading stops long before the end, so fewer tell the same.
    let children = if long { 85_000_000 } else { 5_000_000 };
    let check = |what: &str, make: &dyn Fn(&Path), want: &str| {
        make(&path);
        let read = read(&path);
        fs::remove_file(&path).unwrap();
        assert!(read.outcome.starts_with(want), "{what}: {}", read.outcome);
        assert!(read.growth_kib < GROWTH_KIB_MAX, "{what}: {} KiB", read.growth_kib);
        let mib = read.growth_kib.div_ceil(1024);
        let outcome = read.outcome.split([':', ',']).next().unwrap_or_default();
        figure("T27", what, format!("{outcome} in {} ms, {mib} MiB", read.ms));
    };
    let text = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    let depth = |path: &Path| repeated(path, "", r#"{"id":"a","children":["#, 1_000_000);
    check("a million nodes deep", &depth, "refused: more than 128 levels at line 1 column ");
    let unknown = |path: &Path| repeated(path, r#"{"id":"a","new":"#, "[", 1_000_000);
    check(
        "a million lists deep in a field that nobody knows",
        &unknown,
        "refused: more than 128 levels",
    );
    let huge = |path: &Path| File::create(path).unwrap().set_len(1 << 30).unwrap();
    check("1 GiB", &huge, "refused: ");
    let many = |path: &Path| repeated(path, r#"{"id":"a","children":["#, "{},", children);
    check("85 million empty children", &many, "refused: more than two million nodes");
    let attempts = |path: &Path| repeated(path, r#"{"id":"a","attempts":["#, "{},", children);
    check("as many attempts", &attempts, "refused: more than two million nodes");
    let values = |path: &Path| repeated(path, r#"{"id":"a","new":["#, "0,", 30_000_000);
    check(
        "30 million figures in a field that nobody knows",
        &values,
        "refused: more than 24 million values",
    );
    let name = |path: &Path| repeated(path, r#"{""#, "0123456789abcdef", 2_000_000);
    check("a field with a name of 32 MB", &name, "refused: a text of more than 16 MiB");
    check("NaN", &text(r#"{"id":"a","cost_usd":NaN}"#), "refused: ");
    check("1e999", &text(r#"{"id":"a","cost_usd":1e999}"#), "refused: ");
    check("a field twice", &text(r#"{"id":"a","id":"b"}"#), "refused: ");
    let cycle = r#"{"id":"a","children":[{"id":"b","children":[{"id":"a","children":[{"id":"b"}]}]},{"id":"a"}]}"#;
    check("ids that refer to each other", &text(cycle), "read, 5 rows");
    let figures = r#"{"id":"a","cost_usd":1e308,"duration_ms":-9223372036854775808,"input_tokens":-5,"children":[{"cost_usd":1e308,"context_window":-1}]}"#;
    check("1e308 dollars, less than no time", &text(figures), "read, 2 rows");
}
