//! Lets an agent's lines through without their secrets, also those that come in pieces.
//!
//! A line goes through at once, unless it ends a piece of text in what may be the beginning of a secret: then it is
//! held until the next piece says what it is, or the text ends, or a moment has passed.

use super::leaf::{Leaf, leaves};
use super::scan::Shown;
use super::{Edit, Looked, Redactor, Tail, edited, stand_in};
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// Longer lines are no pieces.
const PIECE_LINE_BYTES_MAX: usize = 64 << 10;

/// How much is held before it goes through as it is.
const HELD_BYTES_MAX: usize = 1 << 20;

/// How much of one text is held that looks like a good part of a secret: more of it makes nothing clearer.
const HELD_TEXT_BYTES_MAX: usize = 4 << 10;
/// What is known afterwards of what was held: this much of its beginning and of its end.
const HELD_END_BYTES: usize = 512;

/// How long a beginning is held that is nothing but a beginning, and how long one that looks like more.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_WITH_BODY: Duration = Duration::from_secs(2);

/// How many texts are remembered that ended where a secret may go on, and how much of each; there are few at once.
const ENDS_MAX: usize = 64;
/// Of any text: the longest word that a secret begins with, and what stands before it.
const END_BYTES: usize = 64;

/// Of a longer piece in which nothing was found, this much of its end is looked at once more.
const LONG_PIECE_BYTES: usize = 1024;
const END_BYTES_MAX: usize = 128 << 10;

/// The key of lines that are no objects: they are pieces of one text.
const LINES: u64 = 0;

/// The gate of one pipe.
#[derive(Debug)]
pub(crate) struct Gate {
    redactor: Redactor,
    held: Vec<Held>,
    held_bytes: usize,
    open: Vec<Open>,
    /// Of texts that went through, their ends if a secret may go on behind them.
    ends: HashMap<u64, Vec<u8>>,
    /// When what is held goes through in any case.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    line: Vec<u8>,
    cuts: Vec<Edit>,
}

/// A text of which the end is held.
#[derive(Debug)]
struct Open {
    key: u64,
    shape: u64,
    /// Its end, from where it has to be known; what of it went through before is in no part.
    text: Vec<u8>,
    /// Where the rest stands.
    parts: Vec<Part>,
    tail: Tail,
    /// The secrets in what is held, if the text ends here.
    secrets: Vec<(Range<usize>, String)>,
}

#[derive(Debug)]
struct Part {
    /// The number of the line that is held.
    held: usize,
    /// Where the part begins in it.
    at: usize,
    /// Which part of the text it is.
    of: Range<usize>,
}

/// A line that went through.
#[derive(Debug, PartialEq)]
pub(crate) struct Passed {
    /// The line without secrets.
    pub(crate) line: Vec<u8>,
    original: Vec<u8>,
    edits: Vec<Edit>,
}

impl Passed {
    /// True if it held a secret.
    pub(crate) fn is_changed(&self) -> bool {
        !self.edits.is_empty()
    }

    /// What a part of the line was before, if that can be told.
    pub(crate) fn original(&self, part: &[u8]) -> Option<&[u8]> {
        let from = memchr::memmem::find(&self.line, part)?;
        let to = from + part.len();
        let (mut begin, mut end) = (from, to);
        let (mut at_new, mut at_old) = (0, 0);
        for edit in &self.edits {
            let new = at_new + (edit.at.start - at_old);
            let new = new..new + edit.with.len();
            // Where the part begins or ends within what stands for a secret, nobody can tell.
            if (new.start < from && from < new.end) || (new.start < to && to < new.end) {
                return None;
            }
            let grown = |at: usize| at + edit.at.end - new.end;
            if new.end <= from {
                begin = grown(from);
            }
            if new.end <= to {
                end = grown(to);
            }
            (at_new, at_old) = (new.end, edit.at.end);
        }
        self.original.get(begin..end)
    }
}

impl Gate {
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(crate) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            held: Vec::new(),
            held_bytes: 0,
            open: Vec::new(),
            ends: HashMap::new(),
            until: None,
        }
    }

    /// When [`late`](Self::late) has to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// A line comes; nothing is returned if it goes through as it is, otherwise what goes through now.
    pub(crate) fn push(&mut self, line: &[u8]) -> Option<Vec<Passed>> {
        if self.redactor.is_off() {
            return None;
        }
        let is_object = line.first() == Some(&b'{');
        let leaves = match line.len() {
            PIECE_LINE_BYTES_MAX.. => Vec::new(),
            _ if is_object => leaves(line),
            len => vec![Leaf { at: 0..len, shape: LINES, key: LINES }],
        };
        let edits = self.redactor.edits(line);
        let is_apart = self.open.is_empty() && {
            let pieces = leaves.iter().map(|leaf| (leaf.key, self.apart(leaf, line, &edits)));
            let pieces: Vec<(u64, Option<Vec<u8>>)> = pieces.collect();
            let is_apart = pieces.iter().all(|(_, end)| end.is_some());
            if is_apart {
                for (key, end) in pieces {
                    self.remember(key, end.unwrap_or_default());
                }
            }
            is_apart
        };
        if is_apart {
            return (!edits.is_empty()).then(|| {
                let (line, original) = (edited(line, &edits), line.to_vec());
                vec![Passed { line, original, edits }]
            });
        }

        let goes_on = leaves.iter().any(|leaf| self.open.iter().any(|o| o.shape == leaf.shape));
        let mut passed = Vec::new();
        if !goes_on && !is_sign_of_life(line) || self.held_bytes + line.len() > HELD_BYTES_MAX {
            passed = self.interrupt();
        }
        let is_alone = self.held.is_empty() && passed.is_empty();
        self.held_bytes += line.len();
        self.held.push(Held { line: line.to_vec(), cuts: Vec::new() });
        for leaf in leaves {
            self.piece(&leaf);
        }
        let is_long = |open: &Open| open.text.len() - open.tail.hold > HELD_TEXT_BYTES_MAX;
        while let Some(n) =
            self.open.iter().position(|open| is_long(open) && open.tail.shown == Shown::Body)
        {
            let open = self.open.swap_remove(n);
            self.give_up(open, |_| true);
        }
        passed.extend(self.release());
        if goes_on || self.until.is_none() {
            self.wait();
        }
        if let ([only], true) = (&passed[..], is_alone)
            && !only.is_changed()
        {
            return None;
        }
        Some(passed)
    }

    /// Nothing more comes: what is held is what it is.
    pub(crate) fn finish(&mut self) -> Vec<Passed> {
        for open in std::mem::take(&mut self.open) {
            self.give_up(open, |_| false);
        }
        self.release()
    }

    /// Something else comes first: what looks like a good part of a secret does not go through.
    fn interrupt(&mut self) -> Vec<Passed> {
        for open in std::mem::take(&mut self.open) {
            self.give_up(open, |shown| shown == Shown::Body);
        }
        self.release()
    }

    /// The time is up: what looks like a part of a secret does not go through.
    pub(crate) fn late(&mut self) -> Vec<Passed> {
        for open in std::mem::take(&mut self.open) {
            self.give_up(open, |shown| shown >= Shown::Little);
        }
        self.release()
    }

    /// A text is held no longer. Its end stays known: the rest of a secret may come after any pause.
    fn give_up(&mut self, open: Open, is_taken_out: fn(Shown) -> bool) {
        let mut text = open.text;
        if is_taken_out(open.tail.shown) {
            let secret = open.tail.hold..text.len();
            cut(&mut self.held, &open.parts, &secret, &open.tail.name);
            if secret.len() > 2 * HELD_END_BYTES {
                // Base64 stays what it is without some groups of four.
                let gone = (secret.len() - 2 * HELD_END_BYTES) / 4 * 4;
                let from = secret.start + HELD_END_BYTES;
                text.drain(from..from + gone);
            }
        } else {
            for (at, name) in &open.secrets {
                cut(&mut self.held, &open.parts, at, name);
            }
        }
        self.remember(open.key, text);
    }

    /// Waits for the rest of what has begun, but not for ever.
    fn wait(&mut self) {
        let has_body = self.open.iter().any(|open| open.tail.shown >= Shown::Little);
        let patience = if has_body { PATIENCE_WITH_BODY } else { PATIENCE };
        self.until = (!self.open.is_empty()).then(|| Instant::now() + patience);
    }

    /// The end of a text that has to be known when it goes on, if a piece of it can go through with its line: then
    /// what the line is without its secrets is all that the piece is, too.
    fn apart(&self, leaf: &Leaf, line: &[u8], edits: &[Edit]) -> Option<Vec<u8>> {
        let content = &line[leaf.at.clone()];
        let before = self.ends.get(&leaf.key).map_or(&[][..], Vec::as_slice);
        let is_long = content.len() > LONG_PIECE_BYTES && before.len() <= END_BYTES + 8;
        let is_plain =
            edits.iter().all(|edit| edit.at.end <= leaf.at.start || leaf.at.end <= edit.at.start);
        let mut text = if is_long && is_plain {
            // Nothing was found in it, so that only its end may go on.
            content[content.len() - LONG_PIECE_BYTES..].to_vec()
        } else {
            [before, content].concat()
        };
        if leaf.key == LINES {
            text.push(b'\n');
        }
        let Looked { found, tail } = self.redactor.look(&text);
        let known = text.len().saturating_sub(content.len() + usize::from(leaf.key == LINES));
        if found.iter().any(|found| found.at.end > known) && !before.is_empty()
            || tail.as_ref().is_some_and(|tail| tail.hold < text.len())
        {
            return None;
        }
        let end = end_of(&text);
        Some(match tail {
            None => text[end..].to_vec(),
            Some(tail) if tail.dispensable.is_empty() => text[tail.context.min(end)..].to_vec(),
            Some(tail) => {
                [&text[tail.context..tail.dispensable.start], &text[tail.dispensable.end..]]
                    .concat()
            }
        })
    }

    fn remember(&mut self, key: u64, end: Vec<u8>) {
        if end.len() > END_BYTES_MAX {
            return;
        }
        if self.ends.len() >= ENDS_MAX
            && let Some(other) = self.ends.keys().next().copied()
        {
            self.ends.remove(&other);
        }
        self.ends.insert(key, end);
    }

    /// The last line that came has a piece of a text.
    fn piece(&mut self, leaf: &Leaf) {
        let held = self.held.len() - 1;
        let before = self.open.iter().position(|open| open.key == leaf.key);
        let (mut text, mut parts) = match before {
            Some(n) => {
                let open = self.open.swap_remove(n);
                (open.text, open.parts)
            }
            None => (self.ends.remove(&leaf.key).unwrap_or_default(), Vec::new()),
        };
        let from = text.len();
        text.extend_from_slice(&self.held[held].line[leaf.at.clone()]);
        parts.push(Part { held, at: leaf.at.start, of: from..text.len() });
        if leaf.key == LINES {
            text.push(b'\n');
        }

        let Looked { found, tail } = self.redactor.look(&text);
        let hold = tail.as_ref().map_or(text.len(), |tail| tail.hold.min(text.len()));
        for found in found.iter().filter(|found| found.at.start < hold) {
            cut(&mut self.held, &parts, &(found.at.start..found.at.end.min(hold)), found.name);
        }
        let Some(tail) = tail else {
            self.remember(leaf.key, text[end_of(&text)..].to_vec());
            return;
        };
        let mut tail = tail;
        if tail.dispensable.is_empty() {
            tail.context = tail.context.min(end_of(&text));
        }
        // What has to be known moves to the front.
        let gone = |at: usize| {
            at - tail.context - if at >= tail.dispensable.end { tail.dispensable.len() } else { 0 }
        };
        let secrets = found.iter().filter(|found| found.at.start >= hold);
        let secrets: Vec<_> = secrets
            .map(|found| (gone(found.at.start)..gone(found.at.end), found.name.to_owned()))
            .collect();
        let end = if tail.dispensable.is_empty() {
            text[tail.context..].to_vec()
        } else {
            [&text[tail.context..tail.dispensable.start], &text[tail.dispensable.end..]].concat()
        };
        if hold >= text.len() {
            self.remember(leaf.key, end);
            return;
        }
        parts.retain(|part| part.of.end > hold);
        for part in &mut parts {
            let from = part.of.start.max(hold);
            part.at += from - part.of.start;
            part.of = gone(from)..gone(part.of.end);
        }
        let tail = Tail { context: 0, dispensable: 0..0, hold: gone(hold), ..tail };
        let (key, shape) = (leaf.key, leaf.shape);
        self.open.push(Open { key, shape, text: end, parts, tail, secrets });
    }

    /// Lets through what no open text holds.
    fn release(&mut self) -> Vec<Passed> {
        let parts = self.open.iter().flat_map(|open| open.parts.iter().map(|part| part.held));
        let until = parts.min().unwrap_or(self.held.len());
        for part in self.open.iter_mut().flat_map(|open| &mut open.parts) {
            part.held -= until;
        }
        let lines: Vec<_> = self.held.drain(..until).collect();
        self.held_bytes = self.held.iter().map(|held| held.line.len()).sum();
        if self.open.is_empty() {
            self.until = None;
        }
        lines.into_iter().map(|held| self.pass(held)).collect()
    }

    fn pass(&self, held: Held) -> Passed {
        let Held { line, cuts: mut edits } = held;
        let more = self.redactor.edits(&line).into_iter();
        let cuts = edits.clone();
        let is_new = |edit: &Edit| {
            cuts.iter().all(|cut| edit.at.end <= cut.at.start || cut.at.end <= edit.at.start)
        };
        edits.extend(more.filter(is_new));
        edits.sort_by_key(|edit| edit.at.start);
        Passed { line: edited(&line, &edits), original: line, edits }
    }
}

/// Where the end of a text begins that has to be known when it goes on: in the middle of no escape.
fn end_of(text: &[u8]) -> usize {
    let at = text.len().saturating_sub(END_BYTES);
    let near = at.saturating_sub(8);
    let escape = memchr::memchr(b'\\', &text[near..at]);
    escape.map_or(at, |n| near + n)
}

/// Takes a secret out of the lines that hold its parts; what stands for it stands in the first of them.
fn cut(held: &mut [Held], parts: &[Part], at: &Range<usize>, name: &str) {
    let mut with = stand_in(name);
    for part in parts {
        let (from, to) = (at.start.max(part.of.start), at.end.min(part.of.end));
        if from < to {
            let at = part.at + from - part.of.start..part.at + to - part.of.start;
            held[part.held].cuts.push(Edit { at, with: std::mem::take(&mut with) });
        }
    }
}

/// True for what agents print between two pieces.
fn is_sign_of_life(line: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    line.len() < 512 && (has(b"\"ping\"") || has(b"heartbeat") || has(b"keep_alive"))
}
