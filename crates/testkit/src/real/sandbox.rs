//! A home for one run of a real agent: nothing of the user's own goes in, nothing comes out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model_server::ModelServer;

/// The discard port: whoever asks there is refused at once.
pub(super) const DEAD_END: &str = "http://127.0.0.1:9";

/// A temporary home folder with a project folder in it; both go when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    home: TempDir,
    project: PathBuf,
}

/// The folder for temporary files, in the home.
const TEMP: &str = "tmp";

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
        fs::create_dir(home.path().join(TEMP))?;
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

    /// The whole environment for OpenCode; writes its `opencode.json`, over an older one.
    ///
    /// The model is `lab/mock-model`, also where nobody names one. It costs 2 $ per million input
    /// tokens, 8 $ per million output tokens and 0.5 $ per million cached ones.
    pub fn env_for_opencode(&self, server: &ModelServer) -> io::Result<Vec<(String, String)>> {
        let folder = self.home().join(".config/opencode");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("opencode.json"), provider_lab(&server.url()).to_string())?;
        let mut env = self.base_env();
        env.extend(
            [
                ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
                ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
                ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
                // It fetches a package in the background that nothing here needs: not from here.
                ("NPM_CONFIG_REGISTRY", DEAD_END),
            ]
            .map(owned),
        );
        Ok(env)
    }

    /// The whole environment for Pi; writes its `models.json`, over an older one.
    ///
    /// The model is `lab/mock-model`, which must be named; it costs what OpenCode's does.
    pub fn env_for_pi(&self, server: &ModelServer) -> io::Result<Vec<(String, String)>> {
        let folder = self.home().join(".pi/agent");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("models.json"), pi_models(&server.url()).to_string())?;
        let mut env = self.base_env();
        let own = [("PI_OFFLINE", "1"), ("PI_TELEMETRY", "0")];
        env.extend(own.map(owned));
        Ok(env)
    }

    /// The whole environment for Gemini CLI; writes its `settings.json`, over an older one.
    pub fn env_for_gemini(&self, server: &ModelServer) -> io::Result<Vec<(String, String)>> {
        let settings = json!({
            "security": { "auth": { "selectedType": "gemini-api-key" } },
            "privacy": { "usageStatisticsEnabled": false },
            "general": { "disableAutoUpdate": true },
        });
        self.write_settings(".gemini", &settings)?;
        let mut env = self.base_env();
        let url = server.url();
        env.extend([("GEMINI_API_KEY", "dummy"), ("GOOGLE_GEMINI_BASE_URL", &url)].map(owned));
        Ok(env)
    }

    /// The whole environment for Qwen Code; writes its `settings.json`, over an older one.
    ///
    /// It asks before it runs or changes anything. What would ask the model once more beside the conversation
    /// is off: a judge of commands, its memory, its proposals for the next prompt.
    pub fn env_for_qwen(&self, server: &ModelServer) -> io::Result<Vec<(String, String)>> {
        let settings = json!({
            "tools": { "approvalMode": "default" },
            "ui": { "enableFollowupSuggestions": false },
            "security": { "auth": { "selectedType": "openai" } },
            "privacy": { "usageStatisticsEnabled": false },
            "memory": { "enableManagedAutoMemory": false, "enableManagedAutoDream": false },
            "general": { "disableAutoUpdate": true },
        });
        self.write_settings(".qwen", &settings)?;
        let mut env = self.base_env();
        let url = format!("{}/v1", server.url());
        env.extend(
            [
                ("OPENAI_API_KEY", "dummy"),
                ("OPENAI_BASE_URL", &*url),
                ("OPENAI_MODEL", "mock-model"),
            ]
            .map(owned),
        );
        Ok(env)
    }

    /// The whole environment for GitHub Copilot with a provider of one's own: no login is needed.
    ///
    /// It unpacks itself into its cache, 235 MB in some 5 seconds: all homes share one.
    pub fn env_for_copilot(&self, server: &ModelServer) -> Vec<(String, String)> {
        let mut env = self.base_env();
        let url = format!("{}/v1", server.url());
        let cache = super::lean::copilot_cache(&super::dir());
        env.extend(
            [
                ("COPILOT_PROVIDER_BASE_URL", &*url),
                ("COPILOT_PROVIDER_API_KEY", "dummy"),
                ("COPILOT_MODEL", "mock-model"),
                ("COPILOT_OFFLINE", "true"),
                ("XDG_CACHE_HOME", &*cache.to_string_lossy()),
            ]
            .map(owned),
        );
        env
    }

    fn write_settings(&self, folder: &str, settings: &Value) -> io::Result<()> {
        let folder = self.home().join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("settings.json"), settings.to_string())
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

    pub(super) fn base_env(&self) -> Vec<(String, String)> {
        // Pi leaves the whole of a long output there, OpenCode its libraries.
        let temp = self.home().join(TEMP);
        [
            ("TMPDIR", &*temp.to_string_lossy()),
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

/// The model as OpenCode and Kilo are told of it, with a price of its own for every column, so that a cost tells what
/// was counted.
pub(super) fn provider_lab(url: &str) -> Value {
    json!({
        "autoupdate": false, "share": "disabled",
        "model": "lab/mock-model", "small_model": "lab/mock-model",
        "provider": { "lab": {
            "npm": "@ai-sdk/openai-compatible",
            "options": { "baseURL": format!("{url}/v1"), "apiKey": "sk-dummy" },
            "models": { "mock-model": {
                "reasoning": true, "tool_call": true, "attachment": true,
                "modalities": { "input": ["text", "image"], "output": ["text"] },
                "cost": { "input": 2, "output": 8, "cache_read": 0.5, "cache_write": 0 },
                "limit": { "context": 128_000, "output": 8192 },
            }},
        }},
    })
}

fn pi_models(url: &str) -> Value {
    json!({ "providers": { "lab": {
        "baseUrl": format!("{url}/v1"), "api": "openai-completions", "apiKey": "sk-dummy",
        "models": [{
            "id": "mock-model", "reasoning": true, "input": ["text", "image"],
            "cost": { "input": 2, "output": 8, "cacheRead": 0.5, "cacheWrite": 0 },
            "contextWindow": 128_000, "maxTokens": 8192,
        }],
    }}})
}

pub(super) fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
