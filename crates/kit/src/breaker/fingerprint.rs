//! Which account: a hash over where an agent's login is, what it says, and what takes its place.

use super::entry::hash;
use crate::Environment;
use belay_agents::{Account, AccountPart, Agent};
use belay_trace::read_regular;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The account that an agent uses now. A new login is another one, and so is a token that was renewed: to forget
/// what is known costs one attempt, to hold it against somebody else costs him his work. Whatever else changes in the same
/// files changes nothing.
///
/// `place` is what stands before the agent's own command line: in a container there is another login. `folder` is where
/// the agent works.
pub(crate) fn fingerprint(
    agent: &dyn Agent,
    account: &Account,
    env: &Environment,
    place: &[OsString],
    folder: &Path,
) -> String {
    let mut parts = vec![whose(account, env, place).into_bytes()];
    let mut variables = Vec::new();
    if let Some(described) = &account.described_in {
        let content = description(&folder.join(described));
        variables.extend(named(&String::from_utf8_lossy(&content)));
        parts.push(content);
    }
    if let Some(home) = home(account, env) {
        for file in account.files {
            let content = read_regular(&home.join(file)).unwrap_or_default();
            let part = agent.account_part(account, file, &content);
            let part = part.unwrap_or(AccountPart { content, variables: Vec::new() });
            parts.push(part.content);
            variables.extend(part.variables);
        }
    }
    for (name, value) in env.of_account(account, &variables) {
        parts.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
    }
    hash(parts.iter().map(Vec::as_slice))
}

/// How large a description of an agent may be: people write them by hand.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;

/// The description of an agent; nothing if it is no file.
fn description(path: &Path) -> Vec<u8> {
    let is_small = path.metadata().is_ok_and(|data| data.len() <= DESCRIPTION_BYTES_MAX);
    let content = is_small.then(|| read_regular(path).ok()).flatten();
    content.unwrap_or_default()
}

/// The words of a text that may be variables.
fn named(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(move |c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_variable = move |word: &&str| {
        word.len() > 2
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(is_part)
    };
    words.filter(is_variable).map(str::to_owned)
}

/// Whose account it is, whatever login it has now.
pub(crate) fn whose(account: &Account, env: &Environment, place: &[OsString]) -> String {
    let home = home(account, env).unwrap_or_default();
    let part = account.part.clone().unwrap_or_default();
    let parts = [part.as_bytes(), home.as_os_str().as_bytes()];
    hash(parts.into_iter().chain(place.iter().map(|word| word.as_bytes())))
}

/// The folder of the agent's own files.
pub(crate) fn home(account: &Account, env: &Environment) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = env.get(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let named = Some(account.home_env).filter(|name| !name.is_empty()).and_then(absolute);
    let below = || Some(absolute("HOME")?.join(account.home)).filter(|_| !account.home.is_empty());
    named.or_else(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Claude, Codex, DockerAgent};
    use std::fs;
    use std::path::Path;

    fn of(agent: &dyn Agent, env: &Environment, place: &[OsString]) -> String {
        fingerprint(agent, &agent.account(None), env, place, Path::new("/"))
    }

    struct Home {
        dir: tempfile::TempDir,
        vars: Vec<(&'static str, &'static str)>,
    }

    impl Home {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join(".claude")).unwrap();
            Self { dir, vars: Vec::new() }
        }

        fn with(&self, name: &'static str, value: &'static str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir, vars: vec![(name, value)] }
        }

        fn env(&self, home: &Path) -> Environment {
            let vars = self.vars.iter().map(|(name, value)| (name.into(), value.into()));
            Environment::new(vars.chain([("HOME".into(), home.into())]))
        }

        fn of(&self, home: &Path) -> String {
            of(&Claude::new(), &self.env(home), &[])
        }
    }

    #[test]
    fn a_new_login_is_another_account_and_nothing_else_is() {
        let home = Home::new();
        let path = home.dir.path();
        let before = home.of(path);
        assert_eq!(home.of(path), before);
        fs::write(path.join(".claude/history.jsonl"), "words").unwrap();
        assert_eq!(home.of(path), before);
        let login = path.join(".claude/.credentials.json");
        let write = |token: &str, other: &str| {
            let text =
                format!(r#"{{"claudeAiOauth":{{"accessToken":"{token}"}},"mcpOAuth":"{other}"}}"#);
            fs::write(&login, text).unwrap();
            home.of(path)
        };
        let logged_in = write("one", "x");
        assert_ne!(logged_in, before);
        assert_eq!(write("one", "y"), logged_in);
        assert_ne!(write("two", "y"), logged_in);
        let settings = path.join(".claude/settings.json");
        fs::write(&settings, r#"{"model":"opus"}"#).unwrap();
        assert_eq!(write("one", "y"), home.of(path));
        let plain = home.of(path);
        fs::write(&settings, r#"{"model":"haiku"}"#).unwrap();
        assert_eq!(home.of(path), plain);
        fs::write(&settings, r#"{"apiKeyHelper":"/bin/key"}"#).unwrap();
        assert_ne!(home.of(path), plain);
    }

    #[test]
    fn a_key_a_provider_a_folder_and_a_container_are_accounts_of_their_own() {
        let home = Home::new();
        let path = home.dir.path();
        let mut all = vec![
            home.of(path),
            home.of(Path::new("/elsewhere")),
            home.with("ANTHROPIC_API_KEY", "one").of(path),
            home.with("ANTHROPIC_API_KEY", "two").of(path),
            home.with("ANTHROPIC_BASE_URL", "http://127.0.0.1:1").of(path),
            home.with("CLAUDE_CODE_USE_BEDROCK", "1").of(path),
            home.with("CLAUDE_CONFIG_DIR", "/other").of(path),
            of(&Claude::new(), &home.env(path), &["docker".into()]),
            of(&Codex::new(), &home.env(path), &[]),
        ];
        let mut handed = home.env(path);
        all.push(of(&Claude::new(), &handed, &[]));
        assert_eq!(all.pop(), all.first().cloned());
        handed.pass("MY_PROVIDER_KEY");
        assert_eq!(of(&Claude::new(), &handed, &[]), all[0]);
        let vars = [("HOME".into(), path.into()), ("MY_PROVIDER_KEY".into(), "secret".into())];
        let mut handed = Environment::new(vars);
        handed.pass("MY_*");
        all.push(of(&Claude::new(), &handed, &[]));
        // What says nothing of who pays changes nothing.
        assert_eq!(home.with("ANTHROPIC_MODEL", "opus").of(path), all[0]);
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
    }

    #[test]
    fn a_description_and_the_keys_that_it_names_are_an_account() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |folder: &Path, key: &'static str| {
            let agent = DockerAgent::new("agent.yaml");
            let env = Environment::new([("LAB_URL".into(), key.into())]);
            fingerprint(&agent, &agent.account(None), &env, &[], folder)
        };
        let write = |folder: &Path, text: &str| fs::write(folder.join("agent.yaml"), text).unwrap();
        write(one.path(), "providers: {lab: {base_url: LAB_URL}}");
        write(two.path(), "providers: {lab: {base_url: LAB_URL}}");
        assert_eq!(of(one.path(), "a"), of(two.path(), "a"), "the same provider and key");
        assert_ne!(of(one.path(), "a"), of(one.path(), "b"), "another value");
        write(two.path(), "providers: {lab: {base_url: OTHER_URL}}");
        assert_ne!(of(one.path(), "a"), of(two.path(), "a"), "another file of the same name");
        assert_eq!(of(two.path(), "a"), of(two.path(), "b"), "one that it does not name");
        // An image has no file.
        assert_eq!(of(Path::new("/no/such"), "a"), of(Path::new("/nor/such"), "a"));
    }

    #[test]
    fn no_secret_can_be_read_in_it() {
        let home = Home::new().with("ANTHROPIC_API_KEY", "sk-ant-secret");
        let print = home.of(Path::new("/home"));
        assert!(print.len() == 32 && print.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
