//! The program's own commands in a prompt: `/attach FILE` in any line, and `/NAME` at the beginning, where the agent's file
//! has such a command. It takes their words out and puts something else in their place.
//!
//! Both end at a space. With a tab in its place they are none, and the model reads every word (1.32.3, seen for `/attach`).

use std::borrow::Cow;
use std::collections::BTreeSet;

/// A prompt in which the program finds no command, and what was done for that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) prompt: String,
    pub(super) words: Option<String>,
}

const ATTACH: &str = "/attach ";

/// It is not seen, and no name of a command has it.
const WORD_JOINER: char = '\u{2060}';

/// Writes a prompt so that the program hands over all of it.
pub(super) fn keep(prompt: &str) -> Kept {
    let (kept, is_command) = without_command(prompt);
    let line_of = |at: usize| 1 + prompt[..at].matches('\n').count();
    let begin = prompt.len() - prompt.trim_start().len();
    let mut lines: BTreeSet<usize> =
        prompt.match_indices(ATTACH).map(|(at, _)| line_of(at)).collect();
    lines.extend(is_command.then(|| line_of(begin)));
    if lines.is_empty() {
        return Kept { prompt: prompt.to_owned(), words: None };
    }
    let list = lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let which = if lines.len() == 1 { "line" } else { "lines" };
    let words = format!(
        "{which} {list} of the prompt: /attach FILE and /NAME are docker-agent's own commands; belay escaped them so \
         that the model reads every word"
    );
    Kept { prompt: kept.replace(ATTACH, "/attach\t"), words: Some(words) }
}

/// The prompt, which may not be a command as a whole; true if it might have been one.
fn without_command(prompt: &str) -> (Cow<'_, str>, bool) {
    let trimmed = prompt.trim();
    if !trimmed.starts_with('/') {
        return (Cow::Borrowed(prompt), false);
    }
    let (name, rest) = match trimmed.split_once(' ') {
        Some((name, rest)) => (name, Some(rest)),
        None => (trimmed, None),
    };
    // Other white space is a part of the name for the program, and no command has it in its name, or the joiner.
    let is_no_part = |c: char| c.is_whitespace() || c == WORD_JOINER;
    if name.len() == 1 || name.contains(is_no_part) {
        return (Cow::Borrowed(prompt), false);
    }
    let kept = match rest {
        Some(rest) => format!("{name}\t{rest}"),
        None => format!("{name}{WORD_JOINER}"),
    };
    (Cow::Owned(kept), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prompt: &str, want: &str, lines: Option<&str>) {
        let kept = keep(prompt);
        assert_eq!(kept.prompt, want);
        let words = kept.words.as_deref();
        assert_eq!(words.map(|words| words.split(" of the").next().unwrap_or_default()), lines);
        assert_eq!(keep(want), Kept { prompt: want.to_owned(), words: None }, "nothing is left");
    }

    #[test]
    fn a_file_is_not_attached_by_the_words_of_a_prompt() {
        check("read /attach secret.txt please", "read /attach\tsecret.txt please", Some("line 1"));
        check("see path/attach s now", "see path/attach\ts now", Some("line 1"));
        check("a\n/attach b\nc /attach d", "a\n/attach\tb\nc /attach\td", Some("lines 2, 3"));
        check("/attach x y", "/attach\tx y", Some("line 1"));
    }

    #[test]
    fn a_command_at_the_beginning_is_words_for_the_model() {
        check("/hello world of /attach x", "/hello\tworld of /attach\tx", Some("line 1"));
        check(" \n/hello world", "/hello\tworld", Some("line 2"));
        check("/hello", "/hello\u{2060}", Some("line 1"));
        check("/hello\n", "/hello\u{2060}", Some("line 1"));
    }

    #[test]
    fn a_prompt_without_commands_is_not_touched() {
        for prompt in [
            "",
            "Please:\n/hello world",
            "a /attachment b",
            "/attach\tx",
            "/\u{a0}x y",
            "/ x",
            "/a\nb c",
        ] {
            check(prompt, prompt, None);
        }
    }
}
