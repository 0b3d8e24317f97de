//! What `auth.json` says of its login.

use crate::Login;
use crate::login::{is_text, jwt_end};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Auth {
    #[serde(default, rename = "OPENAI_API_KEY")]
    key: Value,
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    access_token: Value,
    #[serde(default)]
    refresh_token: Value,
}

pub(super) fn logins(file: &[u8]) -> Option<Vec<Login>> {
    let auth: Auth = serde_json::from_slice(file).ok()?;
    let of_tokens = auth.tokens.map(|tokens| {
        let end = tokens.access_token.as_str().and_then(jwt_end);
        Login::new(end, is_text(&tokens.refresh_token))
    });
    let of_key = || is_text(&auth.key).then(|| Login::new(None, false));
    Some(of_tokens.or_else(of_key).into_iter().collect())
}
