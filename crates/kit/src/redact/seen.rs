//! What a scan has seen of its text.
//!
//! A text may repeat any word that a secret begins with, as often as it has room. So that a scan stays linear, no part
//! of the text is looked at again for each of them: either a look has a fixed width, or what it found is kept here.

use super::commands::COMMANDS;
use super::tokens::Alphabet;

/// Bytes that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Of(Alphabet),
    Line,
    /// A value without quotes.
    Bare,
    /// A value of several words.
    Words,
    /// A value between tags.
    Element,
    /// A value in a column of a table.
    Cell,
    /// An address, with what stands before its host.
    Address,
}

impl Run {
    const COUNT: usize = Alphabet::ALL.len() + 6;

    fn has(self, byte: u8) -> bool {
        match self {
            Self::Of(alphabet) => alphabet.has(byte),
            Self::Line => byte != b'\n',
            Self::Bare => !byte.is_ascii_whitespace() && !b"\"'`<>;".contains(&byte),
            Self::Words => !b"\n\"'`<>".contains(&byte),
            Self::Element => !b"<\n".contains(&byte),
            Self::Cell => !b" |\n\xe2".contains(&byte),
            Self::Address => byte.is_ascii_graphic() && !b"\"'<>`\\|{}()".contains(&byte),
        }
    }

    fn number(self) -> usize {
        let own = match self {
            Self::Of(alphabet) => return alphabet as usize,
            Self::Line => 0,
            Self::Bare => 1,
            Self::Words => 2,
            Self::Element => 3,
            Self::Cell => 4,
            Self::Address => 5,
        };
        Alphabet::ALL.len() + own
    }
}

/// A word of which the last one before a place is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    NewLine,
    KeyBegins,
    KeyEnds,
    Brace,
}

impl Mark {
    fn text(self) -> &'static [u8] {
        match self {
            Self::NewLine => b"\n",
            Self::KeyBegins => b"BEGIN ",
            Self::KeyEnds => b"----END ",
            Self::Brace => b"{",
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Up to here the text has been searched.
    until: usize,
    at: Option<usize>,
}

/// What a scan has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last run of each sort.
    runs: [Option<(usize, usize)>; Run::COUNT],
    marks: [Last; 4],
    /// Up to here lines have been taken for those of a key, or not.
    pub(super) keys_until: usize,
    /// Where the last end of a key was.
    pub(super) key_end: usize,
    pub(super) parts_until: usize,
    pub(super) web_keys_until: usize,
    pub(super) cookies_until: usize,
    pub(super) jars_until: usize,
    pub(super) hashes_until: usize,
    /// Up to here the arguments of each command have been looked at.
    pub(super) commands_until: [usize; COMMANDS.len()],
}

impl Seen {
    /// Where a run ends that this place is in; this place if it is in none.
    pub(super) fn end(&mut self, text: &[u8], run: Run, at: usize) -> usize {
        let last = &mut self.runs[run.number()];
        let known = last.filter(|(_, to)| at <= *to);
        if let Some((from, to)) = known
            && from <= at
        {
            return to;
        }
        // Up to what is known, or all the way.
        let limit = known.map_or(text.len(), |(from, _)| from);
        let part = &text[at..limit];
        let to = match run {
            Run::Line => memchr::memchr(b'\n', part),
            _ => part.iter().position(|byte| !run.has(*byte)),
        };
        let to = match (to, known) {
            (Some(n), _) => at + n,
            (None, Some((_, to))) => to,
            (None, None) => text.len(),
        };
        *last = Some((at, to));
        to
    }

    /// Where the last mark before a place begins.
    pub(super) fn last(&mut self, text: &[u8], mark: Mark, before: usize) -> Option<usize> {
        let word = mark.text();
        let last = &mut self.marks[mark as usize];
        if before >= last.until {
            let from = last.until.saturating_sub(word.len() - 1);
            let found = memchr::memmem::rfind(&text[from..before], word);
            last.at = found.map(|n| from + n).or(last.at);
            last.until = before;
            return last.at;
        }
        if last.at.is_none_or(|at| at + word.len() <= before) {
            return last.at;
        }
        // Words are found nearly in order: this is rare.
        memchr::memmem::rfind(&text[..before], word)
    }

    /// Where the line begins that this place is in.
    pub(super) fn line_start(&mut self, text: &[u8], at: usize) -> usize {
        self.last(text, Mark::NewLine, at).map_or(0, |n| n + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_it_ends_whatever_was_asked_before() {
        let text = b"ab cd=ef\ngh;ij  kl";
        let all = [Run::Of(Alphabet::Word), Run::Line, Run::Bare, Run::Cell, Run::Words];
        let mut rng = fastrand::Rng::with_seed(1);
        let mut seen = Seen::default();
        for _ in 0..2_000 {
            let (run, at) = (all[rng.usize(..all.len())], rng.usize(..=text.len()));
            let want = at + text[at..].iter().take_while(|byte| run.has(**byte)).count();
            assert_eq!(seen.end(text, run, at), want, "{run:?} at {at}");
            let line = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
            assert_eq!(seen.line_start(text, at), line);
        }
    }
}
