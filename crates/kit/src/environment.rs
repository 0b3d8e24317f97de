//! The caller's environment, and what of it an agent sees: all but what is held back, or a list.

use belay_agents::{Account, Cloud, EnvPolicy, HoldBack};
use belay_trace::visible_line;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Environment variables, and how much of them an agent sees.
///
/// An agent sees what it sees under its own program, but for what is held back ([`HoldBack`]): marks of an outer agent
/// session, switches that would allow more than a request does, and secrets that the caller has named
/// ([`hold_back`](Self::hold_back)). A run says which, by name.
///
/// ```
/// use belaykit::Environment;
///
/// // All that this process has: what a client takes that is told nothing else.
/// let everything = Environment::inherit();
/// // Only what an agent needs by its nature, and one more.
/// let mut little = Environment::clean();
/// little.pass("MY_PROVIDER_KEY");
/// // Nothing of this process's.
/// let other = Environment::from_iter([("PATH".into(), "/usr/bin".into())]);
/// # let _ = (everything, other);
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    vars: Vec<(OsString, OsString)>,
    mode: EnvMode,
    /// Names that go to every agent whatever else would hold them back.
    passed: Vec<String>,
    /// Names that go to no agent, and why.
    held_back: Vec<(String, HoldBack)>,
}

/// How much of an environment an agent sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvMode {
    /// All but what is held back.
    #[default]
    Inherit,
    /// What an agent needs by its nature (PATH, HOME, language, proxies, its own settings and logins), and what is
    /// passed by name.
    Clean,
}

impl EnvMode {
    /// Every mode with its name.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Inherit, "inherit"), (Self::Clean, "clean")];

    /// The name on command lines and in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inherit => "inherit",
            Self::Clean => "clean",
        }
    }
}

impl FromStr for EnvMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(mode, _)| mode).ok_or_else(|| "use inherit or clean".to_owned())
    }
}

impl fmt::Debug for Environment {
    // Values are secrets as often as not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("vars", &self.vars.len())
            .field("mode", &self.mode)
            .field("passed", &self.passed)
            .field("held_back", &self.held_back)
            .finish()
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(vars: I) -> Self {
        Self { vars: vars.into_iter().collect(), ..Self::default() }
    }
}

impl Environment {
    /// What this process has now.
    pub fn inherit() -> Self {
        Self::new(std::env::vars_os())
    }

    /// What this process has now, of which an agent sees a list.
    pub fn clean() -> Self {
        Self::inherit().mode(EnvMode::Clean)
    }

    /// The given variables.
    pub fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        vars.into_iter().collect()
    }

    /// Lets agents see this much.
    #[must_use]
    pub fn mode(mut self, mode: EnvMode) -> Self {
        self.mode = mode;
        self
    }

    /// Hands the variable with this name to the agents, also where it would be held back. A trailing `*` stands for any
    /// ending, and hands over nothing that is held back in every environment: that takes the whole name.
    pub fn pass(&mut self, name: impl Into<String>) {
        self.passed.push(name.into());
    }

    /// Keeps the variable with this name from the agents, because it is a secret of the program's own, or because
    /// somebody wants it; [`pass`](Self::pass) goes before it. A trailing `*` stands for any ending.
    pub fn hold_back(&mut self, name: impl Into<String>, why: HoldBack) {
        self.held_back.push((name.into(), why));
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
        let set = policy
            .set
            .iter()
            .chain(&policy.run)
            .map(|(name, value)| (OsString::from(*name), OsString::from(value)));
        let private = policy.private.iter().map(|(name, value)| (name.into(), value.into()));
        let set: Vec<(OsString, OsString)> = set.chain(private).collect();
        let seen = self.vars.iter().filter(|(name, value)| {
            self.reason(policy, name, value).is_none()
                && !set.iter().any(|(other, _)| name == other)
        });
        let seen: Vec<_> = seen.cloned().collect();
        // What the user has said of it holds, whatever it is.
        let quiet = policy.quiet.iter().filter(|(name, _)| self.get(name).is_none());
        let quiet = quiet.map(|(name, value)| (OsString::from(*name), OsString::from(*value)));
        seen.into_iter().chain(quiet).chain(set).collect()
    }

    /// What an agent with this policy does not see although it is there, by name, each with the reason.
    pub(crate) fn held_back(&self, policy: &EnvPolicy) -> Vec<(Cow<'_, str>, HoldBack)> {
        let vars = self.vars.iter();
        let mut held: Vec<_> = vars
            .filter_map(|(name, value)| {
                Some((name.to_string_lossy(), self.reason(policy, name, value)?))
            })
            .collect();
        held.sort_by(|(a, why), (b, other)| (why, a).cmp(&(other, b)));
        held
    }

    /// Why an agent with this policy does not see the variable, if it does not.
    fn reason(&self, policy: &EnvPolicy, name: &OsStr, value: &OsStr) -> Option<HoldBack> {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if self.passed.iter().any(|passed| *passed == name) {
            return None;
        }
        let own = self.held_back.iter().find(|(pattern, _)| is_like(&name, pattern));
        if let Some(why) = own.map(|(_, why)| *why).or_else(|| policy.holds_back(&name, &value)) {
            return Some(why);
        }
        let is_seen = self.mode == EnvMode::Inherit
            || policy.is_listed(&name)
            || self.is_passed(&name)
            || self.is_of_cloud(policy.clouds, &name);
        (!is_seen).then_some(HoldBack::NotListed)
    }

    /// The variables that a list names.
    pub(crate) fn listed(&self, listed: &[&str]) -> Vec<(&OsStr, &OsStr)> {
        self.filtered(|name| listed.iter().any(|pattern| is_like(name, pattern)))
    }

    /// What tells one account from another, by name: the variables that are listed, and keys that an agent sees, of
    /// which nobody knows here who reads them. Logins of code hosts and package registries pay for no model.
    pub(crate) fn of_account(&self, account: &Account, more: &[String]) -> Vec<(&OsStr, &OsStr)> {
        self.filtered(|name| {
            let is_listed = account.variables.iter().any(|pattern| is_like(name, pattern))
                || more.iter().any(|pattern| is_like(name, pattern))
                || self.is_of_cloud(account.clouds, name);
            let is_key = name.split('_').any(|word| SECRETS.contains(&word));
            let is_elsewhere = ELSEWHERE.iter().any(|pattern| is_like(name, pattern));
            let is_held_back = self.held_back.iter().any(|(pattern, _)| is_like(name, pattern));
            let is_seen = self.mode == EnvMode::Inherit && !is_elsewhere && !is_held_back;
            is_listed || is_key && (is_seen || self.is_passed(name))
        })
    }

    /// True for a variable that goes with a cloud that is switched on.
    fn is_of_cloud(&self, clouds: &[Cloud], name: &str) -> bool {
        self.clouds(clouds).any(|cloud| cloud.variables.iter().any(|known| is_like(name, known)))
    }

    /// The clouds that are switched on.
    pub(crate) fn clouds<'a>(&self, clouds: &'a [Cloud]) -> impl Iterator<Item = &'a Cloud> {
        clouds.iter().filter(|cloud| self.get(cloud.switch).is_some_and(is_on))
    }

    fn filtered(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<(&OsStr, &OsStr)> {
        let vars = self.vars.iter().filter(|(name, _)| name.to_str().is_some_and(&is_wanted));
        let mut vars: Vec<_> = vars.map(|(name, value)| (&**name, &**value)).collect();
        vars.sort_unstable();
        vars
    }

    fn is_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|pattern| is_like(name, pattern))
    }
}

/// The names by their reasons; nothing if there are none.
pub(crate) fn held_back_words(held: &[(Cow<'_, str>, HoldBack)]) -> Option<String> {
    let groups = held.chunk_by(|(_, one), (_, other)| one == other);
    let groups = groups.filter_map(|group| {
        let names: Vec<_> = group.iter().map(|(name, _)| visible_line(name)).collect();
        let why = group.first()?.1;
        Some(format!("{} ({why})", names.join(", ")))
    });
    let groups: Vec<_> = groups.collect();
    (!groups.is_empty()).then(|| groups.join("; "))
}

/// Keeps `PWD` true for an agent that starts in another folder than the caller is in: OpenCode believes it rather than
/// the system (from its source, 1.18.33). A name of the same folder through links stays as it is.
pub(crate) fn move_to(env: &mut [(OsString, OsString)], cwd: Option<&Path>) {
    let Some(cwd) = cwd else { return };
    if let Some((_, pwd)) = env.iter_mut().find(|(name, _)| name == "PWD")
        && !is_same_folder(Path::new(pwd), cwd)
    {
        *pwd = cwd.into();
    }
}

fn is_on(value: &OsStr) -> bool {
    Cloud::is_on(&value.to_string_lossy())
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| path.metadata().ok().map(|data| (data.dev(), data.ino()));
    one.is_absolute() && id(one).is_some_and(|one| id(other) == Some(one))
}

/// Words in the names of variables that hold a login.
const SECRETS: [&str; 8] =
    ["KEY", "APIKEY", "TOKEN", "SECRET", "CREDENTIAL", "CREDENTIALS", "PASSWORD", "AUTH"];

/// Logins that pay for no model, and may be others in each shell.
const ELSEWHERE: [&str; 14] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITLAB_*",
    "CI_*",
    "ACTIONS_*",
    "BITBUCKET_*",
    "NPM_*",
    "NODE_AUTH_TOKEN",
    "CARGO_*",
    "PYPI_*",
    "TWINE_*",
    "DOCKER_*",
    "SSH_*",
];

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

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Agent as _, Claude, Copilot, RunRequest, Transport};

    fn world(vars: &[(&str, &str)]) -> Environment {
        vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn policy() -> EnvPolicy {
        Claude::new().launch(&RunRequest::new("p"), Transport::Dialogue).unwrap().env
    }

    #[test]
    fn a_switch_for_an_agents_household_is_set_only_where_the_user_has_not_said() {
        let value = |vars: &[(&str, &str)]| {
            let seen = world(vars).for_agent(&policy());
            let all: Vec<_> =
                seen.into_iter().filter(|(name, _)| name == "DISABLE_TELEMETRY").collect();
            assert!(all.len() <= 1, "{all:?}");
            all.into_iter().map(|(_, value)| value.into_string().unwrap()).next()
        };
        assert_eq!(value(&[]).as_deref(), Some("1"));
        for said in ["", "0", "1"] {
            assert_eq!(value(&[("DISABLE_TELEMETRY", said)]).as_deref(), Some(said));
        }
    }

    #[track_caller]
    fn sees(env: &Environment, policy: &EnvPolicy, want: &[&str]) {
        let mut policy = policy.clone();
        (policy.set, policy.run, policy.quiet) = (Vec::new(), Vec::new(), &[]);
        let seen = env.for_agent(&policy);
        let names: Vec<_> = seen.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, want);
    }

    #[test]
    fn an_agent_sees_what_its_user_has() {
        let vars = [
            ("PATH", "/bin"),
            ("JAVA_HOME", "/java"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("AWS_PROFILE", "work"),
            ("DATABASE_URL", "postgres://x"),
            ("IS_SANDBOX", "1"),
            ("BELAY_STATE_DIR", "/state"),
        ];
        sees(&world(&vars), &policy(), &vars.map(|(name, _)| name));
    }

    #[test]
    fn outer_sessions_loose_switches_and_own_secrets_are_held_back_by_name() {
        let mut env = world(&[
            ("SLACK_BOT_TOKEN", "xoxb"),
            ("CLAUDECODE", "1"),
            ("CODEX_THREAD_ID", "t"),
            ("CLAUDE_CODE_SANDBOXED", "1"),
            ("MY_DIARY", "dear"),
            ("HOME", "/root"),
        ]);
        env.hold_back("SLACK_BOT_TOKEN", HoldBack::Secret);
        env.hold_back("MY_*", HoldBack::Caller);
        sees(&env, &policy(), &["HOME"]);
        let held = env.held_back(&policy());
        let held: Vec<_> = held.iter().map(|(name, why)| (&**name, *why)).collect();
        let want = [
            ("SLACK_BOT_TOKEN", HoldBack::Secret),
            ("CLAUDECODE", HoldBack::OuterSession),
            ("CODEX_THREAD_ID", HoldBack::OuterSession),
            ("CLAUDE_CODE_SANDBOXED", HoldBack::Permissions),
            ("MY_DIARY", HoldBack::Caller),
        ];
        assert_eq!(held, want);
        ["SLACK_BOT_TOKEN", "CLAUDECODE", "MY_DIARY"].iter().for_each(|name| env.pass(*name));
        sees(&env, &policy(), &["SLACK_BOT_TOKEN", "CLAUDECODE", "MY_DIARY", "HOME"]);
    }

    #[test]
    fn a_clean_environment_has_what_is_listed_and_what_is_passed() {
        let vars = [("PATH", "/bin"), ("JAVA_HOME", "/java"), ("MY_KEY", "k"), ("CLAUDECODE", "1")];
        let mut env = world(&vars).mode(EnvMode::Clean);
        sees(&env, &policy(), &["PATH"]);
        env.pass("MY_*");
        sees(&env, &policy(), &["PATH", "MY_KEY"]);
        let held = env.held_back(&policy());
        let want = [("CLAUDECODE", HoldBack::OuterSession), ("JAVA_HOME", HoldBack::NotListed)];
        let want = want.map(|(name, why)| (Cow::from(name), why));
        assert_eq!(held, want);
    }

    #[test]
    fn what_a_cloud_needs_passes_with_its_switch() {
        let with = |switch: &'static str| {
            let vars =
                [("AWS_REGION", "x"), ("AWS_PROFILE", "p"), ("CLAUDE_CODE_USE_BEDROCK", switch)];
            world(&vars).mode(EnvMode::Clean)
        };
        sees(&with("1"), &policy(), &["AWS_REGION", "AWS_PROFILE", "CLAUDE_CODE_USE_BEDROCK"]);
        sees(&with("0"), &policy(), &["CLAUDE_CODE_USE_BEDROCK"]);
    }

    #[test]
    fn a_pattern_hands_over_nothing_that_is_held_back_everywhere() {
        let policy = Copilot::new().launch(&RunRequest::new("p"), Transport::Print).unwrap().env;
        let mut env = world(&[("COPILOT_ALLOW_ALL", "true"), ("COPILOT_MODEL", "x")]);
        env.pass("*");
        sees(&env, &policy, &["COPILOT_MODEL"]);
        env.pass("COPILOT_ALLOW_ALL");
        sees(&env, &policy, &["COPILOT_ALLOW_ALL", "COPILOT_MODEL"]);
    }

    #[test]
    fn what_is_set_for_an_agent_is_there_once() {
        let env = world(&[("DISABLE_AUTOUPDATER", "0"), ("PATH", "/bin")]);
        let seen = env.for_agent(&policy());
        let of = |name: &str| seen.iter().filter(|(known, _)| known == name).collect::<Vec<_>>();
        assert_eq!(of("DISABLE_AUTOUPDATER"), [&("DISABLE_AUTOUPDATER".into(), "1".into())]);
    }

    #[test]
    fn a_name_that_is_not_utf_8_passes() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"ODD_\xff".to_vec());
        let env = Environment::new([(odd.clone(), odd.clone())]);
        assert!(env.for_agent(&policy()).contains(&(odd.clone(), odd)));
    }

    #[test]
    fn pwd_is_where_the_agent_starts() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let moved = |pwd: &Path| {
            let mut env = vec![("PWD".into(), pwd.into())];
            move_to(&mut env, Some(&real));
            env.pop().unwrap().1
        };
        assert_eq!(moved(dir.path()), real);
        assert_eq!(moved(Path::new("/no/such/folder")), real);
        assert_eq!(moved(&link), link);
        let mut none = Vec::new();
        move_to(&mut none, Some(&real));
        assert_eq!(none, []);
    }

    #[test]
    fn keys_tell_accounts_apart_and_tokens_of_code_hosts_do_not() {
        let account = Claude::new().account(None);
        let names = |env: &Environment| {
            let vars = env.of_account(&account, &[]);
            vars.iter().map(|(name, _)| name.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let vars = [
            ("ANTHROPIC_API_KEY", "a"),
            ("AWS_PROFILE", "work"),
            ("MOCK_KEY", "m"),
            ("GITHUB_TOKEN", "g"),
            ("GNOME_KEYRING_CONTROL", "/run"),
            ("PATH", "/bin"),
        ];
        assert_eq!(names(&world(&vars)), ["ANTHROPIC_API_KEY", "MOCK_KEY"]);
        let mut clean = world(&vars).mode(EnvMode::Clean);
        assert_eq!(names(&clean), ["ANTHROPIC_API_KEY"]);
        clean.pass("GITHUB_TOKEN");
        assert_eq!(names(&clean), ["ANTHROPIC_API_KEY", "GITHUB_TOKEN"]);
        let mut bedrock = world(&vars);
        bedrock.vars.push(("CLAUDE_CODE_USE_BEDROCK".into(), "1".into()));
        let want = ["ANTHROPIC_API_KEY", "AWS_PROFILE", "CLAUDE_CODE_USE_BEDROCK", "MOCK_KEY"];
        assert_eq!(names(&bedrock), want);
    }
}
