//! What a name says about its value.

use std::ops::Range;

/// What a value is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// People choose it.
    Password,
    /// Programs make it: long, and without a meaning.
    Token,
    /// A scheme, and what proves who asks.
    Authorization,
    /// Names and values of their own.
    Cookies,
    /// `user:password` in base64, or a token.
    Auth,
    /// Another word follows the one that says that it is secret.
    Hinted,
}

const PASSWORDS: [&str; 8] =
    ["password", "passwd", "passphrase", "passwort", "pwd", "pass", "psk", "passcode"];
const TOKENS: [&str; 8] =
    ["token", "secret", "apikey", "credential", "credentials", "authtoken", "mnemonic", "pat"];

/// What makes a key a secret one.
const KEYS: [&str; 37] = [
    "api",
    "access",
    "secret",
    "private",
    "encryption",
    "encrypt",
    "signing",
    "sign",
    "master",
    "account",
    "auth",
    "app",
    "license",
    "client",
    "shared",
    "service",
    "deploy",
    "storage",
    "subscription",
    "preshared",
    "session",
    "jwt",
    "hmac",
    "webhook",
    "consumer",
    "admin",
    "ssh",
    "write",
    "ingest",
    "integration",
    "application",
    "server",
    "wep",
    "functions",
    "host",
    "cookie",
    "data",
];

/// What may follow in a name without making it another one.
const SUFFIXES: [&str; 21] = [
    "prod",
    "production",
    "dev",
    "development",
    "stage",
    "staging",
    "test",
    "testing",
    "live",
    "sandbox",
    "base64",
    "b64",
    "old",
    "new",
    "current",
    "base",
    "data",
    "value",
    "primary",
    "secondary",
    "default",
];

/// Before these, a token is a place in a list or a kind of word.
const PUBLIC_TOKENS: [&str; 16] = [
    "next",
    "page",
    "continuation",
    "pagination",
    "cancellation",
    "cancel",
    "sync",
    "start",
    "end",
    "type",
    "public",
    "lex",
    "eos",
    "bos",
    "pad",
    "stop",
];

/// What ends the name of something that is known of a secret, and is none.
const PUBLIC_ENDS: [&str; 42] = [
    "name",
    "names",
    "path",
    "file",
    "dir",
    "id",
    "ids",
    "arn",
    "url",
    "uri",
    "type",
    "length",
    "min",
    "max",
    "ttl",
    "expiry",
    "policy",
    "hash",
    "enabled",
    "count",
    "size",
    "version",
    "digest",
    "checksum",
    "address",
    "contract",
    "symbol",
    "class",
    "prefix",
    "suffix",
    "header",
    "label",
    "pattern",
    "format",
    "fingerprint",
    "thumbprint",
    "store",
    "manager",
    "endpoint",
    "limit",
    "issuer",
    "scope",
];

/// Where the words of a name are: `dbPassword`, `DB_PASSWORD` and `db-password` are two.
fn words(name: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::with_capacity(8);
    let mut before = b' ';
    for (at, byte) in name.bytes().enumerate() {
        let is_hump = byte.is_ascii_uppercase() && before.is_ascii_lowercase();
        let is_number = byte.is_ascii_digit() && before.is_ascii_alphabetic();
        if byte.is_ascii_alphanumeric() {
            match words.last_mut() {
                Some(word) if word.end == at && !is_hump && !is_number => word.end += 1,
                _ => words.push(at..at + 1),
            }
        }
        before = byte;
    }
    words
}

impl Named {
    /// What the value of this name is; nothing if it is nothing secret.
    pub(super) fn by(name: &str) -> Option<Self> {
        let small = name.to_ascii_lowercase();
        let mut words: Vec<&str> = words(name).into_iter().map(|word| &small[word]).collect();
        while words.len() > 1
            && words.last().is_some_and(|word| {
                SUFFIXES.contains(word) || word.bytes().all(|byte| byte.is_ascii_digit())
            })
        {
            words.pop();
        }
        let (last, before) = words.split_last()?;
        let last = *last;
        let before = before.last().copied().unwrap_or_default();
        let is_one_of = |all: &[&str]| {
            all.contains(&last) || all.iter().any(|word| word.len() > 4 && last.ends_with(word))
        };
        if is_one_of(&PASSWORDS)
            || last.ends_with("pwd")
            || last.ends_with("pass")
                && [
                    "dbpass",
                    "userpass",
                    "rpcpass",
                    "mypass",
                    "requirepass",
                    "storepass",
                    "keypass",
                    "truststorepass",
                ]
                .contains(&last)
        {
            let is_public = [
                "public", "no", "by", "show", "hide", "forgot", "bypass", "full", "first",
                "second", "single", "last",
            ]
            .contains(&before);
            let is_pass = last == "pass" && before.is_empty() && name != "pass" && name != "PASS";
            return (!is_public && !is_pass && last != "bypass").then_some(Self::Password);
        }
        if last == "authorization" {
            return Some(Self::Authorization);
        }
        if last == "cookie" {
            return Some(Self::Cookies);
        }
        if name.starts_with("BUNDLE_") && name.contains("__") {
            return Some(Self::Token);
        }
        if last == "auth" {
            return Some(Self::Auth);
        }
        if last == "key" || last == "keys" && name == name.to_uppercase() {
            let is_secret = KEYS.contains(&before) || name.len() > 4 && name == name.to_uppercase();
            return is_secret.then_some(Self::Token);
        }
        if is_one_of(&TOKENS) {
            return (!PUBLIC_TOKENS.contains(&before)).then_some(Self::Token);
        }
        let is_key = last.ends_with("key")
            && KEYS.iter().any(|word| last.strip_suffix("key") == Some(*word));
        let is_key = is_key
            || ["sharedaccesskey", "secretaccesskey", "clientkey", "accountkey"].contains(&last);
        if is_key {
            return Some(Self::Token);
        }
        let is_hinted = name == name.to_ascii_uppercase()
            && words.iter().any(|word| ["secret", "password", "token"].contains(word))
            && !PUBLIC_ENDS.contains(&last);
        is_hinted.then_some(Self::Hinted)
    }

    /// Stands in the place of the value.
    pub(super) fn stand_in(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token | Self::Hinted => "secret",
            Self::Authorization | Self::Auth => "authorization",
            Self::Cookies => "cookie",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_their_values_are() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "PGPASSWORD",
            "MYSQL_ROOT_PASSWORD_1",
            "userPWD",
            "spring.datasource.password",
            "psk",
        ] {
            assert_eq!(Named::by(name), Some(Named::Password), "{name}");
        }
        for name in [
            "apiKey",
            "API_KEY",
            "x-api-key",
            "aws_secret_access_key",
            "client_secret",
            "refresh_token",
            "_authToken",
            "SECRET_KEY_BASE",
            "client-key-data",
            "AccountKey",
            "MY_KEY",
        ] {
            assert_eq!(Named::by(name), Some(Named::Token), "{name}");
        }
        for name in [
            "max_tokens",
            "tokenizer",
            "password_hash",
            "nextPageToken",
            "key",
            "primary_key",
            "publicKey",
            "author",
            "compass",
            "token_type",
            "keyboard",
            "monkey",
            "secretName",
        ] {
            assert_eq!(Named::by(name), None, "{name}");
        }
    }
}
