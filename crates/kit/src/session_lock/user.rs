//! Who uses a session: a run, its process, and the processes that may outlive it for a moment.

use belay_trace::RunProcess;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;

/// The run that uses a session, or works in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    v: u32,
    pub(crate) run: String,
    pub(crate) agent: String,
    process: ProcessId,
    since: Timestamp,
    /// The machine of these processes, and the kernel's number since it was started; empty where that is not known.
    #[serde(default)]
    host: String,
    #[serde(default)]
    boot_id: String,
    /// Its agent, and the supervisor that ends it when belay was killed.
    #[serde(default)]
    below: Vec<ProcessId>,
}

/// A process: its number, and when it was started, since numbers come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProcessId {
    pid: u32,
    /// In ticks since the machine was started; 0 where that is not known.
    start: u64,
}

/// The version of what stands in the files.
const VERSION: u32 = 1;

impl User {
    /// This process, for a run.
    pub(super) fn new(run: &str, agent: &str) -> Self {
        let process = ProcessId::of(std::process::id());
        let (run, agent) = (run.to_owned(), agent.to_owned());
        let RunProcess { host, boot_id, .. } = RunProcess::this(true);
        let (since, below) = (Timestamp::now(), Vec::new());
        Self { v: VERSION, run, agent, process, since, host, boot_id, below }
    }

    /// A process that could not say who it is, such as on a disk that is full.
    pub(super) fn unknown() -> Self {
        Self { run: String::new(), process: ProcessId { pid: 0, start: 0 }, ..Self::new("", "") }
    }

    /// The processes that work for it now.
    pub(super) fn set_below(&mut self, pids: &[u32]) {
        self.below = pids.iter().map(|pid| ProcessId::of(*pid)).collect();
    }

    /// What stands in a file; nothing for one that says nothing, or is only half written.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(text).ok().filter(|user| user.v == VERSION)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// True if its process is there. One of another machine or container is not seen.
    pub(super) fn is_there(&self) -> bool {
        self.is_here() && self.process.state().is_some()
    }

    /// True if the session may be in use although nobody holds its lock: locks may be kept to each machine, or be
    /// none. What was begun on another machine, only that one knows.
    pub(super) fn may_be_there(&self) -> bool {
        let is_us = self.is_here() && self.process.pid == std::process::id();
        !is_us && (!self.is_here() || self.is_there())
    }

    /// True for a process of this machine.
    fn is_here(&self) -> bool {
        let (host, boot_id) = (self.host.clone(), self.boot_id.clone());
        RunProcess { host, boot_id, ..RunProcess::default() }.is_here()
    }

    /// True if its process is there and stands still.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_here() && self.process.state().is_some_and(|state| matches!(state, 'T' | 't'))
    }

    /// The process of its agent that lives on, if one does.
    pub(super) fn left_behind(&self) -> Option<u32> {
        let mut below = self.below.iter().filter(|_| self.is_here());
        below.find(|process| process.state().is_some()).map(|process| process.pid)
    }

    /// Why its session cannot be used: what follows "in use by".
    pub(crate) fn words(&self) -> String {
        match self.left_behind().filter(|_| !self.is_there()) {
            Some(pid) => format!("process {pid}, which run {} has left behind", self.run),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.run.is_empty() {
            return f.write_str("another process");
        }
        let stopped = if self.is_stopped() { ", stopped" } else { "" };
        let (run, pid, since) = (&self.run, self.process.pid, self.since);
        if !self.is_here() {
            let host = &self.host;
            return write!(
                f,
                "run {run} ({}, running or lost on {host}, since {since:.0})",
                self.agent
            );
        }
        write!(f, "run {run} ({}, pid {pid}{stopped}, since {since:.0})", self.agent)
    }
}

impl ProcessId {
    fn of(pid: u32) -> Self {
        Self { pid, start: stat(pid).map_or(0, |(_, start)| start) }
    }

    /// Its state by the letter that the system has for it; nothing if it is gone, or dead and not yet taken in.
    fn state(self) -> Option<char> {
        let (state, start) = stat(self.pid)?;
        let is_it = start == self.start && !matches!(state, 'Z' | 'X' | 'x');
        is_it.then_some(state)
    }
}

/// The state of a process and when it was started. Where there is no `/proc`, no process is found.
fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets, and can hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}
