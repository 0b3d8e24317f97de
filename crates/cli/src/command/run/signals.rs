//! Signals as wishes to stop.

use crate::fail::Fail;
use belay_trace::StopReason;
use belaykit::Interrupter;
use rustix::process::Signal;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The first signal that came, if one did.
pub(super) type StoppedBy = watch::Receiver<Option<SignalKind>>;

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
    for (kind, reason) in wishes {
        let (interrupter, sender) = (interrupter.clone(), sender.clone());
        let mut signals = signal(kind).map_err(unheard)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // Each one is news, also for who waits for an end that does not come.
                sender.send_modify(|first| {
                    first.get_or_insert(kind);
                });
                interrupter.stop(reason);
            }
        });
    }
    Ok(stopped_by)
}

fn unheard(error: io::Error) -> Fail {
    Fail::local(format!("cannot listen for signals: {error}"))
}
