//! What Slack takes of a message, and by which code it refuses the rest.

use serde_json::Value;

/// Of a message; what is longer is cut, so a test shall see it.
pub(super) const TEXT_MAX: usize = 40_000;
/// Of an edit (`msg_too_long`).
pub(super) const UPDATE_TEXT_MAX: usize = 4000;

/// `ok`, or the code.
pub(super) fn check(body: &Value, text_max: usize) -> Result<(), &'static str> {
    let text = body["text"].as_str().unwrap_or_default();
    let none = Vec::new();
    let blocks = body["blocks"].as_array().unwrap_or(&none);
    if text.trim().is_empty() && blocks.is_empty() {
        return Err("no_text");
    }
    if units(text) > text_max {
        return Err("msg_too_long");
    }
    if blocks.len() > 50 || !blocks.iter().all(is_sound) {
        return Err("invalid_blocks");
    }
    // Documented nowhere: slackapi/bolt-js#2509.
    if texts(body).iter().map(|text| units(text)).sum::<usize>() > 13_200 {
        return Err("msg_blocks_too_long");
    }
    Ok(())
}

fn is_sound(block: &Value) -> bool {
    let has = |object: &Value, max| {
        let is_text = matches!(object["type"].as_str(), Some("plain_text" | "mrkdwn"));
        let text = object["text"].as_str().unwrap_or_default();
        is_text && !text.is_empty() && units(text) <= max
    };
    match block["type"].as_str() {
        Some("section") => has(&block["text"], 3000),
        Some("header") => block["text"]["type"] == "plain_text" && has(&block["text"], 150),
        Some("context") => block["elements"].as_array().is_some_and(|elements| {
            (1..=10).contains(&elements.len()) && elements.iter().all(|it| has(it, 3000))
        }),
        Some("divider") => true,
        _ => false,
    }
}

/// The texts of all blocks.
pub(super) fn texts(body: &Value) -> Vec<&str> {
    let blocks = body["blocks"].as_array().into_iter().flatten();
    let objects = blocks.flat_map(|block| {
        let elements = block["elements"].as_array().into_iter().flatten();
        block.get("text").into_iter().chain(elements)
    });
    objects.filter_map(|object| object["text"].as_str()).collect()
}

/// A length as the strictest would count it.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_slack_refuses_is_refused() {
        let section = |n: usize| json!({ "type": "section", "text": { "type": "plain_text", "text": "x".repeat(n) } });
        let of = |blocks: Vec<Value>| json!({ "text": "t", "blocks": blocks });
        assert_eq!(check(&json!({}), TEXT_MAX), Err("no_text"));
        assert_eq!(check(&of(vec![section(3000)]), TEXT_MAX), Ok(()));
        assert_eq!(check(&of(vec![section(3001)]), TEXT_MAX), Err("invalid_blocks"));
        assert_eq!(check(&of(vec![section(0)]), TEXT_MAX), Err("invalid_blocks"));
        assert_eq!(check(&of(vec![section(1); 50]), TEXT_MAX), Ok(()));
        assert_eq!(check(&of(vec![section(1); 51]), TEXT_MAX), Err("invalid_blocks"));
        assert_eq!(check(&of(vec![section(3000); 5]), TEXT_MAX), Err("msg_blocks_too_long"));
        let long = json!({ "text": "x".repeat(4001) });
        assert_eq!(check(&long, UPDATE_TEXT_MAX), Err("msg_too_long"));
    }
}
