//! What an agent tells of itself and of a session. Read leniently: a field that has changed its shape must not
//! keep a run from its session.

use crate::wire::lenient;
use agent_client_protocol_schema::v1::{AgentCapabilities, Implementation};
use serde::Deserialize;
use serde_json::{Value, json};

/// The answer to `initialize`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Hello {
    #[serde(deserialize_with = "lenient")]
    protocol_version: Option<Value>,
    #[serde(deserialize_with = "lenient")]
    pub(super) agent_capabilities: AgentCapabilities,
    #[serde(deserialize_with = "lenient")]
    pub(super) agent_info: Option<Implementation>,
    #[serde(deserialize_with = "lenient")]
    pub(super) auth_methods: Vec<AuthMethod>,
}

/// The version of the protocol that belay speaks.
pub(super) const PROTOCOL_VERSION: u64 = 1;

impl Hello {
    /// The version that the agent speaks; `Err` with its own word for one that belay does not. An agent that says
    /// nothing of it is taken at its other words.
    pub(super) fn version(&self) -> Result<u64, String> {
        let Some(told) = self.protocol_version.as_ref().filter(|told| !told.is_null()) else {
            return Ok(PROTOCOL_VERSION);
        };
        let number = match told {
            Value::String(text) => text.parse().ok(),
            told => told.as_f64(),
        };
        match number {
            Some(number) if number == PROTOCOL_VERSION as f64 => Ok(PROTOCOL_VERSION),
            _ => Err(told.to_string()),
        }
    }
}

/// A way to log in. Of its type only those are of use that need no person.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthMethod {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
}

/// The answer to `session/new`, `session/load` and `session/resume`; only a new one has an id.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Opened {
    #[serde(deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) modes: Modes,
    /// Not in the protocol's current version, and in most agents.
    #[serde(deserialize_with = "lenient")]
    pub(super) models: Models,
    #[serde(deserialize_with = "lenient")]
    pub(super) config_options: Vec<ConfigOption>,
    #[serde(rename = "_meta", deserialize_with = "lenient")]
    pub(super) meta: OpenedMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OpenedMeta {
    #[serde(deserialize_with = "lenient")]
    pub(super) pi_acp: OfPiAcp,
}

/// What pi-acp says of a session that it has opened.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OfPiAcp {
    /// A text for people that comes as if the model had said it, before the first prompt or after it.
    #[serde(deserialize_with = "lenient")]
    pub(super) startup_info: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Modes {
    #[serde(deserialize_with = "lenient")]
    pub(super) current_mode_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) available_modes: Vec<Mode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mode {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Models {
    #[serde(deserialize_with = "lenient")]
    pub(super) current_model_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) available_models: Vec<Model>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Model {
    #[serde(deserialize_with = "lenient")]
    pub(super) model_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(rename = "_meta", deserialize_with = "lenient")]
    pub(super) meta: ModelMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ModelMeta {
    #[serde(deserialize_with = "lenient")]
    pub(super) context_limit: Option<u64>,
}

/// A setting of the session: that of the model is known by its category.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ConfigOption {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) current_value: Option<String>,
    /// What can be chosen, in groups or not.
    #[serde(deserialize_with = "lenient")]
    options: Vec<Choice>,
}

/// A value, or a group of values.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(deserialize_with = "lenient")]
    value: Option<String>,
    #[serde(deserialize_with = "lenient")]
    options: Vec<Self>,
}

impl ConfigOption {
    /// The values that can be chosen.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        let each = self.options.iter().flat_map(|choice| choice.options.iter().chain([choice]));
        each.filter_map(|choice| choice.value.as_deref())
    }
}

impl Opened {
    /// The model that runs, by the name that the agent was given for it.
    pub(super) fn model(&self) -> Option<String> {
        let current = self.models.current_model_id.as_ref();
        let config = || self.model_option(None)?.current_value.as_ref();
        let id = current.or_else(config)?;
        // Qwen's ids are of a session: `$runtime|openai|mock-model(openai)`.
        let named = self.current().filter(|model| id.contains('|') && !model.name.is_empty());
        Some(named.map_or(id, |model| &model.name).clone())
    }

    /// How large the context window of that model is.
    pub(super) fn window(&self) -> Option<u64> {
        self.current()?.meta.context_limit
    }

    /// The setting that holds the model: some agents have others of the same category, such as the provider. One that is
    /// called so goes first, then the one that offers what is wanted.
    pub(super) fn model_option(&self, wanted: Option<&str>) -> Option<&ConfigOption> {
        let of_model = |option: &&ConfigOption| option.category.as_deref() == Some("model");
        let mut named = self.config_options.iter().filter(|option| option.id == "model");
        let offers = |option: &&ConfigOption| {
            wanted.is_some_and(|wanted| option.values().any(|value| value == wanted))
        };
        let options = || self.config_options.iter().filter(of_model);
        named.next().or_else(|| options().find(offers)).or_else(|| options().next())
    }

    /// The setting that holds the mode, of agents that have it as one.
    fn mode_option(&self) -> Option<&ConfigOption> {
        self.config_options.iter().find(|option| option.category.as_deref() == Some("mode"))
    }

    /// The ids of the modes that the agent offers.
    pub(super) fn offered_modes(&self) -> Vec<&str> {
        let modes: Vec<_> = self.modes.available_modes.iter().map(|mode| &*mode.id).collect();
        match self.mode_option().filter(|_| modes.is_empty()) {
            Some(option) => option.values().collect(),
            None => modes,
        }
    }

    /// The mode that the session is in.
    pub(super) fn current_mode(&self) -> Option<&str> {
        let of_option = || self.mode_option()?.current_value.as_deref();
        self.modes.current_mode_id.as_deref().or_else(of_option)
    }

    /// The request that sets this mode, and what it sets it with.
    pub(super) fn set_mode(&self, session_id: &str, mode: &str) -> (&'static str, Value) {
        match self.mode_option().filter(|_| self.modes.available_modes.is_empty()) {
            Some(option) => (
                "session/set_config_option",
                json!({"sessionId": session_id, "configId": option.id, "value": mode}),
            ),
            None => ("session/set_mode", json!({"sessionId": session_id, "modeId": mode})),
        }
    }

    /// True if models are chosen by a request of their own.
    pub(super) fn has_models(&self) -> bool {
        !self.models.available_models.is_empty()
    }

    /// The models that the agent offers.
    pub(super) fn offered_models(&self) -> Vec<&str> {
        let models: Vec<_> =
            self.models.available_models.iter().map(|model| &*model.model_id).collect();
        match self.model_option(None).filter(|_| models.is_empty()) {
            Some(option) => option.values().collect(),
            None => models,
        }
    }

    fn current(&self) -> Option<&Model> {
        let id = self.models.current_model_id.as_ref()?;
        self.models.available_models.iter().find(|model| model.model_id == *id)
    }
}

/// The answer to `session/list`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    #[serde(deserialize_with = "lenient")]
    pub(super) sessions: Vec<ListedSession>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListedSession {
    #[serde(deserialize_with = "lenient")]
    pub(super) session_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) updated_at: Option<String>,
}
