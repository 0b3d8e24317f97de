//! Pipes that no one writes to, where git or belay reads: whoever opened one would wait for ever.

use super::{Scene, files};
use std::fs;
use std::time::{Duration, Instant};

/// Where a pipe may be without hiding what has changed in the folder.
const PLACES: [&str; 16] = [
    ".gitignore",
    "src/.gitignore",
    ".gitattributes",
    "src/.gitattributes",
    ".gitmodules",
    ".git/info/exclude",
    ".git/info/attributes",
    ".git/info/sparse-checkout",
    ".git/index",
    ".git/HEAD",
    ".git/config",
    ".git/config.worktree",
    ".git/packed-refs",
    ".git/refs/heads/main",
    ".git/objects/info/alternates",
    "pipe",
];

/// What a look may take, a killed git included, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn no_pipe_stops_a_look_or_hides_a_change() {
    for place in PLACES {
        let scene = Scene::initialized(&["-b", "main"]);
        scene.pipe(place);
        let began = Instant::now();
        let changes = scene.during(|| {
            scene.write("a.txt", "changed\n");
            scene.write("new.txt", "new\n");
        });
        let told = files(&changes);
        for line in ["M a.txt", "A new.txt"] {
            assert!(told.contains(&line.to_owned()), "{place}: {told:?}");
        }
        // Without HEAD or the objects it is not known what is committed, and said.
        let told = scene.uncommitted();
        let hides_commit = [".git/HEAD", ".git/refs/heads/main", ".git/objects/info/alternates"];
        assert_eq!(told.files.is_err(), hides_commit.contains(&place), "{place}: {told:?}");
        assert!(began.elapsed() < PATIENCE, "{place}: {:?}", began.elapsed());
        scene.assert_clean();
    }
}

#[test]
fn a_pipe_for_git_itself_makes_a_folder_without_git() {
    let scene = Scene::plain();
    scene.write("a.txt", "one\n");
    scene.pipe(".git");
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    assert_eq!(scene.uncommitted().files, Err("the folder is no git repository".to_owned()));
}

#[test]
fn a_file_that_becomes_a_pipe_has_changed() {
    let scene = Scene::repository();
    let changes = scene.during(|| scene.pipe("a.txt"));
    assert_eq!(files(&changes), ["M a.txt"]);
    assert_eq!(files(&scene.uncommitted()), ["M a.txt"]);
    // And one that was a pipe already has not.
    assert_eq!(files(&scene.during(|| {})), [""; 0]);
}

#[test]
fn pipes_among_the_objects_cost_the_diff_and_not_the_names() {
    let scene = Scene::repository();
    let blob = scene.git(&["rev-parse", "HEAD:a.txt"]);
    let (folder, name) = blob.trim().split_at(2);
    scene.pipe(format!(".git/objects/{folder}/{name}"));
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    scene.assert_clean();
}

#[test]
fn a_split_index_whose_shared_part_is_a_pipe_leaves_files_untracked() {
    let scene = Scene::repository();
    scene.git(&["update-index", "--split-index"]);
    let shared = fs::read_dir(scene.file(".git")).unwrap().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name.starts_with("sharedindex.").then_some(name)
    });
    scene.pipe(format!(".git/{}", shared.unwrap()));
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
}
