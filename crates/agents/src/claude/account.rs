//! What `.credentials.json` says of its login.

use crate::Login;
use crate::login::{is_text, milliseconds};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    claude_ai_oauth: Option<OAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OAuth {
    #[serde(default)]
    refresh_token: Value,
    #[serde(default)]
    expires_at: Value,
}

pub(super) fn logins(file: &[u8]) -> Option<Vec<Login>> {
    let credentials: Credentials = serde_json::from_slice(file).ok()?;
    let login =
        |oauth: OAuth| Login::new(milliseconds(&oauth.expires_at), is_text(&oauth.refresh_token));
    Some(credentials.claude_ai_oauth.into_iter().map(login).collect())
}
