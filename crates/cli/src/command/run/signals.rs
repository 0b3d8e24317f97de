//! Signals as wishes to stop, and to stand still.

use crate::fail::Fail;
use belay_trace::StopReason;
use belaykit::Interrupter;
use rustix::process::{Signal, getpid, kill_process};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// The first signal that came, if one did.
pub(super) type StoppedBy = watch::Receiver<Option<SignalKind>>;

/// A second signal this soon is the same wish: a terminal and a script that both pass on one Ctrl-C.
const SAME_WISH: Duration = Duration::from_millis(200);

/// How often the clock of a repeated signal is read.
const TICK: Duration = Duration::from_millis(20);

/// The most that one reading counts: time in which belay itself stands still (Ctrl-Z, a suspended machine) is none of
/// the agent's. A machine that has far too much to do is late by less.
const TICK_MAX: Duration = Duration::from_millis(400);

/// How long belay may take to end after a second signal, whatever hangs: nearly two seconds, of which the agent has one
/// for its cost and its result.
const TWICE: Duration = Duration::from_millis(1800);

/// How long after a third: the kill is under way.
const THRICE: Duration = Duration::from_millis(500);

/// How long the agent may take to be frozen before we stand still ourselves.
const FREEZE: Duration = Duration::from_millis(200);

/// Resolves at a signal that comes when the run is over: whoever shows it has been patient long enough.
pub(super) async fn end_of_patience(mut stopped_by: StoppedBy, interrupter: Interrupter) {
    loop {
        if stopped_by.changed().await.is_err() {
            // Nobody listens for signals any more.
            std::future::pending::<()>().await;
        }
        if interrupter.is_over() {
            return;
        }
    }
}

/// Tells the run of every signal. The first one decides the exit code.
pub(super) fn obey(interrupter: &Interrupter) -> Result<StoppedBy, Fail> {
    // A file that may not grow any more is an error of the write; unheard, the signal would be our end.
    let file_size = SignalKind::from_raw(Signal::XFSZ.as_raw());
    drop(signal(file_size).map_err(unheard)?);
    let (sender, stopped_by) = watch::channel(None);
    let wishes = [
        (SignalKind::interrupt(), StopReason::User),
        (SignalKind::terminate(), StopReason::Shutdown),
        (SignalKind::hangup(), StopReason::Shutdown),
    ];
    for (kind, reason) in wishes.into_iter().filter(|(kind, _)| !is_ignored(*kind)) {
        let (interrupter, sender) = (interrupter.clone(), sender.clone());
        let mut signals = signal(kind).map_err(unheard)?;
        tokio::spawn(async move {
            let mut last: Option<Instant> = None;
            while signals.recv().await.is_some() {
                if last.is_some_and(|last| last.elapsed() < SAME_WISH) {
                    continue;
                }
                last = Some(Instant::now());
                // Each one is news, also for who waits for an end that does not come.
                sender.send_modify(|first| {
                    first.get_or_insert(kind);
                });
                interrupter.stop(reason);
            }
        });
    }
    insist(wishes.map(|(kind, _)| kind).into_iter().filter(|kind| !is_ignored(*kind)))
        .map_err(unheard)?;
    let suspend = SignalKind::from_raw(Signal::TSTP.as_raw());
    if !is_ignored(suspend) {
        let mut signals = signal(suspend).map_err(unheard)?;
        let interrupter = interrupter.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let _ = timeout(FREEZE, interrupter.pause()).await;
                // Here we stand still until somebody says `fg`.
                let _ = kill_process(getpid(), Signal::STOP);
                interrupter.resume();
            }
        });
    }
    Ok(stopped_by)
}

/// Ends this program for somebody who has asked twice or more, also when everything else in it hangs. The agent's
/// supervisors end all that is left when we are gone.
fn insist(signals: impl Iterator<Item = SignalKind>) -> io::Result<()> {
    let (mut heard, theirs) = UnixStream::pair()?;
    let latest = Arc::new(AtomicUsize::new(0));
    for kind in signals.map(|kind| kind.as_raw_value()) {
        let number = usize::try_from(kind).unwrap_or_default();
        signal_hook::flag::register_usize(kind, Arc::clone(&latest), number)?;
        signal_hook::low_level::pipe::register(kind, theirs.try_clone()?)?;
    }
    thread::Builder::new().name("belay-insist".to_owned()).spawn(move || {
        let mut wishes: Vec<Instant> = Vec::new();
        let (mut first, mut left) = (0, None::<Duration>);
        let mut read_at = Instant::now();
        loop {
            let _ = heard.set_read_timeout(left.map(|_| TICK));
            let came = matches!(heard.read(&mut [0; 64]), Ok(1..));
            let now = Instant::now();
            // What a tick has really taken: the system rounds each one up.
            let passed = now.duration_since(read_at).min(TICK_MAX);
            read_at = now;
            left = left.map(|left| left.saturating_sub(passed));
            if left == Some(Duration::ZERO) {
                // Without the usual cleanup, which would write to an output that hangs.
                signal_hook::low_level::exit(128 + first);
            }
            let is_news = wishes.last().is_none_or(|last| now.duration_since(*last) >= SAME_WISH);
            if !came || !is_news {
                continue;
            }
            if wishes.is_empty() {
                first = i32::try_from(latest.load(Ordering::Relaxed)).unwrap_or_default();
            }
            wishes.push(now);
            let limit = match wishes.len() {
                1 => continue,
                2 => TWICE,
                _ => THRICE,
            };
            // Whoever goes on asking does not put the end off.
            left = Some(left.map_or(limit, |left| left.min(limit)));
        }
    })?;
    Ok(())
}

/// True if whoever started us has switched this signal off for us, as `nohup` does with SIGHUP and a shell with
/// the SIGINT of what it starts in the background.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (kind.as_raw_value() - 1)) != 0
}

fn unheard(error: io::Error) -> Fail {
    Fail::local(format!("cannot listen for signals: {error}"))
}
