//! Lines as a person would read them: without colors, and without what was drawn over.

use crate::{lines, spoken_duration};
use belay_trace::plain;

/// What is left of a line when it has been printed: the colors are removed, and of a spinner its last picture stays.
pub(super) fn shown(line: &[u8]) -> String {
    let text = lines::text(line);
    let text = text.trim_end_matches('\r');
    let last = text.rsplit('\r').find(|drawn| !plain(drawn).trim().is_empty()).unwrap_or_default();
    // Some pad their lines to the width of a terminal.
    plain(last).trim_end().to_owned()
}

/// True for a line with which an error begins: `Error: …`, `openai.RateLimitError: …`, `aider: error: …`.
pub(super) fn is_error(line: &str) -> bool {
    let mut parts = line.split(": ");
    let is_name = |part: &str| {
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        !part.is_empty() && part.chars().all(is_of_name)
    };
    let says = |part: &str| {
        let part = part.to_ascii_lowercase();
        part.ends_with("error") || part.ends_with("exception") || part == "fatal"
    };
    let first = parts.next().unwrap_or_default();
    // Without words behind it, it is none.
    let Some(second) = parts.next() else { return false };
    is_name(first) && (says(first) || (says(second) && parts.next().is_some()))
}

/// How long a line says that something is waited for: `Retrying … in 4 seconds …`.
pub(super) fn pause_ms(line: &str) -> Option<u64> {
    let words: Vec<_> = line.split_whitespace().collect();
    let pauses = words.windows(3).filter(|words| words[0] == "in");
    let mut pauses =
        pauses.filter_map(|words| spoken_duration(&format!("{} {}", words[1], words[2])));
    u64::try_from(pauses.next()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::{is_error, pause_ms, shown};

    #[test]
    fn a_pause_is_found_in_the_middle_of_a_line() {
        assert_eq!(pause_ms("Retrying <unknown> in 4 seconds as it raised"), Some(4000));
        assert_eq!(pause_ms("in the end, in vain"), None);
    }

    #[test]
    fn an_error_begins_with_its_name() {
        for line in [
            "Error: Error code: 401",
            "openai.RateLimitError: slow down",
            "aider: error: unrecognized arguments: x",
            "fatal: not a repository",
        ] {
            assert!(is_error(line), "{line}");
        }
        for line in ["", "error", "There was an error: x", "│ raise Error: x", "note: x", "at: 3"]
        {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn colors_go_and_of_a_spinner_its_last_picture_stays() {
        for (line, want) in [
            ("\x1b[32mgreen\x1b[0m words   ", "green words"),
            ("⠋ thinking\r⠙ thinking\rdone", "done"),
            ("⠋ thinking\r\x1b[K", "⠋ thinking"),
            ("dos\r", "dos"),
            ("\r\r", ""),
        ] {
            assert_eq!(shown(line.as_bytes()), want, "{line:?}");
        }
    }
}
