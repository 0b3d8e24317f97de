//! Decoding what agents print.

use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Decodes a line or part of a line into one of an agent's own types.
pub(crate) fn decode<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Decodes a field that must not cost us its line: the default if it is not what it used to be.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned + Default,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(decode(raw.get()).unwrap_or_default())
}

/// The same for a text, which is borrowed where it can be.
pub(crate) fn lenient_text<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = <&'de RawValue>::deserialize(deserializer)?.get();
    let borrowed = decode::<&str>(raw).map(Cow::Borrowed);
    Ok(borrowed.or_else(|| decode(raw).map(Cow::Owned)))
}

/// What is new in `text`, of which `said` was emitted in pieces.
pub(crate) fn unsaid(text: String, said: &str) -> String {
    if said.is_empty() {
        // It may be large; a copy would be, too.
        return text;
    }
    match text.strip_prefix(said) {
        Some(rest) => rest.to_owned(),
        // The whole is a little shorter than its pieces: trimmed.
        None if said.starts_with(&text) => String::new(),
        None => text,
    }
}

/// Replaces each escape like `\ud83d` that has lost its other half, since no Rust string can hold it.
///
/// Agents written in JavaScript print one when they cut a string in the middle of an emoji.
pub(crate) fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let has = |escape: &str| memmem::find(text.as_bytes(), escape.as_bytes()).is_some();
    if !has(r"\ud") && !has(r"\uD") {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let len = match (utf16_unit(escape), escape.get(6..).and_then(utf16_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                whole.push_str(r"\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            // A backslash and what it escapes.
            (None, _) => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        whole.push_str(&escape[..len]);
        rest = &escape[len..];
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// The code unit of the `\uXXXX` with which `text` begins.
fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Reads a content field that is a string, or a list of blocks of which those with text count.
pub(crate) fn flatten_content(content: Option<&RawValue>) -> String {
    #[derive(Deserialize)]
    struct Block {
        #[serde(default)]
        text: Option<String>,
        #[serde(default, rename = "type")]
        kind: Option<String>,
    }
    let Some(content) = content else { return String::new() };
    if let Some(text) = decode::<String>(content.get()) {
        return text;
    }
    let Some(blocks) = decode::<Vec<Block>>(content.get()) else {
        return match content.get() {
            "null" => String::new(),
            other => other.to_owned(),
        };
    };
    let parts = blocks.into_iter().map(|block| match (block.text, block.kind) {
        (Some(text), _) => text,
        (None, Some(kind)) => format!("[{kind}]"),
        (None, None) => String::new(),
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_of_a_surrogate_pair_is_replaced() {
        for (text, want) in [
            (r#"{"a":"\u00e9"}"#, r#"{"a":"\u00e9"}"#),
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (r#"{"a":"x\ud83d"}"#, r#"{"a":"x\ufffd"}"#),
            (r#"{"a":"\uDE00\uD83D\n"}"#, r#"{"a":"\ufffd\ufffd\n"}"#),
            (r#"{"a":"\ud83d\ud83d\ude00é"}"#, r#"{"a":"\ufffd\ud83d\ude00é"}"#),
            (r#"{"a":"C:\\ud83d"}"#, r#"{"a":"C:\\ud83d"}"#),
            (r"\ud8", r"\ud8"),
            (r"\ud83d\", r"\ufffd\"),
        ] {
            assert_eq!(without_lone_surrogates(text), want);
        }
    }

    #[test]
    fn only_the_end_of_a_text_is_new_after_its_pieces() {
        for (text, said, want) in
            [("ab", "", "ab"), ("abc", "ab", "c"), ("ab", "ab\n", ""), ("xy", "ab", "xy")]
        {
            assert_eq!(unsaid(text.to_owned(), said), want);
        }
    }
}
