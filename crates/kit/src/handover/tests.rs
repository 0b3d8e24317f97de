//! What is told of a folder, in every kind of repository and with everything in it that could catch git.

mod canaries;
mod pipes;
mod repositories;

use super::tree::{Base, Changes, uncommitted};
use crate::Environment;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder with a project in it.
struct Scene {
    dir: TempDir,
    vars: Vec<(OsString, OsString)>,
}

impl Scene {
    /// An empty project, which is no repository.
    fn plain() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["project", "home", "tmp"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let mut scene = Self { dir, vars: Vec::new() };
        scene.var("PATH", std::env::var_os("PATH").unwrap());
        scene.var("HOME", scene.path("home"));
        scene.var("TMPDIR", scene.path("tmp"));
        scene
    }

    /// A repository with two files and a commit.
    fn repository() -> Self {
        Self::initialized(&[])
    }

    fn initialized(args: &[&str]) -> Self {
        let scene = Self::plain();
        scene.git(&[&["init", "-q"], args].concat());
        scene.write("a.txt", "one\n");
        scene.write("src/b.txt", "two\n");
        scene.commit();
        scene
    }

    fn var(&mut self, name: &str, value: impl Into<OsString>) {
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.into(), value.into()));
    }

    fn env(&self) -> Arc<Environment> {
        Arc::new(Environment::new(self.vars.iter().cloned()))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("project").join(name)
    }

    fn write(&self, name: impl AsRef<Path>, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.file(""), args)
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "change"]);
    }

    /// A pipe that no one writes to, in the place of whatever is there.
    fn pipe(&self, name: impl AsRef<Path>) {
        let path = self.file(name);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
    }

    /// A program that notes that it was started.
    fn canary(&self, name: &str) -> String {
        let path = self.path(format!("canary-{name}"));
        let log = self.path("started");
        fs::write(&path, format!("#!/bin/sh\necho {name} >> {}\ncat\n", log.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Which canaries were started since last asked.
    fn started(&self) -> String {
        let log = self.path("started");
        let started = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        started
    }

    /// What a run tells that has begun before something was done and ends after it.
    fn during(&self, act: impl FnOnce()) -> Changes {
        self.during_in(&self.file(""), act)
    }

    fn during_in(&self, folder: &Path, act: impl FnOnce()) -> Changes {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut base = Base::begin(Some(folder), &self.env());
            base.complete().await;
            act();
            base.changes().await
        })
    }

    /// What a run tells whose agent has done something before the folder was looked at.
    fn late(&self, act: impl FnOnce()) -> Changes {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { Base::late(&self.file(""), &self.env(), act).changes().await })
    }

    fn uncommitted(&self) -> Changes {
        uncommitted(&self.file(""), &self.env())
    }

    /// Nothing of ours is left behind.
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = try_git(folder, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn try_git(folder: &Path, args: &[&str]) -> Output {
    let set = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"];
    #[allow(clippy::disallowed_methods, reason = "a test makes repositories")]
    let mut command = Command::new("git");
    command.current_dir(folder).args(set).args(args);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.output().unwrap()
}

/// The changed files as lines.
fn files(changes: &Changes) -> Vec<String> {
    let files = changes.files.as_ref().unwrap_or_else(|why| panic!("{why}"));
    files.iter().map(|(letter, path)| format!("{letter} {path}")).collect()
}

fn bytes(name: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}
