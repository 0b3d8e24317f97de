//! A login that stands in an agent's own settings, or that they name a variable for.

use serde_json::Value;

/// What an agent's settings say of its login, without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsLogin {
    /// They hold one, or say how to get one, under this name.
    Holds(String),
    /// They name a variable that has to hold one.
    Needs(String),
}

/// Claude Code's `settings.json`: a gateway is an address and a token in `env`, and a helper prints a key.
pub(crate) fn of_claude(file: &[u8], logins: &[&str]) -> Option<SettingsLogin> {
    let settings: Value = serde_json::from_slice(file).ok()?;
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if settings.get("apiKeyHelper").is_some_and(is_text) {
        return Some(SettingsLogin::Holds("apiKeyHelper".to_owned()));
    }
    let env = settings.get("env")?.as_object()?;
    let name = logins.iter().find(|name| env.get(**name).is_some_and(is_text))?;
    Some(SettingsLogin::Holds(format!("env.{name}")))
}

/// Codex's `config.toml`: a provider of the user's own names the variable of its key, or holds a token, or needs none.
pub(crate) fn of_codex(file: &[u8]) -> Option<SettingsLogin> {
    let config: toml::Table = toml::from_str(std::str::from_utf8(file).ok()?).ok()?;
    let chosen = config.get("profile").and_then(|name| name.as_str());
    let profile = chosen.and_then(|name| config.get("profiles")?.get(name));
    let name = profile.and_then(|profile| profile.get("model_provider"));
    let name = name.or_else(|| config.get("model_provider"))?.as_str()?;
    let provider = config.get("model_providers")?.get(name)?;
    let key = |key: &str| provider.get(key).and_then(|value| value.as_str());
    if let Some(variable) = key("env_key") {
        return Some(SettingsLogin::Needs(variable.to_owned()));
    }
    // It is logged in to like OpenAI's own.
    if provider.get("requires_openai_auth").and_then(toml::Value::as_bool) == Some(true) {
        return None;
    }
    Some(SettingsLogin::Holds(format!("model_providers.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_of_claudes_stands_in_its_settings() {
        let of = |text: &str| of_claude(text.as_bytes(), &["ANTHROPIC_AUTH_TOKEN"]);
        let holds = |name: &str| Some(SettingsLogin::Holds(name.to_owned()));
        let token = r#"{"env":{"ANTHROPIC_BASE_URL":"http://x","ANTHROPIC_AUTH_TOKEN":"t"}}"#;
        assert_eq!(of(token), holds("env.ANTHROPIC_AUTH_TOKEN"));
        assert_eq!(of(r#"{"apiKeyHelper":"/bin/key"}"#), holds("apiKeyHelper"));
        for text in ["", "[]", "{}", r#"{"env":{"ANTHROPIC_AUTH_TOKEN":""}}"#, r#"{"env":1}"#] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_provider_of_codexs_names_its_variable() {
        let of = |text: &str| of_codex(text.as_bytes());
        let mock = "[model_providers.mock]\nbase_url = 'http://x'\n";
        let needs = Some(SettingsLogin::Needs("MOCK_KEY".to_owned()));
        assert_eq!(of(&format!("model_provider = 'mock'\n{mock}env_key = 'MOCK_KEY'\n")), needs);
        let profile =
            "profile = 'p'\nmodel_provider = 'openai'\n[profiles.p]\nmodel_provider = 'mock'\n";
        assert_eq!(of(&format!("{profile}{mock}env_key = 'MOCK_KEY'\n")), needs);
        let holds = Some(SettingsLogin::Holds("model_providers.mock".to_owned()));
        assert_eq!(of(&format!("model_provider = 'mock'\n{mock}")), holds);
        for text in [
            "",
            "model = 'x'",
            "model_provider = 'openai'",
            mock,
            "= broken",
            "model_provider = 'mock'\n[model_providers.mock]\nrequires_openai_auth = true",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
