//! The interpreter that a script needs: `node` for what npm installs.
//!
//! Under cron, systemd and in windows of a desktop the PATH is not that of a terminal, and version managers (nvm, fnm,
//! asdf) put `node` on no other. It stands beside the launcher then.

use belay_trace::{Failure, FailureKind, open_regular};
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::Path;

/// The interpreter of a script, as its first line names it; `None` for what is no script.
pub(crate) fn of(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    open_regular(program).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let name = match Path::new(first).file_name().and_then(|name| name.to_str()) {
        Some("env") => words.find(|word| !word.starts_with('-') && !word.contains('=')),
        _ => None,
    };
    Some(name.unwrap_or(first).to_owned())
}

/// Returns whether the interpreter of this name is there, on this PATH unless it is a path itself.
pub(crate) fn is_there(name: &str, paths: Option<&OsStr>) -> bool {
    match Path::new(name).is_absolute() {
        true => Path::new(name).exists(),
        false => which::which_in(name, paths, "/").is_ok(),
    }
}

/// What to do where it is not.
pub(crate) fn hint(name: &str) -> String {
    format!("install {name}, or the agent's native program")
}

/// Sees to it that the agent finds the interpreter of its launcher: where it stands beside the one that was `given`, that
/// folder comes last on the agent's PATH.
///
/// # Errors
/// `not_executable` where there is none.
pub(crate) fn supply(
    program: &Path,
    given: Option<&Path>,
    env: &mut Vec<(OsString, OsString)>,
) -> Result<(), Failure> {
    let at = env.iter().position(|(name, _)| name == "PATH");
    let paths = at.map(|at| env[at].1.clone());
    // One that is named by its path is there, or the system says so.
    let name = of(program).filter(|name| !Path::new(name).is_absolute());
    let Some(name) = name.filter(|name| !is_there(name, paths.as_deref())) else {
        return Ok(());
    };
    // A link in a folder of programs, or the script that it leads to.
    let folders = [given, Some(program)].into_iter().flatten().filter_map(Path::parent);
    let beside = folders.filter(|folder| folder.is_absolute()).find(|folder| {
        given.is_some() && which::which_in(&name, Some(folder.as_os_str()), "/").is_ok()
    });
    let Some(folder) = beside else {
        let shown = program.display();
        let words = format!("{shown} is a script for {name}, which is not there: {}", hint(&name));
        return Err(Failure::new(FailureKind::NotExecutable, words));
    };
    let known = paths.unwrap_or_default();
    let all = std::env::split_paths(&known).chain([folder.to_owned()]);
    let all = std::env::join_paths(all.filter(|path| !path.as_os_str().is_empty()));
    match (all, at) {
        (Ok(all), Some(at)) => env[at].1 = all,
        (Ok(all), None) => env.push(("PATH".into(), all)),
        // A folder with a colon in its name cannot be on a PATH.
        (Err(_), _) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn executable(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_line_of_a_script_names_its_interpreter() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent");
        for (head, want) in [
            ("#!/usr/bin/env node\n", Some("node")),
            ("#!/usr/bin/env -S A=1 node --no-warnings\n", Some("node")),
            ("#! /bin/sh\n", Some("/bin/sh")),
            ("#!/usr/bin/python3 -u\n", Some("/usr/bin/python3")),
            ("\x7fELF", None),
            ("", None),
        ] {
            fs::write(&file, head).unwrap();
            assert_eq!(of(&file).as_deref(), want, "{head:?}");
        }
    }

    #[test]
    fn a_launcher_finds_the_interpreter_beside_it_or_is_not_executable() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("lib/node_modules/agent/cli.js");
        executable(&script, "#!/usr/bin/env belay-no-such-node\n");
        let bin = root.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(&script, bin.join("agent")).unwrap();
        let path = |value: &str| vec![("PATH".into(), OsString::from(value))];

        let mut env = path("/usr/bin");
        let given = Some(bin.join("agent"));
        let failure = supply(&script, given.as_deref(), &mut env).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotExecutable);
        assert!(failure.message.contains("install belay-no-such-node"), "{failure:?}");

        executable(&bin.join("belay-no-such-node"), "#!/bin/sh\n");
        supply(&script, given.as_deref(), &mut env).unwrap();
        assert_eq!(env[0].1, format!("/usr/bin:{}", bin.display()).as_str());
        // Found by its name, and nobody has said where: the folder is no more trusted than the PATH makes it.
        assert!(supply(&script, None, &mut path("/usr/bin")).is_err());
        let mut none = Vec::new();
        supply(&script, given.as_deref(), &mut none).unwrap();
        assert_eq!(none[0].1, bin.as_os_str());
    }
}
