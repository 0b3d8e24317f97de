//! What a login file says of itself, and nothing that is secret in it.

use crate::{Account, AccountPart};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One login of a login file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// Whose it is, where the file holds several: `anthropic`.
    pub provider: Option<String>,
    /// When its token ends; a key has no end that anybody could see.
    pub expires_at: Option<Timestamp>,
    /// The agent renews it by itself.
    pub renews: bool,
}

impl Login {
    /// True if the agent cannot work with it any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        !self.renews && self.expires_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn new(expires_at: Option<Timestamp>, renews: bool) -> Self {
        Self { provider: None, expires_at, renews }
    }
}

/// A file with one login a provider, as OpenCode and Pi have it: `{"anthropic": {"type": "oauth", …}}`.
pub(crate) fn by_provider(file: &[u8]) -> Option<Vec<Login>> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        refresh: Option<Value>,
        #[serde(default)]
        expires: Option<Value>,
    }
    let entries: std::collections::BTreeMap<String, Entry> = serde_json::from_slice(file).ok()?;
    let login = |(provider, entry): (String, Entry)| Login {
        provider: Some(provider),
        expires_at: entry.expires.as_ref().and_then(milliseconds),
        renews: entry.refresh.as_ref().is_some_and(is_text),
    };
    Some(entries.into_iter().map(login).collect())
}

/// The part of such a file that the provider of the account has; all of it, if none is known.
pub(crate) fn account_of_provider(account: &Account, file: &[u8]) -> Option<AccountPart> {
    let provider = account.part.as_deref()?;
    AccountPart::of_json(file, |name| name == provider)
}

/// A file as Google's libraries write it, and Gemini and Qwen after them.
#[cfg(feature = "acp")]
pub(crate) fn oauth(file: &[u8]) -> Option<Vec<Login>> {
    #[derive(Deserialize)]
    struct Credentials {
        access_token: Value,
        #[serde(default)]
        refresh_token: Value,
        #[serde(default)]
        expiry_date: Value,
    }
    let credentials: Credentials = serde_json::from_slice(file).ok()?;
    let login =
        Login::new(milliseconds(&credentials.expiry_date), is_text(&credentials.refresh_token));
    Some(Some(login).filter(|_| is_text(&credentials.access_token)).into_iter().collect())
}

/// A time in milliseconds since 1970; 0 is none.
pub(crate) fn milliseconds(value: &Value) -> Option<Timestamp> {
    let ms = value.as_i64().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(ms).ok()
}

/// When a JSON web token ends, by its own account.
pub(crate) fn jwt_end(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Timestamp::from_second(serde_json::from_slice::<Claims>(&claims).ok()?.exp).ok()
}

/// True for words that are not empty.
pub(crate) fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Agent, Claude, Codex, OpenCode, Pi};

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[track_caller]
    fn check(agent: &dyn Agent, file: &str, want: &[(Option<&str>, Option<i64>, bool)]) {
        let logins = agent.logins(file.as_bytes()).unwrap();
        let want: Vec<_> = want
            .iter()
            .map(|(provider, end, renews)| Login {
                provider: provider.map(str::to_owned),
                expires_at: end.and_then(at),
                renews: *renews,
            })
            .collect();
        assert_eq!(logins, want, "{file}");
    }

    #[test]
    fn each_agents_login_file_says_when_it_ends_and_whether_it_is_renewed() {
        let claude = Claude::new();
        check(
            &claude,
            r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1790000000000}}"#,
            &[(None, Some(1_790_000_000), true)],
        );
        check(&claude, r#"{"claudeAiOauth":{"accessToken":"a"}}"#, &[(None, None, false)]);
        check(&claude, r#"{"mcpOAuth":{}}"#, &[]);

        let codex = Codex::new();
        // {"exp":1790000000}
        let token = "e30.eyJleHAiOjE3OTAwMDAwMDB9.x";
        check(
            &codex,
            &format!(r#"{{"tokens":{{"access_token":"{token}","refresh_token":"r"}}}}"#),
            &[(None, Some(1_790_000_000), true)],
        );
        check(&codex, r#"{"OPENAI_API_KEY":"k","tokens":null}"#, &[(None, None, false)]);
        check(&codex, r#"{"OPENAI_API_KEY":null}"#, &[]);

        for agent in [&OpenCode::new() as &dyn Agent, &Pi::new()] {
            check(
                agent,
                r#"{"anthropic":{"type":"oauth","refresh":"r","expires":1790000000000},"openai":{"type":"api","key":"k"}}"#,
                &[(Some("anthropic"), Some(1_790_000_000), true), (Some("openai"), None, false)],
            );
        }
    }

    #[cfg(feature = "acp")]
    #[test]
    fn a_login_of_google_is_read_too() {
        for agent in [crate::Acp::gemini(), crate::Acp::qwen()] {
            let file = r#"{"access_token":"a","refresh_token":"r","expiry_date":1790000000000}"#;
            check(&agent, file, &[(None, Some(1_790_000_000), true)]);
            assert_eq!(agent.logins(b"{}"), None);
        }
    }

    #[test]
    fn a_file_that_is_no_login_file_says_nothing() {
        for agent in [&Claude::new() as &dyn Agent, &Codex::new(), &OpenCode::new(), &Pi::new()] {
            for file in ["", "[1]", "\u{0}", "{\"a\":", "null"] {
                assert_eq!(agent.logins(file.as_bytes()), None, "{} {file:?}", agent.name());
            }
        }
    }

    #[test]
    fn what_is_renewed_is_not_over() {
        let now = Timestamp::from_second(1_790_000_001).unwrap();
        assert!(Login::new(at(1_790_000_000), false).is_over(now));
        assert!(!Login::new(at(1_790_000_000), true).is_over(now));
        assert!(!Login::new(None, false).is_over(now));
    }
}
