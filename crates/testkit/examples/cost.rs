//! What belay costs, as ratios taken in one run: `cargo xtask bench`.
//!
//! The floor is the same agent piped into a program that only counts bytes. Ratios are quoted because the
//! machine is noisy; the smallest of several runs is taken, because noise only ever adds.

use belay_testkit::fake_agent::{FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
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
    Ok(())
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
