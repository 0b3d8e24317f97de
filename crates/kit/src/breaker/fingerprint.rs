//! Which account: a hash over where an agent's login is, what it was changed last, and what takes its place.

use super::entry::hash;
use crate::Environment;
use belay_agents::Account;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The account that an agent uses now. A new login is another one, and so is a token that was renewed: to forget
/// what is known costs one attempt, to hold it against somebody else costs him his work.
///
/// `place` is what stands before the agent's own command line: in a container there is another login.
pub(crate) fn fingerprint(account: &Account, env: &Environment, place: &[OsString]) -> String {
    let mut parts: Vec<Vec<u8>> = vec![account.part.clone().unwrap_or_default().into_bytes()];
    parts.extend(place.iter().map(|word| word.as_bytes().to_vec()));
    let home = home(account, env);
    parts
        .push(home.as_deref().map(|home| home.as_os_str().as_bytes().to_vec()).unwrap_or_default());
    if let Some(home) = home {
        parts.extend(account.files.iter().map(|file| stamp(&home.join(file)).into_bytes()));
    }
    for (name, value) in env.of_account(account) {
        parts.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
    }
    hash(parts.iter().map(Vec::as_slice))
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

/// What changes when a file is written or replaced.
fn stamp(file: &Path) -> String {
    match fs::metadata(file) {
        Ok(data) => {
            let (seconds, nanoseconds) = (data.mtime(), data.mtime_nsec());
            format!("{} {} {seconds}.{nanoseconds} {}", data.dev(), data.ino(), data.size())
        }
        Err(_) => "not there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Agent as _, Claude, Codex};

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
            fingerprint(&Claude::new().account(None), &self.env(home), &[])
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
        fs::write(&login, "{}").unwrap();
        let logged_in = home.of(path);
        assert_ne!(logged_in, before);
        // Replaced by one of the same size, perhaps within the same tick of the clock.
        fs::write(path.join("new"), "[]").unwrap();
        fs::rename(path.join("new"), &login).unwrap();
        assert_ne!(home.of(path), logged_in);
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
            fingerprint(&Claude::new().account(None), &home.env(path), &["docker".into()]),
            fingerprint(&Codex::new().account(None), &home.env(path), &[]),
        ];
        let mut handed = home.env(path);
        all.push(fingerprint(&Claude::new().account(None), &handed, &[]));
        assert_eq!(all.pop(), all.first().cloned());
        handed.pass("MY_PROVIDER_KEY");
        assert_eq!(fingerprint(&Claude::new().account(None), &handed, &[]), all[0]);
        let vars = [("HOME".into(), path.into()), ("MY_PROVIDER_KEY".into(), "secret".into())];
        let mut handed = Environment::new(vars);
        handed.pass("MY_*");
        all.push(fingerprint(&Claude::new().account(None), &handed, &[]));
        // What says nothing of who pays changes nothing.
        assert_eq!(home.with("ANTHROPIC_MODEL", "opus").of(path), all[0]);
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
    }

    #[test]
    fn no_secret_can_be_read_in_it() {
        let home = Home::new().with("ANTHROPIC_API_KEY", "sk-ant-secret");
        let print = home.of(Path::new("/home"));
        assert!(print.len() == 32 && print.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
