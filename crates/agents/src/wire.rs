//! Decoding what agents print.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Decodes a line or part of a line into one of an agent's own types.
pub(crate) fn decode<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
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
