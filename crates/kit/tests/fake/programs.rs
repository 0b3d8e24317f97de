//! Programs that use the library as README shows it, killed and interrupted while a tool of their agent runs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{Stage, hanging, wait_until};
use belay_testkit::fake_agent::{Child, Place, Play};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An example, which `cargo test` has built; where it built this file alone, it is built here.
pub(crate) fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.parent().unwrap().with_file_name("examples").join(name);
    if !program.exists() {
        let build = ["build", "--quiet", "--package", "belaykit", "--example", name];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    program
}

/// All processes that have `text` in their command lines, but for this one.
fn with(text: &str) -> Vec<u32> {
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(text)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(has).collect()
}

/// Runs the program until its agent has started what agents start, and ends it.
fn end(name: &str, args: &[&str], signal: Signal) {
    let mark = format!("programs-{name}-{}-{}", signal.as_raw(), std::process::id());
    let places = [Place::Group, Place::OwnSession, Place::Daemon];
    let children = places.into_iter().flat_map(|place| [true, false].map(|no_env| (place, no_env)));
    let children = children.map(|(place, no_env)| Child {
        mark: mark.clone(),
        place,
        no_env,
        stubborn: true,
        seconds: 300,
        ..Child::default()
    });
    let stage = Stage::new("claude", &Play { children: children.collect(), ..hanging() });
    let folder = stage.dir.path().to_string_lossy().into_owned();
    let mut command = Command::new(example(name));
    command.args(args).current_dir(stage.dir.path()).stdin(Stdio::null());
    let errors = fs::File::create(stage.path("stderr")).unwrap();
    command.stdout(Stdio::null()).stderr(errors).env_clear().envs(stage.env());
    let mut program = command.spawn().unwrap();
    wait_until("the agent has its children", || with(&mark).len() == 6);
    let agent = stage.path("claude").to_string_lossy().into_owned();
    assert!(!with(&agent).is_empty(), "{name}");
    kill_process(Pid::from_child(&program), signal).unwrap();
    assert!(!program.wait().unwrap().success());
    wait_until("nothing survives", || with(&mark).is_empty() && with(&agent).is_empty());
    let is_supervisor = |pid: &u32| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        cwd.to_string_lossy().starts_with(&folder)
    };
    wait_until("nor do the supervisors", || !with("belay-supervisor").iter().any(is_supervisor));
    let said = fs::read_to_string(stage.path("stderr")).unwrap();
    assert!(!said.contains("outlive"), "{name} is contained: {said}");
}

#[test]
fn a_plain_main_leaves_nothing_when_it_is_killed_or_interrupted() {
    end("any_agent", &["claude", "p"], Signal::KILL);
    end("any_agent", &["claude", "p"], Signal::INT);
}

#[test]
fn the_snippet_of_the_readme_leaves_nothing_when_it_is_killed_or_interrupted() {
    end("seed_belaykit", &[], Signal::KILL);
    end("seed_belaykit", &[], Signal::INT);
}

#[test]
fn a_main_in_a_runtime_of_threads_leaves_nothing_when_it_is_killed_or_interrupted() {
    end("pipeline", &["claude", "p"], Signal::KILL);
    end("pipeline", &["claude", "p"], Signal::INT);
}
