//! From a program's name to the file that is started.

use crate::{Environment, limits};
use belay_agents::Launch;
use belay_trace::{Failure, FailureKind};
use belaykit_supervise::{Exit, Tool};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Finds the program of a launch: an absolute path, found once, never in the current folder.
///
/// A launcher script that npm puts on the PATH is replaced by the native program it would start: a killed
/// launcher leaves the native program running and spending (measured, codex 0.169.0 on Node 20).
pub(crate) fn resolve(
    launch: &Launch,
    given: Option<&Path>,
    env: &Environment,
) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return absolute(path);
    }
    let name = launch.program.as_str();
    if name.is_empty() {
        let message = "no program is named: write its command behind the colon";
        return Err(Failure::new(FailureKind::InvalidRequest, message));
    }
    let Some(paths) = env.get("PATH").filter(|paths| !paths.is_empty()) else {
        return Err(Failure::new(
            FailureKind::NotInstalled,
            format!("cannot look for `{name}`: the environment has no PATH"),
        ));
    };
    let found = on(paths, name).ok_or_else(|| {
        let words = match name.contains('/') && !name.starts_with('/') {
            true => format!("`{name}` is a path from some folder: write it in full"),
            false => format!("`{name}` is not on the PATH"),
        };
        Failure::new(FailureKind::NotInstalled, words)
    })?;
    Ok(native(launch, &found).unwrap_or(found))
}

/// A program of this name in one of the absolute folders of a PATH.
pub(crate) fn on(paths: &OsStr, name: &str) -> Option<PathBuf> {
    // A relative entry of the PATH would make the current folder decide what is run.
    let absolute_only = std::env::split_paths(paths).filter(|path| path.is_absolute());
    let paths = std::env::join_paths(absolute_only).unwrap_or_default();
    which::which_in(name, Some(&paths), "/").ok()
}

/// The first line of `PROGRAM --version`, or why there is none.
pub(crate) async fn version(
    program: &Path,
    leading_args: &[OsString],
    env: Vec<(OsString, OsString)>,
    supervisor: Option<&Path>,
) -> Result<String, String> {
    let tool = Tool::new(program, limits::VERSION).supervisor(supervisor);
    let tool = tool.args(leading_args).args(["--version"]).env(env);
    let output = match tool.finished().await {
        Ok(finished) => finished,
        Err(error) => return Err(format!("`--version` cannot be asked: {error}")),
    };
    let ended = match output.exit {
        Some(Exit::Code(code)) => format!("exit code {code}"),
        Some(Exit::Signal(signal)) => format!("signal {signal}"),
        None if output.is_cut => return Err("`--version` prints too much".to_owned()),
        None => return Err(format!("no answer to `--version` in {:?}", limits::VERSION)),
    };
    let first = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        // Some say it as a sentence.
        line.map(|line| line.trim_end_matches('.').chars().take(200).collect::<String>())
    };
    match first(&output.stdout).filter(|_| output.is_success()) {
        Some(line) => Ok(line),
        None => {
            let words = first(&output.stderr).map(|line| format!(": {line}")).unwrap_or_default();
            Err(format!("`--version` ended with {ended}{words}"))
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let file = fs::canonicalize(path).map_err(|error| {
        Failure::new(
            FailureKind::NotInstalled,
            format!("cannot find the program {}: {error}", path.display()),
        )
    })?;
    let program = which::which_in(&file, None::<&str>, "/");
    program.map_err(|_| {
        let message = format!("{} is not an executable program", path.display());
        Failure::new(FailureKind::NotExecutable, message)
    })
}

fn native(launch: &Launch, launcher: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(launcher).ok()?.parent()?.to_owned();
    let candidates = launch.native.iter().map(|relative| folder.join(relative));
    candidates
        .into_iter()
        .find_map(|path| fs::canonicalize(path).ok().filter(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Agent as _, Codex, RunRequest, Transport};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn executable(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn launch() -> Launch {
        Codex::new().launch(&RunRequest::new("p"), Transport::Dialogue).unwrap()
    }

    #[test]
    fn the_native_program_behind_an_npm_launcher_is_started() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let modules = root.join("node_modules/@openai");
        let launcher = modules.join("codex/bin/codex.js");
        executable(&launcher);
        fs::create_dir_all(root.join("bin")).unwrap();
        symlink(&launcher, root.join("bin/codex")).unwrap();
        let env = Environment::new([("PATH".into(), root.join("bin").into())]);
        assert_eq!(resolve(&launch(), None, &env).unwrap(), root.join("bin/codex"));

        let native = modules.join("codex/bin").join(&launch().native[0]);
        executable(&native);
        assert_eq!(resolve(&launch(), None, &env).unwrap(), fs::canonicalize(native).unwrap());
    }

    #[test]
    fn a_program_is_never_taken_from_a_relative_path_entry() {
        let env = Environment::new([("PATH".into(), ".:relative".into())]);
        assert_eq!(resolve(&launch(), None, &env).unwrap_err().kind, FailureKind::NotInstalled);
    }

    #[test]
    fn a_given_program_must_exist_and_be_executable() {
        let env = Environment::default();
        let missing = resolve(&launch(), Some(Path::new("/no/such")), &env).unwrap_err();
        assert_eq!(missing.kind, FailureKind::NotInstalled);
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = resolve(&launch(), Some(file.path()), &env).unwrap_err();
        assert_eq!(text.kind, FailureKind::NotExecutable);
    }
}
