//! A login that stands in an agent's own settings, or that they name a variable for.

use crate::{AccountPart, Cloud};
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
    let (name, provider) = codex_provider(&config)?;
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

/// What of Claude Code's `settings.json` says who pays: a program that prints the key, and variables that an account or a
/// cloud has.
pub(crate) fn account_of_claude(
    file: &[u8],
    variables: &[&str],
    clouds: &[Cloud],
) -> Option<AccountPart> {
    const KEYS: [&str; 5] = [
        "apiKeyHelper",
        "awsAuthRefresh",
        "awsCredentialExport",
        "forceLoginMethod",
        "forceLoginOrgUUID",
    ];
    let settings: Value = serde_json::from_slice(file).ok()?;
    let env = settings.get("env").and_then(Value::as_object);
    let is_on = |cloud: &&Cloud| {
        let switch = env.and_then(|env| env.get(cloud.switch)?.as_str());
        switch.is_some_and(Cloud::is_on)
    };
    // The switch stands here, and what goes with it may stand in the environment.
    let of_clouds = clouds.iter().filter(is_on).flat_map(|cloud| cloud.variables);
    let of_clouds: Vec<_> = of_clouds.map(|name| (*name).to_owned()).collect();
    let is_like = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    };
    let env = env.into_iter().flatten().filter(|(name, _)| {
        variables.iter().any(|pattern| is_like(name, pattern))
            || of_clouds.iter().any(|pattern| is_like(name, pattern))
    });
    let keys = KEYS.iter().filter_map(|key| Some((*key, settings.get(key)?)));
    let said: Vec<_> = keys.chain(env.map(|(name, value)| (name.as_str(), value))).collect();
    let content = (!said.is_empty()).then(|| serde_json::to_vec(&said));
    let content = content.transpose().ok()?.unwrap_or_default();
    Some(AccountPart { content, variables: of_clouds })
}

/// What of Codex's `config.toml` says who pays: the provider, its address, and the variables that hold its key.
pub(crate) fn account_of_codex(file: &[u8]) -> Option<AccountPart> {
    let config: toml::Table = toml::from_str(std::str::from_utf8(file).ok()?).ok()?;
    let mut said = toml::Table::new();
    for key in [
        "chatgpt_base_url",
        "openai_base_url",
        "forced_login_method",
        "forced_chatgpt_workspace_id",
    ] {
        if let Some(value) = config.get(key) {
            said.insert(key.to_owned(), value.clone());
        }
    }
    let mut variables = Vec::new();
    if let Some((name, provider)) = codex_provider(&config) {
        let named = |key: &str| provider.get(key).and_then(toml::Value::as_str);
        variables.extend(named("env_key").map(str::to_owned));
        let headers = provider.get("env_http_headers").and_then(toml::Value::as_table);
        let headers = headers.into_iter().flat_map(toml::Table::values);
        variables.extend(headers.filter_map(toml::Value::as_str).map(str::to_owned));
        said.insert(format!("model_providers.{name}"), provider.clone());
    }
    let content = (!said.is_empty()).then(|| serde_json::to_vec(&said));
    Some(AccountPart { content: content.transpose().ok()?.unwrap_or_default(), variables })
}

/// The provider of the user's own that Codex uses.
fn codex_provider(config: &toml::Table) -> Option<(&str, &toml::Value)> {
    let chosen = config.get("profile").and_then(|name| name.as_str());
    let profile = chosen.and_then(|name| config.get("profiles")?.get(name));
    let name = profile.and_then(|profile| profile.get("model_provider"));
    let name = name.or_else(|| config.get("model_provider"))?.as_str()?;
    Some((name, config.get("model_providers")?.get(name)?))
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
    #[test]
    fn an_account_changes_with_who_pays_and_with_nothing_else() {
        let claude = |text: &str| {
            account_of_claude(text.as_bytes(), &["ANTHROPIC_BASE_URL"], crate::cloud::OF_CLAUDE)
        };
        let before = claude(r#"{"env":{"ANTHROPIC_BASE_URL":"http://a"},"model":"opus"}"#);
        assert_eq!(
            claude(r#"{"model":"haiku","env":{"X":"1","ANTHROPIC_BASE_URL":"http://a"}}"#),
            before
        );
        for other in [
            r#"{"env":{"ANTHROPIC_BASE_URL":"http://b"}}"#,
            r#"{"env":{"ANTHROPIC_BASE_URL":"http://a"},"apiKeyHelper":"/bin/key"}"#,
            "{}",
        ] {
            assert_ne!(claude(other), before, "{other}");
        }
        let bedrock =
            claude(r#"{"env":{"CLAUDE_CODE_USE_BEDROCK":"1","AWS_REGION":"x"}}"#).unwrap();
        assert_eq!(bedrock.variables, ["AWS_*"]);

        let codex = |text: &str| account_of_codex(text.as_bytes()).unwrap();
        let mine = "[model_providers.m]\nbase_url = 'http://a'\nenv_key = 'M'\n";
        let before = codex(&format!("model_provider = 'm'\n{mine}"));
        assert_eq!(before.variables, ["M"]);
        assert_eq!(
            codex(&format!("model = 'x'\nmodel_provider = 'm'\n{mine}[tui]\na = 1\n")),
            before
        );
        assert_ne!(
            codex(&format!("model_provider = 'm'\n{}", mine.replace("http://a", "http://b"))),
            before
        );
        assert_ne!(codex(mine), before);
    }
}
