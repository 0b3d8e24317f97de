//! One breaker: what is known of it, and what time and failures make of that. Without clock or files.

use super::rules::{Rule, WITHIN};
use crate::limits;
use belay_trace::FailureKind;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// How far a breaker reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All agents of this machine: the network.
    #[default]
    Machine,
    /// One account of an agent, with all its models.
    Account,
    /// One model of an account.
    Model,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "machine",
            Self::Account => "account",
            Self::Model => "model",
        })
    }
}

/// A breaker that is open, or waits for a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tripped {
    /// How far it reaches.
    pub scope: Scope,
    /// Whose; nobody's if it is the machine's.
    pub agent: Option<String>,
    /// Which account of the agent, as a hash of where its login is: it tells one from another and nothing else.
    pub account: Option<String>,
    /// Which model, by the name that was asked for; the agent's default model has none.
    pub model: Option<String>,
    /// Why.
    pub kind: FailureKind,
    /// Since when.
    pub since: Timestamp,
    /// Until when nobody tries; then one run does.
    pub until: Timestamp,
    /// When the limit ends, if the agent or its provider has said so.
    pub resets_at: Option<Timestamp>,
    /// That time has come: it waits for a run that tries.
    pub is_due: bool,
    /// How often it was opened without an answer in between.
    pub ejections: u32,
    /// The run that found out.
    pub run: String,
    /// The process of that run.
    pub pid: u32,
}

impl Tripped {
    /// What it is about, in the words of a chain: `claude-code:opus`, `codex`.
    pub fn who(&self) -> String {
        match (&self.agent, &self.model) {
            (Some(agent), Some(model)) => format!("{agent}:{model}"),
            (Some(agent), None) => agent.clone(),
            (None, _) => "the machine".to_owned(),
        }
    }
}

/// Which breaker: what does not apply to the scope is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) scope: Scope,
    pub(crate) agent: String,
    pub(crate) account: String,
    pub(crate) model: String,
}

impl Key {
    /// The name of its file, without what an agent or a person calls anything.
    pub(crate) fn stem(&self) -> String {
        let scope = self.scope.to_string();
        hash([&*scope, &*self.agent, &*self.account, &*self.model].map(str::as_bytes))
    }
}

/// A short hash over several parts, none of which can pass for a piece of another.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_le_bytes());
        sha256.update(part);
    }
    sha256.finalize()[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What stands in a breaker's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    v: u32,
    #[serde(flatten)]
    pub(crate) key: Key,
    opened: Option<Opened>,
    /// The failures that may yet become an opening.
    #[serde(default)]
    failures: Vec<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Opened {
    kind: FailureKind,
    since: Timestamp,
    until: Timestamp,
    resets_at: Option<Timestamp>,
    ejections: u32,
    run: String,
    pid: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    at: Timestamp,
    kind: FailureKind,
    agent: String,
}

/// A failure, as far as others need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: FailureKind,
    /// When it is over, if the agent or its provider has said so.
    pub(crate) resets_at: Option<Timestamp>,
    /// How long that is believed before one run tries whether it is so: accounts are topped up, and windows reset early.
    pub(crate) trust: Duration,
    pub(crate) agent: String,
    pub(crate) run: String,
    pub(crate) pid: u32,
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    /// Nobody tries.
    Open(Tripped),
    /// One may try.
    Due(Tripped),
}

/// The format of the file. A program that reads another one takes it for closed.
const VERSION: u32 = 1;

/// No opening lasts longer than so many times the cooldown.
const EJECTIONS_MAX: u32 = 10;

/// A trouble that comes back later than this is a new one.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(1);

/// How long after a limit's end it is tried: what is said to be over may take a moment.
const AFTER_RESET: Duration = Duration::from_secs(10);

/// How far apart two looks at the clock of one machine may be before it was set back.
const CLOCK: SignedDuration = SignedDuration::from_mins(1);

/// How many failures are kept that count: the most that any rule asks for, and some of other kinds.
const FAILURES_MAX: usize = 16;

impl Entry {
    /// True if this program has written it, for this file.
    pub(crate) fn is_of(&self, stem: &str) -> bool {
        self.v == VERSION && self.key.stem() == stem
    }

    /// How it stands.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        match self.tripped(now) {
            None => State::Closed,
            Some(tripped) if tripped.is_due => State::Due(tripped),
            Some(tripped) => State::Open(tripped),
        }
    }

    pub(crate) fn tripped(&self, now: Timestamp) -> Option<Tripped> {
        let opened = self.opened.as_ref().filter(|opened| opened.is_known(now))?;
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Some(Tripped {
            scope: self.key.scope,
            agent: some(&self.key.agent),
            account: some(&self.key.account),
            model: some(&self.key.model),
            kind: opened.kind,
            since: opened.since,
            until: opened.until,
            resets_at: opened.resets_at,
            is_due: opened.until <= now,
            ejections: opened.ejections,
            run: opened.run.clone(),
            pid: opened.pid,
        })
    }

    /// What a failure makes of it.
    pub(crate) fn after_failure(
        before: Option<Self>,
        key: Key,
        found: &Found,
        rule: Rule,
        now: Timestamp,
    ) -> Self {
        let before = before.unwrap_or(Self { v: VERSION, key, opened: None, failures: Vec::new() });
        let mut entry =
            Self { opened: before.opened.filter(|opened| opened.is_known(now)), ..before };
        entry.failures.retain(|seen| {
            let age = now.duration_since(seen.at);
            (-CLOCK..=SignedDuration::try_from(WITHIN).unwrap_or(CLOCK)).contains(&age)
        });
        let drop = (entry.failures.len() + 1).saturating_sub(FAILURES_MAX);
        entry.failures.drain(..drop);
        entry.failures.push(Seen { at: now, kind: found.kind, agent: found.agent.clone() });
        // Whoever has tried whether it works again has found out that it does not.
        let was_due = entry.opened.as_ref().is_some_and(|opened| opened.until <= now);
        if was_due || entry.count(found.kind) >= rule.after {
            entry.open(found, rule, now);
        }
        entry
    }

    fn count(&self, kind: FailureKind) -> usize {
        let such = self.failures.iter().filter(|seen| seen.kind == kind);
        match self.key.scope {
            Scope::Machine => such.map(|seen| &seen.agent).collect::<BTreeSet<_>>().len(),
            Scope::Account | Scope::Model => such.count(),
        }
    }

    fn open(&mut self, found: &Found, rule: Rule, now: Timestamp) {
        let before = self.opened.as_ref();
        let still_open = before.filter(|opened| opened.until > now);
        // Those who were at work when it was opened find out what is known already.
        let ejections = match (before, still_open) {
            (_, Some(opened)) => opened.ejections,
            (Some(opened), None) if now.duration_since(opened.until) <= FORGOTTEN => {
                opened.ejections.saturating_add(1)
            }
            _ => 1,
        };
        let times = if rule.grows { ejections.min(EJECTIONS_MAX) } else { 1 };
        let cooled = later(now, rule.cooldown.saturating_mul(times));
        let resets_at = found.resets_at.filter(|reset| *reset > now);
        // A limit's own word goes before our guess; other failures are at least as long as we know them to be.
        let until = match (resets_at, found.kind) {
            (Some(reset), FailureKind::UsageLimit) => {
                later(reset, AFTER_RESET).min(later(now, found.trust))
            }
            (Some(reset), _) => reset.max(cooled).min(later(now, found.trust.max(rule.cooldown))),
            (None, _) => cooled,
        };
        let until = until.min(later(now, limits::BREAKER_EXPIRES));
        if still_open.is_some_and(|opened| opened.until >= until) {
            return;
        }
        self.opened = Some(Opened {
            kind: found.kind,
            since: now,
            until,
            resets_at,
            ejections,
            run: found.run.clone(),
            pid: found.pid,
        });
    }

    /// True if an attempt that began then, and answered, says that it works again. One that was at work already
    /// says nothing of what came after its own requests.
    pub(crate) fn is_closed_by(&self, began: Timestamp) -> bool {
        let failed = self.failures.iter().map(|seen| seen.at);
        let last = self.opened.iter().map(|opened| opened.since).chain(failed).max();
        last.is_none_or(|last| last <= began)
    }
}

impl Opened {
    /// False for what is too old, or from a time that has not come yet: then the clock was wrong, then or now.
    fn is_known(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.since);
        let most = SignedDuration::try_from(limits::BREAKER_EXPIRES).unwrap_or(SignedDuration::MAX);
        (-CLOCK..most).contains(&age) && self.until <= later(self.since, limits::BREAKER_EXPIRES)
    }
}

/// A time later, or the last one that there is.
fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
