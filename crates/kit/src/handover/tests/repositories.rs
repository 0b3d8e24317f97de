//! Every kind of repository, of file and of path.

use super::super::index::Index;
use super::super::object::HashKind;
use super::{Scene, bytes, files, git, try_git};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Changes a file of each kind, and holds what a run and a look at the last commit tell of it.
fn changes_are_told(scene: &Scene) {
    scene.write("mine.txt", "not committed\n");
    let changes = scene.during(|| {
        scene.write("a.txt", "changed\n");
        scene.write("mine.txt", "mine too\n");
        scene.write("new.txt", "new\n");
        fs::remove_file(scene.file("src/b.txt")).unwrap();
    });
    assert_eq!(files(&changes), ["M a.txt", "M mine.txt", "A new.txt", "D src/b.txt"]);
    for words in ["-one\n+changed\n", "-not committed\n+mine too\n", "+new\n", "-two\n"] {
        assert!(changes.diff.contains(words), "{words}: {}", changes.diff);
    }
    let told = scene.uncommitted();
    assert_eq!(files(&told), ["M a.txt", "A mine.txt", "A new.txt", "D src/b.txt"]);
    assert!(told.diff.contains("-one\n+changed\n"), "{}", told.diff);
    assert_eq!(files(&scene.during(|| {})), [""; 0]);
    scene.assert_clean();
}

#[test]
fn an_index_of_every_form_is_read() {
    for args in [
        &["update-index", "--index-version", "2"][..],
        &["update-index", "--index-version", "3"],
        &["update-index", "--index-version", "4"],
        &["update-index", "--split-index"],
        &["update-index", "--fsmonitor"],
        &["update-index", "--untracked-cache"],
        &["-c", "index.threads=2", "-c", "index.recordEndOfIndexEntries=true", "read-tree", "HEAD"],
        &["update-index", "--assume-unchanged", "a.txt"],
        &["pack-refs", "--all"],
        &["gc", "-q"],
        &["checkout", "-q", "--detach"],
    ] {
        let scene = Scene::repository();
        scene.git(args);
        if args.contains(&"--split-index") {
            // An entry that replaces one of the shared index, one that is gone from it, and one more.
            scene.write("a.txt", "one \n");
            scene.write("c.txt", "three\n");
            scene.git(&["rm", "-q", "src/b.txt"]);
            scene.commit();
            scene.write("a.txt", "one\n");
            scene.write("src/b.txt", "two\n");
            scene.git(&["rm", "-q", "c.txt"]);
            scene.commit();
        }
        changes_are_told(&scene);
        assert!(scene.file("src").exists() || args.is_empty());
    }
}

#[test]
fn a_repository_with_longer_hashes_is_read() {
    changes_are_told(&Scene::initialized(&["--object-format=sha256"]));
}

#[test]
fn a_repository_before_its_first_commit_has_only_new_files() {
    let scene = Scene::plain();
    scene.git(&["init", "-q"]);
    scene.write("a.txt", "one\n");
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    assert!(changes.diff.contains("-one\n+changed\n"));
    assert_eq!(files(&scene.uncommitted()), ["A a.txt"]);
}

#[test]
fn a_commit_is_found_under_every_name() {
    let scene = Scene::initialized(&["-b", "team/topic"]);
    scene.write("a.txt", "changed\n");
    for args in [
        &["pack-refs", "--all"][..],
        &["symbolic-ref", "refs/heads/alias", "refs/heads/team/topic"],
        &["symbolic-ref", "HEAD", "refs/heads/alias"],
        &["checkout", "-q", "--detach"],
        &["checkout", "-q", "-b", "other"],
    ] {
        scene.git(args);
        assert_eq!(files(&scene.uncommitted()), ["M a.txt"], "{args:?}");
    }
    // Before its first commit a branch has none.
    scene.git(&["symbolic-ref", "HEAD", "refs/heads/new"]);
    assert_eq!(files(&scene.uncommitted()), ["A a.txt", "A src/b.txt"]);
}

#[test]
fn a_work_tree_whose_repository_is_elsewhere_is_read() {
    let mut scene = Scene::repository();
    let tree = scene.path("tree");
    scene.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    fs::rename(scene.file(""), scene.path("main")).unwrap();
    git(&scene.path("main"), &["worktree", "repair", tree.to_str().unwrap()]);
    fs::rename(&tree, scene.path("project")).unwrap();
    git(&scene.path("main"), &["worktree", "repair", scene.file("").to_str().unwrap()]);
    scene.var("LANG", "C");
    changes_are_told(&scene);
}

#[test]
fn a_folder_below_the_top_is_looked_at_with_all_around_it() {
    let scene = Scene::repository();
    let changes = scene.during_in(&scene.file("src"), || scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
}

#[test]
fn a_merge_that_is_not_finished_shows_what_the_agent_did() {
    let scene = Scene::repository();
    scene.git(&["checkout", "-qb", "other"]);
    scene.write("a.txt", "other\n");
    scene.commit();
    scene.git(&["checkout", "-q", "-"]);
    scene.write("a.txt", "ours\n");
    scene.commit();
    assert!(!try_git(&scene.file(""), &["merge", "-q", "other"]).status.success());
    assert_eq!(files(&scene.during(|| {})), [""; 0]);
    let changes = scene.during(|| scene.write("a.txt", "resolved\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    assert!(changes.diff.contains("-<<<<<<< HEAD") && changes.diff.contains("+resolved"));
    assert_eq!(files(&scene.uncommitted()), ["M a.txt"]);
}

#[test]
fn what_the_agent_commits_or_stages_has_changed_all_the_same() {
    let scene = Scene::repository();
    let changes = scene.during(|| {
        scene.write("a.txt", "changed\n");
        scene.write("new.txt", "new\n");
        scene.commit();
    });
    assert_eq!(files(&changes), ["M a.txt", "A new.txt"]);
    assert!(changes.diff.contains("-one\n+changed\n"), "{}", changes.diff);
    assert_eq!(files(&scene.uncommitted()), [""; 0]);
}

#[test]
fn files_that_were_only_touched_have_not_changed() {
    let scene = Scene::repository();
    scene.write("mine.txt", "mine\n");
    let touched = || {
        for name in ["a.txt", "src/b.txt", "mine.txt"] {
            let text = fs::read(scene.file(name)).unwrap();
            fs::remove_file(scene.file(name)).unwrap();
            fs::write(scene.file(name), text).unwrap();
        }
    };
    assert_eq!(files(&scene.during(touched)), [""; 0]);
    assert_eq!(files(&scene.uncommitted()), ["A mine.txt"]);
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let scene = Scene::repository();
    let time = fs::metadata(scene.file("a.txt")).unwrap().modified().unwrap();
    let changes = scene.during(|| {
        scene.write("a.txt", "eno\n");
        let file = fs::File::options().write(true).open(scene.file("a.txt")).unwrap();
        file.set_modified(time).unwrap();
    });
    assert_eq!(files(&changes), ["M a.txt"]);
}

#[test]
fn submodules_are_looked_into() {
    let scene = Scene::repository();
    let up = scene.path("up");
    fs::create_dir(&up).unwrap();
    git(&up, &["init", "-q"]);
    for text in ["one\n", "lib\n"] {
        fs::write(up.join("lib.txt"), text).unwrap();
        git(&up, &["add", "-A"]);
        git(&up, &["commit", "-qm", "lib"]);
    }
    scene.git(&["submodule", "add", "-q", up.to_str().unwrap(), "vendor"]);
    scene.commit();
    assert_eq!(files(&scene.uncommitted()), [""; 0]);
    let changes = scene.during(|| scene.write("vendor/lib.txt", "changed\n"));
    assert_eq!(files(&changes), ["M vendor/lib.txt"]);
    assert!(changes.diff.contains("-lib\n+changed\n"), "{}", changes.diff);
    assert_eq!(files(&scene.uncommitted()), ["M vendor/lib.txt"]);
    // Another commit is a change of the submodule itself.
    git(&scene.file("vendor"), &["checkout", "-qf", "HEAD~1"]);
    assert_eq!(files(&scene.uncommitted()), ["M vendor"]);
    // One that is not checked out is as it should be; one whose folder is gone is not.
    scene.git(&["submodule", "deinit", "-f", "vendor"]);
    assert_eq!(files(&scene.uncommitted()), [""; 0]);
    fs::remove_dir(scene.file("vendor")).unwrap();
    assert_eq!(files(&scene.uncommitted()), ["D vendor"]);
}

#[test]
fn repositories_in_a_repository_or_a_folder_are_looked_into() {
    for scene in [Scene::repository(), Scene::plain()] {
        let nested = scene.file("tools/nested");
        fs::create_dir_all(&nested).unwrap();
        git(&nested, &["init", "-q"]);
        fs::write(nested.join("n.txt"), "n\n").unwrap();
        git(&nested, &["add", "-A"]);
        git(&nested, &["commit", "-qm", "n"]);
        let changes = scene.during(|| {
            fs::write(nested.join("n.txt"), "changed\n").unwrap();
            fs::write(nested.join("new.txt"), "new\n").unwrap();
        });
        assert_eq!(files(&changes), ["M tools/nested/n.txt", "A tools/nested/new.txt"]);
        assert!(changes.diff.contains("-n\n+changed\n"), "{}", changes.diff);
    }
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_no_change_until_it_is_there() {
    for args in [
        &["sparse-checkout", "set", "src"][..],
        &["sparse-checkout", "set", "--sparse-index", "src"],
    ] {
        let scene = Scene::repository();
        scene.write("docs/d.txt", "d\n");
        scene.commit();
        scene.git(&["sparse-checkout", "init", "--cone"]);
        scene.git(args);
        assert!(!scene.file("docs/d.txt").exists());
        assert_eq!(files(&scene.uncommitted()), [""; 0]);
        let changes = scene.during(|| scene.write("docs/d.txt", "new\n"));
        assert_eq!(files(&changes), ["A docs/d.txt"]);
        assert_eq!(files(&scene.uncommitted()), ["M docs/d.txt"]);
    }
}

#[test]
fn ignored_files_are_left_out_unless_they_are_tracked() {
    let mut scene = Scene::repository();
    scene.write("build/kept.txt", "kept\n");
    scene.commit();
    scene.write(".gitignore", "build/\n*.log\n!keep.log\n/only-here\n");
    scene.write("src/.gitignore", "local\n");
    fs::write(scene.file(".git/info/exclude"), "private\n").unwrap();
    fs::create_dir_all(scene.path("home/.config/git")).unwrap();
    fs::write(scene.path("home/.config/git/ignore"), ".DS_Store\n").unwrap();
    let changes = scene.during(|| {
        for name in [
            "build/out.o",
            "x.log",
            "src/local",
            "private",
            ".DS_Store",
            "only-here",
            "build/kept.txt",
            "keep.log",
            "local",
            "src/only-here",
        ] {
            scene.write(name, "new\n");
        }
    });
    assert_eq!(files(&changes), ["M build/kept.txt", "A keep.log", "A local", "A src/only-here"]);
    assert!(changes.has_ignored);
    // The user's own file, where his configuration says.
    fs::write(scene.path("home/.gitconfig"), "[core]\n\texcludesFile = \"~/mine\" # mine\n")
        .unwrap();
    fs::write(scene.path("home/mine"), "*.tmp\n").unwrap();
    let changes = scene.during(|| scene.write("x.tmp", "new\n"));
    assert_eq!(files(&changes), [""; 0]);
    // A file that comes to be ignored is not gone.
    let changes = scene.during(|| scene.write(".gitignore", "keep.log\n"));
    assert!(!files(&changes).contains(&"D keep.log".to_owned()), "{changes:?}");
    scene.var("HOME", "");
}

#[test]
fn paths_of_every_kind_are_told() {
    let scene = Scene::repository();
    let names: [&[u8]; 5] =
        [b"with space", b"line\nfeed", b"\xff\xfe", b"-dash", b"tab\t\"quote\""];
    for name in names {
        scene.write(bytes(name), "old\n");
    }
    scene.commit();
    assert_eq!(files(&scene.uncommitted()), [""; 0]);
    let changes = scene.during(|| names.iter().for_each(|name| scene.write(bytes(name), "new\n")));
    let told = files(&changes);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told.contains(&"M line\nfeed".to_owned()) && told.contains(&"M -dash".to_owned()));
    assert_eq!(files(&scene.uncommitted()), told);
}

#[test]
fn links_are_told_and_never_followed() {
    let scene = Scene::repository();
    fs::create_dir(scene.path("outside")).unwrap();
    fs::write(scene.path("outside/secret.txt"), "secret\n").unwrap();
    symlink("a.txt", scene.file("link")).unwrap();
    scene.commit();
    let changes = scene.during(|| {
        fs::remove_file(scene.file("link")).unwrap();
        symlink(scene.path("outside/secret.txt"), scene.file("link")).unwrap();
        symlink(scene.path("outside"), scene.file("folder")).unwrap();
        fs::remove_dir_all(scene.file("src")).unwrap();
        symlink(scene.path("outside"), scene.file("src")).unwrap();
    });
    assert_eq!(files(&changes), ["A folder", "M link", "A src", "D src/b.txt"]);
    assert!(!changes.diff.contains("+secret"), "{}", changes.diff);
    assert!(changes.diff.contains("-a.txt\n"), "{}", changes.diff);
    // A loop has no end that could be waited for.
    symlink(".", scene.file("loop")).unwrap();
    assert_eq!(files(&scene.during(|| {})), [""; 0]);
}

#[test]
fn a_file_becomes_a_folder_or_executable() {
    let scene = Scene::repository();
    let changes = scene.during(|| {
        fs::remove_file(scene.file("a.txt")).unwrap();
        scene.write("a.txt/in.txt", "in\n");
        fs::set_permissions(scene.file("src/b.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    assert_eq!(files(&changes), ["D a.txt", "A a.txt/in.txt", "M src/b.txt"]);
    assert!(changes.diff.contains("old mode 100644\nnew mode 100755\n"), "{}", changes.diff);
    assert_eq!(files(&scene.uncommitted()), files(&changes));
}

#[test]
fn ends_of_lines_and_filters_make_no_false_diff() {
    let scene = Scene::repository();
    scene.git(&["config", "core.autocrlf", "true"]);
    scene.write("w.txt", "one\r\ntwo\r\n");
    scene.git(&["config", "filter.f.clean", "sed s/secret/x/"]);
    scene.git(&["config", "filter.f.smudge", "cat"]);
    scene.write("f.dat", "a secret\n");
    fs::write(scene.file(".git/info/attributes"), "*.dat filter=f\n").unwrap();
    scene.commit();
    scene.write("touched.txt", "");
    let changes = scene.during(|| {
        scene.write("w.txt", "one\r\nTWO\r\n");
        scene.write("f.dat", "another\n");
    });
    assert_eq!(files(&changes), ["M f.dat", "M w.txt"]);
    assert!(changes.diff.contains(" one\r\n-two\r\n+TWO\r\n"), "{:?}", changes.diff);
    assert!(changes.diff.contains("belay does not have both texts"), "{}", changes.diff);
}

#[test]
fn a_folder_without_git_has_names_and_no_diff() {
    let scene = Scene::plain();
    scene.write("a.txt", "one\n");
    scene.write("gone.txt", "gone\n");
    scene.write("node_modules/x.js", "x\n");
    let changes = scene.during(|| {
        scene.write("a.txt", "changed\n");
        scene.write("new.txt", "new\n");
        scene.write("node_modules/x.js", "y\n");
        fs::remove_file(scene.file("gone.txt")).unwrap();
    });
    assert_eq!(files(&changes), ["M a.txt", "D gone.txt", "A new.txt"]);
    assert_eq!((&*changes.diff, &changes.unseen[..]), ("", &["node_modules".to_owned()][..]));
}

#[test]
fn a_bare_or_broken_repository_is_a_folder() {
    let scene = Scene::plain();
    scene.git(&["init", "-q", "--bare"]);
    let changes = scene.during(|| scene.write("a.txt", "new\n"));
    assert_eq!(files(&changes), ["A a.txt"]);
    for text in ["gitdir: ../nowhere\n", "nonsense", "gitdir: .\n"] {
        let scene = Scene::plain();
        scene.write(".git", text);
        let changes = scene.during(|| scene.write("a.txt", "new\n"));
        assert_eq!(files(&changes), ["A a.txt"], "{text}");
    }
}

#[test]
fn a_damaged_index_or_head_costs_no_names() {
    for (name, text) in [
        (".git/index", "DIRC\0\0\0\u{2}\u{7f}\u{7f}\u{7f}\u{7f}"),
        (".git/index", ""),
        (".git/HEAD", "nonsense"),
        (".git/HEAD", "ref: ../../../etc/passwd"),
        (".git/config", "[core\nrepositoryformatversion = 99"),
    ] {
        let scene = Scene::repository();
        scene.write(name, text);
        let changes = scene.during(|| scene.write("a.txt", "changed\n"));
        assert_eq!(files(&changes), ["M a.txt"], "{name} {text}");
        scene.uncommitted();
        scene.assert_clean();
    }
}

#[test]
fn no_damage_to_an_index_is_a_panic() {
    let mut random = fastrand::Rng::with_seed(19);
    for args in [&["--index-version", "2"][..], &["--index-version", "4"], &["--split-index"]] {
        let scene = Scene::repository();
        scene.git(&[&["update-index"], args].concat());
        scene.write("a.txt", "changed\n");
        scene.git(&["add", "a.txt"]);
        let index = fs::read(scene.file(".git/index")).unwrap();
        let shared = fs::read_dir(scene.file(".git")).unwrap().flatten().find_map(|entry| {
            let is_shared = entry.file_name().to_string_lossy().starts_with("sharedindex.");
            is_shared.then(|| fs::read(entry.path()).unwrap())
        });
        for _ in 0..20_000 {
            let mut index = index.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..index.len());
                index[at] = random.u8(..);
            }
            index.truncate(random.usize(..index.len() * 2));
            let kind = if random.bool() { HashKind::Sha1 } else { HashKind::Sha256 };
            Index::parse(&index, (0, 0), kind, |_| shared.clone());
        }
    }
}

#[test]
fn folders_that_cannot_be_read_are_named() {
    let scene = Scene::repository();
    let closed = scene.file("src");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    let is_root = fs::read_dir(&closed).is_ok();
    let changes = scene.during(|| {});
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    if !is_root {
        assert_eq!((files(&changes), &changes.unseen[..]), (vec![], &["src".to_owned()][..]));
    }
}

#[test]
fn large_files_are_told_by_name() {
    let scene = Scene::repository();
    let large = "x".repeat(3 << 20);
    scene.write("tracked.bin", &large);
    scene.commit();
    scene.write("mine.bin", &large);
    let changes = scene.during(|| {
        scene.write("mine.bin", &large.replace("xx", "xy"));
        scene.write("tracked.bin", &large);
    });
    assert_eq!(files(&changes), ["M mine.bin"]);
    let changes = scene.during(|| scene.write("tracked.bin", &large.replace("xx", "xy")));
    assert_eq!(files(&changes), ["M tracked.bin"]);
    assert!(changes.diff.len() < 1000);
}

#[test]
fn what_changed_before_the_look_was_over_is_not_certain() {
    let scene = Scene::repository();
    scene.write("old.txt", "old\n");
    // The stamps of files are behind the clock.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let changes = scene.late(|| {
        scene.write("a.txt", "changed\n");
        scene.write("new.txt", "new\n");
        fs::remove_file(scene.file("src/b.txt")).unwrap();
    });
    assert_eq!(files(&changes), ["? a.txt", "? new.txt", "? src/b.txt"]);
    assert!(changes.is_late && !changes.is_certain());
}

#[test]
fn a_repository_of_someone_else_is_read() {
    let scene = Scene::repository();
    // Only root can give files away; others have this case nowhere.
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(12345), Some(12345)).is_ok();
    if !give(&scene.file(".git")) || !give(&scene.file("")) {
        return;
    }
    changes_are_told(&scene);
}

/// Whether a process is there, and is no corpse that no one has taken in.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_git_that_hangs_is_killed_when_no_one_waits_and_when_it_is_too_late() {
    let mut scene = Scene::repository();
    let bin = scene.path("bin");
    fs::create_dir(&bin).unwrap();
    let pids = scene.path("pids");
    let script = "#!/bin/sh\n/bin/sleep 600 &\necho $$ $! > PIDS.new\nmv PIDS.new PIDS\nwait\n";
    fs::write(bin.join("git"), script.replace("PIDS", pids.to_str().unwrap())).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    scene.var("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let started = || {
        while !pids.exists() {
            std::thread::yield_now();
        }
        let text = fs::read_to_string(&pids).unwrap();
        fs::remove_file(&pids).unwrap();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let gone = |pids: &[String]| {
        while pids.iter().any(|pid| is_alive(pid)) {
            std::thread::yield_now();
        }
    };
    // Too late: what git has is missing, and the rest is told.
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    gone(&started());
    // Whoever has waited is gone.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let hanging = runtime.block_on(async {
        let mut base = super::Base::begin(Some(&scene.file("")), &scene.env());
        base.complete().await;
        scene.write("src/b.txt", "changed\n");
        tokio::select! {
            _ = base.changes() => panic!("git hangs"),
            pids = async {
                while !pids.exists() {
                    tokio::task::yield_now().await;
                }
                started()
            } => pids,
        }
    });
    gone(&hanging);
}
