//! The runtime of one verb, which nothing keeps from ending.

use crate::fail::Fail;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// What the runtime, a run and its journal hold open at least.
const FILES_MIN: u64 = 32;

/// Carries out a future; one thread is enough for pipes. A thread that is stuck at its end, such as one that reads
/// from a disk that does not answer, is not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Fail> {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(files) = files.filter(|files| *files < FILES_MIN) {
        let words = format!("only {files} files may be open here, and belay needs {FILES_MIN}");
        return Err(Fail::local(words).hint("raise the limit: ulimit -n 1024"));
    }
    let built = Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(|error| Fail::local(format!("cannot start: {error}")))?;
    let done = runtime.block_on(async {
        tokio::spawn(reap_orphans());
        future.await
    });
    runtime.shutdown_background();
    Ok(done)
}

/// Takes in orphans that come to us: what agents left running, and in a container, whose first process we are,
/// everybody's.
async fn reap_orphans() {
    // Without the signal they are taken in by whoever comes after us.
    let Ok(mut children) = signal(SignalKind::child()) else { return };
    while children.recv().await.is_some() {
        belaykit_supervise::reap_orphans();
    }
}
