//! JSON in the words of a model: between fences, or in the middle of a sentence.

use serde_json::Value;
use std::iter;

/// There is no whole JSON value of the wanted sort in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no JSON {0} in the text")]
pub struct NoJson(&'static str);

/// The first whole JSON object in a text, whatever stands around it and whatever its strings hold.
///
/// # Errors
/// [`NoJson`] if there is none.
///
/// ```
/// let answer = "Sure! Here it is:\n```json\n{\"brace\": \"}\"}\n```\nAnything else?";
/// assert_eq!(belaykit::extract_json(answer), Ok(r#"{"brace": "}"}"#));
/// ```
pub fn extract_json(text: &str) -> Result<&str, NoJson> {
    values(text, "{").next().ok_or(NoJson("object"))
}

/// The first whole JSON array in a text.
///
/// # Errors
/// [`NoJson`] if there is none.
///
/// ```
/// assert_eq!(belaykit::extract_json_array("They are [1, \"]\"]."), Ok(r#"[1, "]"]"#));
/// ```
pub fn extract_json_array(text: &str) -> Result<&str, NoJson> {
    values(text, "[").next().ok_or(NoJson("array"))
}

/// The text between code fences, if all of it stands between some; otherwise the text without white space around it.
///
/// ```
/// assert_eq!(belaykit::strip_code_fences("```rust\nfn main() {}\n```"), "fn main() {}");
/// ```
pub fn strip_code_fences(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix("```").and_then(|rest| {
        let (_language, rest) = rest.split_once('\n')?;
        let body = rest.strip_suffix("```")?;
        // Another fence inside: it is not one block.
        (!body.contains("\n```")).then(|| body.trim_end_matches(['\r', '\n']))
    });
    inside.unwrap_or(text)
}

/// Every whole value in a text that begins with one of these brackets, but for those inside another.
pub(crate) fn values<'a>(text: &'a str, brackets: &'static str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(|c| brackets.contains(c))?..];
            // Not into `IgnoredAny`: what is skipped has no limit of depth, and each bracket would be read to the end.
            let mut read = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            if matches!(read.next(), Some(Ok(_))) {
                let (value, after) = rest.split_at(read.byte_offset());
                rest = after;
                return Some(value);
            }
            rest = &rest[1..];
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_whatever_stands_around_it() {
        for (text, want) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("```json\n{\"a\": {\"b\": 2}}\n```", r#"{"a": {"b": 2}}"#),
            (r#"In {braces} I say {"a":"}{\"\\"} and {"b":2}."#, r#"{"a":"}{\"\\"}"#),
            (r#"{not json} {"ü":"🦀"}"#, r#"{"ü":"🦀"}"#),
            (r#"[{"a":1}]"#, r#"{"a":1}"#),
        ] {
            assert_eq!(extract_json(text), Ok(want), "{text}");
        }
        for text in ["", "{", r#"{"a":"#, r#"{"a":"}"#, "{a}", "}{"] {
            assert_eq!(extract_json(text), Err(NoJson("object")), "{text}");
        }
    }

    #[test]
    fn an_array_is_found_likewise() {
        assert_eq!(extract_json_array(r#"[x] ["]", [1]] tail"#), Ok(r#"["]", [1]]"#));
        assert_eq!(
            extract_json_array("[1, 2").unwrap_err().to_string(),
            "there is no JSON array in the text"
        );
    }

    #[test]
    fn only_what_is_one_block_has_its_fences_taken_off() {
        for (text, want) in [
            ("```json\n{}\n```", "{}"),
            ("  ```\na\n\nb\n```\n", "a\n\nb"),
            (" plain ", "plain"),
            ("```\na\n```\nand\n```\nb\n```", "```\na\n```\nand\n```\nb\n```"),
            ("```", "```"),
        ] {
            assert_eq!(strip_code_fences(text), want);
        }
    }

    #[test]
    fn many_brackets_take_no_long_time() {
        let text = "{\"a\":[".repeat(1_000);
        assert!(extract_json(&text).is_err());
        assert!(extract_json_array(&text).is_err());
    }
}
