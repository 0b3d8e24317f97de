//! Work with files on a thread of its own, which can be abandoned: a file system that hangs must not hang a run.

use crate::limits;
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What such a thread needs: some paths and a small file.
const STACK_BYTES: usize = 256 << 10;

/// What `work` returns; nothing if it takes too long. What it returns later is dropped, and a lock with it.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = oneshot::channel();
    spawn(move || drop(sender.send(work())))?;
    timeout(limits::SESSION_LOCK, done).await.ok()?.ok()
}

/// Like [`run`], for callers that cannot wait otherwise.
pub(super) fn run_now<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = mpsc::channel();
    spawn(move || drop(sender.send(work())))?;
    done.recv_timeout(limits::SESSION_LOCK).ok()
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Option<()> {
    let thread = thread::Builder::new().name("belay-lock".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(work).ok().map(drop)
}
