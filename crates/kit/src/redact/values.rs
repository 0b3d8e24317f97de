//! Which variables hold secrets, and how their values look where they come to light.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter values are words that stand everywhere.
const VALUE_BYTES_MIN: usize = 8;

/// Parts of a name that say that its value is secret.
const ANYWHERE: [&str; 9] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
];
const AS_A_WORD: [&str; 6] = ["KEY", "KEYS", "PASS", "PAT", "AUTH", "AUTHORIZATION"];

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'!')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// True if a variable (or a header) with this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ANYWHERE.iter().any(|part| name.contains(part))
        || name.split(['_', '-']).any(|word| AS_A_WORD.contains(&word))
        || name.ends_with("KEY")
}

/// True if a value is worth hiding: a path, a number and a word are not.
pub(super) fn is_secret_value(value: &str) -> bool {
    let is_path = ["/", "~/", "./"].iter().any(|begin| value.starts_with(begin));
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".,_-".contains(&byte));
    let is_word =
        ["disabled", "required", "optional", "keychain", "undefined", "password", "changeme"]
            .contains(&value.to_ascii_lowercase().as_str());
    value.trim().len() >= VALUE_BYTES_MIN && !is_path && !is_number && !is_word
}

/// The value as it looks plain, in JSON, in JSON within JSON, in an address and in base64.
pub(super) fn forms(value: &str) -> Vec<Vec<u8>> {
    let value = value.trim();
    let json = escaped(value);
    let twice = escaped(&json);
    let mut forms: Vec<String> = vec![value.to_owned(), json.replace('/', "\\/"), json, twice];
    forms.push(utf8_percent_encode(value, &COMPONENT).to_string());
    forms.push(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
    forms.push(ascii(value));
    let lower = forms[4].clone();
    forms.push(lowered(&lower));
    for offset in 0..3 {
        forms.extend(in_base64(value.as_bytes(), offset));
    }
    let mut forms: Vec<_> = forms.into_iter().map(String::into_bytes).collect();
    forms.sort();
    forms.dedup();
    forms
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// JSON of those who escape whatever is not ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for char in escaped(text).chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// `%2f` for `%2F`.
fn lowered(text: &str) -> String {
    let mut out = String::new();
    let mut left = 0;
    for char in text.chars() {
        out.push(if left > 0 { char.to_ascii_lowercase() } else { char });
        left = if char == '%' { 2_u8 } else { left.saturating_sub(1) };
    }
    out
}

/// What a text that holds the value looks like in base64: the part that depends on nothing else.
fn in_base64(value: &[u8], offset: usize) -> Vec<String> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let from = (offset * 8).div_ceil(6);
    let to = bytes.len() * 8 / 6;
    let cut = |text: String| text.get(from..to).filter(|text| text.len() >= 10).map(str::to_owned);
    [cut(STANDARD_NO_PAD.encode(&bytes)), cut(URL_SAFE_NO_PAD.encode(&bytes))]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets_from_settings() {
        for name in [
            "ANTHROPIC_API_KEY",
            "GH_TOKEN",
            "PGPASSWORD",
            "npm_config__authToken",
            "MY_PAT",
            "DB_PASS",
            "Authorization",
            "X-Api-Key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "KEYBOARD", "MONKEYS", "HOME", "PWD", "COMPASS", "LANG", "AUTHOR"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn paths_numbers_and_words_are_no_secrets() {
        for value in ["/home/u/.ssh/id_rsa", "64000000", "true", "short", "        ", "disabled"] {
            assert!(!is_secret_value(value), "{value}");
        }
        assert!(is_secret_value("hunter2-hunter2"));
    }

    #[test]
    fn a_value_is_known_in_base64_wherever_it_stands() {
        let value = "correct-horse/battery\"staple";
        for before in ["", "u", "us", "usr", "user:"] {
            let text = STANDARD_NO_PAD.encode(format!("{before}{value}:after"));
            let forms = forms(value);
            assert!(
                forms.iter().any(|form| text.contains(std::str::from_utf8(form).unwrap())),
                "{text}"
            );
        }
    }
}
