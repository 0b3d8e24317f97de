//! A home for one run of a real agent: nothing of the user's own goes in, nothing comes out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::model_server::ModelServer;

/// A temporary home folder with a project folder in it; both go when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    home: TempDir,
    project: PathBuf,
}

/// What Codex may do without asking, in the words of its `config.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodexPolicy {
    /// `approval_policy`: `never`, `on-request`, `untrusted`.
    pub approval: &'static str,
    /// `sandbox_mode`: `read-only`, `workspace-write`, `danger-full-access`.
    pub sandbox: &'static str,
}

impl CodexPolicy {
    /// Everything, unasked: what a run in a container uses.
    pub const FULL_ACCESS: Self = Self { approval: "never", sandbox: "danger-full-access" };
}

impl Sandbox {
    /// A new, empty home.
    pub fn new() -> io::Result<Self> {
        let home = tempfile::Builder::new().prefix("belay-home-").tempdir()?;
        // Agents resolve links in their working folder; a resolved one compares equal to theirs.
        let project = fs::canonicalize(home.path())?.join("project");
        fs::create_dir(&project)?;
        Ok(Self { home, project })
    }

    /// The folder the agent takes for the user's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder the agent should work in.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The whole environment for Claude Code; the caller clears the inherited one.
    ///
    /// Retries are lowered to 2, so that a failing run ends within seconds.
    pub fn env_for_claude(&self, server: &ModelServer) -> Vec<(String, String)> {
        self.claude_env(server, ("ANTHROPIC_API_KEY", "dummy"))
    }

    /// The same with a subscription's token instead of a key: only then does Claude Code speak of
    /// subscription windows.
    pub fn env_for_claude_subscription(&self, server: &ModelServer) -> Vec<(String, String)> {
        self.claude_env(server, ("CLAUDE_CODE_OAUTH_TOKEN", "dummy"))
    }

    /// The whole environment for Codex; writes its `config.toml`, over an older one.
    ///
    /// Retries are lowered to 1 request and 1 stream, so that a failing run ends within seconds.
    pub fn env_for_codex(
        &self,
        server: &ModelServer,
        policy: CodexPolicy,
    ) -> io::Result<Vec<(String, String)>> {
        let codex_home = self.home().join(".codex");
        fs::create_dir_all(&codex_home)?;
        fs::write(codex_home.join("config.toml"), codex_config(&server.url(), policy))?;
        let mut env = self.base_env();
        env.extend(
            [("CODEX_HOME", &*codex_home.to_string_lossy()), ("MOCK_KEY", "dummy")].map(owned),
        );
        Ok(env)
    }

    fn claude_env(&self, server: &ModelServer, login: (&str, &str)) -> Vec<(String, String)> {
        let mut env = self.base_env();
        env.extend(
            [
                ("ANTHROPIC_BASE_URL", server.url().as_str()),
                login,
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
                ("CLAUDE_CODE_MAX_RETRIES", "2"),
                ("DISABLE_TELEMETRY", "1"),
                ("DISABLE_AUTOUPDATER", "1"),
                // Root may skip permissions only where it says that it is in a sandbox.
                ("IS_SANDBOX", "1"),
            ]
            .map(owned),
        );
        env
    }

    fn base_env(&self) -> Vec<(String, String)> {
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", &*self.home().to_string_lossy()),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
        ]
        .map(owned)
        .into()
    }
}

fn codex_config(url: &str, policy: CodexPolicy) -> String {
    let CodexPolicy { approval, sandbox } = policy;
    format!(
        r#"model = "gpt-5.5"
model_provider = "mock"
approval_policy = "{approval}"
sandbox_mode = "{sandbox}"
check_for_update_on_startup = false

[model_providers.mock]
name = "mock"
base_url = "{url}/v1"
env_key = "MOCK_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"#
    )
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
