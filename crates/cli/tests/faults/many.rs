//! T24: very many agents at once, and a machine that has no more file descriptors to give.

use crate::faults::plays::recorded;
use crate::faults::process_table::supervisors_of;
use crate::faults::scene::{PATIENCE, Scene, wait_until};
use belay_testkit::fake_agent::{Pause, Play, Until};
use belay_testkit::figures::{figure, times};
use belaykit::{Claude, Client};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Names the folder with the agent, in the process that runs all of them.
const FOLDER: &str = "BELAY_FAULTS_FOLDER";

/// How many it runs.
const RUNS: &str = "BELAY_FAULTS_RUNS";

/// What all agents wait for: a file in the folder of the scene.
const GO: &str = "go";

/// Agents that stand in mid-turn until there is the file [`GO`], so that all of them are there at once.
fn waiting() -> Scene {
    let scene = Scene::new();
    let until = Until::File(scene.bench.path(GO));
    let gate = Pause { after_line: 3, until, then: Vec::new(), resume: true };
    scene.bench.agent("claude", &Play { pauses: vec![gate], ..recorded("b-shell") });
    scene
}

fn go(folder: &Path) {
    fs::write(folder.join(GO), "").unwrap();
}

/// What is open in a process.
fn fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How much memory a process holds that no other has, in KiB.
fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    pss.and_then(|pss| pss.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "started by the tests of many agents, in a process of its own"]
fn many_agents_of_one_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let runs: usize = std::env::var(RUNS).unwrap().parse().unwrap();
    let env = [("PATH", folder.join("bin")), ("HOME", folder.join("home"))];
    let client = Client::new(Claude::new())
        .supervisor(assert_cmd::cargo::cargo_bin("belay"))
        .env(env.map(|(name, path)| (name.into(), path.into())))
        .state_dir(folder.join("state"));
    let own = std::process::id();
    let base = (fds(own), memory(own));
    let done = AtomicBool::new(false);
    let (kinds, peak) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut most_fds, mut most_memory, mut most_supervisors, mut of_one) = (0, 0, 0, 0);
            // Where files are scarce there are none to look with.
            let can_look = soft_limit() as usize > 12 * runs;
            let since = Instant::now();
            if !can_look {
                go(&folder);
            }
            while can_look && !done.load(Ordering::Relaxed) {
                most_fds = most_fds.max(fds(own));
                most_memory = most_memory.max(memory(own));
                let supervisors = supervisors_of(own);
                most_supervisors = most_supervisors.max(supervisors.len());
                of_one = of_one.max(supervisors.first().map_or(0, |pid| memory(*pid)));
                if supervisors.len() == runs || since.elapsed() > PATIENCE {
                    go(&folder);
                }
                thread::sleep(Duration::from_millis(50));
            }
            json!({
                "fds": most_fds.saturating_sub(base.0),
                "memory": most_memory.saturating_sub(base.1),
                "supervisors": most_supervisors, "supervisor_memory": of_one,
            })
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kinds = runtime.block_on(async {
            let started: Vec<_> = (0..runs).map(|_| client.start("p")).collect();
            let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
            for run in started {
                let kind = match run.outcome().await {
                    Ok(_) => "answered".to_owned(),
                    Err(error) => {
                        let failure = error.failure();
                        // A refusal says what is missing.
                        let clear = failure.message.contains("open files");
                        format!("{}{}", failure.kind, if clear { "" } else { " unclear" })
                    }
                };
                *kinds.entry(kind).or_default() += 1;
            }
            kinds
        });
        done.store(true, Ordering::Relaxed);
        (kinds, watch.join().unwrap())
    });
    let report = json!({ "kinds": kinds, "peak": peak });
    fs::write(folder.join("report.json"), report.to_string()).unwrap();
}

/// Runs so many agents in one process that may open so many files, and returns its report.
fn in_one_process(scene: &Scene, runs: usize, nofile: u32) -> Value {
    let folder = scene.bench.path("");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!(r#"ulimit -n {nofile} && exec "$0" "$@""#)]);
    shell.arg(std::env::current_exe().unwrap());
    shell.args(["--exact", "--ignored", "faults::many::many_agents_of_one_process"]);
    shell.env(FOLDER, &folder).env(RUNS, runs.to_string());
    // The harness prints to standard output what a failed test has said.
    let said = folder.join("said");
    shell.stdout(fs::File::create(&said).unwrap()).stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > 2 * PATIENCE {
            child.kill().unwrap();
            panic!("{runs} runs with {nofile} files hang");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let said = fs::read_to_string(said).unwrap();
    assert!(status.success(), "{runs} runs with {nofile} files: {status}: {said}");
    read(&folder.join("report.json"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn agents_of_one_process_all_answer_with_few_files_and_one_process_more_each() {
    let runs = times(100, 1000);
    let scene = waiting();
    let report = in_one_process(&scene, runs, 16_384.min(soft_limit()));
    assert_eq!(report["kinds"], json!({ "answered": runs }), "{report}");
    assert_eq!(scene.processes(), []);
    let peak = &report["peak"];
    let per_run = |name: &str| peak[name].as_f64().unwrap() / runs as f64;
    assert_eq!(peak["supervisors"], runs, "all were there at once, and one process more for each");
    assert!(per_run("fds") <= 12.0, "{report}");
    figure("T24", &format!("{runs} agents of one process: answered"), runs);
    figure("T24", "file descriptors a run (at most 12)", format!("{:.1}", per_run("fds")));
    figure("T24", "memory a run in belay's process", format!("{:.0} KiB", per_run("memory")));
    figure(
        "T24",
        "memory of a run's supervisor (PSS)",
        format!("{} KiB", peak["supervisor_memory"]),
    );
    figure("T24", "processes a run besides the agent's own", per_run("supervisors"));
}

/// How many files this process may open.
fn soft_limit() -> u32 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(u32::MAX)
}

#[test]
fn a_process_without_enough_files_answers_or_says_what_is_missing_and_does_not_hang() {
    let runs = 200;
    let scene = waiting();
    let report = in_one_process(&scene, runs, 256);
    let count = |kind: &str| report["kinds"][kind].as_u64().unwrap_or(0);
    let (answered, refused) = (count("answered"), count("local_io"));
    assert_eq!(answered + refused, runs as u64, "{report}");
    assert_eq!(scene.processes(), []);
    let name = format!("{runs} agents with 256 files: answered / refused as `local_io` / hung");
    figure("T24", &name, format!("{answered} / {refused} / 0"));
}

#[test]
fn fifty_belays_at_once_answer_and_leave_nothing() {
    let scene = waiting();
    let belays: Vec<_> = (0..50).map(|_| scene.start(&[])).collect();
    belays.iter().for_each(|belay| belay.wait_for("session_started"));
    let of_all = |measure: fn(u32) -> u64| belays.iter().map(|b| measure(b.id())).max().unwrap();
    let (files, memory) = (of_all(|pid| fds(pid) as u64), of_all(memory));
    wait_until("every belay has its supervisor", || {
        belays.iter().all(|belay| supervisors_of(belay.id()).len() == 1)
    });
    go(&scene.bench.path(""));
    for belay in belays {
        assert_eq!(belay.end().kind(), "answered");
    }
    assert_eq!(scene.processes(), []);
    assert!(files <= 30, "{files}");
    figure("T24", "50 belay processes: answered", 50);
    figure("T24", "file descriptors of a belay process, all of it", files);
    figure("T24", "memory of a belay process (PSS)", format!("{memory} KiB"));
}
