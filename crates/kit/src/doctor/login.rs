//! Whether an agent looks logged in: by variables, of which the names alone are looked at, and by its login file.

use super::{Finding, Level};
use crate::{Environment, breaker};
use belay_agents::{Account, Agent, Cloud, EnvPolicy, Login, Need, SettingsLogin};
use belay_trace::{read_regular, visible_line};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};

/// No login file is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn look(
    agent: &dyn Agent,
    env: &Environment,
    policy: &EnvPolicy,
    now: Timestamp,
) -> Finding {
    let account = agent.account(agent.model());
    let clouds: Vec<_> = env.clouds(account.clouds).collect();
    if !clouds.is_empty() {
        return of_clouds(&clouds, env);
    }
    let names: Vec<_> = env
        .listed(account.variables)
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.to_str().filter(|name| is_key(name)))
        .collect();
    // What the settings name goes before what was logged in to once.
    if let Some(finding) = in_settings(agent, &account, env, policy) {
        return finding;
    }
    let file = file_of(&account, env);
    let in_file = file.as_deref().map(|path| in_file(agent, path, now));
    match (&names[..], in_file) {
        ([], Some(Some(finding))) => finding,
        ([], _) => {
            let place = match file {
                Some(path) => format!("{} is not there, and no variable has a key", path.display()),
                None => "no variable has a key".to_owned(),
            };
            let keychain =
                if cfg!(target_os = "macos") { "; it may be in the keychain" } else { "" };
            let words = format!("none found: {place}{keychain}");
            Finding::new(Level::Warning, "login", words).hint(agent.care().log_in)
        }
        (names, _) => Finding::ok("login", format!("by {}", names.join(", "))),
    }
}

/// A login that the agent's own settings hold, or name a variable for.
fn in_settings(
    agent: &dyn Agent,
    account: &Account,
    env: &Environment,
    policy: &EnvPolicy,
) -> Option<Finding> {
    let path = breaker::home(account, env)?.join(agent.settings_file()?);
    let data = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    if data.len() > FILE_BYTES_MAX {
        return None;
    }
    let shown = path.display();
    Some(match agent.settings_login(&read_regular(&path).ok()?)? {
        SettingsLogin::Holds(name) => {
            Finding::ok("login", format!("by {} in {shown}", visible_line(&name)))
        }
        SettingsLogin::Needs(variable) => {
            let name = visible_line(&variable).into_owned();
            let held = env.held_back(policy);
            let held = held.iter().find(|(held, _)| *held == variable);
            match (held, env.get(&variable).is_some_and(|value| !value.is_empty())) {
                (Some((_, why)), _) => {
                    let found =
                        format!("{shown} names {name}, which the agent does not see ({why})");
                    let hint = format!("--pass-env {name}, or [agents.{}] pass_env", agent.name());
                    Finding::new(Level::Warning, "login", found).hint(hint)
                }
                (None, true) => Finding::ok("login", format!("by {name}, which {shown} names")),
                (None, false) => {
                    let found = format!("{shown} names {name}, which is not set");
                    Finding::new(Level::Warning, "login", found).hint(format!("set {name}"))
                }
            }
        }
    })
}

/// A login with a cloud: what its switch needs, and what of it is not there.
fn of_clouds(clouds: &[&Cloud], env: &Environment) -> Finding {
    let (mut missing, mut uncertain) = (Vec::new(), Vec::new());
    for cloud in clouds {
        for need in cloud.needs.iter().filter(|need| !is_met(need, env)) {
            let names = need.variables.join(", ").replace('+', " with ");
            let words = format!("{} needs {}: one of {names}", cloud.switch, need.what);
            if need.is_certain { missing.push(words) } else { uncertain.push(words) }
        }
    }
    let names: Vec<_> = clouds.iter().map(|cloud| cloud.name).collect();
    let by = format!("{}, by {}", names.join(", "), switches(clouds));
    match (&missing[..], &uncertain[..]) {
        ([], []) => Finding::ok("login", by),
        // The role of a machine is a login that nobody can see.
        ([], uncertain) => {
            let found = format!("{by}; none found, which a role of the machine may be");
            Finding::new(Level::Note, "login", found).hint(uncertain.join("; "))
        }
        (missing, _) => Finding::new(Level::Warning, "login", format!("{by}, lacks something"))
            .hint([missing, &uncertain].concat().join("; ")),
    }
}

fn switches(clouds: &[&Cloud]) -> String {
    clouds.iter().map(|cloud| cloud.switch).collect::<Vec<_>>().join(", ")
}

fn is_met(need: &Need, env: &Environment) -> bool {
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let home = env.get("HOME").map(Path::new).filter(|home| home.is_absolute());
    need.variables.iter().any(|names| names.split('+').all(is_set))
        || home.is_some_and(|home| need.files.iter().any(|file| home.join(file).exists()))
}

/// What a file says, if there is one.
fn in_file(agent: &dyn Agent, path: &Path, now: Timestamp) -> Option<Finding> {
    let shown = path.display();
    let problem = |found: String| {
        Some(Finding::new(Level::Warning, "login", found).hint(agent.care().log_in))
    };
    let data = fs::metadata(path).ok()?;
    if !data.is_file() || data.len() > FILE_BYTES_MAX {
        return problem(format!("{shown} is no login file"));
    }
    let text = match read_regular(path) {
        Ok(text) => text,
        Err(error) => return problem(format!("{shown} cannot be read: {error}")),
    };
    let logins = match agent.logins(&text) {
        Some(logins) if logins.is_empty() => return problem(format!("{shown} has no login")),
        Some(logins) => logins,
        None => return problem(format!("{shown} is no login file that belay knows")),
    };
    let (over, good): (Vec<_>, Vec<_>) = logins.iter().partition(|login| login.is_over(now));
    match over.first().filter(|_| good.is_empty()) {
        Some(login) => {
            let end = login.expires_at.map(|at| format!(" on {at:.0}")).unwrap_or_default();
            problem(format!("the login in {shown} has expired{end}"))
        }
        None => Some(Finding::ok("login", format!("{shown}{}", words(&good, now)))),
    }
}

/// Whose they are, and how long they last.
fn words(logins: &[&Login], now: Timestamp) -> String {
    let providers: Vec<_> = logins.iter().filter_map(|login| login.provider.as_deref()).collect();
    let whose = match providers[..] {
        [] => String::new(),
        _ => format!(" ({})", providers.join(", ")),
    };
    let ends = logins.iter().filter(|login| !login.renews).filter_map(|login| login.expires_at);
    let ends = ends.min().map(|at| format!(", until {at:.0}"));
    let renewed = logins.iter().any(|login| login.expires_at.is_some_and(|at| at <= now));
    let renewed = if renewed { ", renewed at its next use" } else { "" };
    format!("{whose}{}{renewed}", ends.unwrap_or_default())
}

fn file_of(account: &Account, env: &Environment) -> Option<PathBuf> {
    Some(breaker::home(account, env)?.join(account.files.first()?))
}

/// Where requests go is no login.
fn is_key(name: &str) -> bool {
    !["BASE_URL", "CONFIG", "HOME", "HOST", "REGION", "ENDPOINT", "CLAUDE_CODE_USE_"]
        .iter()
        .any(|word| name.contains(word))
}
