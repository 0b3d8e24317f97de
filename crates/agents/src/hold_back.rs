//! Which variables no agent sees although the user has them, and why.

use crate::{claude, codex, copilot, opencode, pi};
use serde::Serialize;
use std::fmt;

/// Why an agent does not see a variable that its user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldBack {
    /// It holds a secret of the program that starts the agent: a notifier's token, an exporter's header.
    Secret,
    /// An agent session has set it for the programs that it runs: an agent that sees it takes itself for a part of
    /// that session.
    OuterSession,
    /// It allows the agent more than the request does.
    Permissions,
    /// The caller has named it.
    Caller,
    /// The environment is clean, and nothing lists it.
    NotListed,
}

impl fmt::Display for HoldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "secrets of belay's own",
            Self::OuterSession => "marks of an outer agent session",
            Self::Permissions => "would allow the agent more than the request does",
            Self::Caller => "held back by configuration",
            Self::NotListed => "not on the list of a clean environment",
        })
    }
}

/// Marks that several agents set, or one that belay has no driver for. `AI_AGENT` is set by Claude Code and Pi (from
/// their sources); `AGENT=…` by OpenCode, Amp and Goose. A variable `AGENT` with another value is the user's own.
const COMMON: &[&str] =
    &["AI_AGENT", "AGENT=1", "AGENT=amp", "AGENT=goose", "GOOSE_TERMINAL", "CURSOR_AGENT"];

/// True if an agent session has set this variable for the programs that it runs.
pub(crate) fn is_of_outer_session(name: &str, value: &str) -> bool {
    let lists = [
        COMMON,
        claude::SESSION_MARKS,
        codex::SESSION_MARKS,
        opencode::SESSION_MARKS,
        pi::SESSION_MARKS,
        copilot::SESSION_MARKS,
        #[cfg(feature = "acp")]
        crate::acp::SESSION_MARKS,
    ];
    lists.iter().any(|list| is_listed(list, name, value))
}

/// True if a variable would allow an agent more than a request does. Each is held back from every agent: one may start
/// another, by itself or as an adapter.
pub(crate) fn loosens(name: &str, value: &str) -> bool {
    let lists = [
        claude::LOOSENS,
        copilot::LOOSENS,
        #[cfg(feature = "acp")]
        crate::acp::LOOSENS,
    ];
    lists.iter().any(|list| is_listed(list, name, value))
}

/// True if a list has the variable: by its name, by its beginning (`NAME_*`), or by its name and value (`NAME=VALUE`).
pub(crate) fn is_listed(list: &[&str], name: &str, value: &str) -> bool {
    list.iter().any(|pattern| match pattern.split_once('=') {
        Some((known, wanted)) => known == name && wanted == value,
        None => match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *pattern == name,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loosens_permissions_is_known_by_name_by_beginning_or_by_value() {
        for name in ["COPILOT_ALLOW_ALL", "CLAUDE_CODE_SANDBOXED", "GITHUB_COPILOT_PROMPT_MODE_X"] {
            assert!(loosens(name, "1"), "{name}");
        }
        assert!(!loosens("IS_SANDBOX", "1"));
        assert!(is_listed(&["FOO_MODE=auto"], "FOO_MODE", "auto"));
        assert!(!is_listed(&["FOO_MODE=auto"], "FOO_MODE", "ask"));
    }

    #[test]
    fn marks_of_every_agent_are_known() {
        for (name, value) in [
            ("CLAUDECODE", "1"),
            ("CLAUDE_CODE_ENTRYPOINT", "cli"),
            ("CLAUDE_CODE_SSE_PORT", "1"),
            ("CODEX_SANDBOX", "seatbelt"),
            ("CODEX_SANDBOX_NETWORK_DISABLED", "1"),
            ("CODEX_THREAD_ID", "x"),
            ("OPENCODE", "1"),
            ("AGENT", "1"),
            ("PI_CODING_AGENT", "true"),
            ("AI_AGENT", "pi"),
        ] {
            assert!(is_of_outer_session(name, value), "{name}");
        }
    }

    #[test]
    fn settings_logins_and_a_users_own_variables_are_no_marks() {
        for (name, value) in [
            ("AGENT", "smith"),
            ("CLAUDE_CONFIG_DIR", "/x"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "x"),
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("CODEX_HOME", "/x"),
            ("CODEX_API_KEY", "x"),
            ("OPENCODE_CONFIG", "/x"),
            ("OPENCODE_PERMISSION", "{}"),
            ("PI_CODING_AGENT_DIR", "/x"),
            ("COPILOT_GITHUB_TOKEN", "x"),
            ("IS_SANDBOX", "1"),
            ("PATH", "/bin"),
        ] {
            assert!(!is_of_outer_session(name, value), "{name}");
        }
    }
}
