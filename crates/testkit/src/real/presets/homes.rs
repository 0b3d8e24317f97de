//! What each of them needs in its home to ask the scripted model and nobody else.

use std::fs;
use std::io;

use serde_json::json;

use super::super::Sandbox;
use super::super::sandbox::{owned, provider_lab};
use super::PresetAgent;
use crate::model_server::ModelServer;

impl Sandbox {
    /// The whole environment for one of the agents that are known by a preset alone; writes its settings, over older ones.
    ///
    /// Each asks before it runs a command where it has a switch for that. The model is `mock-model` everywhere.
    ///
    /// # Errors
    ///
    /// When the settings cannot be written.
    pub fn env_for_preset(
        &self,
        agent: PresetAgent,
        server: &ModelServer,
    ) -> io::Result<Vec<(String, String)>> {
        let url = format!("{}/v1", server.url());
        let mut env = self.base_env();
        let (file, settings) = match agent {
            PresetAgent::Kilo => {
                env.push(owned(("NPM_CONFIG_REGISTRY", super::super::sandbox::DEAD_END)));
                env.push(owned(("KILO_DISABLE_MODELS_FETCH", "1")));
                let mut settings = provider_lab(&server.url());
                settings["permission"] = json!({ "bash": "ask", "edit": "ask" });
                (".config/kilo/kilo.json", settings.to_string())
            }
            PresetAgent::Cline => {
                env.extend(
                    [("CLINE_API_KEY", "dummy"), ("CLINE_PROVIDER", "openai-compatible")]
                        .map(owned),
                );
                (".cline/data/settings/providers.json", cline(&url))
            }
            PresetAgent::Droid => {
                env.push(owned(("FACTORY_API_KEY", "fk-dummy")));
                (".factory/settings.json", droid(&url))
            }
            PresetAgent::Nanocoder => {
                let provider = json!({
                    "name": "lab", "baseUrl": url, "apiKey": "dummy", "models": ["mock-model"],
                });
                let settings = json!({ "nanocoder": { "providers": [provider] } });
                (".config/nanocoder/agents.config.json", settings.to_string())
            }
            PresetAgent::Vibe => {
                env.push(owned(("LAB_API_KEY", "dummy")));
                (".vibe/config.toml", vibe(&url))
            }
            PresetAgent::Hermes => (".hermes/config.yaml", hermes(&url)),
            PresetAgent::FastAgent => {
                env.extend([("GENERIC_BASE_URL", &*url), ("GENERIC_API_KEY", "dummy")].map(owned));
                return Ok(env);
            }
            PresetAgent::OpenHands => {
                // Else it waits for a list of prices from elsewhere.
                env.push(owned(("LITELLM_LOCAL_MODEL_COST_MAP", "True")));
                // Its commands run in a tmux server, which all homes would share.
                env.push(owned(("TMUX_TMPDIR", &*self.home().to_string_lossy())));
                (".openhands/agent_settings.json", openhands(&url))
            }
        };
        let file = self.home().join(file);
        fs::create_dir_all(file.parent().expect("it lies in a folder"))?;
        fs::write(file, settings)?;
        Ok(env)
    }
}

/// What `cline auth` writes.
fn cline(url: &str) -> String {
    let settings = json!({
        "provider": "openai-compatible", "apiKey": "dummy", "model": "mock-model", "baseUrl": url,
    });
    let provider = json!({
        "settings": settings, "updatedAt": "2026-12-01T00:00:00.000Z", "tokenSource": "manual",
    });
    json!({
        "version": 1, "lastUsedProvider": "openai-compatible", "modes": {},
        "providers": { "openai-compatible": provider },
    })
    .to_string()
}

fn droid(url: &str) -> String {
    let model = json!({
        "model": "mock-model", "id": "custom:mock-model-0", "index": 0, "displayName": "mock-model",
        "baseUrl": url, "apiKey": "dummy", "provider": "generic-chat-completion-api",
        "maxOutputTokens": 8192, "noImageSupport": false,
    });
    json!({
        "customModels": [model], "model": "custom:mock-model-0",
        "sessionDefaultSettings": { "model": "custom:mock-model-0" },
        "enableDroidShield": false, "cloudSessionSync": false,
    })
    .to_string()
}

fn vibe(url: &str) -> String {
    format!(
        r#"active_model = "mock"
enable_telemetry = false
enable_update_checks = false

[[providers]]
name = "lab"
api_base = "{url}"
api_key_env_var = "LAB_API_KEY"
backend = "generic"

[[models]]
name = "mock-model"
provider = "lab"
alias = "mock"
input_price = 2.0
output_price = 8.0
cached_input_price = 0.5
"#
    )
}

fn hermes(url: &str) -> String {
    format!(
        "model:\n  provider: custom\n  default: mock-model\n  base_url: {url}\n  api_key: dummy\n  context_length: 128000\n"
    )
}

fn openhands(url: &str) -> String {
    json!({
        "kind": "Agent",
        "llm": { "model": "openai/mock-model", "api_key": "dummy", "base_url": url },
    })
    .to_string()
}
