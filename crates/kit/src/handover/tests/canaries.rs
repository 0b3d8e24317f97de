//! Everything in a repository or an environment that can make git start a program.

use super::{Scene, files, git};
use std::fs;
use std::os::unix::fs::symlink;

/// A repository that starts something at every turn.
fn trapped() -> Scene {
    let mut scene = Scene::repository();
    let settings = [
        ("filter.f.clean", "clean"),
        ("filter.f.smudge", "smudge"),
        ("filter.f.process", "process"),
        ("diff.d.textconv", "textconv"),
        ("diff.d.command", "command"),
        ("diff.external", "external"),
        ("merge.d.driver", "driver"),
        ("core.fsmonitor", "fsmonitor"),
        ("core.pager", "pager"),
        ("core.editor", "editor"),
        ("core.askPass", "askpass"),
        ("core.sshCommand", "ssh"),
        ("core.gitProxy", "proxy"),
        ("core.alternateRefsCommand", "alternates"),
        ("credential.helper", "credential"),
        ("gpg.program", "gpg"),
        ("remote.origin.uploadpack", "uploadpack"),
        ("submodule.vendor.update", "!update"),
        ("trace2.normalTarget", "trace"),
        ("uploadpack.packObjectsHook", "pack"),
    ];
    for (key, name) in settings {
        let bang = if name.starts_with('!') { "!" } else { "" };
        let canary = scene.canary(name.trim_start_matches('!'));
        scene.git(&["config", key, &format!("{bang}{canary}")]);
    }
    for verb in ["cat-file", "ls-tree", "rev-parse", "status", "diff"] {
        let canary = scene.canary("alias");
        scene.git(&["config", &format!("alias.{verb}"), &format!("!{canary}")]);
    }
    let hooks = scene.file(".git/hooks");
    for hook in ["post-index-change", "pre-commit", "fsmonitor-watchman", "post-checkout"] {
        fs::create_dir_all(&hooks).unwrap();
        fs::copy(scene.canary("hook"), hooks.join(hook)).unwrap();
    }
    scene.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    scene.git(&["config", "core.attributesFile", scene.path("attributes").to_str().unwrap()]);
    let every = "* filter=f diff=d merge=d\n";
    fs::write(scene.path("attributes"), every).unwrap();
    fs::write(scene.file(".git/info/attributes"), every).unwrap();
    scene.write(".gitattributes", every);
    // Missing objects are fetched by the first four of these.
    for (key, value) in [
        ("remote.origin.url", "ext::sh -c true"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialclonefilter", "blob:none"),
        ("extensions.partialClone", "origin"),
        ("protocol.allow", "always"),
        ("protocol.ext.allow", "always"),
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("color.ui", "always"),
    ] {
        scene.git(&["config", key, value]);
    }
    scene.git(&["config", "core.repositoryFormatVersion", "1"]);
    let canary = scene.canary("environment");
    for name in
        ["GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_PROXY_COMMAND"]
    {
        scene.var(name, &canary);
    }
    scene.var("GIT_EXEC_PATH", scene.path("exec"));
    scene.var("GIT_TRACE", scene.path("started"));
    scene.var("GIT_TRACE2", scene.path("started"));
    scene.var("GIT_DIR", scene.path("nowhere"));
    scene.var("GIT_WORK_TREE", scene.path("nowhere"));
    scene.var("GIT_INDEX_FILE", scene.path("nowhere"));
    scene.var("GIT_CONFIG_COUNT", "1");
    scene.var("GIT_CONFIG_KEY_0", "core.fsmonitor");
    scene.var("GIT_CONFIG_VALUE_0", &canary);
    fs::create_dir(scene.path("exec")).unwrap();
    fs::copy(&canary, scene.path("exec/git-cat-file")).unwrap();
    fs::write(
        scene.path("home/.gitconfig"),
        format!("[core]\nfsmonitor = {canary}\n[diff]\nexternal = {canary}\n"),
    )
    .unwrap();
    // Setting it up may have started some.
    scene.started();
    scene
}

#[test]
fn nothing_that_a_repository_or_the_environment_names_is_started() {
    let scene = trapped();
    let changes = scene.during(|| {
        scene.write("a.txt", "changed\n");
        scene.write("new.txt", "new\n");
        fs::remove_file(scene.file("src/b.txt")).unwrap();
    });
    assert_eq!(scene.started(), "");
    assert_eq!(files(&changes), ["M a.txt", "A new.txt", "D src/b.txt"]);
    for words in ["--- a/a.txt\n+++ b/a.txt\n", "-one\n+changed\n", "+new\n", "-two\n"] {
        assert!(changes.diff.contains(words), "{words}: {}", changes.diff);
    }
    let told = files(&scene.uncommitted());
    assert_eq!(scene.started(), "");
    assert_eq!(told, ["A .gitattributes", "M a.txt", "A new.txt", "D src/b.txt"]);
    scene.assert_clean();
    // The traps do work: git itself falls into them.
    super::try_git(&scene.file(""), &["status"]);
    assert!(scene.started().contains("fsmonitor"));
}

#[test]
fn nothing_is_fetched_for_an_object_that_is_missing() {
    let scene = trapped();
    let blob = scene.git(&["-c", "core.fsmonitor=false", "rev-parse", "HEAD:a.txt"]);
    let (folder, name) = blob.trim().split_at(2);
    fs::remove_file(scene.file(format!(".git/objects/{folder}/{name}"))).unwrap();
    scene.started();
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(scene.started(), "");
    assert_eq!(files(&changes), ["M a.txt"]);
    assert!(changes.diff.contains("belay does not have both texts"), "{}", changes.diff);
    scene.uncommitted();
    assert_eq!(scene.started(), "");
}

#[test]
fn a_git_in_the_folder_is_not_started() {
    let mut scene = Scene::repository();
    let canary = scene.canary("git");
    for folder in ["", "bin"] {
        fs::create_dir_all(scene.file(folder)).unwrap();
        fs::copy(&canary, scene.file(folder).join("git")).unwrap();
    }
    symlink(scene.file("bin"), scene.path("link")).unwrap();
    fs::create_dir(scene.path("links")).unwrap();
    symlink(scene.file("git"), scene.path("links/git")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let (inside, link) = (scene.file("bin"), scene.path("link"));
    let links = scene.path("links");
    for first in
        [".", "", "bin", inside.to_str().unwrap(), link.to_str().unwrap(), links.to_str().unwrap()]
    {
        scene.var("PATH", format!("{first}:{path}"));
        let changes = scene.during(|| scene.write("a.txt", first));
        assert_eq!(scene.started(), "", "{first}");
        assert_eq!(files(&changes), ["M a.txt"], "{first}");
        assert!(changes.diff.contains("--- a/a.txt"), "{first}: {}", changes.diff);
        scene.uncommitted();
        assert_eq!(scene.started(), "", "{first}");
        scene.write("a.txt", "one\n");
    }
    // With no other one there is no git, and so no text that only git has.
    scene.var("PATH", inside);
    let changes = scene.during(|| scene.write("a.txt", "changed\n"));
    assert_eq!(files(&changes), ["M a.txt"]);
    assert_eq!(scene.uncommitted().files, Err("git is not installed".to_owned()));
    assert_eq!(scene.started(), "");
}

#[test]
fn nothing_is_written_into_the_repository() {
    let scene = Scene::repository();
    scene.write("secret.txt", "hunter2\n");
    let listed = || {
        let mut names: Vec<_> = walked(&scene.file(".git"));
        names.sort();
        names
    };
    let before = listed();
    let changes = scene.during(|| scene.write("secret.txt", "hunter3\n"));
    assert!(changes.diff.contains("-hunter2\n+hunter3\n"), "{}", changes.diff);
    scene.uncommitted();
    assert_eq!(listed(), before);
}

fn walked(folder: &std::path::Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        found.push((entry.path(), meta.modified().unwrap()));
        if meta.is_dir() {
            found.extend(walked(&entry.path()));
        }
    }
    found
}

#[test]
fn a_submodule_starts_nothing_either() {
    let scene = Scene::repository();
    let up = scene.path("up");
    fs::create_dir(&up).unwrap();
    git(&up, &["init", "-q"]);
    fs::write(up.join("lib.txt"), "lib\n").unwrap();
    git(&up, &["add", "-A"]);
    git(&up, &["commit", "-qm", "one"]);
    scene.git(&["submodule", "add", "-q", up.to_str().unwrap(), "vendor"]);
    scene.commit();
    let vendor = scene.file("vendor");
    for (key, name) in [("filter.f.clean", "clean"), ("core.fsmonitor", "fsmonitor")] {
        git(&vendor, &["config", key, &scene.canary(name)]);
    }
    fs::write(vendor.join(".gitattributes"), "* filter=f\n").unwrap();
    scene.started();
    let changes = scene.during(|| scene.write("vendor/lib.txt", "changed\n"));
    assert_eq!(scene.started(), "");
    assert_eq!(files(&changes), ["M vendor/lib.txt"]);
    assert!(changes.diff.contains("-lib\n+changed\n"), "{}", changes.diff);
}
