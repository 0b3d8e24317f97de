//! The effective mode: what an agent may really do in a run that does not say.

use crate::Permissions;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What an agent may do in a run without [`RunRequest::permissions`](crate::RunRequest::permissions).
///
/// Where the agent's own configuration does not settle it, two bounds stand for what is not known: the first agent of
/// a chain binds the others to `at_least`, and a later one has to stay within that with its `at_most`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveMode {
    /// What it may do for certain.
    pub at_least: Permissions,
    /// What it may do at most.
    pub at_most: Permissions,
    /// Where that stands, for people: `permissions.defaultMode in /home/u/.claude/settings.json`.
    pub source: String,
    /// An argument sets it, which may also stand above a mode that belay asks for.
    pub is_argument: bool,
}

impl EffectiveMode {
    /// A mode that is known.
    pub(crate) fn known(mode: Permissions, source: impl Into<String>) -> Self {
        Self::between(mode, mode, source)
    }

    /// A mode somewhere between two.
    pub(crate) fn between(
        at_least: Permissions,
        at_most: Permissions,
        source: impl Into<String>,
    ) -> Self {
        Self { at_least, at_most, source: source.into(), is_argument: false }
    }

    /// A mode of which nothing is known.
    pub fn unknown(source: impl Into<String>) -> Self {
        Self::between(Permissions::ReadOnly, Permissions::Full, source)
    }

    /// A mode that an argument sets.
    pub(crate) fn of_argument(arg: &str) -> Self {
        Self { is_argument: true, ..Self::unknown(format!("the argument {arg}")) }
    }

    /// The same where a part of the configuration is not the user's: that may take from what binds the others, and add to
    /// what the agent may do itself.
    #[must_use]
    pub fn with_and_without(self, without: Self) -> Self {
        let (at_least, at_most) =
            (self.at_least.min(without.at_least), self.at_most.max(without.at_most));
        let source = if without.at_least < self.at_least { without.source } else { self.source };
        Self { at_least, at_most, source, is_argument: self.is_argument }
    }

    /// A part of the configuration that belay does not follow keeps the agent from some of it.
    pub(crate) fn at_least_within(mut self, most: Permissions, source: String) -> Self {
        if most < self.at_least {
            (self.at_least, self.source) = (most, source);
        }
        self
    }

    /// The mode, if it is known.
    pub fn mode(&self) -> Option<Permissions> {
        (self.at_least == self.at_most).then_some(self.at_least)
    }
}

/// What a driver may read of the user's configuration of its agent; the caller has the file system.
pub trait UserConfig {
    /// The value of a variable that the agent will see; empty ones are none.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file, or nothing if there is no such file.
    ///
    /// # Errors
    /// [`Unreadable`] if there is one that cannot be read.
    fn file(&self, path: &Path) -> Result<Option<String>, Unreadable>;

    /// The folder in which the agent will work.
    fn folder(&self) -> &Path;
}

/// The user's configuration without the files of the project, which say nothing of what the user wants.
#[derive(Clone, Copy)]
pub struct WithoutProject<'a>(pub &'a dyn UserConfig);

impl std::fmt::Debug for WithoutProject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithoutProject").finish_non_exhaustive()
    }
}

impl WithoutProject<'_> {
    /// True for a file in the agent's folder or in one above it, but for the user's own folders.
    fn is_of_project(self, path: &Path) -> bool {
        let folder = self.0.folder();
        let home = self.0.variable("HOME").map(PathBuf::from);
        let is_above_home = home.as_deref().is_some_and(|home| home.starts_with(folder));
        if path.starts_with(folder) && !is_above_home {
            return true;
        }
        let in_home = home.as_deref().and_then(|home| path.strip_prefix(home).ok());
        let is_hidden = |name: Option<&std::ffi::OsStr>| {
            name.is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        if in_home.is_some_and(|rest| is_hidden(rest.iter().next())) {
            return false;
        }
        let parent = path.parent();
        let above = parent.filter(|parent| is_hidden(parent.file_name())).and_then(Path::parent);
        folder.ancestors().any(|folder| parent == Some(folder) || above == Some(folder))
    }
}

impl UserConfig for WithoutProject<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    fn file(&self, path: &Path) -> Result<Option<String>, Unreadable> {
        if self.is_of_project(path) { Ok(None) } else { self.0.file(path) }
    }

    fn folder(&self) -> &Path {
        self.0.folder()
    }
}

/// A file of the agent's configuration that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be read")]
pub struct Unreadable(pub String);

/// The user's folder of the agent: that of the variable, or else the one below the home.
pub(crate) fn home(config: &dyn UserConfig, variable: &str, below: &str) -> Option<PathBuf> {
    let named = config.variable(variable).map(PathBuf::from);
    named.or_else(|| Some(Path::new(&config.variable("HOME")?).join(below)))
}

/// A file as JSON; an error if it is there and holds something else.
pub(crate) fn json_file(config: &dyn UserConfig, path: &Path) -> Result<Option<Value>, Unreadable> {
    let Some(text) = config.file(path)? else { return Ok(None) };
    let value = serde_json::from_str(&text);
    value.map(Some).map_err(|_| Unreadable(path.display().to_string()))
}

/// The first of the arguments that would set the agent's mode, if there is one: with it, belay does not know the mode.
pub(crate) fn mode_argument<'a>(args: &'a [String], flags: &[&str]) -> Option<&'a str> {
    let names = |arg: &&String| {
        let name = arg.split('=').next().unwrap_or(arg);
        flags.iter().any(|flag| match flag.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            // A short flag may have its value behind it: `-sread-only`.
            None if flag.len() == 2 => arg.starts_with(flag) && !arg.starts_with("--"),
            None => name == *flag,
        })
    };
    args.iter().find(names).map(String::as_str)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A user's world, in memory: `$NAME` entries are variables, the others files.
    #[derive(Default)]
    pub(crate) struct World(BTreeMap<String, String>);

    impl World {
        pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
            self.0.insert(name.to_owned(), text.to_owned());
            self
        }
    }

    impl UserConfig for World {
        fn variable(&self, name: &str) -> Option<String> {
            let home = (name == "HOME").then(|| "/home/u".to_owned());
            self.0.get(&format!("${name}")).cloned().or(home)
        }

        fn file(&self, path: &Path) -> Result<Option<String>, Unreadable> {
            Ok(self.0.get(path.to_str().unwrap()).cloned())
        }

        fn folder(&self) -> &Path {
            Path::new("/home/u/project")
        }
    }

    #[test]
    fn no_file_of_a_project_is_the_users() {
        let world = World::default();
        let of_project = |path: &str| WithoutProject(&world).is_of_project(Path::new(path));
        for path in [
            "/home/u/project/.claude/settings.json",
            "/home/u/project/opencode.json",
            "/home/u/opencode.json",
            "/home/.opencode/opencode.json",
            "/opencode.json",
        ] {
            assert!(of_project(path), "{path}");
        }
        for path in [
            "/home/u/.claude/settings.json",
            "/home/u/.config/opencode/opencode.json",
            "/etc/claude-code/managed-settings.json",
            "/elsewhere/config.toml",
        ] {
            assert!(!of_project(path), "{path}");
        }
    }

    #[test]
    fn what_a_project_says_binds_nobody_to_more() {
        use Permissions::{Ask, Edit, Full, ReadOnly};
        let mode = EffectiveMode::between;
        let check = |with: EffectiveMode, without: EffectiveMode, want| {
            let both = with.with_and_without(without);
            assert_eq!((both.at_least, both.at_most), want);
        };
        check(mode(Full, Full, "p"), mode(Ask, Ask, "u"), (Ask, Full));
        check(mode(ReadOnly, Ask, "p"), mode(Full, Full, "u"), (ReadOnly, Full));
        check(mode(Edit, Edit, "u"), mode(Edit, Edit, "u"), (Edit, Edit));
    }

    #[test]
    fn arguments_that_set_a_mode_are_found_however_they_are_written() {
        let flags = ["--sandbox", "-s", "--dangerously*"];
        let found = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            mode_argument(&args, &flags).map(str::to_owned)
        };
        assert_eq!(found(&["--json", "--sandbox", "x"]).as_deref(), Some("--sandbox"));
        assert_eq!(found(&["--sandbox=x"]).as_deref(), Some("--sandbox=x"));
        assert_eq!(found(&["-sx"]).as_deref(), Some("-sx"));
        assert!(found(&["--dangerously-skip-permissions"]).is_some());
        assert_eq!(found(&["--sandboxed", "--s", "x"]), None);
    }
}
