//! Takes secrets out of what is kept, shown and told to others.
//!
//! An agent's line is redacted before the journal notes it and the driver reads it (`redact::gate`), so that whatever
//! is made of it holds none, and a replay gives the same. What belay says itself is redacted as it is published.

mod assignments;
mod commands;
mod gate;
mod keys;
mod leaf;
mod links;
mod literals;
mod looks;
mod names;
mod nested;
mod plain;
mod scan;
mod seen;
mod tokens;
mod values;

pub(crate) use self::gate::{Gate, Passed};
use self::plain::Plain;
use self::scan::{Scan, Shown, scan};
use crate::Environment;
use aho_corasick::{AhoCorasick, MatchKind};
use belay_agents::RunRequest;
use belay_trace::{Event, Level};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What is redacted: by default the values of the client's variables whose names say that they are secret
/// (`…_KEY`, `…TOKEN`, `…PASSWORD`, …) and what looks like a key, token or password of well-known sorts, however tools print it.
///
/// `[redacted:SORT]` stands in its place everywhere: in journals, traces, events, observers, handovers and the
/// outcome. The agent itself sees its prompt, its environment and its files as they are.
///
/// ```
/// use belaykit::Redaction;
///
/// let redaction = Redaction::default().value("our-own-passphrase").pattern(r"CUST-\d{6}")?;
/// assert_eq!(redaction.text("of CUST-123456"), "of [redacted:pattern]");
/// # Ok::<(), belaykit::BadPattern>(())
/// ```
#[derive(Clone, Default)]
pub struct Redaction {
    is_off: bool,
    values: Vec<String>,
    patterns: Vec<Regex>,
}

impl fmt::Debug for Redaction {
    // Neither are the values secret no more because somebody debugs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction")
            .field("is_off", &self.is_off)
            .field("values", &self.values.len())
            .field("patterns", &self.patterns)
            .finish()
    }
}

/// A pattern that cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

impl Redaction {
    /// Nothing is redacted: journals and traces hold secrets as the agent prints them.
    #[must_use]
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// Redacts this value too, however it is escaped or encoded.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Redacts what this regular expression matches too, within one line of an agent; of an expression with a group,
    /// what the first group matches. It should match no quotes.
    ///
    /// # Errors
    /// [`BadPattern`] if it is none, or would match everywhere.
    pub fn pattern(mut self, pattern: &str) -> Result<Self, BadPattern> {
        let regex = RegexBuilder::new(pattern).unicode(false).build();
        let regex = regex.map_err(|error| BadPattern(error.to_string()))?;
        if regex.is_match(b"") {
            return Err(BadPattern(format!("{pattern:?} matches an empty text")));
        }
        self.patterns.push(regex);
        Ok(self)
    }

    /// True if nothing is redacted.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// A text without what looks like a secret, and without the values of the secret variables of this environment.
    pub fn text_of(&self, text: &str, environment: &Environment) -> String {
        Redactor::new(self, environment, None).text(text).into_owned()
    }

    /// The same for the lines of an agent's stream, where secrets come in pieces.
    pub fn lines(&self, environment: &Environment) -> LineRedaction {
        LineRedaction(Gate::new(Redactor::new(self, environment, None)))
    }

    /// A text without what looks like a secret; without a client it knows no variables.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Redactor::new(self, &Environment::default(), None).text(text)
    }
}

/// Takes secrets out of the lines of an agent's stream; made by [`Redaction::lines`].
///
/// A line that ends in what may be the beginning of a secret comes back with a later one.
#[derive(Debug)]
pub struct LineRedaction(Gate);

impl LineRedaction {
    /// A line comes; returns the lines that go through now.
    pub fn push(&mut self, line: &[u8]) -> Vec<Vec<u8>> {
        match self.0.push(line) {
            None => vec![line.to_vec()],
            Some(passed) => passed.into_iter().map(|passed| passed.line).collect(),
        }
    }

    /// The same for a line of which nothing comes later, such as a record.
    pub fn whole<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        self.0.redactor().bytes(line)
    }

    /// Nothing more comes; returns what was held back.
    pub fn finish(&mut self) -> Vec<Vec<u8>> {
        self.0.finish().into_iter().map(|passed| passed.line).collect()
    }
}

/// Finds and replaces secrets; the default one does not. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Option<Arc<Secrets>>);

struct Secrets {
    /// The values of secret variables in all their forms.
    values: Vec<Vec<u8>>,
    /// The name that stands for each of them.
    names: Vec<String>,
    exact: Option<AhoCorasick>,
    /// By the byte before the cut: values and how much of them, for what ends with a beginning of one.
    cuts: Vec<Vec<(usize, usize)>>,
    patterns: Vec<Regex>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redactor").field(&self.0.is_some()).finish()
    }
}

/// A secret, and what stands for it.
#[derive(Clone, Debug, PartialEq)]
struct Found<'a> {
    at: Range<usize>,
    name: &'a str,
}

/// A change of a line.
#[derive(Clone, Debug, PartialEq)]
struct Edit {
    at: Range<usize>,
    with: String,
}

/// The end of a text that may go on as a secret.
#[derive(Clone, Debug, PartialEq)]
struct Tail {
    /// From here on the text has to be known when it goes on.
    context: usize,
    /// But for this part of it.
    dispensable: Range<usize>,
    /// From here on nobody may see it yet.
    hold: usize,
    shown: Shown,
    name: String,
}

/// What a text holds, and how it may go on.
#[derive(Debug, Default)]
struct Looked<'a> {
    found: Vec<Found<'a>>,
    tail: Option<Tail>,
}

impl Redactor {
    /// Knows the secrets of this environment and of this request.
    pub(crate) fn new(
        redaction: &Redaction,
        environment: &Environment,
        request: Option<&RunRequest>,
    ) -> Self {
        if redaction.is_off {
            return Self(None);
        }
        let mut named: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        let mut add = |name: &str, value: &str| {
            for form in values::forms(value) {
                named.entry(form).or_insert_with(|| name.to_owned());
            }
        };
        let variables = environment.vars();
        let variables =
            variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let servers = request.into_iter().flat_map(|request| request.mcp_servers.values());
        let servers = servers.flat_map(|server| server.secrets());
        let servers = servers.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in variables.chain(servers) {
            if values::is_secret_name(name) && values::is_secret_value(value) {
                add(&harmless(name), value);
            }
        }
        for value in redaction.values.iter().filter(|value| value.trim().len() >= 4) {
            add("value", value);
        }
        let (values, names): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let mut cuts = vec![Vec::new(); if values.is_empty() { 0 } else { 256 }];
        for (n, value) in values.iter().enumerate() {
            for len in 1..value.len() {
                cuts[usize::from(value[len - 1])].push((n, len));
            }
        }
        let exact = (!values.is_empty()).then(|| {
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values).ok()
        });
        let patterns = redaction.patterns.clone();
        Self(Some(Arc::new(Secrets { exact: exact.flatten(), values, names, cuts, patterns })))
    }

    /// Changes nothing.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// A text without secrets.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        }
    }

    /// Bytes without secrets; a line of JSON stays one.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let edits = self.edits(bytes);
        if edits.is_empty() { bytes.into() } else { edited(bytes, &edits).into() }
    }

    /// What can be written as JSON, without secrets; nothing if it holds none.
    pub(crate) fn json<T: Serialize + DeserializeOwned>(&self, it: &T) -> Option<Result<T, ()>> {
        if self.is_off() {
            return None;
        }
        let json = serde_json::to_vec(it).ok()?;
        match self.bytes(&json) {
            Cow::Borrowed(_) => None,
            Cow::Owned(json) => Some(serde_json::from_slice(&json).map_err(drop)),
        }
    }

    /// Takes the secrets out of an event.
    pub(crate) fn event(&self, event: &mut Event) {
        match self.json(event) {
            None => {}
            Some(Ok(clean)) => *event = clean,
            Some(Err(())) => {
                let words =
                    format!("a secret could not be taken out of an event: {}", event.type_name());
                *event = Event::notice(Level::Warn, "redaction", words);
            }
        }
    }

    fn edits(&self, bytes: &[u8]) -> Vec<Edit> {
        let found = self.find(bytes).into_iter();
        found.map(|found| Edit { at: found.at, with: stand_in(found.name) }).collect()
    }

    /// The secrets in a text, in order.
    fn find<'a>(&'a self, text: &[u8]) -> Vec<Found<'a>> {
        self.look(text).found
    }

    /// The secrets in a text, in order, and how its end may go on.
    fn look<'a>(&'a self, raw: &[u8]) -> Looked<'a> {
        let Some(secrets) = self.0.as_deref() else { return Looked::default() };
        let mut looked = Looked::default();
        secrets.values_in(raw, &mut looked);
        let plain = Plain::of(raw);
        let mut scan_of_plain = scan(&plain.text);
        nested::look(&plain.text, &mut scan_of_plain);
        looked.add(&plain, scan_of_plain);
        if let Cow::Owned(text) = &plain.text
            && let Some(exact) = &secrets.exact
        {
            let found = exact.find_iter(text);
            looked.found.extend(
                found.map(|m| Found {
                    at: plain.raw(&m.range()),
                    name: &secrets.names[m.pattern()],
                }),
            );
        }
        for other in [plain.of_hidden(), Plain::of_address(raw)].into_iter().flatten() {
            looked.add(&other, scan(&other.text));
        }
        for pattern in &secrets.patterns {
            for found in pattern.captures_iter(raw) {
                let Some(found) = found.get(1).or(found.get(0)) else { continue };
                let at = within_string(raw, found.range());
                if !at.is_empty() {
                    looked.found.push(Found { at, name: "pattern" });
                }
            }
        }
        looked.merge();
        let is_json = !looked.found.is_empty()
            && matches!(raw.first(), Some(b'{' | b'['))
            && serde_json::from_slice::<IgnoredAny>(raw).is_ok();
        if is_json {
            within_strings(raw, &mut looked.found);
        }
        looked.settle();
        looked
    }
}

impl Secrets {
    /// The values of variables, and the beginning of one at the end.
    fn values_in<'a>(&'a self, text: &[u8], looked: &mut Looked<'a>) {
        if let Some(exact) = &self.exact {
            let found = exact.find_iter(text).filter(|m| !is_in_escape(text, m.start()));
            looked
                .found
                .extend(found.map(|m| Found { at: m.range(), name: &self.names[m.pattern()] }));
        }
        let cuts = text.last().and_then(|last| self.cuts.get(usize::from(*last)));
        for (n, len) in cuts.into_iter().flatten() {
            let value = &self.values[*n][..*len];
            let from = text.len().wrapping_sub(*len);
            // The end of a whole one may be the beginning of another, and is none.
            let is_of_whole = || looked.found.iter().any(|found| found.at.contains(&from));
            if !text.ends_with(value) || is_in_escape(text, from) || is_of_whole() {
                continue;
            }
            // A letter or two in the middle of a word are nothing to wait for.
            let is_glimpse = *len <= 2 && !is_boundary(text, from);
            let shown = match len {
                _ if is_glimpse => Shown::Nothing,
                0..=3 => Shown::Beginning,
                4..=6 => Shown::Little,
                _ => Shown::Body,
            };
            let hold = if is_glimpse { text.len() } else { from };
            let name = self.names[*n].clone();
            looked.open(Tail { context: from, dispensable: 0..0, hold, shown, name });
        }
    }
}

impl<'a> Looked<'a> {
    /// Adds what was found in a plain text, where it stands in the raw one.
    fn add(&mut self, plain: &Plain<'_>, scan: Scan) {
        let found = scan.found.into_iter();
        self.found.extend(found.map(|it| Found { at: plain.raw(&it.at), name: it.name }));
        if let Some(tail) = scan.tail {
            let is_held = tail.shown > Shown::Nothing;
            let dispensable = &tail.dispensable;
            self.open(Tail {
                context: plain.raw_start(tail.context),
                dispensable: plain.raw_start(dispensable.start)..plain.raw_start(dispensable.end),
                hold: if is_held { plain.raw_start(tail.hold) } else { usize::MAX },
                shown: tail.shown,
                name: tail.name.to_owned(),
            });
        }
    }

    /// Of two ends that may go on, what both need.
    fn open(&mut self, tail: Tail) {
        match &mut self.tail {
            None => self.tail = Some(tail),
            Some(had) => {
                if tail.shown > had.shown || tail.shown == had.shown && tail.hold < had.hold {
                    had.name = tail.name;
                }
                if had.dispensable.is_empty() && had.context >= tail.dispensable.end {
                    had.dispensable = tail.dispensable;
                } else if tail.context < had.dispensable.end {
                    had.dispensable = 0..0;
                }
                had.context = had.context.min(tail.context);
                had.hold = had.hold.min(tail.hold);
                had.shown = had.shown.max(tail.shown);
            }
        }
    }

    /// What is held does not begin in the middle of a secret.
    fn settle(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        let inside = |found: &&Found<'_>| found.at.start < tail.hold && tail.hold < found.at.end;
        if let Some(found) = self.found.iter().find(inside) {
            tail.hold = if tail.shown > Shown::Beginning { found.at.start } else { usize::MAX };
        }
    }

    /// Puts secrets that overlap together, in order.
    fn merge(&mut self) {
        if self.found.len() < 2 {
            return;
        }
        self.found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
        let mut merged: Vec<Found<'a>> = Vec::with_capacity(self.found.len());
        for found in self.found.drain(..) {
            match merged.last_mut() {
                Some(last) if found.at.start < last.at.end => {
                    last.at.end = last.at.end.max(found.at.end);
                }
                _ => merged.push(found),
            }
        }
        self.found = merged;
    }
}

/// True for the second byte of an escape of JSON.
fn is_in_escape(text: &[u8], at: usize) -> bool {
    let slashes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    slashes % 2 == 1 && text.get(at).is_some_and(|byte| b"nrtbfu\"\\/".contains(byte))
}

/// Of what was found in a line of JSON, what stands within one of its strings: it stays JSON.
fn within_strings(line: &[u8], found: &mut Vec<Found<'_>>) {
    let is_bare = |quote: &usize| {
        line[..*quote].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    };
    let mut quotes = memchr::memchr_iter(b'"', line).filter(is_bare);
    let mut string = 0..0;
    found.retain_mut(|it| {
        while string.end <= it.at.start {
            let (Some(from), Some(to)) = (quotes.next(), quotes.next()) else { return false };
            string = from + 1..to;
        }
        it.at = it.at.start.max(string.start)..it.at.end.min(string.end);
        !it.at.is_empty()
    });
}

/// Of what a caller's pattern has matched, what does not break a line of JSON.
fn within_string(text: &[u8], mut at: Range<usize>) -> Range<usize> {
    if text.first() == Some(&b'{') {
        at.start += usize::from(is_in_escape(text, at.start));
        let inside = text.get(at.clone()).unwrap_or_default();
        at.end = memchr::memchr2(b'"', b'\\', inside).map_or(at.end, |n| at.start + n);
    }
    at
}

/// True if a word can begin here, behind an escape of JSON too.
fn is_boundary(text: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map(|at| text[at]);
    match before(1) {
        None => true,
        // `\n`, also within JSON within JSON, is no word.
        Some(b'\\') if text.get(at).is_some_and(|byte| b"nrtbfu".contains(byte)) => false,
        Some(byte) if !byte.is_ascii_alphanumeric() => byte != b'_',
        Some(b'n' | b'r' | b't' | b'b' | b'f') if before(2) == Some(b'\\') => true,
        // `%3D` in an address, `\u003d` in JSON.
        Some(_) => before(3) == Some(b'%') || before(6) == Some(b'\\') && before(5) == Some(b'u'),
    }
}

/// A name that breaks nothing, neither JSON nor the form of what stands for a secret.
fn harmless(name: &str) -> String {
    let is_harmless = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().filter(is_harmless).take(64).collect()
}

fn stand_in(name: &str) -> String {
    format!("[redacted:{name}]")
}

fn edited(line: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(&line[at..edit.at.start]);
        out.extend_from_slice(edit.with.as_bytes());
        at = edit.at.end;
    }
    out.extend_from_slice(&line[at..]);
    out
}

#[cfg(test)]
mod corpus;
#[cfg(all(test, unix))]
mod growth;
#[cfg(test)]
mod misses;
#[cfg(test)]
mod tests;
