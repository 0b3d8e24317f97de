//! Namespaces and limits of a container: another `/proc`, the first process of all, few files, processes and memory.

use crate::faults::plays::{Who, recorded};
use crate::faults::process_table::{Process, pid, processes};
use crate::faults::scene::{Belay, Scene, wait_until};
use belay_testkit::fake_agent::Play;
use belay_testkit::figures::figure;
use rustix::process::{Signal, kill_process};
use std::process::{Command, Stdio};

/// `belay run` by way of another program.
fn by_way_of(scene: &Scene, way: &[&str]) -> Command {
    let belay = scene.bench.belay(&["run", "--format", "jsonl", "-a", "claude", "p"]);
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).arg(belay.get_program()).args(belay.get_args()).env_clear();
    command.envs(belay.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(belay.get_current_dir().unwrap()).stdin(Stdio::null());
    command
}

/// Not every machine lets its users do this; what cannot be tried is said.
fn has_namespaces() -> bool {
    let done = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    let can = done.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("SKIPPED: this machine has no PID namespaces for us");
    }
    can
}

#[test]
fn a_proc_of_another_namespace_is_the_weaker_level_and_the_agent_is_ended_all_the_same() {
    if !has_namespaces() {
        return;
    }
    let scene = Scene::new();
    let play = Who::Claude.busy(&scene.bench.path(""));
    scene.bench.agent("claude", &Play { children: scene.family(), ..play });
    // `/proc` stays that of this machine; the first process of the namespace is not belay.
    let script = r#""$@" & wait $!; /bin/sleep 1"#;
    let way = ["/usr/bin/unshare", "--pid", "--fork", "/bin/sh", "-c", script, "sh"];
    let belay = Belay::start(by_way_of(&scene, &way));
    belay.wait_for("tool_call");
    let all = processes();
    let is_belay = |p: &&Process| {
        p.command.contains("--format jsonl")
            && !p.command.contains("unshare")
            && !p.command.starts_with("sh ")
    };
    let ours = scene.processes();
    let run = ours.iter().find(is_belay).unwrap_or_else(|| panic!("no belay in {all:#?}"));
    kill_process(pid(run.pid), Signal::INT).unwrap();
    let agents = || scene.processes().iter().filter(|p| p.command.contains("bin/claude")).count();
    wait_until("the agent is gone before the namespace is", || agents() == 0);
    let ended = belay.end();
    assert_eq!(ended.one("run_started").event["containment"], "process_group");
    assert_eq!(ended.one("attempt_started").event["containment"], "process_group");
    assert_eq!(ended.notices("containment").len(), 1);
    assert!(scene.emptied_after(std::time::Duration::from_secs(10)).is_ok());
}

#[test]
fn as_the_first_process_belay_takes_in_orphans() {
    if !has_namespaces() {
        return;
    }
    let scene = Scene::new();
    let play = Who::Claude.busy(&scene.bench.path(""));
    scene.bench.agent("claude", &play);
    let way = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let belay = Belay::start(by_way_of(&scene, &way));
    belay.wait_for("tool_call");
    let first = || {
        let all = processes();
        let is_it = |p: &&Process| p.parent == belay.id();
        all.iter().find(is_it).map(|p| p.pid)
    };
    let first = first().unwrap();
    // As `docker exec` does, and whose parent is gone at once.
    let target = first.to_string();
    for _ in 0..20 {
        let exec = ["-t", target.as_str(), "-p", "sh", "-c", "(sleep 0.1 &)"];
        assert!(Command::new("nsenter").args(exec).status().unwrap().success());
    }
    let zombies = || {
        let folders = std::fs::read_dir("/proc").unwrap().flatten();
        let stats =
            folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("stat")).ok());
        let is_one = |stat: &String| {
            let mut words = stat.rsplit(')').next().unwrap().split_whitespace();
            words.next() == Some("Z") && words.next() == Some(&target)
        };
        stats.filter(is_one).count()
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    wait_until("no orphan is left dead", || zombies() == 0);
    kill_process(pid(first), Signal::INT).unwrap();
    assert_eq!(belay.end().code(), Some(130));
    figure("T28", "dead orphans of 20 that belay had as the first process of a container", 0);
}

/// A sentence and a result, or at least a sentence: no panic and no signal.
#[test]
fn with_few_files_processes_or_memory_a_run_says_what_is_missing() {
    let memory = [55, 60, 70, 80, 100, 150, 300].map(|mb| format!("--as={mb}000000"));
    let others = ["--nofile=6", "--nofile=9", "--nproc=1", "--nproc=3", "--nproc=5"];
    let limits = memory.iter().map(String::as_str).chain(others);
    for limit in limits {
        let scene = Scene::new();
        scene.bench.agent("claude", &recorded("a-text"));
        // Root has no limit on processes, so somebody else is asked: nobody.
        let of_nobody = limit.starts_with("--nproc") && rustix::process::geteuid().is_root();
        let way = if of_nobody {
            let home = scene.bench.path("");
            let open = Command::new("chmod").args(["-R", "a+rwX"]).arg(&home).status().unwrap();
            assert!(open.success());
            vec!["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/prlimit", limit]
        } else {
            vec!["/usr/bin/prlimit", limit]
        };
        let output = by_way_of(&scene, &way).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = String::from_utf8_lossy(&output.stdout);
        // A clone in somebody's own folder is out of reach for nobody.
        if of_nobody && matches!(output.status.code(), Some(126 | 127)) {
            eprintln!("SKIPPED {limit}: another user cannot start belay here: {said}");
            continue;
        }
        assert!(!said.contains("panicked"), "{limit}: {said}");
        assert!(output.status.code().is_some(), "{limit}: {:?}: {said}", output.status);
        if output.status.code() != Some(0) {
            let has_words = said.contains("error:") || said.contains("error while loading");
            let has_result = shown.lines().last().is_some_and(|line| line.contains("\"result\""));
            assert!(has_words || has_result, "{limit}: {:?} {said} {shown}", output.status);
        }
        println!("{limit}: {:?} {}", output.status.code(), said.lines().last().unwrap_or_default());
        assert!(scene.emptied_after(std::time::Duration::from_secs(10)).is_ok(), "{limit}");
    }
}
