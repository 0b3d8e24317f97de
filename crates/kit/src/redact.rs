//! Takes secrets out of what is kept, shown and told to others.
//!
//! An agent's line is redacted before the journal notes it and the driver reads it (`redact::gate`), so that whatever
//! is made of it holds none, and a replay gives the same. What belay says itself is redacted as it is published.

mod gate;
mod leaf;
mod rules;
mod values;

pub(crate) use self::gate::{Gate, Passed};
use self::rules::{RULES, Rule, is_example};
use crate::Environment;
use aho_corasick::{AhoCorasick, MatchKind};
use belay_agents::RunRequest;
use belay_trace::{Event, Level};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};

/// What is redacted: by default the values of the client's variables whose names say that they are secret
/// (`…_KEY`, `…TOKEN`, `…PASSWORD`, …) and what looks like a key, token or password of some 30 well-known sorts.
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

    /// A text without what looks like a secret; without a client it knows no variables.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Redactor::new(self, &Environment::default(), None).text(text)
    }
}

/// The rules, ready to be looked for.
struct Ready {
    /// Beginnings of secrets, and the number of the rule of each.
    starts: AhoCorasick,
    rules: Vec<usize>,
    /// One for each rule, built when its beginning is first seen: a short run sees none.
    patterns: Vec<OnceLock<Regex>>,
}

impl Ready {
    fn pattern(&self, rule: usize) -> &Regex {
        self.patterns[rule].get_or_init(|| {
            let mut builder = RegexBuilder::new(&format!("^(?:{})", RULES[rule].pattern));
            builder.unicode(false).build().expect("a test builds every rule")
        })
    }
}

static READY: LazyLock<Ready> = LazyLock::new(|| {
    let starts = RULES.iter().enumerate();
    let starts = starts.flat_map(|(n, rule)| rule.starts.iter().map(move |start| (n, *start)));
    let (rules, starts): (Vec<_>, Vec<_>) = starts.unzip();
    let starts = AhoCorasick::new(starts).expect("there are few rules");
    Ready { starts, rules, patterns: RULES.iter().map(|_| OnceLock::new()).collect() }
});

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

/// The end of a text that may be the beginning of a secret.
#[derive(Clone, Debug, PartialEq)]
struct Tail {
    from: usize,
    name: String,
    /// More than what everybody knows of it.
    has_body: bool,
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
        let Some(secrets) = self.0.as_deref() else { return Vec::new() };
        let mut all: Vec<Found<'a>> = Vec::new();
        if let Some(exact) = &secrets.exact {
            let found = exact.find_iter(text).filter(|m| !is_in_escape(text, m.start()));
            all.extend(found.map(|m| Found { at: m.range(), name: &secrets.names[m.pattern()] }));
        }
        let ready = &*READY;
        for start in ready.starts.find_overlapping_iter(text) {
            let n = ready.rules[start.pattern()];
            if let Some(at) = whole(&RULES[n], ready.pattern(n), text, start.start()) {
                all.push(Found { at, name: RULES[n].name });
            }
        }
        for pattern in &secrets.patterns {
            for found in pattern.captures_iter(text) {
                let Some(found) = found.get(1).or(found.get(0)) else { continue };
                let at = within_string(text, found.range());
                if !at.is_empty() {
                    all.push(Found { at, name: "pattern" });
                }
            }
        }
        if all.len() < 2 {
            return all;
        }
        all.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
        let mut merged: Vec<Found<'a>> = Vec::with_capacity(all.len());
        for found in all {
            match merged.last_mut() {
                Some(last) if found.at.start < last.at.end => {
                    last.at.end = last.at.end.max(found.at.end);
                }
                _ => merged.push(found),
            }
        }
        merged
    }

    /// A letter or two in the middle of a word that a secret value begins with: too little to wait for, and to be
    /// remembered.
    fn glimpse(&self, text: &[u8]) -> usize {
        let (Some(secrets), Some(last)) = (self.0.as_deref(), text.last()) else { return 0 };
        let cuts = secrets.cuts.get(usize::from(*last)).into_iter().flatten();
        let cuts = cuts.filter(|(n, len)| {
            let value = &secrets.values[*n][..*len];
            *len <= 2 && text.ends_with(value) && !is_in_escape(text, text.len() - len)
        });
        cuts.map(|(_, len)| *len).max().unwrap_or(0)
    }

    /// The end of a text that may go on as a secret.
    fn tail(&self, text: &[u8]) -> Option<Tail> {
        let secrets = self.0.as_deref()?;
        let last = *text.last()?;
        let mut tail: Option<Tail> = None;
        let mut offer = |from: usize, name: &str, has_body: bool| {
            // Of two that begin together, the one with the longer beginning, which comes later.
            if tail.as_ref().is_none_or(|tail| from <= tail.from) {
                tail = Some(Tail { from, name: name.to_owned(), has_body });
            }
        };
        if let Some(cuts) = secrets.cuts.get(usize::from(last)) {
            for (n, len) in cuts {
                let value = &secrets.values[*n][..*len];
                // A letter or two in the middle of a word are no beginning that anybody need wait for.
                let from = text.len().wrapping_sub(*len);
                let is_one = |from| *len > 2 && !is_in_escape(text, from);
                if text.ends_with(value) && (is_one(from) || is_boundary(text, from)) {
                    offer(from, &secrets.names[*n], *len > 6);
                }
            }
        }
        for rule in &RULES {
            for start in rule.starts {
                for len in (1..start.len()).rev() {
                    let from = text.len().wrapping_sub(len);
                    if start.as_bytes()[len - 1] == last
                        && text.ends_with(&start.as_bytes()[..len])
                        && (is_boundary(text, from)
                            || !rule.is_word
                                && (len > 2 || !start.as_bytes()[0].is_ascii_alphanumeric()))
                    {
                        offer(from, rule.name, false);
                    }
                }
            }
        }
        let window = text.len().saturating_sub(WINDOW);
        for start in READY.starts.find_overlapping_iter(&text[window..]) {
            let (from, to) = (window + start.start(), window + start.end());
            let rule = &RULES[READY.rules[start.pattern()]];
            let body = &text[to..];
            if (!rule.is_word || is_boundary(text, from))
                && text.len() - from < rule.bytes_max
                && body.iter().all(|byte| (rule.is_body)(*byte))
                && (rule.goes_on)(body)
            {
                offer(from, rule.name, body.len() > 3);
            }
        }
        tail
    }
}

/// How far back an open secret is looked for: the longest is a private key.
const WINDOW: usize = 16 << 10;

/// Where the secret part of the secret is that begins here.
fn whole(rule: &Rule, pattern: &Regex, text: &[u8], from: usize) -> Option<Range<usize>> {
    if rule.is_word && !is_boundary(text, from) {
        return None;
    }
    let to = text.len().min(from + rule.bytes_max + 64);
    let found = pattern.captures(&text[from..to])?;
    let secret = found.get(1).or(found.get(0))?;
    if is_example(secret.as_bytes()) {
        return None;
    }
    Some(from + secret.start()..from + secret.end())
}

/// True for the second byte of an escape of JSON.
fn is_in_escape(text: &[u8], at: usize) -> bool {
    let slashes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    slashes % 2 == 1 && text.get(at).is_some_and(|byte| b"nrtbfu\"\\/".contains(byte))
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
mod tests;
