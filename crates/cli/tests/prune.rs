//! `belay prune`: what it removes, and above all what it does not.

use crate::stored::{Bench, claude, hangs, stdout, with_claude};
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn answering() -> Bench {
    with_claude(&Play::file(recordings::one("claude-code", "a-text").stdout_path()))
}

/// Gives the newest run an id that says that it is as old as the year 2001.
fn make_old(bench: &Bench) -> PathBuf {
    let run = bench.newest_run();
    let name = run.file_name().unwrap().to_str().unwrap().to_owned();
    let old = run.with_file_name(format!("00e{}", &name[3..]));
    fs::rename(&run, &old).unwrap();
    old
}

fn prune(bench: &Bench, args: &[&str]) -> String {
    stdout(&mut bench.belay(&[&["prune"], args].concat()))
}

#[test]
fn old_runs_that_have_ended_are_removed_and_no_others() {
    let bench = answering();
    bench.belay(&["run", "hi"]).output().unwrap();
    let old = make_old(&bench);
    bench.belay(&["run", "hi"]).output().unwrap();
    let young = bench.newest_run();
    let said = prune(&bench, &["--dry-run"]);
    assert!(said.contains("answered") && said.contains("would remove 1 run, "), "{said}");
    assert!(old.exists());
    assert!(prune(&bench, &["--keep", "2"]).contains("nothing to remove"));
    assert!(prune(&bench, &["--state", "crashed"]).contains("nothing to remove"));
    let said = prune(&bench, &[]);
    assert!(said.starts_with("removed 1 run, ") && said.ends_with(" kB\n"), "{said}");
    assert!(!old.exists() && young.exists());
    assert!(prune(&bench, &["--older-than", "0s", "--keep", "1"]).contains("nothing to remove"));
    assert!(prune(&bench, &["--older-than", "0s"]).starts_with("removed 1 run, "));
    assert!(bench.runs().is_empty());
    for wrong in ["soon", "-1h", "1x"] {
        let shown = bench.shown(&["prune", &format!("--older-than={wrong}")]);
        assert!(shown.starts_with("exit 2\n") && shown.contains("write a time such as"), "{shown}");
    }
}

#[test]
fn a_run_that_is_at_work_stays_however_old_it_is() {
    let bench = answering();
    claude(&bench, &hangs());
    let mut run = bench.start_run(&["sleep"]);
    let old = make_old(&bench);
    assert!(prune(&bench, &["--older-than", "0s"]).contains("nothing to remove"));
    assert!(old.join("events.jsonl").exists());
    run.kill().unwrap();
    run.wait().unwrap();
    bench.end_agent();
    assert!(prune(&bench, &["--state", "crashed"]).starts_with("removed 1 run, "), "the pipe too");
    assert!(!old.exists());
}

#[test]
fn what_is_no_run_of_ours_is_left_alone_and_links_are_not_followed() {
    let bench = answering();
    bench.belay(&["run", "hi"]).output().unwrap();
    let runs = bench.newest_run().parent().unwrap().to_owned();
    let mine = bench.path("mine");
    fs::create_dir_all(mine.join("sub")).unwrap();
    fs::write(mine.join("events.jsonl"), "mine").unwrap();
    let id = |n: u32| format!("00e1fded-c7f0-76d1-9a5c-f99e6221672{n}");
    // A folder of another name, a file and a link of the right one.
    fs::create_dir(runs.join("notes")).unwrap();
    fs::write(runs.join("notes/events.jsonl"), "mine").unwrap();
    fs::write(runs.join(id(1)), "mine").unwrap();
    symlink(&mine, runs.join(id(2))).unwrap();
    // A run of ours that holds links: they go, and what they point at stays.
    let linked = runs.join(id(3));
    fs::create_dir(&linked).unwrap();
    fs::write(linked.join("request.json"), "{}").unwrap();
    symlink(&mine, linked.join("folder")).unwrap();
    symlink(mine.join("events.jsonl"), linked.join("events.jsonl")).unwrap();
    // What a crash may leave: nothing, the request alone, a pipe that nobody reads.
    fs::create_dir(runs.join(id(4))).unwrap();
    fs::create_dir(runs.join(id(5))).unwrap();
    let pipe = runs.join(id(5)).join("control");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());

    assert!(prune(&bench, &[]).starts_with("removed 3 runs, "));
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    for gone in [&linked, &runs.join(id(4)), &runs.join(id(5))] {
        assert!(!exists(gone), "{}", gone.display());
    }
    let kept =
        [runs.join("notes/events.jsonl"), runs.join(id(1)), runs.join(id(2)), mine.join("sub")];
    for kept in kept {
        assert!(exists(&kept), "{}", kept.display());
    }
    assert_eq!(fs::read_to_string(mine.join("events.jsonl")).unwrap(), "mine");
    assert_eq!(
        stdout(&mut bench.belay(&["runs"])).lines().filter(|l| l.contains("answered")).count(),
        1
    );
}

#[test]
fn a_folder_without_journals_has_nothing_to_remove_and_one_that_cannot_be_read_is_an_error() {
    let bench = answering();
    assert!(prune(&bench, &[]).contains("nothing to remove"));
    assert!(prune(&bench, &["--state-dir", "/nowhere"]).contains("nothing to remove"));
    let output = bench.belay(&["prune", "--state-dir", "/dev/null"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("cannot read the journals"), "{words}");
}
