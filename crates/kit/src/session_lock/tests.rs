use super::files::{Found, Held, Take};
use super::place::Names;
use super::user::User;
use std::fs;
use std::path::Path;

#[test]
fn a_file_has_one_holder_and_is_gone_when_he_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let Take::Held(first, text) = Held::take(&path).unwrap() else { panic!("it is free") };
    assert!(text.is_empty());
    super::files::write(&first.handle().unwrap(), b"me");
    let Take::Busy(text) = Held::take(&path).unwrap() else { panic!("it is held") };
    assert_eq!(text, b"me");
    assert_eq!(Found::at(&path).unwrap().is_held(), Some(true));
    first.remove();
    assert!(!path.exists());
    let Take::Held(second, text) = Held::take(&path).unwrap() else { panic!("it is free again") };
    assert!(text.is_empty());
    // Who dies leaves the file with what he has said, and not the lock.
    super::files::write(&second.handle().unwrap(), b"a longer word");
    super::files::write(&second.handle().unwrap(), b"you");
    drop(second);
    let Take::Held(_third, text) = Held::take(&path).unwrap() else { panic!("he is gone") };
    assert_eq!(text, b"you");
}

#[test]
fn a_file_that_is_put_is_held_before_anyone_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let first = Held::put(&path, b"one").unwrap();
    let second = Held::put(&path, b"two").unwrap();
    drop(first);
    let found = Found::at(&path).unwrap();
    assert_eq!((found.text.as_slice(), found.is_held()), (b"two".as_slice(), Some(true)));
    assert_eq!(super::files::list(dir.path()).count(), 1);
    second.remove();
    assert!(Found::at(&path).is_none());
}

#[test]
fn a_process_is_told_from_another_with_its_number() {
    let mut user = User::new("r", "claude-code");
    assert!(user.is_there() && !user.is_stopped() && user.left_behind().is_none());
    #[allow(clippy::disallowed_methods, reason = "a test starts a program")]
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    user.set_below(&[child.id()]);
    let read = User::read(&user.text()).unwrap();
    assert_eq!((&read, read.left_behind()), (&user, Some(child.id())));
    let mut json: serde_json::Value = serde_json::from_slice(&user.text()).unwrap();
    json["below"][0]["start"] = 7.into();
    let other = User::read(&serde_json::to_vec(&json).unwrap()).unwrap();
    assert_eq!(other.left_behind(), None);
    child.kill().unwrap();
    // Dead, and not yet taken in by its parent.
    while user.left_behind().is_some() {
        std::thread::yield_now();
    }
    child.wait().unwrap();
    assert_eq!(user.left_behind(), None);
    json["v"] = 2.into();
    assert_eq!(User::read(&serde_json::to_vec(&json).unwrap()), None);
}

#[test]
fn folders_overlap_by_what_they_hold_and_not_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    for folder in ["a/in", "ab", "tree/x", "tree/y"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("tree/.git"), "gitdir: elsewhere\n").unwrap();
    let look = |folder: &str| Names::look(&[], &root.join(folder));
    let overlap = |one: &str, other: &str| {
        let other = look(other);
        look(one).overlaps(&other.folder, other.tree.as_deref())
    };
    for (one, other) in [("a", "a"), ("a", "a/in"), ("a/in", "a"), ("tree/x", "tree/y")] {
        assert!(overlap(one, other), "{one} {other}");
    }
    for (one, other) in [("a", "ab"), ("ab", "a"), ("a", "tree/x")] {
        assert!(!overlap(one, other), "{one} {other}");
    }
    assert_eq!(Names::look(&[], Path::new("/no/such/folder")).folder, "/no/such/folder");
}
