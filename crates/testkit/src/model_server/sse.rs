//! Server-sent events, and how text is cut into pieces for them.

use serde_json::Value;

/// How many characters one text event carries: small enough that every answer is a real stream.
pub(crate) const CHUNK_CHARS: usize = 20;

/// What ends a stream of Chat Completions.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// One event without a name, framed, as Chat Completions sends its chunks.
pub(crate) fn data(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// The same with the two line separators escaped that a string may hold: Google escapes them, and its clients
/// take them for the end of a line.
pub(crate) fn escaped_data(event: &Value) -> String {
    data(event).replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// One event, framed: Anthropic and Responses repeat the JSON's `type` as the event's name.
pub(crate) fn frame(event: &Value) -> String {
    let name = event["type"].as_str().expect("every event we build has a type");
    format!("event: {name}\ndata: {event}\n\n")
}

/// Into how many pieces a long text is cut at most: OpenCode needs a millisecond for each.
const CHUNKS_MAX: usize = 2000;

/// The text in pieces of so many characters, or of more where they would be too many.
pub(crate) fn pieces(text: &str, piece_chars: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let size = piece_chars.max(chars.len().div_ceil(CHUNKS_MAX));
    chars.chunks(size).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_CHARS, pieces};

    #[test]
    fn pieces_join_to_the_text_and_split_no_character() {
        let text = "äöü and some more than twenty characters — 日本語";
        let pieces = pieces(text, CHUNK_CHARS);
        assert_eq!(pieces.concat(), text);
        assert_eq!(pieces.len(), 3);
    }
}
