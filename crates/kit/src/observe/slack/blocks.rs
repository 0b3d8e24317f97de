//! Notices as Block Kit, within all of its limits, and so that nothing in them mentions or links anybody.

use crate::observe::notify::Notice;
use serde_json::{Value as Json, json};

/// The text of one block. Slack takes 3000.
const BLOCK_MAX: usize = 2900;
/// The text of all blocks. Slack takes about 13,200, which no document says (slackapi/bolt-js#2509).
const ALL_MAX: usize = 12_000;
/// The titles and figures of a notice, in that.
const TITLE_MAX: usize = 250;
const FOOTER_MAX: usize = 250;
/// How many are mentioned at once; who wants more has a group.
const MENTIONS_MAX: usize = 50;
/// The text for notifications. Slack recommends no more than 4000.
const FALLBACK_MAX: usize = 3000;

/// Takes the meaning out of the three characters that have one in Slack's texts.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Who is mentioned: ids alone; anything else would be somebody's words.
pub(crate) fn mentions(users: &[String]) -> String {
    let is_id = |id: &&String| id.len() > 1 && id.chars().all(|c| c.is_ascii_alphanumeric());
    let mention = |id: &String| match id.as_bytes()[0] {
        b'U' | b'W' => Some(format!("<@{id}>")),
        b'S' => Some(format!("<!subteam^{id}>")),
        _ => None,
    };
    users.iter().filter(is_id).filter_map(mention).take(MENTIONS_MAX).collect::<Vec<_>>().join(" ")
}

/// The text for notifications.
pub(crate) fn fallback(notices: &[Notice], mentions: &str) -> String {
    let texts: Vec<_> = notices.iter().map(Notice::plain).collect();
    let text = escaped(&texts.join("\n"), FALLBACK_MAX - mentions.len().min(FALLBACK_MAX / 2));
    if mentions.is_empty() { text } else { format!("{mentions} {text}") }
}

/// The blocks of one message.
pub(crate) fn of(notices: &[Notice], mentions: &str) -> Vec<Json> {
    let mut blocks = Vec::new();
    if !mentions.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": mentions, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    let room = (ALL_MAX - mentions.len().min(ALL_MAX)) / notices.len().max(1);
    for notice in notices {
        let title = plain(&notice.title, TITLE_MAX);
        blocks.extend(title.map(|text| json!({ "type": "section", "text": text })));
        let bodies = pieces(&notice.body, room - TITLE_MAX - FOOTER_MAX).into_iter();
        blocks.extend(bodies.map(|text| json!({ "type": "section", "text": plain_text(text) })));
        let footer = plain(&notice.footer, FOOTER_MAX);
        blocks.extend(footer.map(|text| json!({ "type": "context", "elements": [text] })));
    }
    blocks
}

/// A text of the caller's own, for notifications and as blocks.
pub(crate) fn of_caller(text: &str, mentions: &str) -> (String, Vec<Json>) {
    let mut blocks = of(&[], mentions);
    let pieces = pieces(text, ALL_MAX - mentions.len().min(ALL_MAX / 2)).into_iter();
    blocks.extend(pieces.map(|text| json!({ "type": "section", "text": plain_text(text) })));
    let short = escaped(text, FALLBACK_MAX);
    (if mentions.is_empty() { short } else { format!("{mentions} {short}") }, blocks)
}

/// A text with no markup in it, of at most so many characters; `None` if nothing is in it, which Slack refuses.
fn plain(text: &str, units_max: usize) -> Option<Json> {
    let text = escaped(text.trim(), units_max);
    (!text.is_empty()).then(|| plain_text(text))
}

fn plain_text(text: String) -> Json {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// A text in pieces, each of a block; the last says if there is more.
fn pieces(text: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut rest, mut room) = (text.trim(), room);
    while !rest.is_empty() && room > 1 {
        let size = BLOCK_MAX.min(room);
        let end = fitting(rest, size);
        if end == rest.len() || room <= BLOCK_MAX {
            pieces.push(escaped(rest, size));
            break;
        }
        // At the end of a line, if there is one not far away.
        let end = rest[..end].rfind('\n').filter(|at| at * 2 > end).map_or(end, |at| at + 1);
        pieces.push(escape(&rest[..end]));
        room -= escape(&rest[..end]).encode_utf16().count();
        rest = &rest[end..];
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// A text escaped, of at most so many units of UTF-16 all in all; no character and no entity is cut.
fn escaped(text: &str, units_max: usize) -> String {
    match fitting(text, units_max) {
        end if end == text.len() => escape(text),
        _ => format!("{}…", escape(&text[..fitting(text, units_max.saturating_sub(1))])),
    }
}

/// How many bytes of a text fit into so many units when it is escaped.
fn fitting(text: &str, units_max: usize) -> usize {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += match character {
            '&' => 5,
            '<' | '>' => 4,
            other => other.len_utf16(),
        };
        if units > units_max {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::notify::Kind;
    use belay_trace::Level;

    fn notice(title: &str, body: &str) -> Notice {
        Notice {
            event: Kind::Error,
            level: Level::Error,
            title: title.to_owned(),
            body: body.to_owned(),
            footer: "1 s".to_owned(),
            agent: "a".to_owned(),
            run: "r".to_owned(),
            trace: None,
        }
    }

    /// The texts of all blocks.
    fn texts(blocks: &[Json]) -> Vec<&str> {
        blocks
            .iter()
            .map(|block| {
                block.get("text").unwrap_or(&block["elements"][0])["text"].as_str().unwrap()
            })
            .collect()
    }

    #[test]
    fn words_of_an_agent_mention_and_link_nobody() {
        let notices = [notice("<!channel>", "see <https://evil|here> & <@U1>")];
        let blocks = of(&notices, "");
        assert_eq!(
            texts(&blocks),
            ["&lt;!channel&gt;", "see &lt;https://evil|here&gt; &amp; &lt;@U1&gt;", "1 s"]
        );
        assert!(blocks[..2].iter().all(|block| block["text"]["type"] == "plain_text"));
        assert!(!fallback(&notices, "").contains('<'));
    }

    #[test]
    fn only_ids_are_mentioned() {
        let users = ["U12", "S9", "<!channel>", "everyone", "", "U1>x"].map(str::to_owned);
        assert_eq!(mentions(&users), "<@U12> <!subteam^S9>");
        assert!(fallback(&[notice("t", "b")], "<@U12>").starts_with("<@U12> t\nb"));
    }

    #[test]
    fn the_longest_words_fit_into_the_limits_and_no_entity_is_cut() {
        for body in
            ["x".repeat(50_000), "<".repeat(50_000), "🦀".repeat(50_000), "a\n".repeat(20_000)]
        {
            for count in [1, 12] {
                let notices = vec![notice("t", &body); count];
                let blocks = of(&notices, "<@U12>");
                let texts = texts(&blocks);
                let units = |text: &str| text.encode_utf16().count();
                assert!(texts.iter().all(|text| units(text) <= 3000 && !text.trim().is_empty()));
                assert!(texts.iter().map(|text| units(text)).sum::<usize>() <= 13_200);
                assert!(blocks.len() <= 50, "{}", blocks.len());
                let bodies: Vec<_> = texts.iter().filter(|text| text.ends_with('…')).collect();
                assert_eq!(bodies.len(), count);
                if body.starts_with('<') {
                    assert!(bodies.iter().all(|text| text.ends_with("&lt;…")));
                }
                assert!(units(&fallback(&notices, "")) <= 3000);
            }
        }
    }
}
