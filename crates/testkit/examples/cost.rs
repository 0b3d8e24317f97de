//! What belay costs, as ratios taken in one run: `cargo xtask bench`.
//!
//! The floor is the same agent piped into a program that only counts bytes. Ratios are quoted because the
//! machine is noisy; the smallest of several runs is taken, because noise only ever adds.

use belay_testkit::fake_agent::{Exit, FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use jiff::Timestamp;
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: u32 = 5;
const REPEATS: usize = 6000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let cost = std::env::current_exe()?;
    let belay = cost.ancestors().nth(2).ok_or("no target folder")?.join("belay");

    let small = agent(dir.path(), "small", 0)?;
    let large = agent(dir.path(), "large", REPEATS)?;
    let megabytes = fs::metadata(dir.path().join("large.jsonl"))?.len() as f64 / 1e6;

    let floor = smallest(|| floor(&small))?;
    let run = smallest(|| belay_run(&belay, &small, dir.path(), &["--no-trace", "--no-journal"]))?;
    println!("one short run:   floor {floor:.2?}, belay {run:.2?}, {:.1}x", ratio(run, floor));

    let floor_large = smallest(|| self::floor(&large))?;
    let bare = smallest(|| belay_run(&belay, &large, dir.path(), &["--no-trace", "--no-journal"]))?;
    let kept = smallest(|| belay_run(&belay, &large, dir.path(), &[]))?;
    let speed = |time: Duration| megabytes / time.as_secs_f64();
    println!(
        "{megabytes:.0} MB of stream: floor {:.0} MB/s, belay to JSONL {:.0} MB/s ({:.1}x the floor), \
         with journal and trace {:.0} MB/s ({:.2}x without)",
        speed(floor_large),
        speed(bare),
        ratio(bare, floor_large),
        speed(kept),
        ratio(kept, bare)
    );
    let plain = ["--no-trace", "--no-journal", "--no-redact"];
    let plain = smallest(|| belay_run(&belay, &large, dir.path(), &plain))?;
    println!(
        "redaction: {:.0} MB/s without it, {:.2}x the time with it",
        speed(plain),
        ratio(bare, plain)
    );
    crowd(&belay, &small, dir.path())?;
    chain(&belay, dir.path())
}

/// A thousand processes that sleep, beside a short run.
fn crowd(belay: &Path, agent: &Path, dir: &Path) -> Result<(), Box<dyn Error>> {
    let short = || smallest(|| belay_run(belay, agent, dir, &["--no-trace", "--no-journal"]));
    let alone = short()?.min(short()?);
    let mut sleepers = Vec::new();
    for _ in 0..1000 {
        sleepers.push(Command::new("sleep").arg("300").spawn()?);
    }
    let beside = short().and_then(|once| Ok(once.min(short()?)));
    for mut sleeper in sleepers {
        sleeper.kill()?;
        sleeper.wait()?;
    }
    let beside = beside?;
    println!(
        "one short run beside 1000 other processes: {beside:.2?}, {:.2}x of {alone:.2?} without",
        ratio(beside, alone)
    );
    Ok(())
}

/// What a chain adds: where its first agent answers, and from a failure to the start of the next one.
fn chain(belay: &Path, dir: &Path) -> Result<(), Box<dyn Error>> {
    let (bin, project) = (dir.join("bin"), dir.join("project"));
    fs::create_dir(&bin)?;
    fs::create_dir(&project)?;
    // The files of a small project, which are looked at before anything is done.
    for n in 0..1000 {
        fs::write(project.join(format!("file-{n}.txt")), "words\n".repeat(100))?;
    }
    let git = |args: &[&str]| Command::new("git").current_dir(&project).args(args).status();
    git(&["init", "--quiet"])?;
    git(&["add", "--all"])?;
    let recorded = |agent, name| -> Result<Play, Box<dyn Error>> {
        let recording = recordings::one(agent, name);
        let path = dir.join(format!("{agent}-{name}.jsonl"));
        fs::write(&path, &recording.stdout)?;
        let exit = Exit::Code(recording.exit_code().unwrap_or_default());
        Ok(Play::file(path).exit(exit))
    };
    let place = |name, play: Play, wait_for_stdin| {
        FakeAgent::new(&bin, name, &Play { wait_for_stdin, ..play }).map(drop)
    };
    place("codex", recorded("codex", "a-text")?, WaitForStdin::Eof)?;

    place("claude", recorded("claude-code", "a-text")?, WaitForStdin::Line)?;
    let agent = bin.join("claude");
    let more = || -> Result<Duration, Box<dyn Error>> {
        let alone = smallest(|| Ok(chain_run(belay, dir, &["-a", "claude"])?.0))?;
        let both = smallest(|| Ok(chain_run(belay, dir, &["-a", "claude", "-a", "codex"])?.0))?;
        Ok(both.saturating_sub(alone))
    };
    let at_once = more()?;
    // The fastest of the real ones takes as long; the folder is looked at meanwhile.
    let itself = dir.join("slow");
    fs::create_dir(&itself)?;
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..recorded("claude-code", "a-text")? };
    let itself = FakeAgent::new(&itself, "claude", &play)?;
    fs::remove_file(&agent)?;
    fs::write(
        &agent,
        format!("#!/bin/sh\nsleep 0.3\nexec {} \"$@\"\n", itself.program().display()),
    )?;
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755))?;
    let after_a_while = more()?;
    fs::remove_file(&agent)?;
    println!(
        "a chain whose first agent answers, in a git repository of 1,000 files: {at_once:.2?} more than \
         alone if it starts at once, {after_a_while:.2?} if it takes 0.3 s"
    );

    place("claude", recorded("claude-code", "h-401")?, WaitForStdin::Line)?;
    let mut switch = Duration::MAX;
    for _ in 0..RUNS {
        let (_, records) = chain_run(belay, dir, &["-a", "claude", "-a", "codex"])?;
        let at = |kind: &str, attempt: u64| -> Result<Timestamp, Box<dyn Error>> {
            let found = records.iter().find(|it| it["type"] == kind && it["attempt"] == attempt);
            Ok(found.and_then(|it| it["ts"].as_str()).ok_or("no such record")?.parse()?)
        };
        let (failed, began) = (at("attempt_result", 1)?, at("attempt_started", 2)?);
        switch = switch.min(Duration::try_from(began.duration_since(failed))?);
    }
    println!(
        "from a failure to the start of the next agent: {switch:.2?}, the end of the first one included"
    );
    Ok(())
}

fn chain_run(
    belay: &Path,
    dir: &Path,
    agents: &[&str],
) -> Result<(Duration, Vec<Value>), Box<dyn Error>> {
    // What the run before has learned of the agents is not this one's.
    let state = tempfile::tempdir_in(dir)?;
    let began = Instant::now();
    let output = Command::new(belay)
        .args(["run", "--format", "jsonl"])
        .args(agents)
        .args(["--transport", "print", "go"])
        .current_dir(dir.join("project"))
        .env("PATH", format!("{}:/usr/bin:/bin", dir.join("bin").display()))
        .env("BELAY_STATE_DIR", state.path())
        .output()?;
    let took = began.elapsed();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let records = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((took, records))
}

/// A fake Claude that plays a recorded run with its middle repeated.
fn agent(dir: &Path, name: &str, repeats: usize) -> Result<PathBuf, Box<dyn Error>> {
    let recording = recordings::one("claude-code", "b-shell");
    let text = String::from_utf8(recording.stdout)?;
    let lines: Vec<&str> = text.lines().collect();
    let (last, rest) = lines.split_last().ok_or("the recording is empty")?;
    let path = dir.join(format!("{name}.jsonl"));
    let mut file = fs::File::create(&path)?;
    writeln!(file, "{}", rest.join("\n"))?;
    for n in 0..repeats {
        // Each repetition is a message of its own, or the reader would take it for the same one.
        let again = rest[1..].join("\n").replace("\"msg_01", &format!("\"msg_{n}_"));
        writeln!(file, "{again}")?;
    }
    writeln!(file, "{last}")?;
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(path) };
    Ok(FakeAgent::new(dir, name, &play)?.program().to_owned())
}

fn smallest(
    mut run: impl FnMut() -> Result<Duration, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut best = run()?;
    for _ in 1..RUNS {
        best = best.min(run()?);
    }
    Ok(best)
}

/// The agent, and a reader that only counts.
fn floor(agent: &Path) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let mut child = Command::new(agent).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(b"{}\n")?;
    let mut stdout = child.stdout.take().ok_or("no stdout")?;
    let mut buffer = vec![0; 64 << 10];
    while stdout.read(&mut buffer)? > 0 {}
    child.wait()?;
    Ok(began.elapsed())
}

fn belay_run(
    belay: &Path,
    agent: &Path,
    dir: &Path,
    options: &[&str],
) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let mut command = Command::new(belay);
    command.args(["run", "--format", "jsonl", "--program"]).arg(agent).args(options).arg("go");
    let mut child = command
        .current_dir(dir)
        .env("BELAY_STATE_DIR", dir.join("state"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("no stdout")?;
    let mut buffer = vec![0; 64 << 10];
    while stdout.read(&mut buffer)? > 0 {}
    if !child.wait()?.success() {
        return Err("the run failed".into());
    }
    Ok(began.elapsed())
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
