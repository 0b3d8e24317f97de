//! The caller's environment, of which an agent sees an allow-listed part.

use belay_agents::EnvPolicy;
use std::ffi::{OsStr, OsString};

/// Environment variables. The library never reads its own process's: a caller passes them in.
///
/// ```
/// use belaykit::Environment;
///
/// let mut environment = Environment::new(std::env::vars_os());
/// environment.pass("MY_PROVIDER_KEY");
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    vars: Vec<(OsString, OsString)>,
    /// Names that go to every agent although no policy lists them.
    passed: Vec<String>,
}

impl std::fmt::Debug for Environment {
    // Values are secrets as often as not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("vars", &self.vars.len())
            .field("passed", &self.passed)
            .finish()
    }
}

impl Environment {
    /// The given variables, usually `std::env::vars_os()`.
    pub fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self { vars: vars.into_iter().collect(), passed: Vec::new() }
    }

    /// Hands the variable with this name to the agents, whatever it holds. A trailing `*` stands for any ending.
    pub fn pass(&mut self, name: impl Into<String>) {
        self.passed.push(name.into());
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// All variables.
    pub(crate) fn vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// What an agent with this policy sees when a person sits before it.
    pub(crate) fn for_person(&self, policy: &EnvPolicy) -> Vec<(OsString, OsString)> {
        let mut policy = policy.clone();
        policy.allow.extend(OF_A_TERMINAL);
        self.for_agent(&policy)
    }

    /// What an agent with this policy sees.
    pub(crate) fn for_agent(&self, policy: &EnvPolicy) -> Vec<(OsString, OsString)> {
        let seen = self.vars.iter().filter(|(name, _)| {
            name.to_str().is_some_and(|name| policy.passes(name) || self.is_passed(name))
        });
        let set = policy
            .set
            .iter()
            .chain(&policy.run)
            .map(|(name, value)| (OsString::from(*name), OsString::from(value)));
        let private = policy.private.iter().map(|(name, value)| (name.into(), value.into()));
        seen.cloned().chain(set).chain(private).collect()
    }

    /// What tells one account from another, by name: the variables that are listed, and the keys that the caller
    /// hands over.
    pub(crate) fn of_account(&self, listed: &[&str]) -> Vec<(&OsStr, &OsStr)> {
        let tells = |name: &str| {
            let is_listed = listed.iter().any(|pattern| is_like(name, pattern));
            let is_key = SECRETS.iter().any(|word| name.contains(word));
            is_listed || is_key && self.is_passed(name)
        };
        let vars = self.vars.iter().filter(|(name, _)| name.to_str().is_some_and(tells));
        let mut vars: Vec<_> = vars.map(|(name, value)| (&**name, &**value)).collect();
        vars.sort_unstable();
        vars
    }

    fn is_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|pattern| is_like(name, pattern))
    }
}

/// Words in the names of variables that hold a login.
const SECRETS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "CREDENTIAL"];

/// A trailing `*` stands for any ending.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// What a person's terminal, editor, browser and keys need, beyond what an agent needs by itself.
const OF_A_TERMINAL: [&str; 24] = [
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESS",
    "BROWSER",
    "SSH_AUTH_SOCK",
    "SSH_CONNECTION",
    "SSH_TTY",
    "GPG_TTY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "COLORFGBG",
    "COLUMNS",
    "LINES",
    "TERM_*",
    "TERMINFO*",
    "TMUX*",
    "STY",
    "KITTY_*",
    "WEZTERM_*",
    "ITERM_*",
    "VTE_VERSION",
    "WT_SESSION",
];
