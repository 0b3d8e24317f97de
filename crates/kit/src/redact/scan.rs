//! Looks for secrets in a plain text, in one pass, and says how its end may go on.

use super::assignments;
use super::commands;
use super::keys;
use super::links;
use super::literals::{Literals, Word};
use super::looks::{Makeup, beginning_of, is_filler, is_mixed};
use super::seen::{Run, Seen};
use super::tokens::{Alphabet, Check, Part, TOKENS, Token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::Range;
use std::sync::LazyLock;

/// A secret, and what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Range<usize>,
    pub(super) name: &'static str,
}

/// How much of a secret the end of a text shows, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// What stands before it: a name, a word.
    Nothing,
    /// A part of a beginning that is public, and up to three bytes.
    Beginning,
    /// Bytes of its own, too few to tell it from other words.
    Little,
    /// More than that.
    Body,
}

impl Shown {
    /// So many bytes of a secret's own.
    pub(super) fn of(bytes: usize) -> Self {
        match bytes {
            0..=3 => Self::Beginning,
            4..=7 => Self::Little,
            _ => Self::Body,
        }
    }
}

/// The end of a text that may go on as a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// From here on the text has to be known when it goes on.
    pub(super) context: usize,
    /// But for this part of it.
    pub(super) dispensable: Range<usize>,
    /// From here on nobody may see it yet.
    pub(super) hold: usize,
    pub(super) shown: Shown,
    pub(super) name: &'static str,
}

/// What a text holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) tail: Option<Tail>,
    pub(super) seen: Seen,
}

impl Scan {
    pub(super) fn found(&mut self, at: Range<usize>, name: &'static str) {
        if !at.is_empty() {
            self.found.push(Found { at, name });
        }
    }

    pub(super) fn open(&mut self, tail: Tail) {
        match &mut self.tail {
            None => self.tail = Some(tail),
            Some(had) => {
                if tail.shown > had.shown || tail.shown == had.shown && tail.hold < had.hold {
                    had.name = tail.name;
                }
                let is_apart = tail.dispensable.is_empty() && tail.context >= had.dispensable.end;
                if had.dispensable.is_empty() && had.context >= tail.dispensable.end {
                    had.dispensable = tail.dispensable;
                } else if !is_apart {
                    had.dispensable = 0..0;
                }
                had.shown = had.shown.max(tail.shown);
                had.context = had.context.min(tail.context);
                had.hold = had.hold.min(tail.hold);
            }
        }
    }

    /// What begins here is a secret if more of it comes.
    pub(super) fn open_at(
        &mut self,
        context: usize,
        hold: usize,
        shown: Shown,
        name: &'static str,
    ) {
        self.open(Tail { context, dispensable: 0..0, hold, shown, name });
    }
}

#[derive(Clone, Copy, Debug)]
enum Sort {
    Token(usize),
    /// A part of a name that may stand before a secret.
    Name,
    /// A name of several words.
    Phrase,
    Statement,
    Key,
    /// The body of a key without its first line.
    KeyBody,
    KeyPart,
    WebKey,
    Link,
    Command(usize),
    Hash,
    /// What stands beside a password in a form of its own.
    Place,
}

struct Words {
    all: Literals<Sort>,
    /// How tokens begin, by their first byte.
    starts: Vec<Vec<(&'static [u8], usize)>>,
    longest: usize,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let tokens = TOKENS.iter().enumerate();
    let tokens =
        tokens.flat_map(|(n, it)| it.starts.iter().map(move |start| (*start, Sort::Token(n))));
    let commands = commands::COMMANDS.iter().enumerate();
    let exact = tokens
        .chain(keys::BODIES.iter().map(|word| (*word, Sort::KeyBody)))
        .chain(keys::PARTS.iter().map(|word| (*word, Sort::KeyPart)))
        .chain(keys::MARKERS.iter().map(|word| (*word, Sort::Key)))
        .chain(links::HASHES.iter().map(|word| (*word, Sort::Hash)))
        .chain(links::PLACES.iter().map(|word| (*word, Sort::Place)))
        .chain(commands.map(|(n, it)| (it.program, Sort::Command(n))))
        .chain([("\"kty\"", Sort::WebKey), ("://", Sort::Link)])
        .map(|(text, means)| Word { text, is_any_case: false, means });
    let names = assignments::WORDS.iter().map(|word| (*word, Sort::Name));
    let any_case = names
        .chain(assignments::PHRASES.iter().map(|word| (*word, Sort::Phrase)))
        .chain([("identified by ", Sort::Statement)])
        .map(|(text, means)| Word { text, is_any_case: true, means });
    let all = exact.chain(any_case).collect();
    let starts = TOKENS.iter().enumerate();
    let starts = starts.filter(|(_, token)| token.part == Part::All && token.before == 0);
    let starts =
        starts.flat_map(|(n, it)| it.starts.iter().map(move |start| (start.as_bytes(), n)));
    let (mut by_first, mut longest) = (vec![Vec::new(); 256], 0);
    for (start, n) in starts {
        by_first[usize::from(start[0])].push((start, n));
        longest = longest.max(start.len());
    }
    let starts = by_first;
    Words { all: Literals::new(all), starts, longest }
});

/// Looks for secrets of all known sorts.
pub(super) fn scan(text: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut named_until = 0;
    WORDS.all.find(text, |from, word, sort| {
        let at = from..from + word.len();
        match sort {
            Sort::Token(n) => token(text, at, &TOKENS[n], &mut scan),
            Sort::Name if from < named_until => {}
            Sort::Name => named_until = assignments::look(text, at, &mut scan),
            Sort::KeyBody => keys::bare(text, at, &mut scan),
            Sort::KeyPart => keys::part(text, at, &mut scan),
            Sort::WebKey => keys::web_key(text, at, &mut scan),
            Sort::Key => keys::look(text, at, &mut scan),
            Sort::Link => links::link(text, at, &mut scan),
            Sort::Hash => links::hash(text, at, &mut scan),
            Sort::Phrase => assignments::phrase(text, at, &mut scan),
            Sort::Statement => assignments::statement(text, at, &mut scan),
            Sort::Place => links::place(text, at, &mut scan),
            Sort::Command(n) => commands::look(text, at, n, &mut scan),
        }
    });
    beginning(text, &mut scan);
    keys::headless(text, &mut scan);
    merge(&mut scan.found);
    scan
}

/// Every word that a look begins with, and whether it is how a token begins.
#[cfg(test)]
pub(super) fn literals() -> Vec<(&'static str, bool)> {
    let words = WORDS.all.words().iter();
    words.map(|word| (word.text, matches!(word.means, Sort::Token(_)))).collect()
}

/// The text may end in the middle of how a token begins.
fn beginning(text: &[u8], scan: &mut Scan) {
    let words = &*WORDS;
    for at in text.len().saturating_sub(words.longest - 1)..text.len() {
        let end = &text[at..];
        // A full stop, or a digit, is nothing to wait for.
        if end.len() == 1 && !end[0].is_ascii_alphabetic() || !is_boundary(text, at) {
            continue;
        }
        let is_one = |(start, _): &&(&[u8], usize)| {
            start.starts_with(end) && (start.len() > end.len() || start.len() < 3)
        };
        if let Some((_, n)) = words.starts[usize::from(end[0])].iter().find(is_one) {
            scan.open_at(at, at, Shown::Beginning, TOKENS[*n].name);
        }
    }
}

/// True if a word can begin here.
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|at| !text[at].is_ascii_alphanumeric() && text[at] != b'_')
}

/// True in the middle of a long run of base64, which has any beginning of a token in it.
fn is_in_base64(text: &[u8], at: usize) -> bool {
    // A plus of a diff stands behind no letter.
    if at > 1 && text[at - 1] == b'+' && text[at - 2].is_ascii_alphanumeric() {
        return true;
    }
    let before = &text[at.saturating_sub(24)..at];
    before.len() == 24
        && matches!(before[23], b'+' | b'/')
        && before.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && Makeup::of(before).digits > 0
}

fn token(text: &[u8], start: Range<usize>, token: &Token, scan: &mut Scan) {
    let mut from = start.start;
    if token.before > 0 {
        let before = text[..from].iter().rev().take(100);
        from -= before.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if start.start - from < token.before {
            return;
        }
    } else if token.part == Part::All && is_in_base64(text, from) {
        return;
    }
    let is_behind = token.before == 0 && token.part == Part::All && !is_boundary(text, from);
    let word = &text[start.clone()];
    if is_behind && !is_certain(word, token) {
        return;
    }
    let body = &text[start.end..];
    let end = scan.seen.end(text, Run::Of(token.alphabet), start.end);
    let mut len = (end - start.end).min(token.body.end() + 1);
    let is_open = len == body.len() && len <= *token.body.end();
    if !is_open {
        len -= body[..len].iter().rev().take_while(|byte| **byte == b'.').count();
    }
    let body = &body[..len];
    let secret =
        if token.part == Part::All { from..start.end + len } else { start.end..start.end + len };
    if is_behind && !is_certain_body(token, body) && !(is_open && len < *token.body.start()) {
        return;
    }
    if token.body.contains(&len) && fits(token, body, &text[from..start.end + len]) {
        scan.found(secret.clone(), token.name);
    }
    if is_open && (len == 0 || !is_filler(body)) {
        scan.open_at(from, secret.start, Shown::of(len), token.name);
    }
}

/// True for a beginning that no other word ends with: it may stand behind a letter.
fn is_certain(word: &[u8], token: &Token) -> bool {
    let least = if token.alphabet == Alphabet::Hex { 5 } else { 4 };
    word.len() >= least
        && word.last().is_some_and(|last| b"_-".contains(last))
        && *token.body.start() >= 20
        && token.check != Check::Uuid
}

/// The same for what follows it.
fn is_certain_body(token: &Token, body: &[u8]) -> bool {
    let it = Makeup::of(beginning_of(body));
    match token.alphabet {
        Alphabet::Hex => it.digits > 3 && it.letters() > 3,
        _ => it.digits > 1 && it.upper > 1 && it.lower > 1,
    }
}

fn fits(token: &Token, body: &[u8], all: &[u8]) -> bool {
    if !body.is_empty() && is_filler(body) {
        return false;
    }
    let has = |test: fn(&u8) -> bool| beginning_of(body).iter().any(test);
    let body = if token.before > 0 { all } else { body };
    let is_mixed = is_mixed(beginning_of(body));
    let parts = || body.split(|byte| *byte == b'.');
    match token.check {
        Check::Mixed => is_mixed,
        Check::Random => is_mixed && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase),
        Check::Parts(count) => is_mixed && parts().count() == count,
        Check::Jwt => {
            is_mixed && parts().nth(1).is_some_and(|part| part.starts_with(b"ey") && part.len() > 8)
        }
        Check::Uuid => is_uuid(body),
        Check::Key => {
            let skip = match all[0] {
                b'L' => 0,
                b'0' => 2,
                _ => 1,
            };
            let whole = &all[skip..all.len().min(160)];
            let whole = &whole[..whole.len() / 4 * 4];
            let decoded = STANDARD_NO_PAD.decode(whole).unwrap_or_default();
            memchr::memmem::find(&decoded, b"PRIVATE KEY").is_some()
        }
    }
}

pub(super) fn is_uuid(text: &[u8]) -> bool {
    let groups: Vec<usize> = text.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
    groups == [8, 4, 4, 4, 12] && text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Puts secrets that overlap together, in order.
fn merge(found: &mut Vec<Found>) {
    if found.len() < 2 {
        return;
    }
    found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for next in found.drain(..) {
        match merged.last_mut() {
            Some(last) if next.at.start < last.at.end => last.at.end = last.at.end.max(next.at.end),
            _ => merged.push(next),
        }
    }
    *found = merged;
}
