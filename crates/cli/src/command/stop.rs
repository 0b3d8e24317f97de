//! `belay stop`

use super::runs::state::{lost_words, state_word};
use crate::fail::Fail;
use crate::figures;
use crate::page::Page;
use crate::say::say;
use crate::stored::{self, ShortIds, StateDir, unreadable};
use belay_trace::{ControlLine, Event, Liveness, Overview, RunState, StoredRun, Tail, exit_code};
use belaykit::control::{self, NotHeard};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

/// Stop a run from another terminal, and wait until it has ended.
///
/// The agent is asked to stop in its own words, like by Ctrl-C where it runs: what was reached and what it cost
/// are kept. Once more insists, a third time kills; --now kills at once. Ctrl-C here ends the waiting alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay stop 4f3c2b1a
  belay stop 4f3c2b1a --now
  belay stop --all --no-wait")]
pub(crate) struct Stop {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(required_unless_present = "all")]
    run: Option<String>,

    /// Stop every run that is at work.
    #[arg(long, conflicts_with = "run")]
    all: bool,

    /// Kill the agent, and all it has started, instead of asking.
    #[arg(long)]
    now: bool,

    /// Do not wait until the run has ended.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    state_dir: StateDir,
}

/// A run is told so often to stop that it kills its agent.
const KILLS: usize = 3;

/// How often a run is looked at that is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A run that has not said by then that it was interrupted does not listen.
const HEARD: Duration = Duration::from_secs(5);

impl Stop {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let store = self.state_dir.store()?;
        let all = store.runs().map_err(unreadable)?;
        let short = ShortIds::of(&all);
        let page = Page::new();
        let Some(id) = &self.run else {
            let running: Vec<_> =
                all.iter().filter(|run| matches!(run.liveness(), Ok(Liveness::AtWork))).collect();
            if running.is_empty() {
                say("No run is at work.");
            }
            // All are told before one is waited for.
            let told: Vec<_> =
                running.iter().map(|run| self.tell(run, short.get(run.id()))).collect();
            let mut failed = None;
            for (run, told) in running.iter().zip(told) {
                let stopped = told.and_then(|()| self.wait(run, short.get(run.id()), &page));
                failed = stopped.err().or(failed);
            }
            page.end()?;
            return failed.map_or(Ok(exit_code::ANSWERED), Err);
        };
        let run = stored::find(&store, id)?;
        let short = short.get(run.id());
        let overview = run.overview();
        match overview.state {
            RunState::Running => {
                self.tell(&run, short)?;
                self.wait(&run, short, &page)?;
            }
            RunState::Crashed => return Err(crashed(short)),
            RunState::Lost => return Err(lost(short, &overview)),
            _ => {
                let _ = writeln!(
                    &mut page.clone(),
                    "run {short} has ended already: {}",
                    state_word(&overview)
                );
            }
        }
        page.end()?;
        Ok(exit_code::ANSWERED)
    }

    fn tell(&self, run: &StoredRun, short: &str) -> Result<(), Fail> {
        let stops = vec![ControlLine::Stop; if self.now { KILLS } else { 1 }];
        let began = Instant::now();
        loop {
            match control::send(run, &stops) {
                Ok(()) => {
                    wake(run);
                    return Ok(());
                }
                // It has ended in the meantime, and how is said below.
                Err(_) if run.overview().state != RunState::Running => return Ok(()),
                // It is ending.
                Err(NotHeard::NoPipe | NotHeard::Gone) if began.elapsed() < HEARD => {
                    thread::sleep(LOOK);
                }
                Err(error) => return Err(not_heard(short, &error)),
            }
        }
    }

    /// Waits until the run has ended, and says how.
    fn wait(&self, run: &StoredRun, short: &str, page: &Page) -> Result<(), Fail> {
        let mut out = page.clone();
        if self.no_wait {
            let _ = writeln!(out, "run {short} was told to stop");
            return Ok(());
        }
        let (began, mut warned) = (Instant::now(), false);
        loop {
            let overview = run.overview();
            match overview.state {
                RunState::Running => {}
                RunState::Crashed => return Err(crashed(short)),
                RunState::Lost => return Err(lost(short, &overview)),
                _ => {
                    let cost = overview.usage.as_ref().and_then(figures::dollars);
                    let cost = cost.map(|cost| format!(", {cost}")).unwrap_or_default();
                    let _ = writeln!(out, "run {short} has ended: {}{cost}", state_word(&overview));
                    page.show();
                    return Ok(());
                }
            }
            if !warned && began.elapsed() > HEARD {
                warned = true;
                if is_interrupted(run) {
                    say(format_args!("run {short} is stopping; once more insists, --now kills"));
                } else {
                    say(format_args!(
                        "run {short} does not react; is it suspended (Ctrl-Z) where it was started?"
                    ));
                }
            }
            thread::sleep(LOOK);
        }
    }
}

/// Lets a run go on that stands still, so that it hears what it was told: after a Ctrl-Z, or a SIGSTOP of anybody's.
fn wake(run: &StoredRun) {
    let process = run.overview().process.and_then(|process| process.pid_here());
    if let Some(pid) = process.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // One that works does not notice.
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Whether the run has noted that it was told to stop.
fn is_interrupted(run: &StoredRun) -> bool {
    let Ok(mut tail) = Tail::of(run) else { return false };
    let lines = std::iter::from_fn(|| tail.next_line().ok().flatten());
    let mut records =
        lines.filter_map(|line| serde_json::from_slice::<belay_trace::Record>(&line).ok());
    records.any(|record| matches!(record.event, Event::Interrupted(_)))
}

fn crashed(short: &str) -> Fail {
    Fail::local(format!(
        "run {short} has crashed: the belay that ran it is gone, and nobody can stop it"
    ))
    .hint(format_args!("`belay show {short}` says what was reached and how to go on"))
}

/// A run of another machine.
fn lost(short: &str, overview: &Overview) -> Fail {
    Fail::local(format!("run {short} is {}", lost_words(overview))).hint("stop it on that machine")
}

/// A run that is at work and cannot be spoken to.
pub(super) fn not_heard(short: &str, error: &NotHeard) -> Fail {
    let hint = match error {
        NotHeard::TooLong => "say it shorter, or put it into a file and name that",
        NotHeard::Busy => "continue it (`fg`) where it was started, or press Ctrl-C there",
        _ => "press Ctrl-C where it was started, or end that process",
    };
    Fail::local(format!("run {short} cannot be spoken to: {error}")).hint(hint)
}
