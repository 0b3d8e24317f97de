//! Lets an agent's lines through without their secrets, also those that come in pieces.
//!
//! A line goes through at once, unless it ends a piece of text in what may be the beginning of a secret: then it is
//! held until the next piece says what it is, or the text ends, or a moment has passed.

use super::leaf::{Leaf, leaves};
use super::{Edit, Redactor, Tail, edited, stand_in};
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// Longer lines are no pieces.
const PIECE_LINE_BYTES_MAX: usize = 64 << 10;

/// How much is held before it goes through as it is.
const HELD_BYTES_MAX: usize = 1 << 20;

/// How long a beginning is held that is nothing but a beginning, and how long one that looks like more.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_WITH_BODY: Duration = Duration::from_secs(2);

/// How many texts are remembered that ended in the beginning of a secret, and how much of each; there are few at once.
const GLIMPSES_MAX: usize = 64;
const GLIMPSE_BYTES_MAX: usize = 16 << 10;

/// How many lines a private key may have.
const KEY_LINES_MAX: usize = 200;

/// The gate of one pipe.
#[derive(Debug)]
pub(crate) struct Gate {
    redactor: Redactor,
    held: Vec<Held>,
    held_bytes: usize,
    open: Vec<Open>,
    /// Of texts that went through, their ends if a secret may begin with them.
    glimpses: HashMap<u64, Vec<u8>>,
    /// When what is held goes through in any case.
    until: Option<Instant>,
    /// Lines of a private key that may still come.
    key_lines: usize,
}

#[derive(Debug)]
struct Held {
    line: Vec<u8>,
    cuts: Vec<Edit>,
}

/// A text of which the end may be the beginning of a secret.
#[derive(Debug)]
struct Open {
    key: u64,
    shape: u64,
    /// The end, from where the secret may begin.
    text: Vec<u8>,
    /// Where it stands.
    parts: Vec<Part>,
    tail: Tail,
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
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            held: Vec::new(),
            held_bytes: 0,
            open: Vec::new(),
            glimpses: HashMap::new(),
            until: None,
            key_lines: 0,
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
        if let Some(passed) = (!is_object).then(|| self.key_line(line)).flatten() {
            return Some(vec![passed]);
        }
        let is_short = is_object && line.len() <= PIECE_LINE_BYTES_MAX;
        let leaves = if is_short { leaves(line) } else { Vec::new() };
        if self.open.is_empty() && !leaves.iter().any(|leaf| self.begins(leaf, line)) {
            leaves.iter().for_each(|leaf| self.glimpse(leaf.key, &line[leaf.at.clone()]));
            let edits = self.redactor.edits(line);
            if !is_object && is_cut_key(line) {
                self.key_lines = KEY_LINES_MAX;
            }
            if edits.is_empty() {
                return None;
            }
            return Some(vec![Passed {
                line: edited(line, &edits),
                original: line.to_vec(),
                edits,
            }]);
        }

        let goes_on = leaves.iter().any(|leaf| self.open.iter().any(|o| o.shape == leaf.shape));
        let mut passed = Vec::new();
        if !goes_on && !is_sign_of_life(line) || self.held_bytes + line.len() > HELD_BYTES_MAX {
            passed = self.finish();
        }
        self.held_bytes += line.len();
        self.held.push(Held { line: line.to_vec(), cuts: Vec::new() });
        for leaf in leaves {
            self.piece(&leaf);
        }
        passed.extend(self.release());
        if goes_on || self.until.is_none() {
            self.wait();
        }
        Some(passed)
    }

    /// Nothing more comes, or not to what was begun.
    pub(crate) fn finish(&mut self) -> Vec<Passed> {
        for open in std::mem::take(&mut self.open) {
            self.give_up(open);
        }
        self.release()
    }

    /// The time is up: what looks like a good part of a secret is none that anybody may see.
    pub(crate) fn late(&mut self) -> Vec<Passed> {
        for open in std::mem::take(&mut self.open) {
            if open.tail.has_body && self.redactor.find(&open.text).is_empty() {
                cut(&mut self.held, &open.parts, &(0..open.text.len()), &open.tail.name);
            }
            self.give_up(open);
        }
        self.release()
    }

    /// A text is held no longer. Its end stays known: the rest of a secret may come after any pause.
    fn give_up(&mut self, mut open: Open) {
        let text = open.text.clone();
        let all = text.len();
        self.settle(&mut open, all);
        if all <= GLIMPSE_BYTES_MAX {
            self.remember(open.key, text);
        }
    }

    /// Waits for the rest of what has begun, but not for ever.
    fn wait(&mut self) {
        let has_body = self.open.iter().any(|open| open.tail.has_body);
        let patience = if has_body { PATIENCE_WITH_BODY } else { PATIENCE };
        self.until = (!self.open.is_empty()).then(|| Instant::now() + patience);
    }

    /// True if a piece ends with the beginning of a secret, or ends one that began before.
    fn begins(&self, leaf: &Leaf, line: &[u8]) -> bool {
        let content = &line[leaf.at.clone()];
        let Some(before) = self.glimpses.get(&leaf.key) else {
            return self.redactor.tail(content).is_some();
        };
        let text = [before, content].concat();
        self.redactor.tail(&text).is_some()
            || self.redactor.find(&text).iter().any(|found| found.at.start < before.len())
    }

    fn glimpse(&mut self, key: u64, text: &[u8]) {
        match self.redactor.glimpse(text) {
            0 => {
                self.glimpses.remove(&key);
            }
            len => self.remember(key, text[text.len() - len..].to_vec()),
        }
    }

    fn remember(&mut self, key: u64, end: Vec<u8>) {
        if self.glimpses.len() >= GLIMPSES_MAX {
            self.glimpses.clear();
        }
        self.glimpses.insert(key, end);
    }

    /// The last line that came has a piece of a text.
    fn piece(&mut self, leaf: &Leaf) {
        let held = self.held.len() - 1;
        let content = &self.held[held].line[leaf.at.clone()];
        let before = self.open.iter().position(|open| open.key == leaf.key);
        let mut open = match before {
            Some(n) => self.open.swap_remove(n),
            None => {
                let (key, shape) = (leaf.key, leaf.shape);
                let tail = Tail { from: 0, name: String::new(), has_body: false };
                let text = self.glimpses.remove(&key).unwrap_or_default();
                Open { key, shape, text, parts: Vec::new(), tail }
            }
        };
        let from = open.text.len();
        open.text.extend_from_slice(content);
        open.parts.push(Part { held, at: leaf.at.start, of: from..open.text.len() });
        match self.tail(&open.text) {
            None => {
                let all = open.text.len();
                self.glimpse(open.key, &open.text);
                self.settle(&mut open, all);
            }
            Some(tail) => {
                self.settle(&mut open, tail.from);
                open.tail = Tail { from: 0, ..tail };
                self.open.push(open);
            }
        }
    }

    /// The end of a text that may go on as a secret, and is no part of one that is whole.
    fn tail(&self, text: &[u8]) -> Option<Tail> {
        let found = self.redactor.find(text);
        let mut after = 0;
        loop {
            let tail = self.redactor.tail(&text[after..])?;
            let from = after + tail.from;
            match found.iter().find(|found| found.at.start < from && from < found.at.end) {
                Some(found) => after = found.at.end,
                None => return Some(Tail { from, ..tail }),
            }
        }
    }

    /// What a text is up to here is known: takes the secrets out, and forgets it.
    fn settle(&mut self, open: &mut Open, upto: usize) {
        for found in self.redactor.find(&open.text) {
            // What reaches further goes on.
            if found.at.end <= upto {
                let name = found.name.to_owned();
                cut(&mut self.held, &open.parts, &found.at, &name);
            }
        }
        open.text.drain(..upto);
        open.parts.retain(|part| part.of.end > upto);
        for part in &mut open.parts {
            part.at += upto.saturating_sub(part.of.start);
            part.of = part.of.start.saturating_sub(upto)..part.of.end - upto;
        }
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

    /// A line of a private key that began on another line.
    fn key_line(&mut self, line: &[u8]) -> Option<Passed> {
        self.key_lines = self.key_lines.checked_sub(1)?;
        let line_of_key = line.trim_ascii();
        let is_end = line_of_key.starts_with(b"-----END ");
        let is_body = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let is_header =
            line_of_key.starts_with(b"Proc-Type:") || line_of_key.starts_with(b"DEK-Info:");
        if !is_end && !is_header && !line_of_key.iter().all(is_body) {
            self.key_lines = 0;
            return None;
        }
        if is_end {
            self.key_lines = 0;
        }
        let edits = vec![Edit { at: 0..line.len(), with: stand_in("private-key") }];
        Some(Passed { line: edited(line, &edits), original: line.to_vec(), edits })
    }
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

/// True for a private key that goes on on the next line.
fn is_cut_key(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"PRIVATE KEY-----")
        && memchr::memmem::find(line, b"-----BEGIN ").is_some()
}

/// True for what agents print between two pieces.
fn is_sign_of_life(line: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    line.len() < 512 && (has(b"\"ping\"") || has(b"heartbeat") || has(b"keep_alive"))
}
