//! `cargo xtask fuzz`: the fuzz targets, on stable Rust and without cargo-fuzz.
//!
//! cargo-fuzz would have to be compiled first, and its address sanitizer needs a nightly toolchain and finds
//! what safe code cannot do. So the targets are built here with LLVM's coverage counters alone, which any
//! toolchain has. The folder stays one of cargo-fuzz: `cargo +nightly fuzz run journal` works too.

use crate::{root, target};
use belay_testkit::recordings::{self, Recording};
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

/// Each target, and how large its inputs become: most recordings whole, and still hundreds of inputs a second.
const TARGETS: [(&str, usize); 17] = [
    ("claude_dialogue", 32_768),
    ("claude_print", 32_768),
    ("codex_app_server", 32_768),
    ("codex_exec", 32_768),
    ("pi_rpc", 32_768),
    ("pi_json", 32_768),
    ("docker_agent", 32_768),
    ("copilot", 32_768),
    ("gemini", 32_768),
    ("qwen", 32_768),
    ("acp", 32_768),
    ("printing", 8_192),
    ("lines", 4_096),
    ("journal", 32_768),
    ("records", 16_384),
    ("trace_file", 16_384),
    ("harness", 16_384),
];

/// What makes libFuzzer see which way an input took. Build scripts and macros are spared by `--target`.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// An input may take so long before it is a find, on a machine that does other work as well.
const TIMEOUT: &str = "-timeout=20";

/// What a target tries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Course {
    /// The same at each time on a clean clone: what decides whether a change lands does not depend on chance.
    Fixed,
    /// Something else at each time.
    Random,
}

/// Runs each target, or the named ones, for this many seconds, one on each core, and prints what they did.
pub(crate) fn run(seconds: u32, course: Course, only: &[String]) -> Result<(), String> {
    let known = |name: &String| TARGETS.iter().any(|(target, _)| target == name);
    if let Some(name) = only.iter().find(|name| !known(name)) {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        return Err(format!("there is no fuzz target `{name}`; there are {names}"));
    }
    let programs = build()?;
    println!(
        "{:<18} {:>12} {:>9} {:>9} {:>7}  finds",
        "target", "executions", "edges", "features", "corpus"
    );
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    let queue = Mutex::new(TARGETS.into_iter().filter(|(name, _)| is_wanted(name)));
    let failed = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((name, max_len)) = next(&queue) {
                    if let Err(why) = one(&programs, name, max_len, seconds, course) {
                        failed.lock().expect("no target panics").push(why);
                    }
                }
            });
        }
    });
    match failed.into_inner().expect("no target panics")[..] {
        [] => Ok(()),
        ref failed => Err(failed.join(", ")),
    }
}

fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().expect("no target panics").next()
}

/// Runs one target from its seeds.
fn one(
    programs: &Path,
    name: &str,
    max_len: usize,
    seconds: u32,
    course: Course,
) -> Result<(), String> {
    let seeds = target().join("fuzz/seeds").join(name);
    sow(name, &seeds).map_err(|error| format!("cannot write {}: {error}", seeds.display()))?;
    match fuzz(&programs.join(name), name, &seeds, max_len, seconds, course)? {
        true => Ok(()),
        false => Err(format!("found something: {name}")),
    }
}

/// The folder of the built targets.
fn build() -> Result<PathBuf, String> {
    let host = host()?;
    let folder = target().join("fuzz");
    eprintln!("xtask: cargo build (fuzz targets)");
    let status = Command::new(cargo())
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", format!("{} -Dwarnings", COVERAGE.join(" ")))
        .current_dir(root())
        .status();
    match status {
        Ok(status) if status.success() => Ok(folder.join(host).join("release")),
        Ok(_) => Err("cannot build the fuzz targets (libFuzzer needs a C++ compiler)".to_owned()),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn host() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it runs on".to_owned())
}

/// Runs one target; false if it found something.
fn fuzz(
    program: &Path,
    name: &str,
    seeds: &Path,
    max_len: usize,
    seconds: u32,
    course: Course,
) -> Result<bool, String> {
    let folder = root().join("fuzz");
    let (corpus, artifacts) =
        (folder.join("corpus").join(name), folder.join("artifacts").join(name));
    let scratch = target().join("fuzz/tmp");
    for folder in [&corpus, &artifacts, &scratch] {
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    let output = Command::new(program)
        .env("TMPDIR", &scratch)
        .args([&corpus, seeds])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-dict={}", folder.join("agents.dict").display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={max_len}"))
        .arg(match course {
            Course::Fixed => "-seed=1",
            Course::Random => "-seed=0",
        })
        .args([TIMEOUT, "-rss_limit_mb=2048", "-print_final_stats=1"])
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let clean = output.status.success();
    let figures = figures(&log);
    let figure = |name: &str| figures.get(name).copied().unwrap_or("?");
    println!(
        "{name:<18} {:>12} {:>9} {:>9} {:>7}  {}",
        figure("stat::number_of_executed_units:"),
        figure("cov:"),
        figure("ft:"),
        figure("corp:"),
        u8::from(!clean),
    );
    if !clean {
        let tail: Vec<&str> = log.lines().rev().take(60).collect();
        tail.iter().rev().for_each(|line| eprintln!("{line}"));
        let found = log.lines().find_map(|line| line.split_once("Test unit written to "));
        if let Some((_, file)) = found {
            // A machine of CI is gone before anybody can look for the file.
            let input = fs::read(file).unwrap_or_default();
            eprintln!("xtask: the input is {}", input.escape_ascii());
            eprintln!("xtask: once more with {} {file}", program.display());
        }
    }
    Ok(clean)
}

/// libFuzzer's last word on each of its figures.
fn figures(log: &str) -> BTreeMap<&str, &str> {
    let mut figures = BTreeMap::new();
    for line in log.lines().filter(|line| line.starts_with(['#', 's'])) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2).filter(|pair| pair[0].ends_with(':')) {
            figures.insert(pair[0], pair[1]);
        }
    }
    figures
}

/// Writes the inputs to begin with: made from the recordings, so that they are never older than those.
fn sow(name: &str, seeds: &Path) -> io::Result<()> {
    fs::create_dir_all(seeds)?;
    let of_agent = |agent: &str, is_dialogue: bool| {
        let mut found = recordings::all(agent);
        found.retain(|recording| self::is_dialogue(recording) == is_dialogue);
        found
    };
    let scripts: Vec<Recording> = match name {
        // Both of Claude's streams are one language.
        "claude_dialogue" | "claude_print" => recordings::all("claude-code"),
        "codex_app_server" => of_agent("codex", true),
        "codex_exec" => of_agent("codex", false),
        // Both modes of Pi print the same events.
        "pi_rpc" | "pi_json" => recordings::all("pi"),
        "docker_agent" => recordings::all("docker-agent"),
        "copilot" | "gemini" | "qwen" | "acp" => recordings::all(name),
        "printing" => Vec::new(),
        _ => ["claude-code", "codex", "pi", "docker-agent"]
            .into_iter()
            .flat_map(recordings::all)
            .collect(),
    };
    for recording in &scripts {
        let script = match name {
            "journal" => journal(recording),
            "harness" | "lines" => recording.stdout.clone(),
            "records" | "trace_file" => continue,
            _ => [recording.stdout.as_slice(), exit(recording).as_bytes()].concat(),
        };
        fs::write(seeds.join(format!("{}-{}", recording.agent, recording.name)), script)?;
    }
    let records = "crates/trace/tests/records.golden.jsonl";
    match name {
        "records" => drop(fs::copy(root().join(records), seeds.join("golden"))?),
        "printing" => fs::write(seeds.join("lines"), PRINTED)?,
        "trace_file" => drop(fs::copy(root().join("fuzz/tree.json"), seeds.join("tree"))?),
        _ => {}
    }
    Ok(())
}

/// What a program that only prints may print: a banner, failures that it gets over and one that it does not.
const PRINTED: &str = "\
Aider v0.86.2
Model: openai/mock
Repo-map: disabled

litellm.RateLimitError: RateLimitError: OpenAIException - slow down
Retrying in 0.2 seconds...
The answer.

Tokens: 583 sent, 6 received.
litellm.AuthenticationError: Incorrect API key
!stderr Error: Error code: 401 - {'error': {'message': 'no'}}
!code 1
";

fn is_dialogue(recording: &Recording) -> bool {
    recording.dialogue.is_some()
}

/// The last line of a script, see `crates/agents/tests/support/script.rs`.
fn exit(recording: &Recording) -> String {
    match recording.meta["exit_code"].as_i64() {
        Some(code) if code < 0 => format!("!signal {}\n", -code),
        Some(code) => format!("!code {code}\n"),
        None => String::new(),
    }
}

/// The inputs of a recording, as the journal keeps them (`belay_trace::journal`).
fn journal(recording: &Recording) -> Vec<u8> {
    let mut log = b"start 0 0\n\n".to_vec();
    for line in recording.stdout.split(|byte| *byte == b'\n') {
        log.extend(format!("stdout 1 {}\n", line.len()).into_bytes());
        log.extend(line);
        log.push(b'\n');
    }
    log.extend(b"exit 2 6\ncode 0\n");
    log
}
