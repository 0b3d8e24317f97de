//! From what an agent asks for to what is started.

use crate::program;
use belay_agents::TerminalCommand;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The agent's environment, with the variables of the command.
pub(super) fn environment(
    command: &TerminalCommand,
    env: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let is_set = |name: &OsStr| command.env().any(|(set, _)| name == set);
    let kept = env.iter().filter(|(name, _)| !is_set(name)).cloned();
    // No system takes others.
    let can_be_set = |(name, value): &(&str, &str)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    let set = command.env().filter(can_be_set).map(|(name, value)| (name.into(), value.into()));
    kept.chain(set).collect()
}

/// The program and its arguments: what is on the PATH, or a path. One from the working folder is taken only where the
/// command says so, as `./configure` does.
pub(super) fn resolve(
    command: &TerminalCommand,
    env: &[(OsString, OsString)],
    cwd: Option<&Path>,
) -> Result<(PathBuf, Vec<OsString>), String> {
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let path = path.unwrap_or_default();
    if let Some(line) = command.shell_line() {
        let shell = program::on(path, "sh").or_else(|| program::on(path, "/bin/sh"));
        let shell = shell.ok_or("there is no `sh`")?;
        return Ok((shell, vec!["-c".into(), line.into()]));
    }
    let name = command.command.as_str();
    let is_relative = name.contains('/') && !name.starts_with('/');
    let found = match (is_relative, cwd) {
        (true, Some(cwd)) => cwd.join(name).to_str().and_then(|full| program::on(path, full)),
        (true, None) => return Err(format!("`{name}` is a path from some folder")),
        (false, _) => program::on(path, name),
    };
    let program = found.ok_or_else(|| match name.contains('/') {
        true => format!("`{name}` is no program"),
        false => format!("`{name}` is not on the PATH"),
    })?;
    Ok((program, command.args.iter().map(OsString::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(params: &str) -> TerminalCommand {
        TerminalCommand::read(params).unwrap()
    }

    fn env(path: &Path) -> Vec<(OsString, OsString)> {
        vec![("PATH".into(), path.into()), ("A".into(), "1".into())]
    }

    #[test]
    fn variables_replace_those_of_the_agent() {
        let command = read(
            r#"{"command":"x","env":[{"name":"A","value":"2"},{"name":"B","value":"3"},{"name":"=","value":""}]}"#,
        );
        let env = environment(&command, &env(Path::new("/bin")));
        let want = [("PATH", "/bin"), ("A", "2"), ("B", "3")];
        assert_eq!(env, want.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn a_program_of_the_working_folder_is_taken_only_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("configure");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let env = env(Path::new("/usr/bin:/bin"));
        let cwd = Some(folder.path());
        let found = resolve(&read(r#"{"command":"./configure","args":["-q"]}"#), &env, cwd);
        assert_eq!(found.unwrap(), (folder.path().join("./configure"), vec!["-q".into()]));
        let why = resolve(&read(r#"{"command":"configure"}"#), &env, cwd).unwrap_err();
        assert_eq!(why, "`configure` is not on the PATH");
        assert!(resolve(&read(r#"{"command":"./configure"}"#), &env, None).is_err());
    }

    #[test]
    fn a_line_is_given_to_a_shell_also_without_a_path() {
        let line = read(r#"{"command":"echo a; echo b"}"#);
        let (shell, args) = resolve(&line, &[], None).unwrap();
        assert!(shell.ends_with("sh"));
        assert_eq!(args, ["-c", "echo a; echo b"]);
    }
}
